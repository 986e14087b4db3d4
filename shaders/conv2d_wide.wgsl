// The convolutions of conv2d.wgsl for processors, with KH = KW = 1 or 3, PAD = (KH-1)/2, S = 1 or
// 2, and W a multiple of 4 S. x: [N,C,H,W] and y: [N,O,OH,OW], in rows of vec4.
//
// A term is three taps in a row of one channel, or with a 1x1 kernel three channels. For four
// columns of y it multiplies a matrix of three vec4 of x.
// `pack` reorders w as tiles[group][tile of 16 o][term][16 o], with a vec4 for the three weights of
// a term. conv2d_dilated.wgsl and conv2d_uneven.wgsl, for any kernel, read these tiles too.
// `forward`: a workgroup of eight invocations computes 16 output channels, an invocation 4 groups
// of 4 columns, of which GROUPS_PER_ROW are in the same row.
// `weight_partial`: a workgroup of eight invocations computes 16 output channels over a slice of
// the images, an invocation all taps of one input channel (with a 1x1 kernel, nine input channels).
// All eight invocations need the same weights, or the same dy, and share their loads
// (subgroup_share.wgsl). Software drivers load separately for each lane: a vec4 costs as much as 25
// to 35 multiply-adds (Mesa 22.3.6 llvmpipe; less as two 64-bit words), a single number half of
// that. Sums that do not fit the registers stay in the nearest cache. So each load is used for many
// sums: an invocation holds 144 to 256.

const S: u32 = SW;
const PAD: u32 = PAD_W;
const POINTWISE: bool = KH == 1u && KW == 1u;
const O_TILE: u32 = 16u;
const W4: u32 = W / 4u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + O_TILE - 1u) / O_TILE;
const TERMS_PER_ROW: u32 = (KW + 2u) / 3u;
const TERMS: u32 = select(C_GROUP * KH * TERMS_PER_ROW, (C_GROUP + 2u) / 3u, POINTWISE);
const ROWS: u32 = 4u / GROUPS_PER_ROW;
// OW is a multiple of 4, unless only `pack` is compiled, for conv2d_uneven.wgsl.
const OW4: u32 = (OW + 3u) / 4u;
const ROW_TILES: u32 = (OH + ROWS - 1u) / ROWS;
const COLUMN_TILES: u32 = OW4 / GROUPS_PER_ROW;
const POSITIONS: u32 = N * ROW_TILES * COLUMN_TILES;

@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> packed: array<Quad>;

// Weight i of a term, 0 past the group's last output or input channel and past a row's last tap.
// With TRANSPOSED, C and O are the channels of dy and dx, and w is [C,O/GROUPS,KH,KW].
fn weight(group: u32, o: u32, term: u32, i: u32) -> f32 {
    let row = term / TERMS_PER_ROW;
    let c = select(row / KH, 3u * term + i, POINTWISE);
    let kw = select(term % TERMS_PER_ROW * 3u + i, 0u, POINTWISE);
    if o >= O_GROUP || c >= C_GROUP || kw >= KW { return 0.0; }
    let tap = row % KH * KW + kw;
    if TRANSPOSED { return w[((group * C_GROUP + c) * O_GROUP + o) * KH * KW + KH * KW - 1u - tap]; }
    return w[((group * O_GROUP + o) * C_GROUP + c) * KH * KW + tap];
}

// An invocation computes one vec4 of `packed`.
@compute @workgroup_size(64)
fn pack(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= GROUPS * O_TILES * TERMS * O_TILE { return; }
    let term = i / O_TILE % TERMS;
    let tile = i / (O_TILE * TERMS);
    let group = tile / O_TILES;
    let o = tile % O_TILES * O_TILE + i % O_TILE;
    packed[i] = quad_of(vec4(weight(group, o, term, 0u), weight(group, o, term, 1u), weight(group, o, term, 2u), 0.0));
}

