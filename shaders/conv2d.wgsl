// y[n,o,oh,ow] = bias[o] + sum over c,kh,kw of w[o,c,kh,kw] x[n,c,oh*SH+kh-PAD_H,ow*SW+kw-PAD_W]
// dw[o,c,kh,kw] = sum over n,oh,ow of dy[n,o,oh,ow] x[n,c,oh*SH+kh-PAD_H,ow*SW+kw-PAD_W]
// c is in the group of o. x: [N,C,H,W], w: [O,C/GROUPS,KH,KW], y: [N,O,OH,OW].
// dx is the correlation of dy, dilated by the stride (DILATION_H, DILATION_W), with w flipped and
// its input and output channels swapped (TRANSPOSED).
// A tap is a position (kh, kw) of the kernel.
//
// `pack` reorders w as tiles[group][tile of 8 o][c][kh][kw][8 o], so that the weights of a tap are
// two consecutive vec4.
// `forward`: an invocation computes 8 output channels x 8 columns of a row, in four 4x4
// accumulators. It loads a row of x once, and shifts it by a column for each of the KW taps.
// `weight_partial`: an invocation computes 8 o x 3x3 taps of dw (with a 1x1 kernel: 8 o x 9 c) over
// one slice of the rows of y. `weight_reduce` adds the slices in order.
// The accumulators are separate variables, since a compiler may not keep an indexed array in
// registers. On a processor, a load costs about nine multiply-adds, and a wider tile does not fit
// the registers. On a GPU, more than 64 to 72 accumulators halve the occupancy.

const O_TILE: u32 = 8u;
const POINTWISE: bool = KH == 1u && KW == 1u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + O_TILE - 1u) / O_TILE;
const COLUMN_TILES: u32 = (OW + 7u) / 8u;

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> packed: array<f32>;

