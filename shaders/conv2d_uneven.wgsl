// The correlation and the weight gradient of conv2d.wgsl for processors, with extents or kernels
// that conv2d_wide.wgsl does not support: any extents and DILATION, and SW = 1 or 2.
// x: [N,C,H,W], y: [N,O,OH,OW]. Weights are packed by `pack` of conv2d_wide.wgsl, in terms of three
// taps in a row.
//
// `forward`: a workgroup of eight invocations computes 16 output channels, an invocation 4 groups
// of 4 columns. A group can be in any row of any image.
// `weight_partial`: a workgroup of eight invocations computes 16 output channels over a slice of
// the images, an invocation two terms of any input channels.
// All eight invocations need the same weights, or the same dy, and share their loads
// (subgroup_share.wgsl). Each loads its own elements of x, one float at a time, once for all taps
// of a row.

const O_TILE: u32 = 16u;
const POINTWISE: bool = KH == 1u && KW == 1u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + O_TILE - 1u) / O_TILE;
const TERMS_PER_ROW: u32 = (KW + 2u) / 3u;
// Rows of taps over all input channels. With a 1x1 kernel, three channels count as one row.
const ROWS: u32 = select(C_GROUP * KH, (C_GROUP + 2u) / 3u, POINTWISE);
const TERMS: u32 = ROWS * TERMS_PER_ROW;
const OW4: u32 = (OW + 3u) / 4u;
const QUADS: u32 = N * OH * OW4;

@group(0) @binding(0) var<storage, read> x: array<f32>;

// Element (h, w) of a plane that is dilated by DILATION_H and DILATION_W, with zero padding.
fn element(plane: u32, h: i32, w: i32) -> f32 {
    if DILATION_H == 1u && DILATION_W == 1u {
        let inside = h >= 0 && h < i32(H) && w >= 0 && w < i32(W);
        return select(0.0, x[plane * H * W + u32(h * i32(W) + w)], inside);
    }
    let dh = i32(DILATION_H);
    let dw = i32(DILATION_W);
    let inside = h >= 0 && h < i32(H) * dh && w >= 0 && w < i32(W) * dw && h % dh == 0 && w % dw == 0;
    return select(0.0, x[plane * H * W + u32(h / dh * i32(W) + w / dw)], inside);
}

fn three_elements(plane: u32, h: i32, w: i32) -> vec3<f32> {
    return vec3(element(plane, h, w), element(plane, h, w + 1), element(plane, h, w + 2));
}

// Four elements of a row, at distances of SW.
fn columns(plane: u32, h: i32, w: i32) -> vec4<f32> {
    let s = i32(SW);
    return vec4(element(plane, h, w), element(plane, h, w + s), element(plane, h, w + 2 * s), element(plane, h, w + 3 * s));
}

// Index of the plane of channel c in the group that starts at `first`. Channels past the end
// of the group read the last one: their weights are 0, and their partial sums are not stored.
fn plane_of(first: u32, c: u32) -> u32 { return first + min(c, C_GROUP - 1u); }

// The elements of x that a term of a 1x1 kernel multiplies, for four columns: a channel per tap.
fn channels(first: u32, c: u32, h: i32, w: i32) -> mat3x4<f32> {
    return mat3x4(
        columns(plane_of(first, c), h, w),
        columns(plane_of(first, c + 1u), h, w),
        columns(plane_of(first, c + 2u), h, w),
    );
}

// The elements of x that three taps in a row of one channel multiply, for four columns.
fn row_of_taps(plane: u32, h: i32, w: i32) -> mat3x4<f32> {
    let a = three_elements(plane, h, w);
    let b = three_elements(plane, h, w + 3);
    if SW == 1u { return mat3x4(vec4(a, b.x), vec4(a.yz, b.xy), vec4(a.z, b)); }
    let c = three_elements(plane, h, w + 6);
    return mat3x4(vec4(a.xz, b.y, c.x), vec4(a.y, b.xz, c.y), vec4(a.z, b.y, c.xz));
}

// The taps of a term: the channel (with a 1x1 kernel the first of three), row and first column.
struct Taps { c: u32, kh: u32, kw: u32, out_of_range: bool }

