// Depthwise convolutions, in which each channel is a group (GROUPS = C = O), with KH = KW = 3,
// PAD = 1 and S = 1 or 2.
// y[n,c,oh,ow] = bias[c] + sum over kh,kw of w[c,kh,kw] x[n,c,oh*S+kh-1,ow*S+kw-1]
// x: [N,C,H,W], w: [C,1,3,3], y: [N,C,OH,OW].
// dx is `forward` of dy, dilated by S (DILATION), with w flipped (TRANSPOSED). dw is as in
// conv2d.wgsl.
//
// `forward`, `forward_quads`: an invocation computes four columns x 8 rows of a plane.
// `weight_partial`: an invocation computes the nine taps of a channel over a slice, a range of
// groups of four columns in all images.
// Both iterate over rows and load each row of x once: three loads (a number, a vec4, a number) for
// 36 multiply-adds. Memory bandwidth is the limit, so staging in workgroup memory would not help.
// About 48 registers allow full occupancy on every GPU.

const S: u32 = SW;
const DILATION: u32 = DILATION_W;
const STRIP: u32 = 8u;
const QUADS: u32 = (OW + 3u) / 4u;
const STRIPS: u32 = (OH + STRIP - 1u) / STRIP;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Column w of the row of x that begins at `row`, 0 outside. Column -1 wraps around to a large
// number.
fn column(row: u32, w: u32) -> f32 {
    let at = row + w;
    return select(0.0, float_in(x[at / 4u][at % 4u / FLOATS_PER_WORD], at), w < W);
}

fn quad(row: u32, w: u32) -> vec4<f32> {
    if W % 4u == 0u { return select(vec4(0.0), floats(x[(row + w) / 4u]), w < W); }
    return vec4(column(row, w), column(row, w + 1u), column(row, w + 2u), column(row, w + 3u));
}

// The elements of row h of x that the three taps of a kernel row multiply, for columns ow..ow+4 of
// y. Row -1 wraps around to a large number, and is outside too.
fn x_at_taps(plane: u32, h: u32, ow: u32) -> mat3x4<f32> {
    let row = plane + h / DILATION * W;
    if h / DILATION >= H || h % DILATION > 0u { return mat3x4<f32>(); }
    if DILATION == 2u {
        let a = column(row, ow / 2u);
        let b = column(row, ow / 2u + 1u);
        let c = column(row, ow / 2u + 2u);
        return mat3x4(vec4(0.0, a, 0.0, b), vec4(a, 0.0, b, 0.0), vec4(0.0, b, 0.0, c));
    }
    let before = column(row, ow * S - 1u);
    let a = quad(row, ow * S);
    if S == 2u {
        let b = quad(row, ow * S + 4u);
        let odd = vec4(a.yw, b.yw);
        return mat3x4(vec4(before, odd.xyz), vec4(a.xz, b.xz), odd);
    }
    return mat3x4(vec4(before, a.xyz), a, vec4(a.yzw, column(row, ow + 4u)));
}

fn row_of_taps(c: u32, kh: u32) -> vec3<f32> {
    let at = c * 9u + kh * 3u;
    if TRANSPOSED { return vec3(w[c * 9u + 8u - kh * 3u], w[c * 9u + 7u - kh * 3u], w[c * 9u + 6u - kh * 3u]); }
    return vec3(w[at], w[at + 1u], w[at + 2u]);
}

struct Taps { upper: vec3<f32>, middle: vec3<f32>, lower: vec3<f32> }

fn taps_of(c: u32) -> Taps { return Taps(row_of_taps(c, 0u), row_of_taps(c, 1u), row_of_taps(c, 2u)); }

// The part of y that an invocation of the forward kernels computes: image and channel, first row
// and first column.
struct Strip { valid: bool, image_channel: u32, first: u32, ow: u32 }

fn strip_of(i: u32) -> Strip {
    let image_channel = i / (QUADS * STRIPS);
    return Strip(image_channel < N * C, image_channel, i / QUADS % STRIPS * STRIP, i % QUADS * 4u);
}

// The elements that the upper (`above`) and the middle row of taps (`here`) multiply, for a row of
// y.
struct Rows { above: mat3x4<f32>, here: mat3x4<f32> }

fn rows_at(plane: u32, oh: u32, ow: u32) -> Rows {
    return Rows(x_at_taps(plane, oh * S - 1u, ow), x_at_taps(plane, oh * S, ow));
}

// The elements for row oh + 1 of y, given those of row oh, including its lower row of taps
// (`below`).
fn rows_after(rows: Rows, below: mat3x4<f32>, plane: u32, oh: u32, ow: u32) -> Rows {
    if S == 1u { return Rows(rows.here, below); }
    return Rows(below, x_at_taps(plane, oh * S + 2u, ow));
}

fn weighted(t: Taps, c: u32, rows: Rows, below: mat3x4<f32>) -> vec4<f32> {
    let sums = rows.above * t.upper + rows.here * t.middle + below * t.lower;
    if BIAS { return sums + vec4(bias[c]); }
    return sums;
}

fn store(row: u32, ow: u32, sum: f32) {
    if ow < OW {
        var v = sum;
        if ACCUMULATE { v += y[row + ow]; }
        y[row + ow] = v;
    }
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = strip_of(id.x + id.y * groups.x * 64u);
    if !at.valid { return; }
    let plane = at.image_channel * H * W;
    let c = at.image_channel % C;
    let taps = taps_of(c);
    var rows = rows_at(plane, at.first, at.ow);
    for (var oh = at.first; oh < min(at.first + STRIP, OH); oh++) {
        let below = x_at_taps(plane, oh * S + 1u, at.ow);
        let sums = weighted(taps, c, rows, below);
        let row = (at.image_channel * OH + oh) * OW;
        store(row, at.ow, sums.x);
        store(row, at.ow + 1u, sums.y);
        store(row, at.ow + 2u, sums.z);
        store(row, at.ow + 3u, sums.w);
        rows = rows_after(rows, below, plane, oh, at.ow);
    }
}

