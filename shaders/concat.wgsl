// put:  whole[n, OFFSET + j] = part[n, j]          for j < PART
// take: dpart[n, j] = dwhole[n, OFFSET + j]
// part: [N, PART], whole: [N, WHOLE], an example a row. The kernels named quads count vec4 instead of elements, where all of PART, WHOLE
// and OFFSET are whole ones. An invocation owns one element, or vec4, of the part.

@group(0) @binding(0) var<storage, read> part: array<f32>;
@group(0) @binding(1) var<storage, read_write> whole: array<f32>;

fn place(i: u32) -> u32 { return i / PART * WHOLE + OFFSET + i % PART; }

@compute @workgroup_size(64)
fn put(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    whole[place(i)] = part[i];
}

@group(0) @binding(0) var<storage, read> part_quads: array<Quad>;
@group(0) @binding(1) var<storage, read_write> whole_quads: array<Quad>;

@compute @workgroup_size(64)
fn put_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    whole_quads[place(i)] = part_quads[i];
}

@group(0) @binding(0) var<storage, read> dwhole: array<f32>;
@group(0) @binding(1) var<storage, read_write> dpart: array<f32>;

@compute @workgroup_size(64)
fn take(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    var g = dwhole[place(i)];
    if ACCUMULATE { g += dpart[i]; }
    dpart[i] = g;
}

@group(0) @binding(0) var<storage, read> dwhole_quads: array<Quad>;
@group(0) @binding(1) var<storage, read_write> dpart_quads: array<Quad>;

@compute @workgroup_size(64)
fn take_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * PART { return; }
    var g = floats(dwhole_quads[place(i)]);
    if ACCUMULATE { g += floats(dpart_quads[i]); }
    dpart_quads[i] = quad_of(g);
}
