// The convolutions of conv2d.wgsl for GPUs, as matrix products by implicit GEMM: the matrix X
// (im2col) is never stored in global memory.
// `forward`: y[o,p] = bias[o] + sum over k of w[o,k] X[k,p]
// `weight_partial`: dw[o,k] = sum over a slice of p of dy[o,p] X[k,p]
// with pixels p = (n,oh,ow), terms k = (c,kh,kw), c and o in the same group, and
// X[k,p] = x[n,c,oh*SH+kh-PAD_H,ow*SW+kw-PAD_W].
// dx is `forward` of dy, dilated by the stride (DILATION_H, DILATION_W), with w flipped and its
// input and output channels swapped (TRANSPOSED).
// x: [N,C,H,W], w: [O,C/GROUPS,KH,KW], y: [N,O,OH,OW], with any stride, padding, kernel and groups.
//
// A workgroup of 128 invocations computes 32 rows (o) x 128 columns (p, or k) of the result, an
// invocation 4 x 8 of them. Its columns are at distances of 16, so that consecutive invocations
// store to consecutive addresses. Eight terms of the sum at a time are staged in workgroup memory,
// as vec4 of four terms. While these are multiplied, the next eight are loaded into registers, and
// then written to a second buffer. So there is one barrier per eight terms.
// Occupancy: 2 x (32 + 128) x 8 floats are 10,240 bytes of workgroup memory. 32 sums, 16 + 16
// operands, 12 staged numbers and addresses are about 96 registers. A multiprocessor with 64 Ki
// registers holds five workgroups, 20 warps of 32. Per four terms, an invocation loads 12 vec4 from
// workgroup memory for 128 multiply-adds. With fewer than 24 output channels per group, many of the
// 32 rows are empty.

const ROWS: u32 = 32u;
const COLUMNS: u32 = 128u;
const DEPTH: u32 = 8u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + ROWS - 1u) / ROWS;
const PLANE: u32 = OH * OW;
const TAPS: u32 = KH * KW;
const TERMS: u32 = C_GROUP * TAPS;

// [buffer][four terms][row], [buffer][four terms][column].
var<workgroup> shared_rows: array<vec4<f32>, 128>;
var<workgroup> shared_columns: array<vec4<f32>, 512>;

// The values that an invocation copies to workgroup memory: eight terms of a column as two vec4,
// and, in the first 64 invocations, four terms of a row.
struct Staged { row: vec4<f32>, first: vec4<f32>, second: vec4<f32> }

fn stage(buffer: u32, lane: u32, staged: Staged) {
    if lane < 64u { shared_rows[(buffer * 2u + lane % 2u) * ROWS + lane / 2u] = staged.row; }
    shared_columns[buffer * 2u * COLUMNS + lane] = staged.first;
    shared_columns[(buffer * 2u + 1u) * COLUMNS + lane] = staged.second;
}

// The sums of an invocation: four rows (columns of these matrices) at its first (low) and its last
// four columns (high).
struct Sums { low: mat4x4<f32>, high: mat4x4<f32> }

fn four_columns(at: u32) -> mat4x4<f32> {
    return mat4x4(shared_columns[at], shared_columns[at + 16u], shared_columns[at + 32u], shared_columns[at + 48u]);
}

