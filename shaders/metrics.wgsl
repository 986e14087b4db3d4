// Sums over the rows of a batch and, until the host clears them, over batches: of the losses, the images, and the hits or, with
// ERRORS, the absolute errors.
// rows: [N] of (loss, classes before the label) or (loss, absolute error); labels: the first N words of the batch, 0xffffffff for a
// padding row, which counts for nothing. A hit in the top 1 (5) has fewer than 1 (5) classes before its label.

struct Metrics {
    loss_fraction: u32,   // of the sum of the losses since the host last cleared it, in parts of 2^32
    top1: u32,
    top5: u32,
    images: u32,
    batch_images: u32,    // of the latest pass alone
    halted: u32,          // 1 + the first step whose loss is not finite; 0: none
    loss_whole: u32,      // the whole part of that sum
    error_fraction: u32,  // the same of the absolute errors
    error_whole: u32,
}

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32 }

const PADDING: u32 = 0xffffffffu;

@group(0) @binding(0) var<storage, read> rows: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<uniform> controls: Controls;
@group(0) @binding(3) var<storage, read_write> metrics: Metrics;

// Infinities and NaN have all exponent bits set.
fn is_finite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }

struct Sum { whole: u32, fraction: u32 }

// In integers, so that it does not matter how many batches lie between two readings.
fn plus(sum: Sum, value: f32) -> Sum {
    // Rounding may leave a loss of nearly 0 below it.
    let v = max(value, 0.0);
    let behind = u32((v - floor(v)) * 4294967296.0);
    let fraction = sum.fraction + behind;
    let whole = sum.whole + u32(min(v, 4294967040.0)) + u32(fraction < behind);
    // A sum beyond 2^32 stays there.
    return Sum(select(whole, 0xffffffffu, whole < sum.whole), fraction);
}

// One invocation sums the rows in order.
@compute @workgroup_size(1)
fn reduce() {
    var loss = 0.0;
    var error = 0.0;
    var images = 0u;
    for (var n = 0u; n < N; n++) {
        if labels[n] == PADDING { continue; }
        loss += rows[n].x;
        images += 1u;
        if ERRORS {
            error += rows[n].y;
        } else {
            metrics.top1 += u32(rows[n].y < 1.0);
            metrics.top5 += u32(rows[n].y < 5.0);
        }
    }
    metrics.images += images;
    metrics.batch_images = images;
    if !(is_finite(loss) && is_finite(error)) {
        if metrics.halted == 0u { metrics.halted = controls.step + 1u; }
        return;
    }
    let losses = plus(Sum(metrics.loss_whole, metrics.loss_fraction), loss);
    metrics.loss_whole = losses.whole;
    metrics.loss_fraction = losses.fraction;
    if ERRORS {
        let errors = plus(Sum(metrics.error_whole, metrics.error_fraction), error);
        metrics.error_whole = errors.whole;
        metrics.error_fraction = errors.fraction;
    }
}
