// The gradient of the bias of y = x w^T + bias: dbias[o] = sum over n of dy[n,o].
// dy: [N,O]. An invocation computes one element of dbias.

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(64)
fn backward_bias(@builtin(global_invocation_id) id: vec3<u32>) {
    let o = id.x;
    if o >= O { return; }
    var sum = 0.0;
    for (var n = 0u; n < N; n++) { sum += dy[n * O + o]; }
    if ACCUMULATE { sum += dbias[o]; }
    dbias[o] = sum;
}
