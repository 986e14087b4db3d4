// For s < keys(r):
//   y[r,s] = exp(SCALE x[r,s]) / sum over s' of exp(SCALE x[r,s'])
//   dx[r,s] = SCALE y[r,s] (dy[r,s] - sum over s' of y[r,s'] dy[r,s'])
// For s >= keys(r), y and dx are exactly 0.
// x, y: [ROWS,S]. keys(r) is lengths[r / ROWS_PER_EXAMPLE], at most S, if MASKED, and S otherwise.
// A NaN among the first keys(r) elements makes all of them NaN.
//
// `forward`, `backward`: a workgroup computes a row. Its 64 invocations each add up every 64th
// element; their sums are added in a tree of fixed order.
// `forward_serial`, `backward_serial`: an invocation computes a row. For software adapters, where
// barriers are slow.

const LANES: u32 = 64u;

var<workgroup> lanes: array<f32, LANES>;

// The sum over the workgroup. All invocations get it.
fn sum_lanes(lane: u32, own: f32) -> f32 {
    workgroupBarrier();
    lanes[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    workgroupBarrier();
    return lanes[0];
}

fn max_lanes(lane: u32, own: f32) -> f32 {
    workgroupBarrier();
    lanes[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] = max(lanes[lane], lanes[lane + width]); }
    }
    workgroupBarrier();
    return lanes[0];
}

@group(0) @binding(0) var<storage, read> lengths: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn keys(row: u32) -> u32 {
    if MASKED { return min(lengths[row / ROWS_PER_EXAMPLE], S); }
    return S;
}

// Tests the bits: a compiler may assume that there are no NaNs.
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }

fn power(v: f32, top: f32) -> f32 { return select(exp(SCALE * (v - top)), v, is_nan(v)); }

// The maximum of every `stride`th element from `start` on, and of the first. A NaN may be lost
// here, but not in the sum.
fn top_of(row: u32, count: u32, start: u32, stride: u32) -> f32 {
    var top = x[row * S];
    for (var s = start; s < count; s += stride) { top = max(top, x[row * S + s]); }
    return top;
}

fn sum_of(row: u32, count: u32, top: f32, start: u32, stride: u32) -> f32 {
    var sum = 0.0;
    for (var s = start; s < count; s += stride) { sum += power(x[row * S + s], top); }
    return sum;
}

fn store_y(row: u32, count: u32, top: f32, sum: f32, start: u32, stride: u32) {
    for (var s = start; s < S; s += stride) {
        var p = 0.0;
        if s < count { p = power(x[row * S + s], top) / sum; }
        y[row * S + s] = p;
    }
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= ROWS { return; }
    let count = keys(row);
    let top = max_lanes(lane, top_of(row, count, lane, LANES));
    let sum = sum_lanes(lane, sum_of(row, count, top, lane, LANES));
    store_y(row, count, top, sum, lane, LANES);
}

@compute @workgroup_size(16)
fn forward_serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 16u;
    if row >= ROWS { return; }
    let count = keys(row);
    let top = top_of(row, count, 0u, 1u);
    store_y(row, count, top, sum_of(row, count, top, 0u, 1u), 0u, 1u);
}

@group(0) @binding(1) var<storage, read> result: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

fn products_of(row: u32, count: u32, start: u32, stride: u32) -> f32 {
    var sum = 0.0;
    for (var s = start; s < count; s += stride) { sum += result[row * S + s] * dy[row * S + s]; }
    return sum;
}

fn store_dx(row: u32, count: u32, products: f32, start: u32, stride: u32) {
    for (var s = start; s < S; s += stride) {
        let i = row * S + s;
        var g = 0.0;
        if s < count { g = SCALE * result[i] * (dy[i] - products); }
        if ACCUMULATE { g += dx[i]; }
        dx[i] = g;
    }
}

@compute @workgroup_size(LANES)
fn backward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= ROWS { return; }
    let count = keys(row);
    store_dx(row, count, sum_lanes(lane, products_of(row, count, lane, LANES)), lane, LANES);
}

@compute @workgroup_size(16)
fn backward_serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 16u;
    if row >= ROWS { return; }
    let count = keys(row);
    store_dx(row, count, products_of(row, count, 0u, 1u), 0u, 1u);
}
