// c[m,n] = sum over k of A(m,k) B(k,n) (+ bias[n]), with A(m,k) = a[m*A_M + k*A_K] and B(k,n) = b[k*B_K + n*B_N].
// The strides make of it y = x w^T + bias, dx = dy w and dw = dy^T x:
// x: [N,C], w: [O,C], bias: [O], y: [N,O].
// An invocation owns a tile of 8x8 of c in four 4x4 accumulators: 16 loads feed 64 multiply-adds. The tile is written out, since no
// compiler keeps an indexed array in registers for certain.

const TILE: u32 = 8u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Four rows of a, or four columns of b, at k; beyond the edge the last one is read again, and its products are not stored.
fn rows(m: u32, k: u32) -> vec4<f32> {
    let at = min(vec4(m) + vec4(0u, 1u, 2u, 3u), vec4(M - 1u)) * A_M + k * A_K;
    return vec4(a[at.x], a[at.y], a[at.z], a[at.w]);
}

fn columns(n: u32, k: u32) -> vec4<f32> {
    let at = min(vec4(n) + vec4(0u, 1u, 2u, 3u), vec4(N - 1u)) * B_N + k * B_K;
    return vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
}

// Column j holds the products of four rows with y[j].
fn outer(x: vec4<f32>, y: vec4<f32>) -> mat4x4<f32> {
    return mat4x4(x * y.x, x * y.y, x * y.z, x * y.w);
}

fn store(m: u32, n: u32, sum: f32) {
    if m < M && n < N {
        var v = sum;
        if BIAS { v += bias[n]; }
        if ACCUMULATE { v += c[m * N + n]; }
        c[m * N + n] = v;
    }
}

fn store_column(m: u32, n: u32, sums: vec4<f32>) {
    store(m, n, sums.x);
    store(m + 1u, n, sums.y);
    store(m + 2u, n, sums.z);
    store(m + 3u, n, sums.w);
}

fn store_tile(m: u32, n: u32, sums: mat4x4<f32>) {
    store_column(m, n, sums[0]);
    store_column(m, n + 1u, sums[1]);
    store_column(m, n + 2u, sums[2]);
    store_column(m, n + 3u, sums[3]);
}

@compute @workgroup_size(64)
fn product(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let tiles_n = (N + TILE - 1u) / TILE;
    let m = (i / tiles_n) * TILE;
    let n = (i % tiles_n) * TILE;
    if m >= M { return; }
    var upper_left = mat4x4<f32>();
    var upper_right = mat4x4<f32>();
    var lower_left = mat4x4<f32>();
    var lower_right = mat4x4<f32>();
    for (var k = 0u; k < K; k++) {
        let upper = rows(m, k);
        let lower = rows(m + 4u, k);
        let left = columns(n, k);
        let right = columns(n + 4u, k);
        upper_left += outer(upper, left);
        upper_right += outer(upper, right);
        lower_left += outer(lower, left);
        lower_right += outer(lower, right);
    }
    store_tile(m, n, upper_left);
    store_tile(m, n + 4u, upper_right);
    store_tile(m + 4u, n, lower_left);
    store_tile(m + 4u, n + 4u, lower_right);
}

// dbias[n] = sum over m of dy[m,n].   dy: [M,N]. An invocation owns one n.
@compute @workgroup_size(64)
fn backward_bias(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = id.x;
    if n >= N { return; }
    var sum = 0.0;
    for (var m = 0u; m < M; m++) { sum += a[m * N + n]; }
    if ACCUMULATE { sum += c[n]; }
    c[n] = sum;
}
