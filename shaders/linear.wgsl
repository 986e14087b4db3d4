// c[m,n] = sum over k of A(m,k) B(k,n) (+ bias[n]), with A(m,k) = a[m*A_M + k*A_K] and B(k,n) = b[k*B_K + n*B_N].
// The strides make of it y = x w^T + bias, dx = dy w and dw = dy^T x:
// x: [N,C], w: [O,C], bias: [O], y: [N,O].
// An invocation owns a tile of 8x8 of c in 64 accumulators: 16 loads feed 64 multiply-adds. The loops over the tile have
// constant bounds, so that compilers unroll them and keep the tile in registers.

const TILE: u32 = 8u;

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

fn product(m0: u32, n0: u32) -> array<vec4<f32>, 16> {
    var acc: array<vec4<f32>, 16>;
    for (var i = 0u; i < 16u; i++) { acc[i] = vec4(0.0); }
    for (var k = 0u; k < K; k++) {
        var row: array<vec4<f32>, 2>;
        for (var j = 0u; j < 2u; j++) {
            // Beyond the edge the last column is read again; its products are not stored.
            let n = vec4(n0 + 4u * j) + vec4(0u, 1u, 2u, 3u);
            let at = k * B_K + min(n, vec4(N - 1u)) * B_N;
            row[j] = vec4(b[at.x], b[at.y], b[at.z], b[at.w]);
        }
        for (var i = 0u; i < TILE; i++) {
            let v = a[min(m0 + i, M - 1u) * A_M + k * A_K];
            for (var j = 0u; j < 2u; j++) { acc[2u * i + j] += v * row[j]; }
        }
    }
    return acc;
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>) {
    let tiles_n = (N + TILE - 1u) / TILE;
    let m0 = (id.x / tiles_n) * TILE;
    let n0 = (id.x % tiles_n) * TILE;
    if m0 >= M { return; }
    let tile = product(m0, n0);
    for (var i = 0u; i < TILE; i++) {
        for (var j = 0u; j < TILE; j++) {
            let at = (m0 + i) * N + n0 + j;
            if m0 + i >= M || n0 + j >= N { continue; }
            var v = tile[2u * i + j / 4u][j % 4u];
            if ACCUMULATE { v += c[at]; }
            c[at] = v;
        }
    }
}

@group(0) @binding(3) var<storage, read> bias: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    let tiles_n = (N + TILE - 1u) / TILE;
    let m0 = (id.x / tiles_n) * TILE;
    let n0 = (id.x % tiles_n) * TILE;
    if m0 >= M { return; }
    let tile = product(m0, n0);
    for (var i = 0u; i < TILE; i++) {
        for (var j = 0u; j < TILE; j++) {
            if m0 + i >= M || n0 + j >= N { continue; }
            c[(m0 + i) * N + n0 + j] = tile[2u * i + j / 4u][j % 4u] + bias[n0 + j];
        }
    }
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
