// forward:  whole[n, OFFSET + j] = part[n, j]          for j < PART
// backward: dpart[n, j] = dwhole[n, OFFSET + j]
// part: [N, PART], whole: [N, WHOLE], a row per example. An invocation copies one element. The
// kernels `*_quads` copy one vec4: there, PART, WHOLE and OFFSET count vec4.

@group(0) @binding(0) var<storage, read> part: array<f32>;
@group(0) @binding(1) var<storage, read_write> whole: array<f32>;

fn index_in_whole(i: u32) -> u32 { return i / PART * WHOLE + OFFSET + i % PART; }

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    whole[index_in_whole(i)] = part[i];
}

@group(0) @binding(0) var<storage, read> part_quads: array<Quad>;
@group(0) @binding(1) var<storage, read_write> whole_quads: array<Quad>;

@compute @workgroup_size(64)
fn forward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    whole_quads[index_in_whole(i)] = part_quads[i];
}

@group(0) @binding(0) var<storage, read> dwhole: array<f32>;
@group(0) @binding(1) var<storage, read_write> dpart: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    var g = dwhole[index_in_whole(i)];
    if ACCUMULATE { g += dpart[i]; }
    dpart[i] = g;
}

@group(0) @binding(0) var<storage, read> dwhole_quads: array<Quad>;
@group(0) @binding(1) var<storage, read_write> dpart_quads: array<Quad>;

@compute @workgroup_size(64)
fn backward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    var g = floats(dwhole_quads[index_in_whole(i)]);
    if ACCUMULATE { g += floats(dpart_quads[i]); }
    dpart_quads[i] = quad_of(g);
}