@group(0) @binding(0) var<storage, read> x: array<Quad>;
// The operand that all eight invocations need: the packed weights, or dy.
@group(0) @binding(1) var<storage, read> shared_operand: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

fn shared_quad(i: u32) -> vec4<f32> { return floats(shared_operand[i]); }

// Vec4 w4 of row h of the plane that begins at `plane`, 0 outside of the plane.
fn quad(plane: u32, h: u32, w4: u32) -> vec4<f32> {
    return select(vec4(0.0), floats(x[plane + h * W4 + w4]), h < H);
}

fn column_before(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, floats(x[plane + h * W4 + w4 - 1u]).w, h < H && w4 > 0u);
}

fn column_after(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, floats(x[plane + h * W4 + w4 + 1u]).x, h < H && w4 + 1u < W4);
}

// Row h of x at group q of y. `middle` has the elements that the middle tap multiplies. With stride
// 2 these are the even columns, and `odd` has the odd ones. With stride 1, both are the same.
struct RowInputs { middle: vec4<f32>, odd: vec4<f32> }

fn row_at(plane: u32, h: u32, q: u32) -> RowInputs {
    let a = quad(plane, h, q * S);
    if S == 1u { return RowInputs(a, a); }
    let b = quad(plane, h, q * S + 1u);
    return RowInputs(vec4(a.xz, b.xz), vec4(a.yw, b.yw));
}

// The position in x of an invocation's first group: plane, row, and index of the group in the row.
struct Origin { plane: u32, h: u32, q: u32 }

fn row_of(at: Origin, g: u32) -> u32 { return at.h + g / GROUPS_PER_ROW * S; }

fn row_of_group(at: Origin, g: u32) -> RowInputs { return row_at(at.plane, row_of(at, g), at.q + g % GROUPS_PER_ROW); }

// The elements that the left tap multiplies: the odd columns of group g, shifted right by one. The
// first comes from the neighbouring group in registers, from memory, or is padding.
fn left_tap(at: Origin, g: u32, neighbour: vec4<f32>, odd: vec4<f32>) -> vec4<f32> {
    if g % GROUPS_PER_ROW > 0u { return vec4(neighbour.w, odd.xyz); }
    if COLUMN_TILES == 1u { return vec4(0.0, odd.xyz); }
    return vec4(column_before(at.plane, row_of(at, g), at.q * S), odd.xyz);
}

// The elements that the right tap multiplies: the odd columns with stride 2, else a shift by one.
fn right_tap(at: Origin, g: u32, odd: vec4<f32>, neighbour: vec4<f32>) -> vec4<f32> {
    if S == 2u { return odd; }
    if (g + 1u) % GROUPS_PER_ROW > 0u { return vec4(odd.yzw, neighbour.x); }
    if COLUMN_TILES == 1u { return vec4(odd.yzw, 0.0); }
    return vec4(odd.yzw, column_after(at.plane, row_of(at, g), at.q + GROUPS_PER_ROW - 1u));
}

// The elements of x that a term multiplies, for the four groups of an invocation.
struct Term { g0: mat3x4<f32>, g1: mat3x4<f32>, g2: mat3x4<f32>, g3: mat3x4<f32> }

fn taps_of_row(at: Origin) -> Term {
    let s0 = row_of_group(at, 0u);
    let s1 = row_of_group(at, 1u);
    let s2 = row_of_group(at, 2u);
    let s3 = row_of_group(at, 3u);
    return Term(
        mat3x4(left_tap(at, 0u, s0.odd, s0.odd), s0.middle, right_tap(at, 0u, s0.odd, s1.odd)),
        mat3x4(left_tap(at, 1u, s0.odd, s1.odd), s1.middle, right_tap(at, 1u, s1.odd, s2.odd)),
        mat3x4(left_tap(at, 2u, s1.odd, s2.odd), s2.middle, right_tap(at, 2u, s2.odd, s3.odd)),
        mat3x4(left_tap(at, 3u, s2.odd, s3.odd), s3.middle, right_tap(at, 3u, s3.odd, s3.odd)),
    );
}

