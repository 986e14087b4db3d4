// y[n,c,oh,ow] = max over kh,kw < K of x[n,c,oh*S+kh-PAD,ow*S+kw-PAD]
// Padding is minus infinity. NaN is larger than any number. `argmax` is kh*K+kw of the maximum, or
// of the first one of equals in row order. That element gets all of dy.
// x: [N,C,H,W], y: [N,C,OH,OW], argmax: a byte per element of y, four in a word.
//
// `forward`: an invocation computes four consecutive elements of y.
// `backward`: an invocation computes one element of dx, from the dy of all windows that contain it.
// `forward_2x2`, `backward_2x2`: for K = S = 2, PAD = 0, even H and W a multiple of 8. An
// invocation processes four consecutive windows, and reads and writes vec4.

const COUNT: u32 = PLANES * OH * OW;
// vec4 per row of y. At least 1, so that the file compiles for every shape.
const QUADS_PER_ROW: u32 = max(OW / 4u, 1u);

// Tests the bits, since a compiler may assume that no number is NaN.
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

struct Maximum { value: f32, at: u32 }

fn larger(best: Maximum, v: f32, at: u32) -> Maximum {
    if v > best.value || (is_nan(v) && !is_nan(best.value)) { return Maximum(v, at); }
    return best;
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;
@group(0) @binding(2) var<storage, read_write> argmax: array<u32>;

fn max_of_window(i: u32) -> Maximum {
    let plane = i / (OH * OW);
    let oh = (i / OW) % OH;
    let ow = i % OW;
    var best = Maximum(0.0, K * K);
    for (var kh = 0u; kh < K; kh++) {
        for (var kw = 0u; kw < K; kw++) {
            let h = oh * S + kh - PAD;
            let w = ow * S + kw - PAD;
            if h >= H || w >= W { continue; }
            let v = x[(plane * H + h) * W + w];
            if best.at == K * K { best = Maximum(v, kh * K + kw); } else { best = larger(best, v, kh * K + kw); }
        }
    }
    return best;
}

fn store(i: u32, a: Maximum, b: Maximum, c: Maximum, d: Maximum) {
    y[i] = quad_of(vec4(a.value, b.value, c.value, d.value));
    argmax[i] = a.at | (b.at << 8u) | (c.at << 16u) | (d.at << 24u);
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    // The padding of y to a multiple of 4 gets copies of the last element.
    let last = COUNT - 1u;
    let first = 4u * i;
    store(i, max_of_window(first), max_of_window(min(first + 1u, last)), max_of_window(min(first + 2u, last)), max_of_window(min(first + 3u, last)));
}

@group(0) @binding(0) var<storage, read> quads: array<Quad>;

// Index of the first vec4 of x in the four windows of vec4 i of y.
fn first_quad(i: u32) -> u32 {
    return (i / QUADS_PER_ROW) * (W / 2u) + (i % QUADS_PER_ROW) * 2u;
}

fn max_of_four(a: f32, b: f32, c: f32, d: f32) -> Maximum {
    return larger(larger(larger(Maximum(a, 0u), b, 1u), c, 2u), d, 3u);
}

@compute @workgroup_size(64)
fn forward_2x2(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    let at = first_quad(i);
    let a = floats(quads[at]);
    let b = floats(quads[at + 1u]);
    let c = floats(quads[at + W / 4u]);
    let d = floats(quads[at + W / 4u + 1u]);
    store(
        i,
        max_of_four(a.x, a.y, c.x, c.y),
        max_of_four(a.z, a.w, c.z, c.w),
        max_of_four(b.x, b.y, d.x, d.y),
        max_of_four(b.z, b.w, d.z, d.w),
    );
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> argmax_in: array<u32>;
@group(0) @binding(2) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= PLANES * H * W { return; }
    let plane = i / (H * W);
    let h = (i / W) % H;
    let w = i % W;
    // Window oh contains h if oh*S <= h + PAD < oh*S + K. Likewise for w.
    let row = h + PAD;
    let column = w + PAD;
    let first_oh = select(0u, (row - K) / S + 1u, row >= K);
    let first_ow = select(0u, (column - K) / S + 1u, column >= K);
    var g = 0.0;
    for (var oh = first_oh; oh < OH && oh * S <= row; oh++) {
        for (var ow = first_ow; ow < OW && ow * S <= column; ow++) {
            let o = (plane * OH + oh) * OW + ow;
            let at = (argmax_in[o / 4u] >> (8u * (o % 4u))) & 255u;
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
fn backward_2x2(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    let at = first_quad(i);
    let g = floats(dy_quads[i]);
    let argmax_of_quad = (vec4(argmax_in[i]) >> vec4(0u, 8u, 16u, 24u)) & vec4(255u);
    let zero = vec4(0.0);
    let a = select(zero, g, argmax_of_quad == vec4(0u));
    let b = select(zero, g, argmax_of_quad == vec4(1u));
    let c = select(zero, g, argmax_of_quad == vec4(2u));
    let d = select(zero, g, argmax_of_quad == vec4(3u));
    store_gradient(at, vec4(a.x, b.x, a.y, b.y));
    store_gradient(at + 1u, vec4(a.z, b.z, a.w, b.w));
    store_gradient(at + W / 4u, vec4(c.x, d.x, c.y, d.y));
    store_gradient(at + W / 4u + 1u, vec4(c.z, d.z, c.w, d.w));
}
