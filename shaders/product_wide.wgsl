// The products of product.wgsl for processors, with vec4 loads and stores.
// Requirements: C_N is 1, one of A_M and A_K, and one of B_K and B_N. All other strides, and N, are
// multiples of 4. K is a multiple of 4 too, unless a is a single matrix with A_M = 1: there, a read
// with k >= K is past the end of a, and gives 0.
// A workgroup of eight invocations computes 32 rows x 32 columns of c, an invocation 4 of the
// columns, as 4x4 blocks. Column i of a block is row m + i of c at four n. For each four k, all
// invocations need the same 32 vec4 of a, and each its own four vec4 of b. With shared loads these
// are 8 loads for 512 multiply-adds.

const ROWS: u32 = 32u;
const COLUMNS: u32 = 32u;

@group(0) @binding(0) var<storage, read> a: array<Quad>;
@group(0) @binding(1) var<storage, read> b: array<Quad>;
@group(0) @binding(2) var<storage, read_write> c: array<Quad>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Vec4 i of a: A(m, k..k+4) if A_K is 1, else A(m..m+4, k). It is 0 past the end of a. The products
// of rows m >= M are not stored.
fn shared_quad(i: u32) -> vec4<f32> { return select(vec4(0.0), floats(a[i]), i < BATCH * M * K / 4u); }

// 32 rows of a at k..k+4. The matrix begins at vec4 `first`.
struct Rows { e0: Share, e1: Share, e2: Share, e3: Share }

fn rows_of_a(first: u32, m: u32, k: u32, lane: u32) -> Rows {
    if A_K == 1u {
        let s = A_M / 4u;
        let i = first + m * s + k / 4u;
        return Rows(share(i, s, lane), share(i + 8u * s, s, lane), share(i + 16u * s, s, lane), share(i + 24u * s, s, lane));
    }
    let s = A_K / 4u;
    let i = first + k * s + m / 4u;
    return Rows(share(i, 1u, lane), share(i + s, 1u, lane), share(i + 2u * s, 1u, lane), share(i + 3u * s, 1u, lane));
}

// Rows 4i..4i+4 of `rows`, as the columns of a matrix. If A_K is 1, `e` is the member of `rows`
// that has them.
fn block_of_a(rows: Rows, e: Share, i: u32) -> mat4x4<f32> {
    if A_K == 1u {
        let first = i % 2u * 4u;
        return mat4x4(shared_item(e, first), shared_item(e, first + 1u), shared_item(e, first + 2u), shared_item(e, first + 3u));
    }
    return transpose(mat4x4(shared_item(rows.e0, i), shared_item(rows.e1, i), shared_item(rows.e2, i), shared_item(rows.e3, i)));
}

// Vec4 `at` of b, or 0 if k >= K.
fn vec4_of_b(at: u32, k: u32) -> vec4<f32> { return select(vec4(0.0), floats(b[at]), k < K); }

// B(k..k+4, n..n+4) as a matrix with a column per k. The matrix begins at vec4 `first` of b.
fn block_of_b(first: u32, n: u32, k: u32) -> mat4x4<f32> {
    if B_N == 1u {
        let column = first + min(n, N - 4u) / 4u;
        let s = B_K / 4u;
        return mat4x4(
            vec4_of_b(k * s + column, k),
            vec4_of_b((k + 1u) * s + column, k + 1u),
            vec4_of_b((k + 2u) * s + column, k + 2u),
            vec4_of_b((k + 3u) * s + column, k + 3u),
        );
    }
    let at = first + min(vec4(n) + vec4(0u, 1u, 2u, 3u), vec4(N - 1u)) * (B_N / 4u) + k / 4u;
    return transpose(mat4x4(vec4_of_b(at.x, k), vec4_of_b(at.y, k), vec4_of_b(at.z, k), vec4_of_b(at.w, k)));
}

fn store_row(first: u32, m: u32, n: u32, sums: vec4<f32>) {
    if m < M && n < N {
        let at = first + (m * C_M + n) / 4u;
        var v = sums;
        if BIAS { v += vec4(bias[n], bias[n + 1u], bias[n + 2u], bias[n + 3u]); }
        if ACCUMULATE { v += floats(c[at]); }
        c[at] = quad_of(v);
    }
}

fn store(first: u32, m: u32, n: u32, s: mat4x4<f32>) {
    store_row(first, m, n, s[0]);
    store_row(first, m + 1u, n, s[1]);
    store_row(first, m + 2u, n, s[2]);
    store_row(first, m + 3u, n, s[3]);
}

@compute @workgroup_size(8)
fn product(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x + group.y * groups.x;
    let tiles_n = (N + COLUMNS - 1u) / COLUMNS;
    let tiles = (M + ROWS - 1u) / ROWS * tiles_n;
    let p = i / tiles / Q;
    let q = i / tiles % Q;
    if p * Q + q >= BATCH { return; }
    let m = i % tiles / tiles_n * ROWS;
    let n = i % tiles_n * COLUMNS + 4u * lane;
    let first_a = p * (A_P / 4u) + q * (A_Q / 4u);
    let first_b = p * (B_P / 4u) + q * (B_Q / 4u);
    var s0 = mat4x4<f32>();
    var s1 = mat4x4<f32>();
    var s2 = mat4x4<f32>();
    var s3 = mat4x4<f32>();
    var s4 = mat4x4<f32>();
    var s5 = mat4x4<f32>();
    var s6 = mat4x4<f32>();
    var s7 = mat4x4<f32>();
    for (var k = 0u; k < K; k += 4u) {
        let rows = rows_of_a(first_a, m, k, lane);
        let b = block_of_b(first_b, n, k);
        s0 += b * block_of_a(rows, rows.e0, 0u);
        s1 += b * block_of_a(rows, rows.e0, 1u);
        s2 += b * block_of_a(rows, rows.e1, 2u);
        s3 += b * block_of_a(rows, rows.e1, 3u);
        s4 += b * block_of_a(rows, rows.e2, 4u);
        s5 += b * block_of_a(rows, rows.e2, 5u);
        s6 += b * block_of_a(rows, rows.e3, 6u);
        s7 += b * block_of_a(rows, rows.e3, 7u);
    }
    let first = p * (C_P / 4u) + q * (C_Q / 4u);
    store(first, m, n, s0);
    store(first, m + 4u, n, s1);
    store(first, m + 8u, n, s2);
    store(first, m + 12u, n, s3);
    store(first, m + 16u, n, s4);
    store(first, m + 20u, n, s5);
    store(first, m + 24u, n, s6);
    store(first, m + 28u, n, s7);
}
