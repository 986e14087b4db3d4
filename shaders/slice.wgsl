// y[n,j] = x[n,OFFSET+j] for j < PART.   dx[n,OFFSET+j] = dy[n,j], and 0 elsewhere.
// x: [N,WHOLE], y: [N,PART]; a row is an example. An invocation computes one element.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    y[i] = x[i / PART * WHOLE + OFFSET + i % PART];
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * WHOLE { return; }
    let j = i % WHOLE;
    var g = 0.0;
    if j >= OFFSET && j < OFFSET + PART { g = dy[i / WHOLE * PART + j - OFFSET]; }
    if ACCUMULATE { g += dx[i]; }
    dx[i] = g;
}
