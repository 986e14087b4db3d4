// The correlation of conv2d.wgsl for processors, with DILATION = 2, which is dx of a convolution of
// stride 2. KH = KW = 1 or 3, PAD = (KH-1)/2, W a multiple of 4, OW = 2 W, OH = 2 H or 2 H - 1.
// x: [N,C,H,W] and y: [N,O,OH,OW], in rows of vec4. tiles: the weights as packed by `pack` of
// conv2d_wide.wgsl.
//
// x is dilated: there are zeros between its elements. So each y is the sum of one, two or four
// products, depending on whether its row and column are even or odd. Products with zeros are not
// computed.
// A workgroup of eight invocations computes 8 output channels. An invocation processes 2 groups of
// 4 columns of x, and computes four elements of y per element of x. Terms, tiles and shared loads
// are those of conv2d_wide.wgsl.

// Output channels per tile of `pack`, and per workgroup.
const PACKED: u32 = 16u;
const O_TILE: u32 = 8u;
const W4: u32 = W / 4u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + PACKED - 1u) / PACKED * (PACKED / O_TILE);
const TERMS: u32 = select(3u * C_GROUP, (C_GROUP + 2u) / 3u, KH == 1u);
const ROWS: u32 = 2u / GROUPS_PER_ROW;
const ROW_TILES: u32 = (H + ROWS - 1u) / ROWS;
const COLUMN_TILES: u32 = W4 / GROUPS_PER_ROW;
const POSITIONS: u32 = N * ROW_TILES * COLUMN_TILES;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read> tiles: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;

fn shared_quad(i: u32) -> vec4<f32> { return floats(tiles[i]); }

// Values at the two groups of four columns of an invocation.
struct Pair { a: vec4<f32>, b: vec4<f32> }

fn quad(plane: u32, h: u32, w4: u32) -> vec4<f32> {
    return select(vec4(0.0), floats(x[plane + h * W4 + w4]), h < H);
}

fn column_after(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, floats(x[plane + h * W4 + w4 + 1u]).x, h < H && w4 + 1u < W4);
}

// x at row h: the group w4, and the next group in the row, or the group below it.
fn pair(plane: u32, h: u32, w4: u32) -> Pair {
    return Pair(quad(plane, h, w4), quad(plane, h + 1u / GROUPS_PER_ROW, w4 + 1u % GROUPS_PER_ROW));
}

// x at the groups of `v`, one column further right.
fn one_column_right(plane: u32, h: u32, w4: u32, v: Pair) -> Pair {
    if GROUPS_PER_ROW == 2u {
        return Pair(vec4(v.a.yzw, v.b.x), vec4(v.b.yzw, column_after(plane, h, w4 + 1u)));
    }
    return Pair(vec4(v.a.yzw, column_after(plane, h, w4)), vec4(v.b.yzw, column_after(plane, h + 1u, w4)));
}

// Adds the products of one input channel to the sums `s` of one group. The columns of `s` are y at
// (even row, even column), (even, odd), (odd, even) and (odd, odd). `w` has a column per row of
// taps.
fn add_group(
    s: mat4x4<f32>,
    here: vec4<f32>,
    right: vec4<f32>,
    below: vec4<f32>,
    below_right: vec4<f32>,
    w: mat3x4<f32>,
) -> mat4x4<f32> {
    return mat4x4(
        s[0] + w[1].y * here,
        s[1] + mat2x4(here, right) * w[1].xz,
        s[2] + mat2x4(here, below) * vec2(w[0].y, w[2].y),
        s[3] + mat4x4(here, right, below, below_right) * vec4(w[0].xz, w[2].xz),
    );
}

// The sums of one output channel at both groups.
struct Sums { a: mat4x4<f32>, b: mat4x4<f32> }

// The elements of x that one input channel contributes, and its three rows of taps for eight output
// channels.
struct Channel { here: Pair, right: Pair, below: Pair, below_right: Pair, e0: Share, e1: Share, e2: Share }

fn add(s: Sums, v: Channel, i: u32) -> Sums {
    let w = mat3x4(shared_item(v.e0, i), shared_item(v.e1, i), shared_item(v.e2, i));
    return Sums(
        add_group(s.a, v.here.a, v.right.a, v.below.a, v.below_right.a, w),
        add_group(s.b, v.here.b, v.right.b, v.below.b, v.below_right.b, w),
    );
}

// A term of a 1x1 kernel: three input channels, and their weights for eight output channels. Only y
// at even rows and columns is not 0.
struct Term { c0: Pair, c1: Pair, c2: Pair, weights: Share }

fn add_term(s: Sums, v: Term, i: u32) -> Sums {
    let w = shared_item(v.weights, i).xyz;
    var more = s;
    more.a[0] += mat3x4(v.c0.a, v.c1.a, v.c2.a) * w;
    more.b[0] += mat3x4(v.c0.b, v.c1.b, v.c2.b) * w;
    return more;
}

