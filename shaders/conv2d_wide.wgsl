// The correlations of conv2d.wgsl at stride 1 with KH = KW = 1 or 3 and PAD = (KH-1)/2, for processors.
// x: [N,C,H,W] and y: [N,O,H,W] as rows of W/4 vec4, tiles: as `pack` of conv2d.wgsl lays them out.
//
// `forward`: an invocation owns 8 output channels x 8 groups of 4 columns, which lie in rows of GROUPS_PER_ROW.
// `weight_partial`: an invocation owns 8 o x 2 c x 3x3 taps of dw over a slice of the images.
// A processor's driver loads each lane's address by itself: a vec4 costs as much as 25 to 35 multiply-adds (Mesa 22.3.6 llvmpipe), one
// number half of that, while sums that spill stay in its nearest cache. So 144 to 256 sums share what is loaded, as vec4.

const W4: u32 = W / 4u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + 7u) / 8u;
const ROWS: u32 = 8u / GROUPS_PER_ROW;
const ROW_TILES: u32 = (H + ROWS - 1u) / ROWS;
const COLUMN_TILES: u32 = W4 / GROUPS_PER_ROW;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> tiles: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Group `w4` of row h, which is 0 outside of the plane that begins at `plane`.
fn group_of(plane: u32, h: u32, w4: u32) -> vec4<f32> {
    return select(vec4(0.0), x[plane + h * W4 + w4], h < H);
}

fn column_before(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, x[plane + h * W4 + w4 - 1u].w, h < H && w4 > 0u);
}

fn column_after(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, x[plane + h * W4 + w4 + 1u].x, h < H && w4 + 1u < W4);
}

// The eight groups of an invocation.
struct Groups { g0: vec4<f32>, g1: vec4<f32>, g2: vec4<f32>, g3: vec4<f32>, g4: vec4<f32>, g5: vec4<f32>, g6: vec4<f32>, g7: vec4<f32> }

fn load(plane: u32, h: u32, w4: u32, g: u32) -> vec4<f32> {
    return group_of(plane, h + g / GROUPS_PER_ROW, w4 + g % GROUPS_PER_ROW);
}

fn load_groups(plane: u32, h: u32, w4: u32) -> Groups {
    return Groups(
        load(plane, h, w4, 0u), load(plane, h, w4, 1u), load(plane, h, w4, 2u), load(plane, h, w4, 3u),
        load(plane, h, w4, 4u), load(plane, h, w4, 5u), load(plane, h, w4, 6u), load(plane, h, w4, 7u),
    );
}

// Group g moved on by a column to the left or to the right: a neighbour gives the missing one, or memory, or the zeros around x.
fn left(plane: u32, h: u32, w4: u32, g: u32, neighbour: vec4<f32>, v: vec4<f32>) -> vec4<f32> {
    if g % GROUPS_PER_ROW > 0u { return vec4(neighbour.w, v.xyz); }
    if COLUMN_TILES == 1u { return vec4(0.0, v.xyz); }
    return vec4(column_before(plane, h + g / GROUPS_PER_ROW, w4), v.xyz);
}

fn right(plane: u32, h: u32, w4: u32, g: u32, v: vec4<f32>, neighbour: vec4<f32>) -> vec4<f32> {
    if (g + 1u) % GROUPS_PER_ROW > 0u { return vec4(v.yzw, neighbour.x); }
    if COLUMN_TILES == 1u { return vec4(v.yzw, 0.0); }
    return vec4(v.yzw, column_after(plane, h + g / GROUPS_PER_ROW, w4 + GROUPS_PER_ROW - 1u));
}

fn move_left(plane: u32, h: u32, w4: u32, v: Groups) -> Groups {
    return Groups(
        left(plane, h, w4, 0u, v.g0, v.g0), left(plane, h, w4, 1u, v.g0, v.g1), left(plane, h, w4, 2u, v.g1, v.g2),
        left(plane, h, w4, 3u, v.g2, v.g3), left(plane, h, w4, 4u, v.g3, v.g4), left(plane, h, w4, 5u, v.g4, v.g5),
        left(plane, h, w4, 6u, v.g5, v.g6), left(plane, h, w4, 7u, v.g6, v.g7),
    );
}