fn taps_of(term: u32) -> Taps {
    let row = min(term, TERMS - 1u) / TERMS_PER_ROW;
    if POINTWISE { return Taps(3u * row, 0u, 0u, term >= TERMS); }
    return Taps(row / KH, row % KH, term % TERMS_PER_ROW * 3u, term >= TERMS);
}

// The elements of x that a term's taps multiply, for columns ow..ow+4 of row oh of y.
fn x_at_taps(t: Taps, first: u32, oh: u32, ow: u32) -> mat3x4<f32> {
    let h = i32(oh * SH + t.kh) - i32(PAD_H);
    let w = i32(ow * SW + t.kw) - i32(PAD_W);
    if POINTWISE { return channels(first, t.c, h, w); }
    return row_of_taps(plane_of(first, t.c), h, w);
}

// A group of four columns of y: image, row and first column.
struct Group { n: u32, oh: u32, ow: u32, out_of_range: bool }

fn group_at(quad: u32) -> Group {
    let i = min(quad, QUADS - 1u);
    return Group(i / (OW4 * OH), i / OW4 % OH, i % OW4 * 4u, quad >= QUADS);
}

fn term_at(g: Group, first_c: u32, term: u32) -> mat3x4<f32> {
    return x_at_taps(taps_of(term), g.n * C + first_c, g.oh, g.ow);
}

// The operand that all eight invocations need: the packed weights, or dy.
@group(0) @binding(1) var<storage, read> shared_operand: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

fn shared_quad(i: u32) -> vec4<f32> { return vec4(shared_operand[i], shared_operand[i + 1u], shared_operand[i + 2u], shared_operand[i + 3u]); }

fn store_one(i: u32, sum: f32) {
    var v = sum;
    if ACCUMULATE { v += y[i]; }
    y[i] = v;
}

fn store_group(g: Group, o: u32, sum: vec4<f32>) {
    if g.out_of_range { return; }
    let i = ((g.n * O + o) * OH + g.oh) * OW + g.ow;
    var v = sum;
    if BIAS { v += bias[o]; }
    store_one(i, v.x);
    if g.ow + 1u < OW { store_one(i + 1u, v.y); }
    if g.ow + 2u < OW { store_one(i + 2u, v.z); }
    if g.ow + 3u < OW { store_one(i + 3u, v.w); }
}

// The four groups of an invocation.
struct Groups { g0: Group, g1: Group, g2: Group, g3: Group }

fn store(at: Groups, tile: u32, i: u32, sums: mat4x4<f32>) {
    let o_in_group = tile % O_TILES * O_TILE + i;
    if o_in_group >= O_GROUP { return; }
    let o = tile / O_TILES * O_GROUP + o_in_group;
    store_group(at.g0, o, sums[0]);
    store_group(at.g1, o, sums[1]);
    store_group(at.g2, o, sums[2]);
    store_group(at.g3, o, sums[3]);
}

// The elements of x that a term multiplies, for the four groups of an invocation.
struct Term { g0: mat3x4<f32>, g1: mat3x4<f32>, g2: mat3x4<f32>, g3: mat3x4<f32> }

// Adds a term to the sums of one output channel, which has a column per group.
fn add(s: mat4x4<f32>, v: Term, weights: vec4<f32>) -> mat4x4<f32> {
    let t = weights.xyz;
    return mat4x4(s[0] + v.g0 * t, s[1] + v.g1 * t, s[2] + v.g2 * t, s[3] + v.g3 * t);
}