@group(0) @binding(2) var<storage, read_write> y_quads: array<Quad>;

fn store_quad(i: u32, sums: vec4<f32>) {
    var v = sums;
    if ACCUMULATE { v += floats(y_quads[i]); }
    y_quads[i] = quad_of(v);
}

// `forward` for OW a multiple of 4, with vec4 stores.
@compute @workgroup_size(64)
fn forward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = strip_of(id.x + id.y * groups.x * 64u);
    if !at.valid { return; }
    let plane = at.image_channel * H * W;
    let c = at.image_channel % C;
    let taps = taps_of(c);
    var rows = rows_at(plane, at.first, at.ow);
    for (var oh = at.first; oh < min(at.first + STRIP, OH); oh++) {
        let below = x_at_taps(plane, oh * S + 1u, at.ow);
        store_quad(((at.image_channel * OH + oh) * OW + at.ow) / 4u, weighted(taps, c, rows, below));
        rows = rows_after(rows, below, plane, oh, at.ow);
    }
}

// Stores eight columns of a row of y, given the even and the odd ones.
fn store_columns(row: u32, w: u32, even: vec4<f32>, odd: vec4<f32>) {
    let at = (row * OW + 2u * w) / 4u;
    store_quad(at, vec4(even.xy, odd.xy).xzyw);
    store_quad(at + 1u, vec4(even.zw, odd.zw).xzyw);
}

// Four columns of a row of x (`here`), and the four columns that start one further right.
struct Pair { here: vec4<f32>, right: vec4<f32> }

fn pair(plane: u32, h: u32, w: u32) -> Pair {
    if h >= H { return Pair(); }
    let here = quad(plane + h * W, w);
    return Pair(here, vec4(here.yzw, column(plane + h * W, w + 4u)));
}

// dx of stride 2, for W a multiple of 4 and OW = 2 W. An invocation processes four columns x 8 rows
// of x, and computes the four elements of y at each. Because of the zeros between the elements of
// x, each y is the sum of only one, two or four products, as in conv2d_dilated.wgsl.
@compute @workgroup_size(64)
fn forward_dilated(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let strips = (H + STRIP - 1u) / STRIP;
    let quads = (W + 3u) / 4u;
    let image_channel = i / (quads * strips);
    if image_channel >= N * C { return; }
    let w = i % quads * 4u;
    let first = i / quads % strips * STRIP;
    let plane = image_channel * H * W;
    let taps = taps_of(image_channel % C);
    var v = pair(plane, first, w);
    for (var h = first; h < min(first + STRIP, H); h++) {
        let below = pair(plane, h + 1u, w);
        let row = image_channel * OH + 2u * h;
        store_columns(row, w, v.here * taps.middle.y, v.here * taps.middle.x + v.right * taps.middle.z);
        if 2u * h + 1u < OH {
            let even = v.here * taps.upper.y + below.here * taps.lower.y;
            let odd = v.here * taps.upper.x + v.right * taps.upper.z + below.here * taps.lower.x + below.right * taps.lower.z;
            store_columns(row + 1u, w, even, odd);
        }
        v = below;
    }
}

@group(0) @binding(1) var<storage, read> dy: array<Quad>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

fn gradient_at(row: u32, ow: u32) -> f32 {
    let at = row + ow;
    return select(0.0, float_in(dy[at / 4u][at % 4u / FLOATS_PER_WORD], at), ow < OW);
}

fn gradient(row: u32, ow: u32) -> vec4<f32> {
    if OW % 4u == 0u { return floats(dy[(row + ow) / 4u]); }
    return vec4(gradient_at(row, ow), gradient_at(row, ow + 1u), gradient_at(row, ow + 2u), gradient_at(row, ow + 3u));
}

fn times(v: mat3x4<f32>, g: vec4<f32>) -> mat3x4<f32> { return mat3x4(v[0] * g, v[1] * g, v[2] * g); }

fn store_partial_row(at: u32, sums: mat3x4<f32>) {
    let totals = vec4(1.0) * sums;
    partials[at] = totals.x;
    partials[at + 1u] = totals.y;
    partials[at + 2u] = totals.z;
}

@compute @workgroup_size(64)
fn weight_partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let slice = i / C;
    if slice >= SLICES { return; }
    let c = i % C;
    var upper = mat3x4<f32>();
    var middle = mat3x4<f32>();
    var lower = mat3x4<f32>();
    let end = min((slice + 1u) * PER_SLICE, N * QUADS);
    for (var quad_index = slice * PER_SLICE; quad_index < end; quad_index++) {
        let image_channel = quad_index / QUADS * C + c;
        let ow = quad_index % QUADS * 4u;
        let plane = image_channel * H * W;
        var rows = rows_at(plane, 0u, ow);
        for (var oh = 0u; oh < OH; oh++) {
            let g = gradient((image_channel * OH + oh) * OW, ow);
            let below = x_at_taps(plane, oh * S + 1u, ow);
            upper += times(rows.above, g);
            middle += times(rows.here, g);
            lower += times(below, g);
            rows = rows_after(rows, below, plane, oh, ow);
        }
    }
    let at = (slice * C + c) * 9u;
    store_partial_row(at, upper);
    store_partial_row(at + 3u, middle);
    store_partial_row(at + 6u, lower);
}
