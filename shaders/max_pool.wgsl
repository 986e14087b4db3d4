// y[n,c,oh,ow] = max over kh,kw < K of x[n,c,oh*S+kh-PAD,ow*S+kw-PAD]; outside counts as minus infinity, NaN wins.
// The winner (the first of equals, in row order) is kept as kh*K+kw, a byte, and the whole of dy goes to it.
// x: [N,C,H,W], y: [N,C,OH,OW], winner: four bytes a word.
//
// `forward`: an invocation owns four y in a row of memory; `backward`, one dx, which gathers from the windows over it.
// `forward_halves` and `backward_halves`: the same for K = S = 2, PAD = 0, H even and W a multiple of 8: an invocation owns four
// neighbouring windows, and reads and writes whole vec4.

const COUNT: u32 = PLANES * OH * OW;
// Of the halves; at least 1, so that the file is valid for every shape.
const QUADS_PER_ROW: u32 = max(OW / 4u, 1u);

// By its bits, since a compiler may assume that no number is NaN.
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

struct Winner { value: f32, at: u32 }

fn better(best: Winner, v: f32, at: u32) -> Winner {
    if v > best.value || (is_nan(v) && !is_nan(best.value)) { return Winner(v, at); }
    return best;
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;
@group(0) @binding(2) var<storage, read_write> winner: array<u32>;

fn winner_of(i: u32) -> Winner {
    let plane = i / (OH * OW);
    let oh = (i / OW) % OH;
    let ow = i % OW;
    var best = Winner(0.0, K * K);
    for (var kh = 0u; kh < K; kh++) {
        for (var kw = 0u; kw < K; kw++) {
            let h = oh * S + kh - PAD;
            let w = ow * S + kw - PAD;
            if h >= H || w >= W { continue; }
            let v = x[(plane * H + h) * W + w];
            if best.at == K * K { best = Winner(v, kh * K + kw); } else { best = better(best, v, kh * K + kw); }
        }
    }
    return best;
}

fn store(i: u32, a: Winner, b: Winner, c: Winner, d: Winner) {
    y[i] = quad_of(vec4(a.value, b.value, c.value, d.value));
    winner[i] = a.at | (b.at << 8u) | (c.at << 16u) | (d.at << 24u);
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    // What lies behind the last window is its copy.
    let last = COUNT - 1u;
    let first = 4u * i;
    store(i, winner_of(first), winner_of(min(first + 1u, last)), winner_of(min(first + 2u, last)), winner_of(min(first + 3u, last)));
}

@group(0) @binding(0) var<storage, read> quads: array<Quad>;

// The first vec4 of x under the four windows of quad i.
fn first_quad(i: u32) -> u32 {
    return (i / QUADS_PER_ROW) * (W / 2u) + (i % QUADS_PER_ROW) * 2u;
}

fn winner_of_four(a: f32, b: f32, c: f32, d: f32) -> Winner {
    return better(better(better(Winner(a, 0u), b, 1u), c, 2u), d, 3u);
}

@compute @workgroup_size(64)
fn forward_halves(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    let at = first_quad(i);
    let a = floats(quads[at]);
    let b = floats(quads[at + 1u]);
    let c = floats(quads[at + W / 4u]);
    let d = floats(quads[at + W / 4u + 1u]);
    store(
        i,
        winner_of_four(a.x, a.y, c.x, c.y),
        winner_of_four(a.z, a.w, c.z, c.w),
        winner_of_four(b.x, b.y, d.x, d.y),
        winner_of_four(b.z, b.w, d.z, d.w),
    );
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
            let at = (won[o / 4u] >> (8u * (o % 4u))) & 255u;
            if at == (row - oh * S) * K + column - ow * S { g += dy[o]; }
        }
    }
    if ACCUMULATE { g += dx[i]; }
    dx[i] = g;
}

@group(0) @binding(0) var<storage, read> dy_quads: array<Quad>;
@group(0) @binding(2) var<storage, read_write> dx_quads: array<Quad>;

fn store_gradient(at: u32, g: vec4<f32>) {
    var v = g;
    if ACCUMULATE { v += floats(dx_quads[at]); }
    dx_quads[at] = quad_of(v);
}

@compute @workgroup_size(64)
fn backward_halves(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    let at = first_quad(i);
    let g = floats(dy_quads[i]);
    let winners = (vec4(won[i]) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u);
    let zero = vec4(0.0);
    let a = select(zero, g, winners == vec4(0u));
    let b = select(zero, g, winners == vec4(1u));
    let c = select(zero, g, winners == vec4(2u));
    let d = select(zero, g, winners == vec4(3u));
    store_gradient(at, vec4(a.x, b.x, a.y, b.y));
    store_gradient(at + 1u, vec4(a.z, b.z, a.w, b.w));
    store_gradient(at + W / 4u, vec4(c.x, d.x, c.y, d.y));
    store_gradient(at + W / 4u + 1u, vec4(c.z, d.z, c.w, d.w));
}
