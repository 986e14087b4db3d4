// forward:  whole[n, FIRST + k, 2 h + i, 2 w + j] = part[n,k,h,w]   for i, j in 0, 1
// backward: dpart[n,k,h,w] = the sum of these four elements of dwhole
// part: [N,K,H,W], whole: [N,C,2H,2W]. An invocation processes one element of part.

@group(0) @binding(0) var<storage, read> part: array<f32>;
@group(0) @binding(1) var<storage, read_write> whole: array<f32>;

// The first of the four elements of whole that correspond to element i of part.
fn first_in_whole(i: u32) -> u32 {
    let w = i % W;
    let h = i / W % H;
    let k = i / (W * H) % K;
    let n = i / (W * H * K);
    return ((n * C + FIRST + k) * 2u * H + 2u * h) * 2u * W + 2u * w;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * K * H * W { return; }
    let at = first_in_whole(i);
    let v = part[i];
    whole[at] = v;
    whole[at + 1u] = v;
    whole[at + 2u * W] = v;
    whole[at + 2u * W + 1u] = v;
}

@group(0) @binding(0) var<storage, read> dwhole: array<f32>;
@group(0) @binding(1) var<storage, read_write> dpart: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * K * H * W { return; }
    let at = first_in_whole(i);
    var g = (dwhole[at] + dwhole[at + 1u]) + (dwhole[at + 2u * W] + dwhole[at + 2u * W + 1u]);
    if ACCUMULATE { g += dpart[i]; }
    dpart[i] = g;
}
