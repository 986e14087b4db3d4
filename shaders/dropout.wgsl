// y = x / (1 - p) where the element is kept, else 0. dx is the same function of dy.
// The random draw is a hash of (seed, step, SALT, index), so no mask is stored. If a step has
// several passes of N examples, the index counts through all of them. PER_DRAW elements in a row
// share a draw: 1 for dropout, PER_EXAMPLE for stochastic depth.
// The hash is PCG's output function (Jarzynski & Olano, "Hash Functions for GPU Rendering", JCGT
// 2020). An invocation computes one element.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32 }

@group(0) @binding(0) var<uniform> controls: Controls;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn hash(v: u32) -> u32 {
    let state = v * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

fn kept(i: u32) -> bool {
    let key = hash(controls.step ^ hash(controls.seed ^ hash(SALT)));
    return hash(((controls.pass_index * N * PER_EXAMPLE + i) / PER_DRAW) ^ key) >= DROP_BELOW;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&y) { return; }
    y[i] = select(0.0, x[i] * SCALE, kept(i));
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&y) { return; }
    var g = select(0.0, x[i] * SCALE, kept(i));
    if ACCUMULATE { g += y[i]; }
    y[i] = g;
}
