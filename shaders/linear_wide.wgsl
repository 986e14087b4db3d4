// The products of linear.wgsl for processors: c[m,n] = sum over k of A(m,k) B(k,n) (+ bias[n]), with A(m,k) = a[m*A_M + k*A_K] and
// B(k,n) = b[k*B_K + n*B_N]. One stride of each operand is 1; the other one and N are multiples of 4.
// An invocation owns a tile of 16x24 of c as blocks of 4x4, and reads blocks of 4x4 of both operands as whole quads: 40 loads feed
// 1,536 multiply-adds. Column i of a block of c is row m + i at four n.

const ROWS: u32 = 16u;
const COLUMNS: u32 = 24u;

@group(0) @binding(0) var<storage, read> a: array<Quad>;
@group(0) @binding(1) var<storage, read> b: array<Quad>;
@group(0) @binding(2) var<storage, read_write> c: array<Quad>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Quad number `at`, 0 where k is beyond the last one.
fn four_of_a(at: u32, k: u32) -> vec4<f32> { return select(vec4(0.0), floats(a[at]), k < K); }
fn four_of_b(at: u32, k: u32) -> vec4<f32> { return select(vec4(0.0), floats(b[at]), k < K); }

// Columns m..m+4 hold A(m, k..k+4). Beyond the edge the last rows are read again, and their sums are not stored.
fn block_of_a(m: u32, k: u32) -> mat4x4<f32> {
    if A_K == 1u {
        let at = min(vec4(m) + vec4(0u, 1u, 2u, 3u), vec4(M - 1u)) * (A_M / 4u) + k / 4u;
        return mat4x4(four_of_a(at.x, k), four_of_a(at.y, k), four_of_a(at.z, k), four_of_a(at.w, k));
    }
    let column = min(m, M - 4u) / 4u;
    let s = A_K / 4u;
    return transpose(mat4x4(
        four_of_a(k * s + column, k),
        four_of_a((k + 1u) * s + column, k + 1u),
        four_of_a((k + 2u) * s + column, k + 2u),
        four_of_a((k + 3u) * s + column, k + 3u),
    ));
}

// Columns k..k+4 hold B(k, n..n+4).
fn block_of_b(n: u32, k: u32) -> mat4x4<f32> {
    if B_N == 1u {
        let column = min(n, N - 4u) / 4u;
        let s = B_K / 4u;
        return mat4x4(
            four_of_b(k * s + column, k),
            four_of_b((k + 1u) * s + column, k + 1u),
            four_of_b((k + 2u) * s + column, k + 2u),
            four_of_b((k + 3u) * s + column, k + 3u),
        );
    }
    let at = min(vec4(n) + vec4(0u, 1u, 2u, 3u), vec4(N - 1u)) * (B_N / 4u) + k / 4u;
    return transpose(mat4x4(four_of_b(at.x, k), four_of_b(at.y, k), four_of_b(at.z, k), four_of_b(at.w, k)));
}

fn store_row(m: u32, n: u32, sums: vec4<f32>) {
    if m < M && n < N {
        let at = (m * N + n) / 4u;
        var v = sums;
        if BIAS { v += vec4(bias[n], bias[n + 1u], bias[n + 2u], bias[n + 3u]); }
        if ACCUMULATE { v += floats(c[at]); }
        c[at] = quad_of(v);
    }
}

fn store(m: u32, n: u32, s: mat4x4<f32>) {
    store_row(m, n, s[0]);
    store_row(m + 1u, n, s[1]);
    store_row(m + 2u, n, s[2]);
    store_row(m + 3u, n, s[3]);
}

@compute @workgroup_size(16)
fn product(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 16u;
    let tiles_n = (N + COLUMNS - 1u) / COLUMNS;
    let m = (i / tiles_n) * ROWS;
    let n = (i % tiles_n) * COLUMNS;
    if m >= M { return; }
    var s00 = mat4x4<f32>();
    var s01 = mat4x4<f32>();
    var s02 = mat4x4<f32>();
    var s03 = mat4x4<f32>();
    var s04 = mat4x4<f32>();
    var s05 = mat4x4<f32>();
    var s10 = mat4x4<f32>();
    var s11 = mat4x4<f32>();
    var s12 = mat4x4<f32>();
    var s13 = mat4x4<f32>();
    var s14 = mat4x4<f32>();
    var s15 = mat4x4<f32>();
    var s20 = mat4x4<f32>();
    var s21 = mat4x4<f32>();
    var s22 = mat4x4<f32>();
    var s23 = mat4x4<f32>();
    var s24 = mat4x4<f32>();
    var s25 = mat4x4<f32>();
    var s30 = mat4x4<f32>();
    var s31 = mat4x4<f32>();
    var s32 = mat4x4<f32>();
    var s33 = mat4x4<f32>();
    var s34 = mat4x4<f32>();
    var s35 = mat4x4<f32>();
    for (var k = 0u; k < K; k += 4u) {
        let a0 = block_of_a(m + 0u, k);
        let a1 = block_of_a(m + 4u, k);
        let a2 = block_of_a(m + 8u, k);
        let a3 = block_of_a(m + 12u, k);
        let b0 = block_of_b(n + 0u, k);
        s00 += b0 * a0;
        s10 += b0 * a1;
        s20 += b0 * a2;
        s30 += b0 * a3;
        let b1 = block_of_b(n + 4u, k);
        s01 += b1 * a0;
        s11 += b1 * a1;
        s21 += b1 * a2;
        s31 += b1 * a3;
        let b2 = block_of_b(n + 8u, k);
        s02 += b2 * a0;
        s12 += b2 * a1;
        s22 += b2 * a2;
        s32 += b2 * a3;
        let b3 = block_of_b(n + 12u, k);
        s03 += b3 * a0;
        s13 += b3 * a1;
        s23 += b3 * a2;
        s33 += b3 * a3;
        let b4 = block_of_b(n + 16u, k);
        s04 += b4 * a0;
        s14 += b4 * a1;
        s24 += b4 * a2;
        s34 += b4 * a3;
        let b5 = block_of_b(n + 20u, k);
        s05 += b5 * a0;
        s15 += b5 * a1;
        s25 += b5 * a2;
        s35 += b5 * a3;
    }
    store(m + 0u, n + 0u, s00);
    store(m + 0u, n + 4u, s01);
    store(m + 0u, n + 8u, s02);
    store(m + 0u, n + 12u, s03);
    store(m + 0u, n + 16u, s04);
    store(m + 0u, n + 20u, s05);
    store(m + 4u, n + 0u, s10);
    store(m + 4u, n + 4u, s11);
    store(m + 4u, n + 8u, s12);
    store(m + 4u, n + 12u, s13);
    store(m + 4u, n + 16u, s14);
    store(m + 4u, n + 20u, s15);
    store(m + 8u, n + 0u, s20);
    store(m + 8u, n + 4u, s21);
    store(m + 8u, n + 8u, s22);
    store(m + 8u, n + 12u, s23);
    store(m + 8u, n + 16u, s24);
    store(m + 8u, n + 20u, s25);
    store(m + 12u, n + 0u, s30);
    store(m + 12u, n + 4u, s31);
    store(m + 12u, n + 8u, s32);
    store(m + 12u, n + 12u, s33);
    store(m + 12u, n + 16u, s34);
    store(m + 12u, n + 20u, s35);
}
