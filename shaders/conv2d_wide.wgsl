// The correlations of conv2d.wgsl for processors: KH = KW = 1 or 3, PAD = (KH-1)/2, S = 1 or 2, W a multiple of 4 S.
// x: [N,C,H,W] as rows of W/4 vec4, y: [N,O,OH,OW] likewise, tiles: as `pack` of conv2d.wgsl lays them out.
//
// `forward`: an invocation owns 8 output channels x 8 groups of 4 columns, which lie in rows of GROUPS_PER_ROW.
// `weight_partial`: an invocation owns 8 o x 2 c x 3x3 taps of dw (of a 1x1 kernel: 8 o x 18 c) over a slice of the images.
// A processor's driver loads each lane's address by itself: a quad costs as much as 25 to 35 multiply-adds (Mesa 22.3.6 llvmpipe; less
// in words), one number half of that, while sums that spill stay in its nearest cache. So 144 to 256 sums share what is loaded.

const W4: u32 = W / 4u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + 7u) / 8u;
const ROWS: u32 = 8u / GROUPS_PER_ROW;
const OW4: u32 = OW / 4u;
const ROW_TILES: u32 = (OH + ROWS - 1u) / ROWS;
const COLUMN_TILES: u32 = OW4 / GROUPS_PER_ROW;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read> tiles: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// The same weights where a uniform buffer holds them all: loads at one address for all lanes cost less there, and convolutions take
// 13 to 29 % less time (Mesa 22.3.6 llvmpipe).
@group(0) @binding(4) var<uniform> near: array<Quad, NEAR>;

fn weights(i: u32) -> vec4<f32> {
    if NEAR == GROUPS * O_TILES * C_GROUP * KH * KW * 2u { return floats(near[i]); }
    return floats(tiles[i]);
}

// vec4 `w4` of row h, which is 0 outside of the plane that begins at `plane`.
fn quad(plane: u32, h: u32, w4: u32) -> vec4<f32> {
    return select(vec4(0.0), floats(x[plane + h * W4 + w4]), h < H);
}

fn column_before(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, floats(x[plane + h * W4 + w4 - 1u]).w, h < H && w4 > 0u);
}

fn column_after(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, floats(x[plane + h * W4 + w4 + 1u]).x, h < H && w4 + 1u < W4);
}

// What the middle tap sees of row h of x at the four columns of group q of y, and what the tap right of it sees but for its last
// column at stride 1. At stride 2 these are the even and the odd columns.
struct Seen { middle: vec4<f32>, odd: vec4<f32> }

fn seen(plane: u32, h: u32, q: u32) -> Seen {
    let a = quad(plane, h, q * S);
    if S == 1u { return Seen(a, a); }
    let b = quad(plane, h, q * S + 1u);
    return Seen(vec4(a.xz, b.xz), vec4(a.yw, b.yw));
}

// The eight groups of an invocation.
struct Groups { g0: vec4<f32>, g1: vec4<f32>, g2: vec4<f32>, g3: vec4<f32>, g4: vec4<f32>, g5: vec4<f32>, g6: vec4<f32>, g7: vec4<f32> }

// Where they lie in x: the plane, the row under the tap of the first group, the column of groups.
struct Origin { plane: u32, h: u32, q: u32 }

fn row_of(at: Origin, g: u32) -> u32 { return at.h + g / GROUPS_PER_ROW * S; }

fn seen_by(at: Origin, g: u32) -> Seen { return seen(at.plane, row_of(at, g), at.q + g % GROUPS_PER_ROW); }

// What the left tap sees: the odd columns of group g moved on by one. The neighbour gives the missing one, or memory, or the zeros
// around x.
fn left(at: Origin, g: u32, neighbour: vec4<f32>, odd: vec4<f32>) -> vec4<f32> {
    if g % GROUPS_PER_ROW > 0u { return vec4(neighbour.w, odd.xyz); }
    if COLUMN_TILES == 1u { return vec4(0.0, odd.xyz); }
    return vec4(column_before(at.plane, row_of(at, g), at.q * S), odd.xyz);
}

// What the right tap sees: the odd columns at stride 2, the middle ones moved on by one at stride 1.
fn right(at: Origin, g: u32, odd: vec4<f32>, neighbour: vec4<f32>) -> vec4<f32> {
    if S == 2u { return odd; }
    if (g + 1u) % GROUPS_PER_ROW > 0u { return vec4(odd.yzw, neighbour.x); }
    if COLUMN_TILES == 1u { return vec4(odd.yzw, 0.0); }
    return vec4(odd.yzw, column_after(at.plane, row_of(at, g), at.q + GROUPS_PER_ROW - 1u));
}

