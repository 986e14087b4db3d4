// y[n] = mix x[n] + (1 - mix) x[N-1-n]. dx is the same function of dy, since it is symmetric in n
// and N-1-n. x, y: [N, EXTENT]. An invocation computes one element.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32 }

@group(0) @binding(0) var<uniform> controls: Controls;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn mixed(i: u32) -> f32 {
    let other = x[(N - 1u - i / EXTENT) * EXTENT + i % EXTENT];
    return controls.mix * x[i] + (1.0 - controls.mix) * other;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * EXTENT { return; }
    y[i] = mixed(i);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    // In this kernel, x is dy and y is dx.
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * EXTENT { return; }
    var g = mixed(i);
    if ACCUMULATE { g += y[i]; }
    y[i] = g;
}
