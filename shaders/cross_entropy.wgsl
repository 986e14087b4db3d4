// loss[n] = logsumexp_k(z[n,k]) - sum_k t[k] z[n,k]
// t = (1 - SMOOTHING) onehot(label) + SMOOTHING / K
// dz[n,k] = WEIGHT (softmax(z[n])[k] - t[k]) / (ROWS_PER_EXAMPLE * examples)
// With MIXED, t = mix t(label of row n) + (1 - mix) t(label of row N-1-n).
// With WEIGHTED and the weights w of CLASS_WEIGHTS:
// loss[n] = sum_k w[k] t[k] (logsumexp_k(z[n,k]) - z[n,k])
// dz[n,k] = WEIGHT (softmax(z[n])[k] sum_j w[j] t[j] - w[k] t[k]) / (ROWS_PER_EXAMPLE * examples)
// `examples` is the number of examples in the step. In this pass the first `filled` examples are
// used, and dz is 0 for the others. z: [N,K], labels: [N], with ROWS_PER_EXAMPLE rows per example.
// rows: [N,3] of (loss, top-1 hit, top-5 hit), which sums.wgsl adds up. A top-1 (top-5) hit means
// that fewer than 1 (5) classes rank above the label of row n. Ties rank in class order. A row with
// NaN never hits.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32, filled: u32, examples: u32 }

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<uniform> controls: Controls;
@group(0) @binding(3) var<storage, read_write> rows: array<f32>;

fn is_filled(n: u32) -> bool { return n < controls.filled * ROWS_PER_EXAMPLE; }

// Tests the bits, since a compiler may assume that no number is NaN.
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// The largest logit of a row, and the sum of exp(z - top): logsumexp is top + log(sum). For
// accuracy with large logits, `top` is subtracted from a logit before anything else is added.
struct Softmax { top: f32, sum: f32 }

fn softmax(n: u32) -> Softmax {
    var top = z[n * K];
    for (var k = 1u; k < K; k++) { top = max(top, z[n * K + k]); }
    var sum = 0.0;
    for (var k = 0u; k < K; k++) { sum += exp(z[n * K + k] - top); }
    return Softmax(top, sum);
}

// t[k] of row n.
fn target_of(n: u32, label: u32, k: u32) -> f32 {
    var onehot = select(0.0, 1.0, k == label);
    if MIXED { onehot = controls.mix * onehot + select(0.0, 1.0 - controls.mix, k == labels[N - 1u - n]); }
    return (1.0 - SMOOTHING) * onehot + SMOOTHING / f32(K);
}

fn weighted_target_of(n: u32, label: u32, k: u32) -> f32 { return CLASS_WEIGHTS[k] * target_of(n, label, k); }

// An invocation processes one row.
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N || !is_filled(n) { return; }
    let label = labels[n];
    let s = softmax(n);
    let label_logit = z[n * K + label];
    var rank = select(0.0, 5.0, is_nan(label_logit));
    var mean = 0.0;
    for (var k = 0u; k < K; k++) {
        let v = z[n * K + k];
        mean += (v - s.top) / f32(K);
        rank += select(0.0, 1.0, v > label_logit || (v == label_logit && k < label) || is_nan(v));
    }
    var target_value = label_logit - s.top;
    if MIXED { target_value = controls.mix * target_value + (1.0 - controls.mix) * (z[n * K + labels[N - 1u - n]] - s.top); }
    var loss = log(s.sum) - (1.0 - SMOOTHING) * target_value;
    if SMOOTHING > 0.0 { loss -= SMOOTHING * mean; }
    if WEIGHTED {
        loss = 0.0;
        for (var k = 0u; k < K; k++) { loss += weighted_target_of(n, label, k) * (log(s.sum) - (z[n * K + k] - s.top)); }
    }
    rows[3u * n] = loss;
    rows[3u * n + 1u] = select(0.0, 1.0, rank < 1.0);
    rows[3u * n + 2u] = select(0.0, 1.0, rank < 5.0);
}

@group(0) @binding(3) var<storage, read_write> dz: array<f32>;

// An invocation processes one row.
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N { return; }
    let label = labels[n];
    let s = softmax(n);
    var all = 1.0;
    if WEIGHTED {
        all = 0.0;
        for (var k = 0u; k < K; k++) { all += weighted_target_of(n, label, k); }
    }
    for (var k = 0u; k < K; k++) {
        var target_value = target_of(n, label, k);
        var probability = exp(z[n * K + k] - s.top) / s.sum;
        if WEIGHTED {
            probability *= all;
            target_value *= CLASS_WEIGHTS[k];
        }
        var g = (probability - target_value) / f32(ROWS_PER_EXAMPLE * controls.examples) * WEIGHT;
        if !is_filled(n) { g = 0.0; }
        if ACCUMULATE { g += dz[n * K + k]; }
        dz[n * K + k] = g;
    }
}