fn lefts(at: Origin, v: Groups) -> Groups {
    return Groups(
        left(at, 0u, v.g0, v.g0), left(at, 1u, v.g0, v.g1), left(at, 2u, v.g1, v.g2), left(at, 3u, v.g2, v.g3),
        left(at, 4u, v.g3, v.g4), left(at, 5u, v.g4, v.g5), left(at, 6u, v.g5, v.g6), left(at, 7u, v.g6, v.g7),
    );
}

fn rights(at: Origin, v: Groups) -> Groups {
    return Groups(
        right(at, 0u, v.g0, v.g1), right(at, 1u, v.g1, v.g2), right(at, 2u, v.g2, v.g3), right(at, 3u, v.g3, v.g4),
        right(at, 4u, v.g4, v.g5), right(at, 5u, v.g5, v.g6), right(at, 6u, v.g6, v.g7), right(at, 7u, v.g7, v.g7),
    );
}

// Sums of four channels (columns) at the eight groups.
struct Sums {
    g0: mat4x4<f32>, g1: mat4x4<f32>, g2: mat4x4<f32>, g3: mat4x4<f32>,
    g4: mat4x4<f32>, g5: mat4x4<f32>, g6: mat4x4<f32>, g7: mat4x4<f32>,
}

// Column i holds the products of weight i with four columns of x.
fn outer(w: vec4<f32>, v: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(w.x * v, w.y * v, w.z * v, w.w * v);
}

fn add(s: Sums, w: vec4<f32>, v: Groups) -> Sums {
    return Sums(
        s.g0 + outer(w, v.g0), s.g1 + outer(w, v.g1), s.g2 + outer(w, v.g2), s.g3 + outer(w, v.g3),
        s.g4 + outer(w, v.g4), s.g5 + outer(w, v.g5), s.g6 + outer(w, v.g6), s.g7 + outer(w, v.g7),
    );
}

// Where the sums of an invocation go: its first channel within the group, row and column.
struct Place { n: u32, group: u32, o: u32, oh: u32, q: u32 }

fn store(at: Place, g: u32, within: u32, sum: vec4<f32>) {
    let oh = at.oh + g / GROUPS_PER_ROW;
    if within < O_GROUP && g < ROWS * GROUPS_PER_ROW && oh < OH {
        let o = at.group * O_GROUP + within;
        let i = ((at.n * O + o) * OH + oh) * OW4 + at.q + g % GROUPS_PER_ROW;
        var v = sum;
        if BIAS { v += bias[o]; }
        if ACCUMULATE { v += floats(y[i]); }
        y[i] = quad_of(v);
    }
}

fn store_channels(at: Place, g: u32, within: u32, sums: mat4x4<f32>) {
    store(at, g, within, sums[0]);
    store(at, g, within + 1u, sums[1]);
    store(at, g, within + 2u, sums[2]);
    store(at, g, within + 3u, sums[3]);
}

fn store_sums(at: Place, within: u32, s: Sums) {
    store_channels(at, 0u, within, s.g0);
    store_channels(at, 1u, within, s.g1);
    store_channels(at, 2u, within, s.g2);
    store_channels(at, 3u, within, s.g3);
    store_channels(at, 4u, within, s.g4);
    store_channels(at, 5u, within, s.g5);
    store_channels(at, 6u, within, s.g6);
    store_channels(at, 7u, within, s.g7);
}