// An invocation computes one element of `packed`. With TRANSPOSED, C and O are the channels of dy
// and dx, and w is [C,O/GROUPS,KH,KW].
@compute @workgroup_size(64)
fn pack(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= GROUPS * O_TILES * C_GROUP * KH * KW * O_TILE { return; }
    let taps = KH * KW;
    let tap = (i / O_TILE) % taps;
    let c = (i / (O_TILE * taps)) % C_GROUP;
    let tile = i / (O_TILE * taps * C_GROUP);
    let group = tile / O_TILES;
    let o = (tile % O_TILES) * O_TILE + i % O_TILE;
    var at = ((group * O_GROUP + o) * C_GROUP + c) * taps + tap;
    if TRANSPOSED { at = ((group * C_GROUP + c) * O_GROUP + o) * taps + taps - 1u - tap; }
    packed[i] = select(0.0, w[at], o < O_GROUP);
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> tiles: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Element (h, w) of a plane that is dilated by DILATION_H and DILATION_W, with zero padding.
fn dilated(plane: u32, h: i32, w: i32) -> f32 {
    if DILATION_H == 1u && DILATION_W == 1u {
        let inside = h >= 0 && h < i32(H) && w >= 0 && w < i32(W);
        return select(0.0, x[plane + u32(h * i32(W) + w)], inside);
    }
    let dh = i32(DILATION_H);
    let dw = i32(DILATION_W);
    let inside = h >= 0 && h < i32(H) * dh && w >= 0 && w < i32(W) * dw && h % dh == 0 && w % dw == 0;
    return select(0.0, x[plane + u32((h / dh) * i32(W) + w / dw)], inside);
}

// Four elements of a row, at distances of SW.
fn columns(plane: u32, h: i32, w: i32) -> vec4<f32> {
    let s = i32(SW);
    return vec4(dilated(plane, h, w), dilated(plane, h, w + s), dilated(plane, h, w + 2 * s), dilated(plane, h, w + 3 * s));
}

// The outer product: column p is weights * x[p].
fn outer(weights: vec4<f32>, x: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(weights * x.x, weights * x.y, weights * x.z, weights * x.w);
}

// The image, group and row of a tile of y.
struct Place { n: u32, group: u32, oh: u32 }

fn store(at: Place, o_in_group: u32, ow: u32, sum: f32) {
    if o_in_group < O_GROUP && ow < OW {
        let o = at.group * O_GROUP + o_in_group;
        let i = ((at.n * O + o) * OH + at.oh) * OW + ow;
        var v = sum;
        if BIAS { v += bias[o]; }
        if ACCUMULATE { v += y[i]; }
        y[i] = v;
    }
}

fn store_column(at: Place, o_in_group: u32, ow: u32, sums: vec4<f32>) {
    store(at, o_in_group, ow, sums.x);
    store(at, o_in_group + 1u, ow, sums.y);
    store(at, o_in_group + 2u, ow, sums.z);
    store(at, o_in_group + 3u, ow, sums.w);
}

fn store_tile(at: Place, o_in_group: u32, ow: u32, sums: mat4x4<f32>) {
    store_column(at, o_in_group, ow, sums[0]);
    store_column(at, o_in_group, ow + 1u, sums[1]);
    store_column(at, o_in_group, ow + 2u, sums[2]);
    store_column(at, o_in_group, ow + 3u, sums[3]);
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * OH * COLUMN_TILES { return; }
    let ow = (i % COLUMN_TILES) * 8u;
    let oh = (i / COLUMN_TILES) % OH;
    let n = i / (COLUMN_TILES * OH);
    let tile = id.z;
    let group = tile / O_TILES;

    // Sums of channels 0..4 (low) and 4..8 (high) at columns 0..4 (left) and 4..8 (right).
    var low_left = mat4x4<f32>();
    var low_right = mat4x4<f32>();
    var high_left = mat4x4<f32>();
    var high_right = mat4x4<f32>();
    var tap = tile * C_GROUP * KH * KW * 2u;
    for (var c = 0u; c < C_GROUP; c++) {
        let plane = (n * C + group * C_GROUP + c) * H * W;
        for (var kh = 0u; kh < KH; kh++) {
            let h = i32(oh * SH + kh) - i32(PAD_H);
            let w = i32(ow * SW) - i32(PAD_W);
            var left = columns(plane, h, w);
            var right = columns(plane, h, w + 4 * i32(SW));
            for (var kw = 0; kw < i32(KW); kw++) {
                if kw > 0 {
                    if SW == 1u {
                        left = vec4(left.yzw, right.x);
                        right = vec4(right.yzw, dilated(plane, h, w + 7 + kw));
                    } else {
                        left = columns(plane, h, w + kw);
                        right = columns(plane, h, w + kw + 4 * i32(SW));
                    }
                }
                let low = floats(tiles[tap]);
                let high = floats(tiles[tap + 1u]);
                low_left += outer(low, left);
                low_right += outer(low, right);
                high_left += outer(high, left);
                high_right += outer(high, right);
                tap += 2u;
            }
        }
    }
    let at = Place(n, group, oh);
    let first = (tile % O_TILES) * O_TILE;
    store_tile(at, first, ow, low_left);
    store_tile(at, first, ow + 4u, low_right);
    store_tile(at, first + 4u, ow, high_left);
    store_tile(at, first + 4u, ow + 4u, high_right);
}

@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

// Input channels per tile: with a 1x1 kernel, nine channels take the place of 3x3 taps.
const C_TILE: u32 = select(1u, 9u, POINTWISE);
const C_TILES: u32 = (C_GROUP + C_TILE - 1u) / C_TILE;
const KH_TILES: u32 = (KH + 2u) / 3u;
const KW_TILES: u32 = (KW + 2u) / 3u;

// The tile that an invocation owns: its first channels and taps.
struct Tile { slice: u32, group: u32, o: u32, c: u32, kh: u32, kw: u32 }

// Columns ow..ow+4 of a row of dy, 0 past its end.
fn gradient(row: u32, ow: u32) -> vec4<f32> {
    let at = row + ow;
    let g = vec4(dy[at], dy[at + 1u], dy[at + 2u], dy[at + 3u]);
    return select(vec4(0.0), g, vec4(ow) + vec4(0u, 1u, 2u, 3u) < vec4(OW));
}

// Columns ow..ow+4 of row oh of dy, for four channels. Past the end of the group, the last channel
// is read again, and its sums are not stored.
fn gradients(n: u32, group: u32, o: u32, oh: u32, ow: u32) -> mat4x4<f32> {
    let channel = n * O + group * O_GROUP;
    let last = O_GROUP - 1u;
    return mat4x4(
        gradient(((channel + min(o, last)) * OH + oh) * OW, ow),
        gradient(((channel + min(o + 1u, last)) * OH + oh) * OW, ow),
        gradient(((channel + min(o + 2u, last)) * OH + oh) * OW, ow),
        gradient(((channel + min(o + 3u, last)) * OH + oh) * OW, ow),
    );
}

// The elements of x that the three taps in row r of the tile multiply, for four columns of y. With
// a 1x1 kernel, the taps are three channels.
fn x_at_taps(n: u32, at: Tile, r: u32, oh: u32, ow: u32) -> mat3x4<f32> {
    let w = i32(ow * SW + at.kw) - i32(PAD_W);
    let first = n * C + at.group * C_GROUP;
    if POINTWISE {
        let h = i32(oh * SH) - i32(PAD_H);
        let c = at.c + 3u * r;
        let last = C_GROUP - 1u;
        return mat3x4(
            columns((first + min(c, last)) * H * W, h, w),
            columns((first + min(c + 1u, last)) * H * W, h, w),
            columns((first + min(c + 2u, last)) * H * W, h, w),
        );
    }
    let h = i32(oh * SH + at.kh + r) - i32(PAD_H);
    let plane = (first + at.c) * H * W;
    let x0 = columns(plane, h, w);
    if SW == 1u {
        let x1 = vec4(x0.yzw, dilated(plane, h, w + 4));
        return mat3x4(x0, x1, vec4(x1.yzw, dilated(plane, h, w + 5)));
    }
    return mat3x4(x0, columns(plane, h, w + 1), columns(plane, h, w + 2));
}

// For each of three taps (columns), the products with dy of four channels, summed over four
// columns.
fn products(x: mat3x4<f32>, g: mat4x4<f32>) -> mat3x4<f32> {
    return mat3x4(x[0] * g, x[1] * g, x[2] * g);
}

fn store_partial(at: Tile, o: u32, r: u32, q: u32, sum: f32) {
    let c = select(at.c, at.c + 3u * r + q, POINTWISE);
    let kh = select(at.kh + r, 0u, POINTWISE);
    let kw = select(at.kw + q, 0u, POINTWISE);
    if at.o + o < O_GROUP && c < C_GROUP && kh < KH && kw < KW {
        let row = (at.slice * O + at.group * O_GROUP + at.o + o) * C_GROUP + c;
        partials[(row * KH + kh) * KW + kw] = sum;
    }
}

fn store_partial_channels(at: Tile, o: u32, r: u32, q: u32, sums: vec4<f32>) {
    store_partial(at, o, r, q, sums.x);
    store_partial(at, o + 1u, r, q, sums.y);
    store_partial(at, o + 2u, r, q, sums.z);
    store_partial(at, o + 3u, r, q, sums.w);
}

fn store_partial_row(at: Tile, r: u32, low: mat3x4<f32>, high: mat3x4<f32>) {
    store_partial_channels(at, 0u, r, 0u, low[0]);
    store_partial_channels(at, 0u, r, 1u, low[1]);
    store_partial_channels(at, 0u, r, 2u, low[2]);
    store_partial_channels(at, 4u, r, 0u, high[0]);
    store_partial_channels(at, 4u, r, 1u, high[1]);
    store_partial_channels(at, 4u, r, 2u, high[2]);
}

@compute @workgroup_size(64)
fn weight_partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let tiles_per_slice = GROUPS * O_TILES * C_TILES * KH_TILES * KW_TILES;
    if i >= SLICES * tiles_per_slice { return; }
    let o_tile = (i / (KH_TILES * KW_TILES * C_TILES)) % (GROUPS * O_TILES);
    let at = Tile(
        i / tiles_per_slice,
        o_tile / O_TILES,
        (o_tile % O_TILES) * O_TILE,
        ((i / (KH_TILES * KW_TILES)) % C_TILES) * C_TILE,
        ((i / KW_TILES) % KH_TILES) * 3u,
        (i % KW_TILES) * 3u,
    );

    // Sums of channels 0..4 (low) and 4..8 (high) for the three rows of taps.
    var low0 = mat3x4<f32>();
    var low1 = mat3x4<f32>();
    var low2 = mat3x4<f32>();
    var high0 = mat3x4<f32>();
    var high1 = mat3x4<f32>();
    var high2 = mat3x4<f32>();
    let last = min((at.slice + 1u) * PER_SLICE, N * OH);
    for (var row = at.slice * PER_SLICE; row < last; row++) {
        let n = row / OH;
        let oh = row % OH;
        for (var ow = 0u; ow < OW; ow += 4u) {
            let low = gradients(n, at.group, at.o, oh, ow);
            let high = gradients(n, at.group, at.o + 4u, oh, ow);
            let x0 = x_at_taps(n, at, 0u, oh, ow);
            low0 += products(x0, low);
            high0 += products(x0, high);
            let x1 = x_at_taps(n, at, 1u, oh, ow);
            low1 += products(x1, low);
            high1 += products(x1, high);
            let x2 = x_at_taps(n, at, 2u, oh, ow);
            low2 += products(x2, low);
            high2 += products(x2, high);
        }
    }
    store_partial_row(at, 0u, low0, high0);
    store_partial_row(at, 1u, low1, high1);
    store_partial_row(at, 2u, low2, high2);
}