@compute @workgroup_size(8)
fn forward(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = id.z;
    let quad = ((id.x + id.y * groups.x) * 8u + lane) * 4u;
    let at = Groups(group_at(quad), group_at(quad + 1u), group_at(quad + 2u), group_at(quad + 3u));
    let first = tile / O_TILES * C_GROUP;
    var s0 = mat4x4<f32>();
    var s1 = mat4x4<f32>();
    var s2 = mat4x4<f32>();
    var s3 = mat4x4<f32>();
    var s4 = mat4x4<f32>();
    var s5 = mat4x4<f32>();
    var s6 = mat4x4<f32>();
    var s7 = mat4x4<f32>();
    var s8 = mat4x4<f32>();
    var s9 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    var s12 = mat4x4<f32>();
    var s13 = mat4x4<f32>();
    var s14 = mat4x4<f32>();
    var s15 = mat4x4<f32>();
    for (var term = 0u; term < TERMS; term++) {
        let v = Term(
            term_at(at.g0, first, term),
            term_at(at.g1, first, term),
            term_at(at.g2, first, term),
            term_at(at.g3, first, term),
        );
        let weights = (tile * TERMS + term) * O_TILE * 4u;
        let low = share(weights, 4u, lane);
        let high = share(weights + 32u, 4u, lane);
        s0 = add(s0, v, shared_item(low, 0u));
        s1 = add(s1, v, shared_item(low, 1u));
        s2 = add(s2, v, shared_item(low, 2u));
        s3 = add(s3, v, shared_item(low, 3u));
        s4 = add(s4, v, shared_item(low, 4u));
        s5 = add(s5, v, shared_item(low, 5u));
        s6 = add(s6, v, shared_item(low, 6u));
        s7 = add(s7, v, shared_item(low, 7u));
        if O_GROUP > 8u {
            s8 = add(s8, v, shared_item(high, 0u));
            s9 = add(s9, v, shared_item(high, 1u));
            s10 = add(s10, v, shared_item(high, 2u));
            s11 = add(s11, v, shared_item(high, 3u));
            s12 = add(s12, v, shared_item(high, 4u));
            s13 = add(s13, v, shared_item(high, 5u));
            s14 = add(s14, v, shared_item(high, 6u));
            s15 = add(s15, v, shared_item(high, 7u));
        }
    }
    store(at, tile, 0u, s0);
    store(at, tile, 1u, s1);
    store(at, tile, 2u, s2);
    store(at, tile, 3u, s3);
    store(at, tile, 4u, s4);
    store(at, tile, 5u, s5);
    store(at, tile, 6u, s6);
    store(at, tile, 7u, s7);
    store(at, tile, 8u, s8);
    store(at, tile, 9u, s9);
    store(at, tile, 10u, s10);
    store(at, tile, 11u, s11);
    store(at, tile, 12u, s12);
    store(at, tile, 13u, s13);
    store(at, tile, 14u, s14);
    store(at, tile, 15u, s15);
}

@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

// Pairs of terms. An invocation computes one.
const PAIRS: u32 = (TERMS + 1u) / 2u;
const PAIR_TILES: u32 = (PAIRS + 7u) / 8u;

// dy of channel i at columns ow..ow+4, 0 past the end of the row.
fn gradient(e: Share, i: u32, ow: u32) -> vec4<f32> {
    let g = shared_item(e, i);
    if OW % 4u == 0u { return g; }
    return select(vec4(0.0), g, vec4(ow) + vec4(0u, 1u, 2u, 3u) < vec4(OW));
}

// The slice and the tile of output channels of a workgroup.
struct Tile { slice: u32, o_tile: u32 }

fn store_partial(at: Tile, i: u32, t: Taps, tap: u32, sum: f32) {
    let o_in_group = at.o_tile % O_TILES * O_TILE + i;
    let c = t.c + select(0u, tap, POINTWISE);
    let kw = t.kw + select(tap, 0u, POINTWISE);
    if !t.out_of_range && o_in_group < O_GROUP && c < C_GROUP && kw < KW {
        let o = at.o_tile / O_TILES * O_GROUP + o_in_group;
        partials[(((at.slice * O + o) * C_GROUP + c) * KH + t.kh) * KW + kw] = sum;
    }
}

fn store_partial_taps(at: Tile, i: u32, t: Taps, sums: vec3<f32>) {
    store_partial(at, i, t, 0u, sums.x);
    store_partial(at, i, t, 1u, sums.y);
    store_partial(at, i, t, 2u, sums.z);
}

// The two terms of an invocation, and the elements of x that they multiply.
struct Pair { a: Taps, b: Taps }

struct PairInputs { a: mat3x4<f32>, b: mat3x4<f32> }

fn store_partial_pair(at: Tile, i: u32, pair: Pair, sums: mat2x3<f32>) {
    store_partial_taps(at, i, pair.a, sums[0]);
    store_partial_taps(at, i, pair.b, sums[1]);
}

// Adds four columns to the sums of one output channel, which has a column per term. `g` is dy
// there.
fn add_taps(s: mat2x3<f32>, v: PairInputs, g: vec4<f32>) -> mat2x3<f32> { return mat2x3(s[0] + g * v.a, s[1] + g * v.b); }