// The position of an invocation: image, row of x, and index of the first group in the row.
struct Place { n: u32, h: u32, w4: u32, out_of_range: bool }

fn place(position: u32) -> Place {
    let i = min(position, POSITIONS - 1u);
    return Place(
        i / (COLUMN_TILES * ROW_TILES),
        i / COLUMN_TILES % ROW_TILES * ROWS,
        i % COLUMN_TILES * GROUPS_PER_ROW,
        position >= POSITIONS,
    );
}

// Index of the plane of channel c in the group that starts at channel `first`. Past the end of the
// group, it is the last channel's, whose packed weights are 0.
fn plane_of(first: u32, c: u32) -> u32 { return (first + min(c, C_GROUP - 1u)) * H * W4; }

fn store_quad(i: u32, v: vec4<f32>) {
    var sum = v;
    if ACCUMULATE { sum += floats(y[i]); }
    y[i] = quad_of(sum);
}

// Stores the even and odd columns of one row of y.
fn store_row(at: Place, o: u32, g: u32, odd_row: u32, even: vec4<f32>, odd: vec4<f32>) {
    let h = at.h + g / GROUPS_PER_ROW;
    let oh = 2u * h + odd_row;
    if h < H && oh < OH {
        let i = ((at.n * O + o) * OH + oh) * 2u * W4 + 2u * (at.w4 + g % GROUPS_PER_ROW);
        store_quad(i, vec4(even.x, odd.x, even.y, odd.y));
        store_quad(i + 1u, vec4(even.z, odd.z, even.w, odd.w));
    }
}

fn store(at: Place, first: u32, o_in_group: u32, s: Sums) {
    if at.out_of_range || o_in_group >= O_GROUP { return; }
    let o = first + o_in_group;
    store_row(at, o, 0u, 0u, s.a[0], s.a[1]);
    store_row(at, o, 0u, 1u, s.a[2], s.a[3]);
    store_row(at, o, 1u, 0u, s.b[0], s.b[1]);
    store_row(at, o, 1u, 1u, s.b[2], s.b[3]);
}

@compute @workgroup_size(8)
fn forward(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = id.z / O_TILES;
    let o_in_group = id.z % O_TILES * O_TILE;
    let tile = id.z * O_TILE / PACKED * TERMS * PACKED + o_in_group % PACKED;
    let at = place((id.x + id.y * groups.x) * 8u + lane);
    let first = at.n * C + group * C_GROUP;
    if o_in_group >= O_GROUP { return; }
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    var s4 = Sums();
    var s5 = Sums();
    var s6 = Sums();
    var s7 = Sums();
    if KH == 1u {
        for (var term = 0u; term < TERMS; term++) {
            let v = Term(
                pair(plane_of(first, 3u * term), at.h, at.w4),
                pair(plane_of(first, 3u * term + 1u), at.h, at.w4),
                pair(plane_of(first, 3u * term + 2u), at.h, at.w4),
                share(tile + term * PACKED, 1u, lane),
            );
            s0 = add_term(s0, v, 0u);
            s1 = add_term(s1, v, 1u);
            s2 = add_term(s2, v, 2u);
            s3 = add_term(s3, v, 3u);
            s4 = add_term(s4, v, 4u);
            s5 = add_term(s5, v, 5u);
            s6 = add_term(s6, v, 6u);
            s7 = add_term(s7, v, 7u);
        }
    } else {
        for (var c = 0u; c < C_GROUP; c++) {
            let plane = plane_of(first, c);
            let here = pair(plane, at.h, at.w4);
            let below = pair(plane, at.h + 1u, at.w4);
            let rows = tile + c * 3u * PACKED;
            let v = Channel(
                here,
                one_column_right(plane, at.h, at.w4, here),
                below,
                one_column_right(plane, at.h + 1u, at.w4, below),
                share(rows, 1u, lane),
                share(rows + PACKED, 1u, lane),
                share(rows + 2u * PACKED, 1u, lane),
            );
            s0 = add(s0, v, 0u);
            s1 = add(s1, v, 1u);
            s2 = add(s2, v, 2u);
            s3 = add(s3, v, 3u);
            s4 = add(s4, v, 4u);
            s5 = add(s5, v, 5u);
            s6 = add(s6, v, 6u);
            s7 = add(s7, v, 7u);
        }
    }
    store(at, group * O_GROUP, o_in_group + 0u, s0);
    store(at, group * O_GROUP, o_in_group + 1u, s1);
    store(at, group * O_GROUP, o_in_group + 2u, s2);
    store(at, group * O_GROUP, o_in_group + 3u, s3);
    store(at, group * O_GROUP, o_in_group + 4u, s4);
    store(at, group * O_GROUP, o_in_group + 5u, s5);
    store(at, group * O_GROUP, o_in_group + 6u, s6);
    store(at, group * O_GROUP, o_in_group + 7u, s7);
}
