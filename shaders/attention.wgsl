// Attention of each head h of example n, without holding all probabilities at once:
//   score[t,s] = SCALE sum over d of q[n,t,h,d] k[n,s,h,d]
//   logsum[t] = log(sum over s < keys(n) of exp(score[t,s]))
//   p[t,s] = exp(score[t,s] - logsum[t]) for s < keys(n), else 0
//   y[n,t,h] = sum over s of m[t,s] p[t,s] v[n,s,h]
//   delta[t] = sum over d of y[n,t,h,d] dy[n,t,h,d]
//   g[t,s] = SCALE p[t,s] (m[t,s] sum over d of dy[n,t,h,d] v[n,s,h,d] - delta[t])
//   dq[n,t,h] = sum over s of g[t,s] k[n,s,h],   dk[n,s,h] = sum over t of g[t,s] q[n,t,h]
//   dv[n,s,h] = sum over t of m[t,s] p[t,s] dy[n,t,h]
// m[t,s] is 1 without DROPOUT; with it, KEPT if dropout.wgsl keeps element [n,h,t,s], and 0 if not.
// The backward pass computes the probabilities again (Dao et al. 2022, "FlashAttention").
// q, y: [N,T,H,D], k, v: [N,S,H,D], logsum, delta: [N,H,T]. D is a multiple of 4.
// keys(n) is lengths[n], at most S, if MASKED, and S otherwise.
//
// A workgroup computes LANES consecutive rows of a head, an invocation one row: a row t in
// `forward` and `backward_q`, a row s in `backward_k` and `backward_v`. All invocations visit the
// rows of the other tensor in the same order, and share their loads (subgroup_share.wgsl).

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32 }

const D4: u32 = D / 4u;
// Shared vec4 below this number are those of `others`, from here on those of `companions`.
const COMPANION: u32 = 0x40000000u;

@group(0) @binding(0) var<uniform> controls: Controls;
@group(0) @binding(1) var<storage, read> lengths: array<u32>;
// k and v; in `backward_k` and `backward_v` q and dy.
@group(0) @binding(2) var<storage, read> others: array<Quad>;
@group(0) @binding(3) var<storage, read> companions: array<Quad>;
// q; in `backward_k` and `backward_v` k.
@group(0) @binding(4) var<storage, read> owners: array<Quad>;

fn shared_quad(i: u32) -> vec4<f32> {
    if i < COMPANION { return floats(others[i]); }
    return floats(companions[i - COMPANION]);
}

fn hash(v: u32) -> u32 {
    let state = v * 747796405u + 2891336453u;
    let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
    return (word >> 22u) ^ word;
}

// m[t,s] of head `head`. Heads are numbered over all examples.
fn mask(head: u32, t: u32, s: u32) -> f32 {
    if !DROPOUT { return 1.0; }
    let key = hash(controls.step ^ hash(controls.seed ^ hash(SALT)));
    let i = ((controls.pass_index * N * H + head) * T + t) * S + s;
    return select(0.0, KEPT, hash(i ^ key) >= DROP_BELOW);
}

fn keys(n: u32) -> u32 {
    if MASKED { return min(lengths[n], S); }
    return S;
}

// The row of the invocation, its companion (dy for a q, v for a k), and the sum.
var<private> own: array<vec4<f32>, D4>;
var<private> companion: array<vec4<f32>, D4>;
var<private> sum: array<vec4<f32>, D4>;

// The dot product of `row` and the shared vec4 from `first` on.
fn dot_shared(row: ptr<private, array<vec4<f32>, D4>>, first: u32, lane: u32) -> f32 {
    var products = vec4(0.0);
    for (var d = 0u; d < D4; d += 8u) {
        let e = share(first + d, 1u, lane % 8u);
        for (var i = 0u; i < 8u; i++) {
            if d + i < D4 { products += (*row)[d + i] * shared_item(e, i); }
        }
    }
    return (products.x + products.y) + (products.z + products.w);
}

fn add(factor: f32, first: u32, lane: u32) {
    for (var d = 0u; d < D4; d += 8u) {
        let e = share(first + d, 1u, lane % 8u);
        for (var i = 0u; i < 8u; i++) {
            if d + i < D4 { sum[d + i] += factor * shared_item(e, i); }
        }
    }
}

fn clear_sum() {
    for (var d = 0u; d < D4; d++) { sum[d] = vec4(0.0); }
}

fn scale_sum(factor: f32) {
    for (var d = 0u; d < D4; d++) { sum[d] *= factor; }
}

// The head of a workgroup, numbered over all examples; its example; and the row of the invocation.
struct Place { head: u32, n: u32, row: u32 }

fn place_of(group: u32, tiles: u32, lane: u32) -> Place {
    let head = group / tiles;
    return Place(head, head / H, group % tiles * LANES + lane);
}

// The first vec4 of row r of a tensor [N,rows,H,D].
fn first_of(p: Place, rows: u32, r: u32) -> u32 { return ((p.n * rows + r) * H + p.head % H) * D4; }

const T_TILES: u32 = (T + LANES - 1u) / LANES;
const S_TILES: u32 = (S + LANES - 1u) / LANES;