@compute @workgroup_size(16)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 16u;
    if i >= N * ROW_TILES * COLUMN_TILES { return; }
    let tile = id.z;
    let group = tile / O_TILES;
    let at = Place(
        i / (COLUMN_TILES * ROW_TILES),
        group,
        (tile % O_TILES) * 8u,
        ((i / COLUMN_TILES) % ROW_TILES) * ROWS,
        (i % COLUMN_TILES) * GROUPS_PER_ROW,
    );
    var low = Sums();
    var high = Sums();
    var tap = tile * C_GROUP * KH * KW * 2u;
    for (var c = 0u; c < C_GROUP; c++) {
        let plane = (at.n * C + group * C_GROUP + c) * H * W4;
        for (var kh = 0u; kh < KH; kh++) {
            // Above the plane the row wraps around to a large number, which is outside too.
            let origin = Origin(plane, at.oh * S + kh - PAD, at.q);
            let s0 = seen_by(origin, 0u);
            let s1 = seen_by(origin, 1u);
            let s2 = seen_by(origin, 2u);
            let s3 = seen_by(origin, 3u);
            let s4 = seen_by(origin, 4u);
            let s5 = seen_by(origin, 5u);
            let s6 = seen_by(origin, 6u);
            let s7 = seen_by(origin, 7u);
            let odd = Groups(s0.odd, s1.odd, s2.odd, s3.odd, s4.odd, s5.odd, s6.odd, s7.odd);
            if KW == 3u {
                let v = lefts(origin, odd);
                low = add(low, weights(tap), v);
                high = add(high, weights(tap + 1u), v);
                tap += 2u;
            }
            let middle =
                Groups(s0.middle, s1.middle, s2.middle, s3.middle, s4.middle, s5.middle, s6.middle, s7.middle);
            low = add(low, weights(tap), middle);
            high = add(high, weights(tap + 1u), middle);
            tap += 2u;
            if KW == 3u {
                let v = rights(origin, odd);
                low = add(low, weights(tap), v);
                high = add(high, weights(tap + 1u), v);
                tap += 2u;
            }
        }
    }
    store_sums(at, at.o, low);
    store_sums(at, at.o + 4u, high);
}

@group(0) @binding(1) var<storage, read> dy: array<Quad>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

// Channels of x of an invocation: two, whose taps are 3x3, or two times nine instead.
const C_TILE: u32 = select(2u, 18u, KH == 1u);
const C_TILES: u32 = (C_GROUP + C_TILE - 1u) / C_TILE;

// A channel beyond the group is read from its last one, and its sums are not kept.
fn plane_of(first: u32, c: u32) -> u32 { return (first + min(c, C_GROUP - 1u)) * H * W4; }

// What three taps in a row see of row h of x at group q of y.
fn seen_by_taps(plane: u32, h: u32, q: u32) -> mat3x4<f32> {
    let s = seen(plane, h, q);
    let before = vec4(column_before(plane, h, q * S), s.odd.xyz);
    if S == 2u { return mat3x4(before, s.middle, s.odd); }
    return mat3x4(before, s.middle, vec4(s.odd.yzw, column_after(plane, h, q)));
}

// What the tap of a 1x1 kernel sees of three channels.
fn seen_of_channels(first: u32, c: u32, h: u32, q: u32) -> mat3x4<f32> {
    return mat3x4(
        seen(plane_of(first, c), h, q).middle,
        seen(plane_of(first, c + 1u), h, q).middle,
        seen(plane_of(first, c + 2u), h, q).middle,
    );
}

// Four columns of dy of four channels.
fn gradients(first: u32, o: u32, oh: u32, q: u32) -> mat4x4<f32> {
    let last = O_GROUP - 1u;
    let at = oh * OW4 + q;
    return mat4x4(
        floats(dy[(first + min(o, last)) * OH * OW4 + at]),
        floats(dy[(first + min(o + 1u, last)) * OH * OW4 + at]),
        floats(dy[(first + min(o + 2u, last)) * OH * OW4 + at]),
        floats(dy[(first + min(o + 3u, last)) * OH * OW4 + at]),
    );
}

// Sums of one input channel, a row of taps each, or of three channels each; for channels 0..4 and 4..8 of dy.
struct Taps {
    low0: mat3x4<f32>, low1: mat3x4<f32>, low2: mat3x4<f32>,
    high0: mat3x4<f32>, high1: mat3x4<f32>, high2: mat3x4<f32>,
}

// For each of three taps or channels, the sums over four columns of its products with four channels of dy.
fn products(v: mat3x4<f32>, g: mat4x4<f32>) -> mat3x4<f32> {
    return mat3x4(v[0] * g, v[1] * g, v[2] * g);
}

fn add_taps(s: Taps, above: mat3x4<f32>, at: mat3x4<f32>, below: mat3x4<f32>, low: mat4x4<f32>, high: mat4x4<f32>) -> Taps {
    return Taps(
        s.low0 + products(above, low), s.low1 + products(at, low), s.low2 + products(below, low),
        s.high0 + products(above, high), s.high1 + products(at, high), s.high2 + products(below, high),
    );
}

// The first channels that an invocation owns, within their group.
struct Tile { slice: u32, group: u32, o: u32, c: u32 }

