// y = x where x > 0, else 0; NaN passes.   dx = dy where y > 0, else 0.
// Every array has one shape, padded to whole vec4. An invocation owns one vec4.

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&y) { return; }
    let v = x[i];
    y[i] = select(v, vec4(0.0), v <= vec4(0.0));
}

@group(0) @binding(0) var<storage, read> result: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&dx) { return; }
    var g = select(dy[i], vec4(0.0), result[i] <= vec4(0.0));
    if ACCUMULATE { g += dx[i]; }
    dx[i] = g;
}