// Start of the plane of channel c in the group that starts at `first`. Channels past the end
// of the group read the last one: their weights are 0, and their partial sums are not stored.
fn plane_of(first: u32, c: u32) -> u32 { return (first + min(c, C_GROUP - 1u)) * H * W4; }

// The elements of three channels that a 1x1 kernel multiplies.
fn x_of_channels(first: u32, c: u32, h: u32, q: u32) -> mat3x4<f32> {
    return mat3x4(
        row_at(plane_of(first, c), h, q).middle,
        row_at(plane_of(first, c + 1u), h, q).middle,
        row_at(plane_of(first, c + 2u), h, q).middle,
    );
}

fn channels_at(first: u32, at: Place, term: u32, g: u32) -> mat3x4<f32> {
    return x_of_channels(first, 3u * term, (at.oh + g / GROUPS_PER_ROW) * S, at.q + g % GROUPS_PER_ROW);
}

fn term_at(first: u32, at: Place, term: u32) -> Term {
    if POINTWISE {
        return Term(
            channels_at(first, at, term, 0u),
            channels_at(first, at, term, 1u),
            channels_at(first, at, term, 2u),
            channels_at(first, at, term, 3u),
        );
    }
    // Row -1 wraps around to a large number, and is outside of the plane too.
    return taps_of_row(Origin(plane_of(first, term / 3u), at.oh * S + term % 3u - PAD, at.q));
}

// Adds a term to the sums of one output channel, which has a column per group.
fn add(s: mat4x4<f32>, v: Term, weights: vec4<f32>) -> mat4x4<f32> {
    let t = weights.xyz;
    return mat4x4(s[0] + v.g0 * t, s[1] + v.g1 * t, s[2] + v.g2 * t, s[3] + v.g3 * t);
}

// The position of an invocation in y: image, first row, and index of the first group in the row.
struct Place { n: u32, oh: u32, q: u32, out_of_range: bool }

fn place(position: u32) -> Place {
    let i = min(position, POSITIONS - 1u);
    return Place(
        i / (COLUMN_TILES * ROW_TILES),
        i / COLUMN_TILES % ROW_TILES * ROWS,
        i % COLUMN_TILES * GROUPS_PER_ROW,
        position >= POSITIONS,
    );
}

fn store_group(at: Place, g: u32, o: u32, sum: vec4<f32>) {
    let oh = at.oh + g / GROUPS_PER_ROW;
    if at.out_of_range || g >= ROWS * GROUPS_PER_ROW || oh >= OH { return; }
    let i = ((at.n * O + o) * OH + oh) * OW4 + at.q + g % GROUPS_PER_ROW;
    var v = sum;
    if BIAS { v += bias[o]; }
    if ACCUMULATE { v += floats(y[i]); }
    y[i] = quad_of(v);
}

fn store(at: Place, tile: u32, i: u32, sums: mat4x4<f32>) {
    let o_in_group = tile % O_TILES * O_TILE + i;
    if o_in_group >= O_GROUP { return; }
    let o = tile / O_TILES * O_GROUP + o_in_group;
    store_group(at, 0u, o, sums[0]);
    store_group(at, 1u, o, sums[1]);
    store_group(at, 2u, o, sums[2]);
    store_group(at, 3u, o, sums[3]);
}

