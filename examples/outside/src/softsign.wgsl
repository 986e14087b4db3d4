// y[n,i] = x[n,i] / (1 + |x[n,i]|) for i < counts[n], and 0 beyond.
// dx[n,i] = dy[n,i] / (1 + |x[n,i]|)^2 for i < counts[n], and 0 beyond.
// x, y: [N,L], counts: [N]. An invocation owns one element.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn counted(i: u32) -> bool { return i % L < counts[i / L]; }

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * L { return; }
    y[i] = select(0.0, x[i] / (1.0 + abs(x[i])), counted(i));
}

@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * L { return; }
    let slope = 1.0 / (1.0 + abs(x[i]));
    var g = select(0.0, dy[i] * slope * slope, counted(i));
    if ACCUMULATE { g += dx[i]; }
    dx[i] = g;
}
