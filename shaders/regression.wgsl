// The prediction of row n is the number MEAN + STD z[n]. With t = (label - MEAN) / STD and d = z[n] - t:
//   loss[n] = |d|, or d^2 where SQUARED;   error[n] = STD |d|
//   dz[n] = sign(d) / (PASSES images), or 2 d / (PASSES images);   images = rows with a label (a padding row's label is 0xffffffff)
// z: [N,1], labels: whole numbers, the first N words of the batch. metrics.wgsl sums up what `forward` leaves of each row.

// As metrics.wgsl has it.
struct Metrics {
    loss_fraction: u32, top1: u32, top5: u32, images: u32, batch_images: u32, halted: u32, loss_whole: u32, error_fraction: u32,
    error_whole: u32,
}

const PADDING: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<storage, read_write> rows: array<vec2<f32>>;

fn deviation(n: u32) -> f32 { return z[n] - (f32(labels[n]) - MEAN) / STD; }

// An invocation owns one row.
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N { return; }
    if labels[n] == PADDING {
        rows[n] = vec2(0.0, 0.0);
        return;
    }
    let d = deviation(n);
    rows[n] = vec2(select(abs(d), d * d, SQUARED), STD * abs(d));
}

@group(0) @binding(2) var<storage, read> totals: Metrics;
@group(0) @binding(3) var<storage, read_write> dz: array<f32>;

// An invocation owns one row.
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N { return; }
    let d = deviation(n);
    var g = 2.0 * d;
    if !SQUARED {
        g = select(0.0, 1.0, d > 0.0) - select(0.0, 1.0, d < 0.0);
        // Infinities and NaN, which have all exponent bits set, go on, so that the layer that they come from is found.
        if (bitcast<u32>(d) & 0x7f800000u) == 0x7f800000u { g = d; }
    }
    g /= f32(PASSES * totals.batch_images);
    if labels[n] == PADDING { g = 0.0; }
    if ACCUMULATE { g += dz[n]; }
    dz[n] = g;
}
