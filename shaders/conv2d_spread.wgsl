// The correlation of conv2d.wgsl with DILATION = 2, which is dx of a convolution of stride 2, for processors: KH = KW = 1 or 3,
// PAD = (KH-1)/2, W a multiple of 4, OW = 2 W, OH = 2 H or 2 H - 1.
// x: [N,C,H,W] as rows of W/4 vec4, y: [N,O,OH,OW] likewise, tiles: as `pack` of conv2d.wgsl lays them out.
//
// Of x with zeros spread between its elements each y sees one, two or four taps' worth, according to whether its row and column are
// even or odd. An invocation owns 8 output channels x 2 groups of 4 columns of x, and the four y of each of these: no product with
// a zero is made. Tiles and loads are as in conv2d_wide.wgsl.

const W4: u32 = W / 4u;
const C_GROUP: u32 = C / GROUPS;
const O_GROUP: u32 = O / GROUPS;
const O_TILES: u32 = (O_GROUP + 7u) / 8u;
const ROWS: u32 = 2u / GROUPS_PER_ROW;
const ROW_TILES: u32 = (H + ROWS - 1u) / ROWS;
const COLUMN_TILES: u32 = W4 / GROUPS_PER_ROW;

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read> tiles: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y: array<Quad>;

// The same weights where a uniform buffer holds them all: loads at one address for all lanes cost less there, and convolutions take
// 13 to 29 % less time (Mesa 22.3.6 llvmpipe).
@group(0) @binding(4) var<uniform> near: array<Quad, NEAR>;

fn weights(i: u32) -> vec4<f32> {
    if NEAR == GROUPS * O_TILES * C_GROUP * KH * KW * 2u { return floats(near[i]); }
    return floats(tiles[i]);
}

// The two groups of an invocation.
struct Pair { a: vec4<f32>, b: vec4<f32> }

fn quad(plane: u32, h: u32, w4: u32) -> vec4<f32> {
    return select(vec4(0.0), floats(x[plane + h * W4 + w4]), h < H);
}

fn column_after(plane: u32, h: u32, w4: u32) -> f32 {
    return select(0.0, floats(x[plane + h * W4 + w4 + 1u]).x, h < H && w4 + 1u < W4);
}

// The groups at row h and below it.
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

// Sums of channels 0..4 and 4..8 at both groups.
struct Sums { low_a: mat4x4<f32>, low_b: mat4x4<f32>, high_a: mat4x4<f32>, high_b: mat4x4<f32> }

// Column i holds the products of weight i with four columns of x.
fn outer(w: vec4<f32>, v: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(w.x * v, w.y * v, w.z * v, w.w * v);
}

fn add(s: Sums, tap: u32, v: Pair) -> Sums {
    let low = weights(tap);
    let high = weights(tap + 1u);
    return Sums(s.low_a + outer(low, v.a), s.low_b + outer(low, v.b), s.high_a + outer(high, v.a), s.high_b + outer(high, v.b));
}

// Where sums go: image, group, row of x and column of groups.
struct Place { n: u32, group: u32, h: u32, w4: u32 }

fn store_quad(i: u32, v: vec4<f32>) {
    var sum = v;
    if ACCUMULATE { sum += floats(y[i]); }
    y[i] = quad_of(sum);
}

// The y of even and odd columns, of one channel in one row.
fn store_row(at: Place, g: u32, within: u32, odd_row: u32, even: vec4<f32>, odd: vec4<f32>) {
    let h = at.h + g / GROUPS_PER_ROW;
    let oh = 2u * h + odd_row;
    if within < O_GROUP && h < H && oh < OH {
        let plane = (at.n * O + at.group * O_GROUP + within) * OH;
        let i = (plane + oh) * 2u * W4 + 2u * (at.w4 + g % GROUPS_PER_ROW);
        store_quad(i, vec4(even.x, odd.x, even.y, odd.y));
        store_quad(i + 1u, vec4(even.z, odd.z, even.w, odd.w));
    }
}

fn store_channels(at: Place, g: u32, within: u32, odd_row: u32, even: mat4x4<f32>, odd: mat4x4<f32>) {
    store_row(at, g, within, odd_row, even[0], odd[0]);
    store_row(at, g, within + 1u, odd_row, even[1], odd[1]);
    store_row(at, g, within + 2u, odd_row, even[2], odd[2]);
    store_row(at, g, within + 3u, odd_row, even[3], odd[3]);
}

fn store(at: Place, within: u32, odd_row: u32, even: Sums, odd: Sums) {
    store_channels(at, 0u, within, odd_row, even.low_a, odd.low_a);
    store_channels(at, 1u, within, odd_row, even.low_b, odd.low_b);
    store_channels(at, 0u, within + 4u, odd_row, even.high_a, odd.high_a);
    store_channels(at, 1u, within + 4u, odd_row, even.high_b, odd.high_b);
}

@compute @workgroup_size(16)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 16u;
    if i >= N * ROW_TILES * COLUMN_TILES { return; }
    let tile = id.z;
    let at = Place(
        i / (COLUMN_TILES * ROW_TILES),
        tile / O_TILES,
        ((i / COLUMN_TILES) % ROW_TILES) * ROWS,
        (i % COLUMN_TILES) * GROUPS_PER_ROW,
    );
    // By whether the row, then the column of y is even or odd.
    var even_even = Sums();
    var even_odd = Sums();
    var odd_even = Sums();
    var odd_odd = Sums();
    var tap = tile * C_GROUP * KH * KW * 2u;
    for (var c = 0u; c < C_GROUP; c++) {
        let plane = (at.n * C + at.group * C_GROUP + c) * H * W4;
        let here = pair(plane, at.h, at.w4);
        if KH == 1u {
            even_even = add(even_even, tap, here);
        } else {
            let beside = right(plane, at.h, at.w4, here);
            let below = pair(plane, at.h + 1u, at.w4);
            let beyond = right(plane, at.h + 1u, at.w4, below);
            odd_odd = add(odd_odd, tap, here);
            odd_even = add(odd_even, tap + 2u, here);
            odd_odd = add(odd_odd, tap + 4u, beside);
            even_odd = add(even_odd, tap + 6u, here);
            even_even = add(even_even, tap + 8u, here);
            even_odd = add(even_odd, tap + 10u, beside);
            odd_odd = add(odd_odd, tap + 12u, below);
            odd_even = add(odd_even, tap + 14u, below);
            odd_odd = add(odd_odd, tap + 16u, beyond);
        }
        tap += KH * KW * 2u;
    }
    let first = (tile % O_TILES) * 8u;
    store(at, first, 0u, even_even, even_odd);
    store(at, first, 1u, odd_even, odd_odd);
}