fn load_own(first: u32) {
    clear_sum();
    for (var d = 0u; d < D4; d++) { own[d] = floats(owners[first + d]); }
}

@group(0) @binding(5) var<storage, read_write> logsum: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x + group.y * groups.x;
    let p = place_of(i, T_TILES, lane);
    if p.n >= N { return; }
    // Invocations after the last row compute that row again and do not store it.
    let t = min(p.row, T - 1u);
    load_own(first_of(p, T, t));
    let count = keys(p.n);
    // The largest score so far, and the sum of exp(score - top).
    var top = -3e38;
    var total = 0.0;
    for (var s = 0u; s < count; s++) {
        let at = first_of(p, S, s);
        let score = SCALE * dot_shared(&own, at, lane);
        if score > top {
            let shrink = exp(top - score);
            total *= shrink;
            scale_sum(shrink);
            top = score;
        }
        let power = exp(score - top);
        total += power;
        add(power * mask(p.head, t, s), COMPANION + at, lane);
    }
    if p.row >= T { return; }
    let first = first_of(p, T, t);
    for (var d = 0u; d < D4; d++) {
        var v = vec4(0.0);
        if count > 0u { v = sum[d] / total; }
        y[first + d] = quad_of(v);
    }
    logsum[p.head * T + t] = top + log(total);
}

@group(0) @binding(0) var<storage, read> result: array<f32>;
@group(0) @binding(1) var<storage, read> dresult: array<f32>;
@group(0) @binding(2) var<storage, read_write> deltas: array<f32>;

// An invocation owns one delta.
@compute @workgroup_size(64)
fn backward_delta(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * H * T { return; }
    let head = i / T;
    let first = ((head / H * T + i % T) * H + head % H) * D;
    var delta = 0.0;
    for (var d = 0u; d < D; d++) { delta += result[first + d] * dresult[first + d]; }
    deltas[i] = delta;
}

// dy; in `backward_k` v.
@group(0) @binding(5) var<storage, read> owner_companions: array<Quad>;
@group(0) @binding(6) var<storage, read> logsums: array<f32>;
@group(0) @binding(7) var<storage, read> delta: array<f32>;
@group(0) @binding(8) var<storage, read_write> gradient: array<Quad>;

fn load_companion(first: u32) {
    for (var d = 0u; d < D4; d++) { companion[d] = floats(owner_companions[first + d]); }
}

// SCALE p[t,s] (m[t,s] dp - delta[t])
fn slope(p: Place, t: u32, s: u32, score: f32, dp: f32) -> f32 {
    let row = p.head * T + t;
    return SCALE * exp(score - logsums[row]) * (mask(p.head, t, s) * dp - delta[row]);
}

fn store_sum(first: u32) {
    for (var d = 0u; d < D4; d++) {
        var g = sum[d];
        if ACCUMULATE { g += floats(gradient[first + d]); }
        gradient[first + d] = quad_of(g);
    }
}

@compute @workgroup_size(LANES)
fn backward_q(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x + group.y * groups.x;
    let p = place_of(i, T_TILES, lane);
    if p.n >= N { return; }
    let t = min(p.row, T - 1u);
    load_own(first_of(p, T, t));
    load_companion(first_of(p, T, t));
    for (var s = 0u; s < keys(p.n); s++) {
        let at = first_of(p, S, s);
        let score = SCALE * dot_shared(&own, at, lane);
        add(slope(p, t, s, score, dot_shared(&companion, COMPANION + at, lane)), at, lane);
    }
    if p.row < T { store_sum(first_of(p, T, t)); }
}

@compute @workgroup_size(LANES)
fn backward_k(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x + group.y * groups.x;
    let p = place_of(i, S_TILES, lane);
    if p.n >= N { return; }
    let s = min(p.row, S - 1u);
    load_own(first_of(p, S, s));
    load_companion(first_of(p, S, s));
    let is_key = s < keys(p.n);
    for (var t = 0u; t < T; t++) {
        let at = first_of(p, T, t);
        let score = SCALE * dot_shared(&own, at, lane);
        let g = slope(p, t, s, score, dot_shared(&companion, COMPANION + at, lane));
        add(select(0.0, g, is_key), at, lane);
    }
    if p.row >= S { return; }
    if !is_key { clear_sum(); }
    store_sum(first_of(p, S, s));
}

@compute @workgroup_size(LANES)
fn backward_v(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group.x + group.y * groups.x;
    let p = place_of(i, S_TILES, lane);
    if p.n >= N { return; }
    let s = min(p.row, S - 1u);
    load_own(first_of(p, S, s));
    let is_key = s < keys(p.n);
    for (var t = 0u; t < T; t++) {
        let at = first_of(p, T, t);
        let power = exp(SCALE * dot_shared(&own, at, lane) - logsums[p.head * T + t]);
        add(select(0.0, power * mask(p.head, t, s), is_key), COMPANION + at, lane);
    }
    if p.row >= S { return; }
    if !is_key { clear_sum(); }
    store_sum(first_of(p, S, s));
}
