// The products of product.wgsl for GPUs, with tiles in workgroup memory.
// A workgroup of 128 invocations computes 32 rows x 128 columns of c, an invocation 4 x 8 of them.
// Tiles, double buffering and occupancy are those of conv2d_shared.wgsl: 10,240 bytes of workgroup
// memory and about 96 registers, so a multiprocessor with 64 Ki registers holds five workgroups.

const ROWS: u32 = 32u;
const COLUMNS: u32 = 128u;
const DEPTH: u32 = 8u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// [buffer][four terms][row], [buffer][four terms][column].
var<workgroup> shared_rows: array<vec4<f32>, 128>;
var<workgroup> shared_columns: array<vec4<f32>, 512>;

// The values that an invocation copies to workgroup memory: eight terms of a column as two vec4,
// and, in the first 64 invocations, four terms of a row.
struct Staged { row: vec4<f32>, first: vec4<f32>, second: vec4<f32> }

// Row and group of four terms that an invocation loads. Consecutive invocations load consecutive
// elements, whichever of A_M and A_K is 1.
fn row_of(lane: u32) -> u32 { return select(lane / 2u, lane % ROWS, A_M == 1u); }
fn term_group_of(lane: u32) -> u32 { return select(lane % 2u, lane / ROWS, A_M == 1u); }

// Indices of the first elements of the matrices in a and b.
struct First { a: u32, b: u32 }

fn element_of_a(first: u32, m: u32, k: u32) -> f32 {
    return select(0.0, a[first + m * A_M + k * A_K], m < M && k < K);
}

fn element_of_b(first: u32, k: u32, n: u32) -> f32 {
    return select(0.0, b[first + k * B_K + n * B_N], n < N && k < K);
}

fn terms_of_a(first: u32, m: u32, k: u32) -> vec4<f32> {
    return vec4(
        element_of_a(first, m, k),
        element_of_a(first, m, k + 1u),
        element_of_a(first, m, k + 2u),
        element_of_a(first, m, k + 3u),
    );
}

fn terms_of_b(first: u32, k: u32, n: u32) -> vec4<f32> {
    return vec4(
        element_of_b(first, k, n),
        element_of_b(first, k + 1u, n),
        element_of_b(first, k + 2u, n),
        element_of_b(first, k + 3u, n),
    );
}

fn staged(first: First, lane: u32, m: u32, n: u32, k: u32) -> Staged {
    var row = vec4(0.0);
    if lane < 64u { row = terms_of_a(first.a, m + row_of(lane), k + 4u * term_group_of(lane)); }
    return Staged(row, terms_of_b(first.b, k, n + lane), terms_of_b(first.b, k + 4u, n + lane));
}

fn stage(buffer: u32, lane: u32, staged: Staged) {
    if lane < 64u { shared_rows[(buffer * 2u + term_group_of(lane)) * ROWS + row_of(lane)] = staged.row; }
    shared_columns[buffer * 2u * COLUMNS + lane] = staged.first;
    shared_columns[(buffer * 2u + 1u) * COLUMNS + lane] = staged.second;
}

fn four_columns(at: u32) -> mat4x4<f32> {
    return mat4x4(shared_columns[at], shared_columns[at + 16u], shared_columns[at + 32u], shared_columns[at + 48u]);
}

// Stores four columns of row m, at distances of 16. The matrix begins at `first` in c.
fn store(first: u32, m: u32, n: u32, sums: vec4<f32>) {
    for (var i = 0u; i < 4u; i++) {
        let column = n + 16u * i;
        if m < M && column < N {
            let at = first + m * C_M + column * C_N;
            var v = sums[i];
            if BIAS { v += bias[column]; }
            if ACCUMULATE { v += c[at]; }
            c[at] = v;
        }
    }
}

@compute @workgroup_size(128)
fn product(
    @builtin(local_invocation_index) lane: u32,
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let i = id.x + id.y * groups.x;
    let tiles_n = (N + COLUMNS - 1u) / COLUMNS;
    let tiles = (M + ROWS - 1u) / ROWS * tiles_n;
    let p = i / tiles / Q;
    let q = i / tiles % Q;
    if p * Q + q >= BATCH { return; }
    let m = i % tiles / tiles_n * ROWS;
    let n = i % tiles_n * COLUMNS;
    let first = First(p * A_P + q * A_Q, p * B_P + q * B_Q);
    var low = mat4x4<f32>();
    var high = mat4x4<f32>();
    stage(0u, lane, staged(first, lane, m, n, 0u));
    for (var k = 0u; k < K; k += DEPTH) {
        workgroupBarrier();
        var next = Staged();
        if k + DEPTH < K { next = staged(first, lane, m, n, k + DEPTH); }
        for (var term_group = 0u; term_group < 2u; term_group++) {
            let half = k / DEPTH % 2u * 2u + term_group;
            let row = half * ROWS + lane / 16u * 4u;
            let r0 = shared_rows[row];
            let r1 = shared_rows[row + 1u];
            let r2 = shared_rows[row + 2u];
            let r3 = shared_rows[row + 3u];
            let left = four_columns(half * COLUMNS + lane % 16u);
            low += mat4x4(r0 * left, r1 * left, r2 * left, r3 * left);
            let right = four_columns(half * COLUMNS + lane % 16u + 64u);
            high += mat4x4(r0 * right, r1 * right, r2 * right, r3 * right);
        }
        stage((k / DEPTH + 1u) % 2u, lane, next);
    }
    let matrix = p * C_P + q * C_Q;
    let row = m + lane / 16u * 4u;
    let column = n + lane % 16u;
    for (var i = 0u; i < 4u; i++) {
        store(matrix, row + i, column, low[i]);
        store(matrix, row + i, column + 64u, high[i]);
    }
}
