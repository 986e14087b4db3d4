// The prediction for row n is MEAN + STD z[n]. With t = (target - MEAN) / STD and d = z[n] - t:
//   loss[n] = |d|, or d^2 with SQUARED;   error[n] = STD |d|
//   dz[n] = WEIGHT sign(d) / R, or WEIGHT 2 d / R with SQUARED;   R = ROWS_PER_EXAMPLE * examples
// `examples` is the number of examples in the step. In this pass the first `filled` examples are
// used, and dz is 0 for the others. z, targets: [N], with ROWS_PER_EXAMPLE rows per example.
// rows: [N,2] of (loss, error), which sums.wgsl adds up.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32, filled: u32, examples: u32 }

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<f32>;
@group(0) @binding(2) var<uniform> controls: Controls;
@group(0) @binding(3) var<storage, read_write> rows: array<vec2<f32>>;

fn is_filled(n: u32) -> bool { return n < controls.filled * ROWS_PER_EXAMPLE; }

fn deviation(n: u32) -> f32 { return z[n] - (targets[n] - MEAN) / STD; }

// An invocation processes one row.
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N || !is_filled(n) { return; }
    let d = deviation(n);
    rows[n] = vec2(select(abs(d), d * d, SQUARED), STD * abs(d));
}

@group(0) @binding(3) var<storage, read_write> dz: array<f32>;

// An invocation processes one row.
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N { return; }
    let d = deviation(n);
    var g = 2.0 * d;
    if !SQUARED {
        g = select(0.0, 1.0, d > 0.0) - select(0.0, 1.0, d < 0.0);
        // Infinities and NaN have all exponent bits set. They are passed on, so that the layer that
        // they come from can be found.
        if (bitcast<u32>(d) & 0x7f800000u) == 0x7f800000u { g = d; }
    }
    g = g / f32(ROWS_PER_EXAMPLE * controls.examples) * WEIGHT;
    if !is_filled(n) { g = 0.0; }
    if ACCUMULATE { g += dz[n]; }
    dz[n] = g;
}
