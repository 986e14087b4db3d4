// y[n,t] = x[n,t] + weight[t], rows of D elements.
// dweight[t] = sum over n of dy[n,t] for t < T, and 0 for t >= T.
// x, y: [N,T,D], weight: [P,D] with P >= T. An invocation computes one element.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * T * D { return; }
    y[i] = x[i] + weight[i % (T * D)];
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * T * D { return; }
    var g = dy[i];
    if ACCUMULATE { g += dx[i]; }
    dx[i] = g;
}

@compute @workgroup_size(64)
fn backward_weight(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= P * D { return; }
    var sum = 0.0;
    if i < T * D {
        for (var n = 0u; n < N; n++) { sum += dy[n * T * D + i]; }
    }
    if ACCUMULATE { sum += dx[i]; }
    dx[i] = sum;
}
