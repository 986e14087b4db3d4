// Over the C elements of each of M rows:
//   mean = sum(x) / C,  var = sum((x - mean)^2) / C,  xhat = (x - mean) / sqrt(var + EPSILON)
//   y = weight xhat + bias
//   g = dy weight,  dx = (g - sum(g) / C - xhat sum(g xhat) / C) / sqrt(var + EPSILON)
//   dweight = sum over the rows of dy xhat,  dbias = sum over the rows of dy
// x, y: [M,C]; weight, bias: [C]; statistics: [M] of (mean, 1 / sqrt(var + EPSILON)).
//
// `forward`, `backward`: a workgroup computes a row. Its 64 invocations each add up every 64th
// element; their sums are added in a tree of fixed order.
// `forward_serial`, `backward_serial`: an invocation computes a row. For software adapters, where
// barriers are slow.
// `backward_partial`: an invocation adds up one element over a chunk of rows.
// `backward_finish`: an invocation adds up the chunks of one element, in order.

const LANES: u32 = 64u;

var<workgroup> lanes: array<vec2<f32>, LANES>;

// The sum over the workgroup. All invocations get it.
fn sum_lanes(lane: u32, own: vec2<f32>) -> vec2<f32> {
    workgroupBarrier();
    lanes[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    workgroupBarrier();
    return lanes[0];
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2<f32>>;

// Sums over every `stride`th element of a row, from `start` on.
fn sum_of(row: u32, start: u32, stride: u32) -> vec2<f32> {
    var sum = 0.0;
    for (var c = start; c < C; c += stride) { sum += x[row * C + c]; }
    return vec2(sum, 0.0);
}

fn squares_of(row: u32, mean: f32, start: u32, stride: u32) -> vec2<f32> {
    var sum = 0.0;
    for (var c = start; c < C; c += stride) {
        let v = x[row * C + c] - mean;
        sum += v * v;
    }
    return vec2(sum, 0.0);
}

fn inverse_deviation(squares: f32) -> f32 { return 1.0 / sqrt(squares / f32(C) + EPSILON); }

fn normalise(row: u32, statistic: vec2<f32>, start: u32, stride: u32) {
    for (var c = start; c < C; c += stride) {
        y[row * C + c] = (x[row * C + c] - statistic.x) * statistic.y * weight[c] + bias[c];
    }
}

@compute @workgroup_size(LANES)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = group.x + group.y * groups.x;
    if row >= M { return; }
    let mean = sum_lanes(lane, sum_of(row, lane, LANES)).x / f32(C);
    let squares = sum_lanes(lane, squares_of(row, mean, lane, LANES)).x;
    let statistic = vec2(mean, inverse_deviation(squares));
    if lane == 0u { statistics[row] = statistic; }
    normalise(row, statistic, lane, LANES);
}

@compute @workgroup_size(16)
fn forward_serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 16u;
    if row >= M { return; }
    let mean = sum_of(row, 0u, 1u).x / f32(C);
    let statistic = vec2(mean, inverse_deviation(squares_of(row, mean, 0u, 1u).x));
    statistics[row] = statistic;
    normalise(row, statistic, 0u, 1u);
}

@group(0) @binding(2) var<storage, read> kept: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

// Sums of g and of g xhat.
fn gradient_sums_of(row: u32, start: u32, stride: u32) -> vec2<f32> {
    let statistic = kept[row];
    var sum = vec2(0.0);
    for (var c = start; c < C; c += stride) {
        let g = dy[row * C + c] * weight[c];
        sum += vec2(g, g * ((x[row * C + c] - statistic.x) * statistic.y));
    }
    return sum;
}

fn store_dx(row: u32, sums: vec2<f32>, start: u32, stride: u32) {
    let statistic = kept[row];
    let means = sums / f32(C);
    for (var c = start; c < C; c += stride) {
        let i = row * C + c;
        let normal = (x[i] - statistic.x) * statistic.y;
        var g = (dy[i] * weight[c] - means.x - normal * means.y) * statistic.y;
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
    if row >= M { return; }
    store_dx(row, sum_lanes(lane, gradient_sums_of(row, lane, LANES)), lane, LANES);
}

@compute @workgroup_size(16)
fn backward_serial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let row = id.x + id.y * groups.x * 16u;
    if row >= M { return; }
    store_dx(row, gradient_sums_of(row, 0u, 1u), 0u, 1u);
}

// [CHUNKS,C] of (part of dweight, part of dbias).
@group(0) @binding(4) var<storage, read_write> partials: array<vec2<f32>>;

@compute @workgroup_size(64)
fn backward_partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= CHUNKS * C { return; }
    let first = i / C * ROWS_PER_CHUNK;
    var sum = vec2(0.0);
    for (var row = first; row < min(first + ROWS_PER_CHUNK, M); row++) {
        let at = row * C + i % C;
        let statistic = kept[row];
        let g = dy[at];
        sum += vec2(g * ((x[at] - statistic.x) * statistic.y), g);
    }
    partials[i] = sum;
}

@group(0) @binding(0) var<storage, read> parts: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(2) var<storage, read_write> dbias: array<f32>;

@compute @workgroup_size(64)
fn backward_finish(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let c = id.x + id.y * groups.x * 64u;
    if c >= C { return; }
    var sum = vec2(0.0);
    for (var chunk = 0u; chunk < CHUNKS; chunk++) { sum += parts[chunk * C + c]; }
    if ACCUMULATE { sum += vec2(dweight[c], dbias[c]); }
    dweight[c] = sum.x;
    dbias[c] = sum.y;
}