fn move_right(plane: u32, h: u32, w4: u32, v: Groups) -> Groups {
    return Groups(
        right(plane, h, w4, 0u, v.g0, v.g1), right(plane, h, w4, 1u, v.g1, v.g2), right(plane, h, w4, 2u, v.g2, v.g3),
        right(plane, h, w4, 3u, v.g3, v.g4), right(plane, h, w4, 4u, v.g4, v.g5), right(plane, h, w4, 5u, v.g5, v.g6),
        right(plane, h, w4, 6u, v.g6, v.g7), right(plane, h, w4, 7u, v.g7, v.g7),
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
struct Place { n: u32, group: u32, o: u32, h: u32, w4: u32 }

fn store(at: Place, g: u32, within: u32, sum: vec4<f32>) {
    let h = at.h + g / GROUPS_PER_ROW;
    if within < O_GROUP && g < ROWS * GROUPS_PER_ROW && h < H {
        let o = at.group * O_GROUP + within;
        let i = ((at.n * O + o) * H + h) * W4 + at.w4 + g % GROUPS_PER_ROW;
        var v = sum;
        if BIAS { v += bias[o]; }
        if ACCUMULATE { v += y[i]; }
        y[i] = v;
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
            let h = at.h + kh - PAD;
            let middle = load_groups(plane, h, at.w4);
            if KW == 3u {
                let lefts = move_left(plane, h, at.w4, middle);
                low = add(low, tiles[tap], lefts);
                high = add(high, tiles[tap + 1u], lefts);
                tap += 2u;
            }
            low = add(low, tiles[tap], middle);
            high = add(high, tiles[tap + 1u], middle);
            tap += 2u;
            if KW == 3u {
                let rights = move_right(plane, h, at.w4, middle);
                low = add(low, tiles[tap], rights);
                high = add(high, tiles[tap + 1u], rights);
                tap += 2u;
            }
        }
    }
    store_sums(at, at.o, low);
    store_sums(at, at.o + 4u, high);
}

@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

const C_TILES: u32 = (C_GROUP + 1u) / 2u;

// What three taps in a row see of x at four columns of y.
fn seen(plane: u32, h: u32, w4: u32) -> mat3x4<f32> {
    let v = group_of(plane, h, w4);
    return mat3x4(vec4(column_before(plane, h, w4), v.xyz), v, vec4(v.yzw, column_after(plane, h, w4)));
}

// Four columns of dy of four channels; a channel beyond the group is read from its last one, and its sums are not kept.
fn gradients(first: u32, o: u32, h: u32, w4: u32) -> mat4x4<f32> {
    let last = O_GROUP - 1u;
    let at = h * W4 + w4;
    return mat4x4(
        dy[(first + min(o, last)) * H * W4 + at],
        dy[(first + min(o + 1u, last)) * H * W4 + at],
        dy[(first + min(o + 2u, last)) * H * W4 + at],
        dy[(first + min(o + 3u, last)) * H * W4 + at],
    );
}

// Sums of one input channel: a row of taps each, for channels 0..4 and 4..8 of dy.
struct Taps {
    low0: mat3x4<f32>, low1: mat3x4<f32>, low2: mat3x4<f32>,
    high0: mat3x4<f32>, high1: mat3x4<f32>, high2: mat3x4<f32>,
}

// For each of three taps, the sums over four columns of its products with four channels.
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

fn keep(at: Tile, o: u32, c: u32, tap: u32, sum: f32) {
    if at.o + o < O_GROUP && at.c + c < C_GROUP {
        partials[((at.slice * O + at.group * O_GROUP + at.o + o) * C_GROUP + at.c + c) * 9u + tap] = sum;
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
    let at = Tile(i / tiles_per_slice, o_tile / O_TILES, (o_tile % O_TILES) * 8u, (i % C_TILES) * 2u);
    var s0 = Taps();
    var s1 = Taps();
    let end = min((at.slice + 1u) * PER_SLICE, N);
    for (var n = at.slice * PER_SLICE; n < end; n++) {
        let first = n * O + at.group * O_GROUP;
        // A channel beyond the group is read from its last one, and its sums are not kept.
        let channel = n * C + at.group * C_GROUP;
        let last = C_GROUP - 1u;
        let p0 = (channel + at.c) * H * W4;
        let p1 = (channel + min(at.c + 1u, last)) * H * W4;
        for (var w4 = 0u; w4 < W4; w4++) {
            // Going down the rows, each row of x is loaded once.
            var above0 = mat3x4<f32>();
            var above1 = mat3x4<f32>();
            var at0 = seen(p0, 0u, w4);
            var at1 = seen(p1, 0u, w4);
            for (var h = 0u; h < H; h++) {
                let low = gradients(first, at.o, h, w4);
                let high = gradients(first, at.o + 4u, h, w4);
                let below0 = seen(p0, h + 1u, w4);
                s0 = add_taps(s0, above0, at0, below0, low, high);
                above0 = at0;
                at0 = below0;
                let below1 = seen(p1, h + 1u, w4);
                s1 = add_taps(s1, above1, at1, below1, low, high);
                above1 = at1;
                at1 = below1;
            }
        }
    }
    keep_taps(at, 0u, s0);
    keep_taps(at, 1u, s1);
}