@compute @workgroup_size(8)
fn forward(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let tile = id.z;
    let at = place((id.x + id.y * groups.x) * 8u + lane);
    let first = at.n * C + tile / O_TILES * C_GROUP;
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
        let v = term_at(first, at, term);
        let weights = (tile * TERMS + term) * O_TILE;
        let low = share(weights, 1u, lane);
        let high = share(weights + 8u, 1u, lane);
        s0 = add(s0, v, shared_item(low, 0u));
        s1 = add(s1, v, shared_item(low, 1u));
        s2 = add(s2, v, shared_item(low, 2u));
        s3 = add(s3, v, shared_item(low, 3u));
        s4 = add(s4, v, shared_item(low, 4u));
        s5 = add(s5, v, shared_item(low, 5u));
        s6 = add(s6, v, shared_item(low, 6u));
        s7 = add(s7, v, shared_item(low, 7u));
        s8 = add(s8, v, shared_item(high, 0u));
        s9 = add(s9, v, shared_item(high, 1u));
        s10 = add(s10, v, shared_item(high, 2u));
        s11 = add(s11, v, shared_item(high, 3u));
        s12 = add(s12, v, shared_item(high, 4u));
        s13 = add(s13, v, shared_item(high, 5u));
        s14 = add(s14, v, shared_item(high, 6u));
        s15 = add(s15, v, shared_item(high, 7u));
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

// Input channels per invocation.
const C_TILE: u32 = select(1u, 9u, POINTWISE);
const C_TILES: u32 = (C_GROUP + 8u * C_TILE - 1u) / (8u * C_TILE);

// The elements of row h of x that three taps in a row multiply, for group q of y.
fn x_at_taps(plane: u32, h: u32, q: u32) -> mat3x4<f32> {
    let s = row_at(plane, h, q);
    let before = vec4(column_before(plane, h, q * S), s.odd.xyz);
    if S == 2u { return mat3x4(before, s.middle, s.odd); }
    return mat3x4(before, s.middle, vec4(s.odd.yzw, column_after(plane, h, q)));
}

// Adds four columns, where dy is `g`, to the sums of an output channel: a column per row of taps.
fn add_taps(s: mat3x3<f32>, above: mat3x4<f32>, at: mat3x4<f32>, below: mat3x4<f32>, g: vec4<f32>) -> mat3x3<f32> {
    return mat3x3(s[0] + g * above, s[1] + g * at, s[2] + g * below);
}

// A workgroup's slice and tile of output channels, and an invocation's first channel in the group.
struct Tile { slice: u32, o_tile: u32, c: u32 }

// `tap` is the index of a tap, or with a 1x1 kernel of a channel.
fn store_partial(at: Tile, i: u32, tap: u32, sum: f32) {
    let o_in_group = at.o_tile % O_TILES * O_TILE + i;
    let c = at.c + select(0u, tap, POINTWISE);
    if o_in_group < O_GROUP && c < C_GROUP {
        let o = at.o_tile / O_TILES * O_GROUP + o_in_group;
        partials[((at.slice * O + o) * C_GROUP + c) * KH * KW + select(tap, 0u, POINTWISE)] = sum;
    }
}

fn store_partial_taps(at: Tile, i: u32, s: mat3x3<f32>) {
    store_partial(at, i, 0u, s[0].x);
    store_partial(at, i, 1u, s[0].y);
    store_partial(at, i, 2u, s[0].z);
    store_partial(at, i, 3u, s[1].x);
    store_partial(at, i, 4u, s[1].y);
    store_partial(at, i, 5u, s[1].z);
    store_partial(at, i, 6u, s[2].x);
    store_partial(at, i, 7u, s[2].y);
    store_partial(at, i, 8u, s[2].z);
}

@compute @workgroup_size(8)
fn weight_partial(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = id.x + id.y * groups.x;
    let tiles_per_slice = GROUPS * O_TILES * C_TILES;
    if i >= SLICES * tiles_per_slice { return; }
    let at = Tile(i / tiles_per_slice, i / C_TILES % (GROUPS * O_TILES), (i % C_TILES * 8u + lane) * C_TILE);
    let group = at.o_tile / O_TILES;
    var s0 = mat3x3<f32>();
    var s1 = mat3x3<f32>();
    var s2 = mat3x3<f32>();
    var s3 = mat3x3<f32>();
    var s4 = mat3x3<f32>();
    var s5 = mat3x3<f32>();
    var s6 = mat3x3<f32>();
    var s7 = mat3x3<f32>();
    var s8 = mat3x3<f32>();
    var s9 = mat3x3<f32>();
    var s10 = mat3x3<f32>();
    var s11 = mat3x3<f32>();
    var s12 = mat3x3<f32>();
    var s13 = mat3x3<f32>();
    var s14 = mat3x3<f32>();
    var s15 = mat3x3<f32>();
    let end = min((at.slice + 1u) * PER_SLICE, N);
    for (var n = at.slice * PER_SLICE; n < end; n++) {
        let first_o = n * O + group * O_GROUP + at.o_tile % O_TILES * O_TILE;
        let first_c = n * C + group * C_GROUP;
        let plane = plane_of(first_c, at.c);
        for (var q = 0u; q < OW4; q++) {
            // Each row of x is loaded once. Above the first row is padding.
            var above = mat3x4<f32>();
            var middle = mat3x4<f32>();
            var below = mat3x4<f32>();
            if KH == 3u && S == 1u { below = x_at_taps(plane, 0u, q); }
            for (var oh = 0u; oh < OH; oh++) {
                if POINTWISE {
                    above = x_of_channels(first_c, at.c, oh * S, q);
                    middle = x_of_channels(first_c, at.c + 3u, oh * S, q);
                    below = x_of_channels(first_c, at.c + 6u, oh * S, q);
                } else {
                    above = middle;
                    if S == 2u { above = below; }
                    middle = below;
                    if S == 2u { middle = x_at_taps(plane, 2u * oh, q); }
                    below = x_at_taps(plane, S * oh + 1u, q);
                }
                let step = OH * OW4;
                let dy = first_o * step + oh * OW4 + q;
                let low = share(dy, step, lane);
                let high = share(dy + 8u * step, step, lane);
                s0 = add_taps(s0, above, middle, below, shared_item(low, 0u));
                s1 = add_taps(s1, above, middle, below, shared_item(low, 1u));
                s2 = add_taps(s2, above, middle, below, shared_item(low, 2u));
                s3 = add_taps(s3, above, middle, below, shared_item(low, 3u));
                s4 = add_taps(s4, above, middle, below, shared_item(low, 4u));
                s5 = add_taps(s5, above, middle, below, shared_item(low, 5u));
                s6 = add_taps(s6, above, middle, below, shared_item(low, 6u));
                s7 = add_taps(s7, above, middle, below, shared_item(low, 7u));
                s8 = add_taps(s8, above, middle, below, shared_item(high, 0u));
                s9 = add_taps(s9, above, middle, below, shared_item(high, 1u));
                s10 = add_taps(s10, above, middle, below, shared_item(high, 2u));
                s11 = add_taps(s11, above, middle, below, shared_item(high, 3u));
                s12 = add_taps(s12, above, middle, below, shared_item(high, 4u));
                s13 = add_taps(s13, above, middle, below, shared_item(high, 5u));
                s14 = add_taps(s14, above, middle, below, shared_item(high, 6u));
                s15 = add_taps(s15, above, middle, below, shared_item(high, 7u));
            }
        }
    }
    store_partial_taps(at, 0u, s0);
    store_partial_taps(at, 1u, s1);
    store_partial_taps(at, 2u, s2);
    store_partial_taps(at, 3u, s3);
    store_partial_taps(at, 4u, s4);
    store_partial_taps(at, 5u, s5);
    store_partial_taps(at, 6u, s6);
    store_partial_taps(at, 7u, s7);
    store_partial_taps(at, 8u, s8);
    store_partial_taps(at, 9u, s9);
    store_partial_taps(at, 10u, s10);
    store_partial_taps(at, 11u, s11);
    store_partial_taps(at, 12u, s12);
    store_partial_taps(at, 13u, s13);
    store_partial_taps(at, 14u, s14);
    store_partial_taps(at, 15u, s15);
}