// Adds the eight terms in a buffer to the sums.
fn multiply(buffer: u32, lane: u32, sums: Sums) -> Sums {
    var s = sums;
    for (var term_group = 0u; term_group < 2u; term_group++) {
        let row = (buffer * 2u + term_group) * ROWS + lane / 16u * 4u;
        let column = (buffer * 2u + term_group) * COLUMNS + lane % 16u;
        let r0 = shared_rows[row];
        let r1 = shared_rows[row + 1u];
        let r2 = shared_rows[row + 2u];
        let r3 = shared_rows[row + 3u];
        let low = four_columns(column);
        s.low += mat4x4(r0 * low, r1 * low, r2 * low, r3 * low);
        let high = four_columns(column + 64u);
        s.high += mat4x4(r0 * high, r1 * high, r2 * high, r3 * high);
    }
    return s;
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Element (h, w) of a plane that is dilated by DILATION_H and DILATION_W, with zero padding.
fn dilated(plane: u32, h: i32, w: i32) -> f32 {
    let dh = i32(DILATION_H);
    let dw = i32(DILATION_W);
    let inside = h >= 0 && h < i32(H) * dh && w >= 0 && w < i32(W) * dw && h % dh == 0 && w % dw == 0;
    return select(0.0, x[plane + u32((h / dh) * i32(W) + w / dw)], inside);
}

// A pixel of y: the element of x at its first tap, and whether the pixel is in range.
struct Pixel { planes: u32, h: i32, w: i32, valid: bool }

fn pixel(p: u32, group: u32, end: u32) -> Pixel {
    let h = i32(p / OW % OH * SH) - i32(PAD_H);
    let w = i32(p % OW * SW) - i32(PAD_W);
    return Pixel((p / PLANE * C + group * C_GROUP) * H * W, h, w, p < end);
}

// X[k,p], 0 past the last term or pixel.
fn im2col(at: Pixel, k: u32) -> f32 {
    let v = dilated(at.planes + k / TAPS * H * W, at.h + i32(k % TAPS / KW), at.w + i32(k % KW));
    return select(0.0, v, at.valid && k < TERMS);
}

fn im2col_terms(at: Pixel, k: u32) -> vec4<f32> {
    return vec4(im2col(at, k), im2col(at, k + 1u), im2col(at, k + 2u), im2col(at, k + 3u));
}

fn weight(group: u32, o: u32, k: u32) -> f32 {
    var at = (group * O_GROUP + o) * TERMS + k;
    if TRANSPOSED { at = ((group * C_GROUP + k / TAPS) * O_GROUP + o) * TAPS + TAPS - 1u - k % TAPS; }
    return select(0.0, w[at], o < O_GROUP && k < TERMS);
}

fn staged_forward(lane: u32, group: u32, o: u32, at: Pixel, k: u32) -> Staged {
    var row = vec4(0.0);
    if lane < 64u {
        let first = k + lane % 2u * 4u;
        let own = o + lane / 2u;
        row = vec4(
            weight(group, own, first),
            weight(group, own, first + 1u),
            weight(group, own, first + 2u),
            weight(group, own, first + 3u),
        );
    }
    return Staged(row, im2col_terms(at, k), im2col_terms(at, k + 4u));
}

// Stores four channels at pixel p.
fn store(group: u32, o: u32, p: u32, sums: vec4<f32>) {
    if p >= N * PLANE { return; }
    for (var i = 0u; i < 4u && o + i < O_GROUP; i++) {
        let channel = group * O_GROUP + o + i;
        let at = (p / PLANE * O + channel) * PLANE + p % PLANE;
        var v = sums[i];
        if BIAS { v += bias[channel]; }
        if ACCUMULATE { v += y[at]; }
        y[at] = v;
    }
}

@compute @workgroup_size(128)
fn forward(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let tile = id.x + id.y * groups.x;
    if tile >= (N * PLANE + COLUMNS - 1u) / COLUMNS { return; }
    let group = id.z / O_TILES;
    let o = id.z % O_TILES * ROWS;
    let at = pixel(tile * COLUMNS + lane, group, N * PLANE);

    var sums = Sums();
    stage(0u, lane, staged_forward(lane, group, o, at, 0u));
    for (var k = 0u; k < TERMS; k += DEPTH) {
        workgroupBarrier();
        var next = Staged();
        if k + DEPTH < TERMS { next = staged_forward(lane, group, o, at, k + DEPTH); }
        sums = multiply(k / DEPTH % 2u, lane, sums);
        stage((k / DEPTH + 1u) % 2u, lane, next);
    }
    let low = transpose(sums.low);
    let high = transpose(sums.high);
    let row = o + lane / 16u * 4u;
    let column = tile * COLUMNS + lane % 16u;
    for (var i = 0u; i < 4u; i++) {
        store(group, row, column + 16u * i, low[i]);
        store(group, row, column + 64u + 16u * i, high[i]);
    }
}

@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

const TERM_TILES: u32 = (TERMS + COLUMNS - 1u) / COLUMNS;

fn gradient(group: u32, o: u32, p: u32, end: u32) -> f32 {
    let at = (p / PLANE * O + group * O_GROUP + o) * PLANE + p % PLANE;
    return select(0.0, dy[at], o < O_GROUP && p < end);
}

fn staged_weight(lane: u32, group: u32, o: u32, k: u32, p: u32, end: u32) -> Staged {
    var row = vec4(0.0);
    if lane < 64u {
        let first = p + lane % 2u * 4u;
        let own = o + lane / 2u;
        row = vec4(
            gradient(group, own, first, end),
            gradient(group, own, first + 1u, end),
            gradient(group, own, first + 2u, end),
            gradient(group, own, first + 3u, end),
        );
    }
    return Staged(row, im2col_pixels(group, k, p, end), im2col_pixels(group, k, p + 4u, end));
}

fn im2col_pixels(group: u32, k: u32, p: u32, end: u32) -> vec4<f32> {
    return vec4(
        im2col(pixel(p, group, end), k),
        im2col(pixel(p + 1u, group, end), k),
        im2col(pixel(p + 2u, group, end), k),
        im2col(pixel(p + 3u, group, end), k),
    );
}

// Stores term k of four channels.
fn store_partial(slice: u32, group: u32, o: u32, k: u32, sums: vec4<f32>) {
    if k >= TERMS { return; }
    for (var i = 0u; i < 4u && o + i < O_GROUP; i++) {
        partials[(slice * O + group * O_GROUP + o + i) * TERMS + k] = sums[i];
    }
}

@compute @workgroup_size(128)
fn weight_partial(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.x + id.y * groups.x;
    let slice = i / (GROUPS * O_TILES * TERM_TILES);
    if slice >= SLICES { return; }
    let group = i / (O_TILES * TERM_TILES) % GROUPS;
    let o = i / TERM_TILES % O_TILES * ROWS;
    let term = i % TERM_TILES * COLUMNS;
    let start = slice * PER_SLICE * DEPTH;
    let end = min(start + PER_SLICE * DEPTH, N * PLANE);

    var sums = Sums();
    stage(0u, lane, staged_weight(lane, group, o, term + lane, start, end));
    for (var p = start; p < end; p += DEPTH) {
        workgroupBarrier();
        var next = Staged();
        if p + DEPTH < end { next = staged_weight(lane, group, o, term + lane, p + DEPTH, end); }
        sums = multiply((p - start) / DEPTH % 2u, lane, sums);
        stage(((p - start) / DEPTH + 1u) % 2u, lane, next);
    }
    let low = transpose(sums.low);
    let high = transpose(sums.high);
    let row = o + lane / 16u * 4u;
    let column = term + lane % 16u;
    for (var i = 0u; i < 4u; i++) {
        store_partial(slice, group, row, column + 16u * i, low[i]);
        store_partial(slice, group, row, column + 64u + 16u * i, high[i]);
    }
}
