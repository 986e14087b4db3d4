// The gradient of the bias of y = x w^T + bias: dbias[o] = sum over n of dy[n,o].   dy: [N,O].
// `backward_bias`: an invocation computes one element of dbias. With many rows, `partial_bias`
// first adds up chunks of CHUNK rows, one invocation per chunk and o: partials are [chunks,O].

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dbias: array<f32>;

fn sum_of(first: u32, last: u32, o: u32) -> f32 {
    var sum = 0.0;
    for (var n = first; n < last; n++) { sum += dy[n * O + o]; }
    return sum;
}

@compute @workgroup_size(64)
fn partial_bias(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let first = i / O * CHUNK;
    if first >= N { return; }
    dbias[i] = sum_of(first, min(first + CHUNK, N), i % O);
}

@compute @workgroup_size(64)
fn backward_bias(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let o = id.x + id.y * groups.x * 64u;
    if o >= O { return; }
    var sum = sum_of(0u, N, o);
    if ACCUMULATE { sum += dbias[o]; }
    dbias[o] = sum;
}