@compute @workgroup_size(8)
fn weight_partial(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = id.x + id.y * groups.x;
    let tiles_per_slice = GROUPS * O_TILES * PAIR_TILES;
    if i >= SLICES * tiles_per_slice { return; }
    let at = Tile(i / tiles_per_slice, i / PAIR_TILES % (GROUPS * O_TILES));
    let term = (i % PAIR_TILES * 8u + lane) * 2u;
    let pair = Pair(taps_of(term), taps_of(term + 1u));
    let group = at.o_tile / O_TILES;
    var s0 = mat2x3<f32>();
    var s1 = mat2x3<f32>();
    var s2 = mat2x3<f32>();
    var s3 = mat2x3<f32>();
    var s4 = mat2x3<f32>();
    var s5 = mat2x3<f32>();
    var s6 = mat2x3<f32>();
    var s7 = mat2x3<f32>();
    var s8 = mat2x3<f32>();
    var s9 = mat2x3<f32>();
    var s10 = mat2x3<f32>();
    var s11 = mat2x3<f32>();
    var s12 = mat2x3<f32>();
    var s13 = mat2x3<f32>();
    var s14 = mat2x3<f32>();
    var s15 = mat2x3<f32>();
    let end = min((at.slice + 1u) * PER_SLICE, N);
    for (var n = at.slice * PER_SLICE; n < end; n++) {
        let first_o = n * O + group * O_GROUP + at.o_tile % O_TILES * O_TILE;
        let first_c = n * C + group * C_GROUP;
        for (var oh = 0u; oh < OH; oh++) {
            for (var ow = 0u; ow < OW; ow += 4u) {
                let v = PairInputs(x_at_taps(pair.a, first_c, oh, ow), x_at_taps(pair.b, first_c, oh, ow));
                let plane = OH * OW;
                let dy = first_o * plane + oh * OW + ow;
                let low = share(dy, plane, lane);
                let high = share(dy + 8u * plane, plane, lane);
                s0 = add_taps(s0, v, gradient(low, 0u, ow));
                s1 = add_taps(s1, v, gradient(low, 1u, ow));
                s2 = add_taps(s2, v, gradient(low, 2u, ow));
                s3 = add_taps(s3, v, gradient(low, 3u, ow));
                s4 = add_taps(s4, v, gradient(low, 4u, ow));
                s5 = add_taps(s5, v, gradient(low, 5u, ow));
                s6 = add_taps(s6, v, gradient(low, 6u, ow));
                s7 = add_taps(s7, v, gradient(low, 7u, ow));
                if O_GROUP > 8u {
                    s8 = add_taps(s8, v, gradient(high, 0u, ow));
                    s9 = add_taps(s9, v, gradient(high, 1u, ow));
                    s10 = add_taps(s10, v, gradient(high, 2u, ow));
                    s11 = add_taps(s11, v, gradient(high, 3u, ow));
                    s12 = add_taps(s12, v, gradient(high, 4u, ow));
                    s13 = add_taps(s13, v, gradient(high, 5u, ow));
                    s14 = add_taps(s14, v, gradient(high, 6u, ow));
                    s15 = add_taps(s15, v, gradient(high, 7u, ow));
                }
            }
        }
    }
    store_partial_pair(at, 0u, pair, s0);
    store_partial_pair(at, 1u, pair, s1);
    store_partial_pair(at, 2u, pair, s2);
    store_partial_pair(at, 3u, pair, s3);
    store_partial_pair(at, 4u, pair, s4);
    store_partial_pair(at, 5u, pair, s5);
    store_partial_pair(at, 6u, pair, s6);
    store_partial_pair(at, 7u, pair, s7);
    store_partial_pair(at, 8u, pair, s8);
    store_partial_pair(at, 9u, pair, s9);
    store_partial_pair(at, 10u, pair, s10);
    store_partial_pair(at, 11u, pair, s11);
    store_partial_pair(at, 12u, pair, s12);
    store_partial_pair(at, 13u, pair, s13);
    store_partial_pair(at, 14u, pair, s14);
    store_partial_pair(at, 15u, pair, s15);
}
