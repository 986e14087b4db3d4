// The correlation of conv2d.wgsl with DILATION = 2, which is dx of a convolution of stride 2, for processors: KH = KW = 1 or 3,
// PAD = (KH-1)/2, W a multiple of 4, OW = 2 W, OH = 2 H or 2 H - 1.
// x: [N,C,H,W] as rows of W/4 vec4, y: [N,O,OH,OW] likewise, tiles: as `pack` of conv2d_wide.wgsl lays them out.
//
// Of x with zeros spread between its elements each y sees one, two or four taps' worth, according to whether its row and column are
// even or odd. A workgroup of eight owns 8 output channels, an invocation of it 2 groups of 4 columns of x, and the four y of each of
// these: no product with a zero is made. Terms, tiles and loads are as in conv2d_wide.wgsl.

// Output channels of a tile of `pack`, and of a workgroup.
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

// The two groups of an invocation.
struct Pair { a: vec4<f32>, b: vec4<f32> }

fn quad(plane: u32, h: u32, w4: u32) -> vec4<f32> {
    return select(vec4(0.0), floats(x[plane + h * W4 + w4]), h < H);
}

fn column_after(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, floats(x[plane + h * W4 + w4 + 1u]).x, h < H && w4 + 1u < W4);
}

// The group at row h and the one beside it, or below.
fn pair(plane: u32, h: u32, w4: u32) -> Pair {
    return Pair(quad(plane, h, w4), quad(plane, h + 1u / GROUPS_PER_ROW, w4 + 1u % GROUPS_PER_ROW));
}

// The same, moved on by a column.
fn right(plane: u32, h: u32, w4: u32, v: Pair) -> Pair {
    if GROUPS_PER_ROW == 2u {
        return Pair(vec4(v.a.yzw, v.b.x), vec4(v.b.yzw, column_after(plane, h, w4 + 1u)));
    }
    return Pair(vec4(v.a.yzw, column_after(plane, h, w4)), vec4(v.b.yzw, column_after(plane, h + 1u, w4)));
}

// The y at one group by whether their row, then their column is even or odd (columns: even even, even odd, odd even, odd odd), with a
// channel's more; `w` holds its rows of taps.
fn add_group(
    s: mat4x4<f32>,
    here: vec4<f32>,
    beside: vec4<f32>,
    below: vec4<f32>,
    beyond: vec4<f32>,
    w: mat3x4<f32>,
) -> mat4x4<f32> {
    return mat4x4(
        s[0] + w[1].y * here,
        s[1] + mat2x4(here, beside) * w[1].xz,
        s[2] + mat2x4(here, below) * vec2(w[0].y, w[2].y),
        s[3] + mat4x4(here, beside, below, beyond) * vec4(w[0].xz, w[2].xz),
    );
}

// The sums of one output channel at both groups.
struct Sums { a: mat4x4<f32>, b: mat4x4<f32> }

// What a channel's taps see of x, and a row of its taps each for eight output channels.
struct Channel { here: Pair, beside: Pair, below: Pair, beyond: Pair, e0: Share, e1: Share, e2: Share }

fn add(s: Sums, v: Channel, i: u32) -> Sums {
    let w = mat3x4(shared_item(v.e0, i), shared_item(v.e1, i), shared_item(v.e2, i));
    return Sums(
        add_group(s.a, v.here.a, v.beside.a, v.below.a, v.beyond.a, w),
        add_group(s.b, v.here.b, v.beside.b, v.below.b, v.beyond.b, w),
    );
}

// The same of the three channels of a 1x1 kernel's term: even rows and columns alone see something.
struct Term { c0: Pair, c1: Pair, c2: Pair, weights: Share }

fn add_term(s: Sums, v: Term, i: u32) -> Sums {
    let w = shared_item(v.weights, i).xyz;
    var more = s;
    more.a[0] += mat3x4(v.c0.a, v.c1.a, v.c2.a) * w;
    more.b[0] += mat3x4(v.c0.b, v.c1.b, v.c2.b) * w;
    return more;
}

// Where sums go: image, row of x and column of groups; none where an invocation has no position of its own.
struct Place { n: u32, h: u32, w4: u32, none: bool }

fn place(position: u32) -> Place {
    let i = min(position, POSITIONS - 1u);
    return Place(
        i / (COLUMN_TILES * ROW_TILES),
        i / COLUMN_TILES % ROW_TILES * ROWS,
        i % COLUMN_TILES * GROUPS_PER_ROW,
        position >= POSITIONS,
    );
}

// The plane of a channel of a group whose first one is number `first`. Beyond the group it is that of its last channel, and counts nothing.
fn plane_of(first: u32, c: u32) -> u32 { return (first + min(c, C_GROUP - 1u)) * H * W4; }

fn store_quad(i: u32, v: vec4<f32>) {
    var sum = v;
    if ACCUMULATE { sum += floats(y[i]); }
    y[i] = quad_of(sum);
}

// The y of even and odd columns in one row.
fn store_row(at: Place, o: u32, g: u32, odd_row: u32, even: vec4<f32>, odd: vec4<f32>) {
    let h = at.h + g / GROUPS_PER_ROW;
    let oh = 2u * h + odd_row;
    if h < H && oh < OH {
        let i = ((at.n * O + o) * OH + oh) * 2u * W4 + 2u * (at.w4 + g % GROUPS_PER_ROW);
        store_quad(i, vec4(even.x, odd.x, even.y, odd.y));
        store_quad(i + 1u, vec4(even.z, odd.z, even.w, odd.w));
    }
}

fn store(at: Place, first: u32, within: u32, s: Sums) {
    if at.none || within >= O_GROUP { return; }
    let o = first + within;
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
    let within = id.z % O_TILES * O_TILE;
    let tile = id.z * O_TILE / PACKED * TERMS * PACKED + within % PACKED;
    let at = place((id.x + id.y * groups.x) * 8u + lane);
    let first = at.n * C + group * C_GROUP;
    if within >= O_GROUP { return; }
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
                right(plane, at.h, at.w4, here),
                below,
                right(plane, at.h + 1u, at.w4, below),
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
    store(at, group * O_GROUP, within + 0u, s0);
    store(at, group * O_GROUP, within + 1u, s1);
    store(at, group * O_GROUP, within + 2u, s2);
    store(at, group * O_GROUP, within + 3u, s3);
    store(at, group * O_GROUP, within + 4u, s4);
    store(at, group * O_GROUP, within + 5u, s5);
    store(at, group * O_GROUP, within + 6u, s6);
    store(at, group * O_GROUP, within + 7u, s7);
}
