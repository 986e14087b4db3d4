// y[n,c,oh,ow] = max over kh,kw < K of x[n,c,oh*S+kh-PAD,ow*S+kw-PAD]; outside counts as minus infinity, NaN wins.
// The winner (the first of equals, in row order) is kept as kh*K+kw, and the whole of dy goes to it.
// x: [N,C,H,W], y: [N,C,OH,OW]. Forward, an invocation owns one y; backward, one dx, which gathers from the windows over it.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> winner: array<u32>;

// By its bits, since a compiler may assume that no number is NaN.
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= PLANES * OH * OW { return; }
    let plane = i / (OH * OW);
    let oh = (i / OW) % OH;
    let ow = i % OW;
    var best = 0.0;
    var best_at = K * K;
    for (var kh = 0u; kh < K; kh++) {
        for (var kw = 0u; kw < K; kw++) {
            let h = oh * S + kh - PAD;
            let w = ow * S + kw - PAD;
            if h >= H || w >= W { continue; }
            let v = x[(plane * H + h) * W + w];
            let first = best_at == K * K;
            if first || v > best || (is_nan(v) && !is_nan(best)) {
                best = v;
                best_at = kh * K + kw;
            }
        }
    }
    y[i] = best;
    winner[i] = best_at;
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> won: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= PLANES * H * W { return; }
    let plane = i / (H * W);
    let h = (i / W) % H;
    let w = i % W;
    // Windows over h are those with oh*S <= h + PAD < oh*S + K, and likewise over w.
    let row = h + PAD;
    let column = w + PAD;
    let first_oh = select(0u, (row - K) / S + 1u, row >= K);
    let first_ow = select(0u, (column - K) / S + 1u, column >= K);
    var g = 0.0;
    for (var oh = first_oh; oh < OH && oh * S <= row; oh++) {
        for (var ow = first_ow; ow < OW && ow * S <= column; ow++) {
            let o = (plane * OH + oh) * OW + ow;
            if won[o] == (row - oh * S) * K + column - ow * S { g += dy[o]; }
        }
    }
    if ACCUMULATE { g += dx[i]; }
    dx[i] = g;
}
