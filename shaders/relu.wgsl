// y = max(x, 0).   dx = dy where y > 0, else 0.   NaN stays NaN.
// All arrays have the same shape, padded to a multiple of 4. An invocation computes one vec4.

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&y) { return; }
    let v = floats(x[i]);
    y[i] = quad_of(select(v, vec4(0.0), v <= vec4(0.0)));
}

@group(0) @binding(0) var<storage, read> result: array<Quad>;
@group(0) @binding(1) var<storage, read> dy: array<Quad>;
@group(0) @binding(2) var<storage, read_write> dx: array<Quad>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&dx) { return; }
    var g = select(floats(dy[i]), vec4(0.0), floats(result[i]) <= vec4(0.0));
    if ACCUMULATE { g += floats(dx[i]); }
    dx[i] = quad_of(g);
}