@group(0) @binding(0) var<storage, read> slices: array<f32>;
@group(0) @binding(1) var<storage, read_write> dw: array<f32>;

// An invocation computes one element of dw.
@compute @workgroup_size(64)
fn weight_reduce(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let count = O * C_GROUP * KH * KW;
    let i = id.x + id.y * groups.x * 64u;
    if i >= count { return; }
    var sum = 0.0;
    for (var slice = 0u; slice < SLICES; slice++) { sum += slices[slice * count + i]; }
    if ACCUMULATE { sum += dw[i]; }
    dw[i] = sum;
}

// dbias[o] = sum over n,oh,ow of dy[n,o,oh,ow], with a workgroup per channel. Each invocation adds
// every 64th pixel, then a tree reduction in a fixed order adds their sums. In this kernel, slices
// is dy and dw is dbias.
var<workgroup> lanes: array<f32, 64>;

@compute @workgroup_size(64)
fn backward_bias(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let o = workgroup.x;
    var sum = 0.0;
    for (var n = 0u; n < N; n++) {
        for (var i = lane; i < OH * OW; i += 64u) { sum += slices[(n * O + o) * OH * OW + i]; }
    }
    lanes[lane] = sum;
    for (var width = 32u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    if lane == 0u {
        var total = lanes[0];
        if ACCUMULATE { total += dw[o]; }
        dw[o] = total;
    }
}