// `tap` counts taps of channel c, or channels from the 9 c-th on.
fn keep(at: Tile, o: u32, c: u32, tap: u32, sum: f32) {
    let channel = at.c + select(c, 9u * c + tap, KH == 1u);
    if at.o + o < O_GROUP && channel < C_GROUP {
        let row = (at.slice * O + at.group * O_GROUP + at.o + o) * C_GROUP + channel;
        partials[row * KH * KW + select(tap, 0u, KH == 1u)] = sum;
    }
}

fn keep_row(at: Tile, o: u32, c: u32, tap: u32, sums: mat3x4<f32>) {
    keep(at, o, c, tap, sums[0].x);
    keep(at, o + 1u, c, tap, sums[0].y);
    keep(at, o + 2u, c, tap, sums[0].z);
    keep(at, o + 3u, c, tap, sums[0].w);
    keep(at, o, c, tap + 1u, sums[1].x);
    keep(at, o + 1u, c, tap + 1u, sums[1].y);
    keep(at, o + 2u, c, tap + 1u, sums[1].z);
    keep(at, o + 3u, c, tap + 1u, sums[1].w);
    keep(at, o, c, tap + 2u, sums[2].x);
    keep(at, o + 1u, c, tap + 2u, sums[2].y);
    keep(at, o + 2u, c, tap + 2u, sums[2].z);
    keep(at, o + 3u, c, tap + 2u, sums[2].w);
}

fn keep_taps(at: Tile, c: u32, s: Taps) {
    keep_row(at, 0u, c, 0u, s.low0);
    keep_row(at, 0u, c, 3u, s.low1);
    keep_row(at, 0u, c, 6u, s.low2);
    keep_row(at, 4u, c, 0u, s.high0);
    keep_row(at, 4u, c, 3u, s.high1);
    keep_row(at, 4u, c, 6u, s.high2);
}

@compute @workgroup_size(16)
fn weight_partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 16u;
    let tiles_per_slice = GROUPS * O_TILES * C_TILES;
    if i >= SLICES * tiles_per_slice { return; }
    let o_tile = (i / C_TILES) % (GROUPS * O_TILES);
    let at = Tile(i / tiles_per_slice, o_tile / O_TILES, (o_tile % O_TILES) * 8u, (i % C_TILES) * C_TILE);
    var s0 = Taps();
    var s1 = Taps();
    let end = min((at.slice + 1u) * PER_SLICE, N);
    for (var n = at.slice * PER_SLICE; n < end; n++) {
        let first_o = n * O + at.group * O_GROUP;
        let first_c = n * C + at.group * C_GROUP;
        let p0 = plane_of(first_c, at.c);
        let p1 = plane_of(first_c, at.c + 1u);
        for (var q = 0u; q < OW4; q++) {
            // Going down the rows, each row of x is loaded once. Above the first there are zeros.
            var above0 = mat3x4<f32>();
            var above1 = mat3x4<f32>();
            var at0 = mat3x4<f32>();
            var at1 = mat3x4<f32>();
            if KH == 3u && S == 1u {
                at0 = seen_by_taps(p0, 0u, q);
                at1 = seen_by_taps(p1, 0u, q);
            }
            for (var oh = 0u; oh < OH; oh++) {
                let low = gradients(first_o, at.o, oh, q);
                let high = gradients(first_o, at.o + 4u, oh, q);
                if KH == 1u {
                    let a = seen_of_channels(first_c, at.c, oh * S, q);
                    let b = seen_of_channels(first_c, at.c + 3u, oh * S, q);
                    let c = seen_of_channels(first_c, at.c + 6u, oh * S, q);
                    s0 = add_taps(s0, a, b, c, low, high);
                    let d = seen_of_channels(first_c, at.c + 9u, oh * S, q);
                    let e = seen_of_channels(first_c, at.c + 12u, oh * S, q);
                    let f = seen_of_channels(first_c, at.c + 15u, oh * S, q);
                    s1 = add_taps(s1, d, e, f, low, high);
                    continue;
                }
                if S == 2u {
                    at0 = seen_by_taps(p0, 2u * oh, q);
                    at1 = seen_by_taps(p1, 2u * oh, q);
                }
                let below0 = seen_by_taps(p0, S * oh + 1u, q);
                s0 = add_taps(s0, above0, at0, below0, low, high);
                above0 = at0;
                let below1 = seen_by_taps(p1, S * oh + 1u, q);
                s1 = add_taps(s1, above1, at1, below1, low, high);
                above1 = at1;
                if S == 2u {
                    above0 = below0;
                    above1 = below1;
                }
                at0 = below0;
                at1 = below1;
            }
        }
    }
    keep_taps(at, 0u, s0);
    keep_taps(at, 1u, s1);
}
