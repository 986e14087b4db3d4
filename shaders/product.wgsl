// C(p,q,m,n) = sum over k of A(p,q,m,k) B(p,q,k,n), plus bias[n] with BIAS.
// The index of an element is the sum of its coordinates times their strides:
// A(p,q,m,k) = a[p*A_P + q*A_Q + m*A_M + k*A_K], and likewise B and C. p and q are batch axes, and
// BATCH is the number of pairs (p, q).
// An invocation computes an 8x8 tile of c in four 4x4 accumulators: 16 loads for 64 multiply-adds.
// They are separate variables, since a compiler may not keep an indexed array in registers.

const TILE: u32 = 8u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Four rows of a at k. The matrix begins at `first`. Past the edge, the last row is read again, and
// its products are not stored.
fn rows(first: u32, m: u32, k: u32) -> vec4<f32> {
    let at = first + min(vec4(m) + vec4(0u, 1u, 2u, 3u), vec4(M - 1u)) * A_M + k * A_K;
    return vec4(a[at.x], a[at.y], a[at.z], a[at.w]);
}

// Four columns of b at k. The matrix begins at `first`. Past the edge, the last column is read
// again, and its products are not stored.
fn columns(first: u32, n: u32, k: u32) -> vec4<f32> {
    let at = first + min(vec4(n) + vec4(0u, 1u, 2u, 3u), vec4(N - 1u)) * B_N + k * B_K;
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}

// The outer product: column j is x * y[j].
fn outer(x: vec4<f32>, y: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(x * y.x, x * y.y, x * y.z, x * y.w);
}

fn store(first: u32, m: u32, n: u32, sum: f32) {
    if m < M && n < N {
        let at = first + m * C_M + n * C_N;
        var v = sum;
        if BIAS { v += bias[n]; }
        if ACCUMULATE { v += c[at]; }
        c[at] = v;
    }
}

fn store_column(first: u32, m: u32, n: u32, sums: vec4<f32>) {
    store(first, m, n, sums.x);
    store(first, m + 1u, n, sums.y);
    store(first, m + 2u, n, sums.z);
    store(first, m + 3u, n, sums.w);
}

fn store_tile(first: u32, m: u32, n: u32, sums: mat4x4<f32>) {
    store_column(first, m, n, sums[0]);
    store_column(first, m, n + 1u, sums[1]);
    store_column(first, m, n + 2u, sums[2]);
    store_column(first, m, n + 3u, sums[3]);
}

@compute @workgroup_size(64)
fn product(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let tiles_n = (N + TILE - 1u) / TILE;
    let tiles = (M + TILE - 1u) / TILE * tiles_n;
    let p = i / tiles / Q;
    let q = i / tiles % Q;
    if p * Q + q >= BATCH { return; }
    let m = i % tiles / tiles_n * TILE;
    let n = i % tiles_n * TILE;
    let first_a = p * A_P + q * A_Q;
    let first_b = p * B_P + q * B_Q;
    var upper_left = mat4x4<f32>();
    var upper_right = mat4x4<f32>();
    var lower_left = mat4x4<f32>();
    var lower_right = mat4x4<f32>();
    for (var k = 0u; k < K; k++) {
        let upper = rows(first_a, m, k);
        let lower = rows(first_a, m + 4u, k);
        let left = columns(first_b, n, k);
        let right = columns(first_b, n + 4u, k);
        upper_left += outer(upper, left);
        upper_right += outer(upper, right);
        lower_left += outer(lower, left);
        lower_right += outer(lower, right);
    }
    let first = p * C_P + q * C_Q;
    store_tile(first, m, n, upper_left);
    store_tile(first, m, n + 4u, upper_right);
    store_tile(first, m + 4u, n, lower_left);
    store_tile(first, m + 4u, n + 4u, lower_right);
}
