// loss[n] = logsumexp_k(z[n,k]) - sum_k t[k] z[n,k],   t = (1 - SMOOTHING) onehot(label) + SMOOTHING / K.
// dz[n,k] = WEIGHT (softmax(z[n])[k] - t[k]) / (ROWS_PER_EXAMPLE * examples of the step); it is 0 in rows
// beyond the first `filled` examples.
// Where MIXED, t is mix t(label of n) + (1 - mix) t(label of N-1-n); a hit is one of the own label.
// z: [N,K], labels: [N], ROWS_PER_EXAMPLE of them an example. rows: [N,3] of (loss, hit in the top 1, hit in the top 5); sums.wgsl adds them up.
// A hit in the top 1 (5) means that fewer than 1 (5) classes come before the label, equal logits in class order; NaN never hits.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32, filled: u32, examples: u32 }

@group(0) @binding(0) var<storage, read> z: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<u32>;
@group(0) @binding(2) var<uniform> controls: Controls;
@group(0) @binding(3) var<storage, read_write> rows: array<f32>;

fn counts(n: u32) -> bool { return n < controls.filled * ROWS_PER_EXAMPLE; }

// By its bits, since a compiler may assume that no number is NaN.
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

// The largest logit of a row, and the sum of exp(z - top): logsumexp is top + log(sum). Differences to top are taken before anything
// is added to log(sum), which large logits would swallow.
struct Softmax { top: f32, sum: f32 }

fn softmax(n: u32) -> Softmax {
    var top = z[n * K];
    for (var k = 1u; k < K; k++) { top = max(top, z[n * K + k]); }
    var sum = 0.0;
    for (var k = 0u; k < K; k++) { sum += exp(z[n * K + k] - top); }
    return Softmax(top, sum);
}

// An invocation owns one row.
@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N || !counts(n) { return; }
    let label = labels[n];
    let s = softmax(n);
    let own = z[n * K + label];
    var before = select(0.0, 5.0, is_nan(own));
    var mean = 0.0;
    for (var k = 0u; k < K; k++) {
        let v = z[n * K + k];
        mean += (v - s.top) / f32(K);
        before += select(0.0, 1.0, v > own || (v == own && k < label) || is_nan(v));
    }
    var wanted = own - s.top;
    if MIXED { wanted = controls.mix * wanted + (1.0 - controls.mix) * (z[n * K + labels[N - 1u - n]] - s.top); }
    var loss = log(s.sum) - (1.0 - SMOOTHING) * wanted;
    if SMOOTHING > 0.0 { loss -= SMOOTHING * mean; }
    rows[3u * n] = loss;
    rows[3u * n + 1u] = select(0.0, 1.0, before < 1.0);
    rows[3u * n + 2u] = select(0.0, 1.0, before < 5.0);
}

@group(0) @binding(3) var<storage, read_write> dz: array<f32>;

// An invocation owns one row.
@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = id.x + id.y * groups.x * 64u;
    if n >= N { return; }
    let label = labels[n];
    let s = softmax(n);
    for (var k = 0u; k < K; k++) {
        var share = select(0.0, 1.0, k == label);
        if MIXED { share = controls.mix * share + select(0.0, 1.0 - controls.mix, k == labels[N - 1u - n]); }
        let wanted = (1.0 - SMOOTHING) * share + SMOOTHING / f32(K);
        var g = (exp(z[n * K + k] - s.top) / s.sum - wanted) / f32(ROWS_PER_EXAMPLE * controls.examples) * WEIGHT;
        if !counts(n) { g = 0.0; }
        if ACCUMULATE { g += dz[n * K + k]; }
        dz[n * K + k] = g;
    }
}
