// Over the M = N*H*W elements of a channel, in training:
//   mean = sum(x) / M,  var = sum((x - mean)^2) / M,  xhat = (x - mean) / sqrt(var + EPSILON),  y = gamma xhat + beta
//   running = (1 - MOMENTUM) running + MOMENTUM (mean, var M/(M-1))
//   dbeta = sum(dy),  dgamma = sum(dy xhat),  dx = gamma / sqrt(var + EPSILON) (dy - dbeta/M - xhat dgamma/M)
// In evaluation mean and var are the running ones. x, y: [N,C,H,W]; gamma, beta, running: [C].
//
// `partial` and `backward_partial`: a workgroup per channel and chunk of images; lanes stride over the chunk, then a tree adds
// the 64 lanes in a fixed order. The sums are of x - x[0,c,0,0], which keeps them accurate where the mean is large.
// `finish`, `backward_finish`, `prepare`: an invocation per channel adds the chunks in order.
// `forward`, `backward`: an invocation owns VECTOR elements of one plane.

const LANES: u32 = 64u;

struct Channel {
    mean: f32,
    inverse_deviation: f32,
    scale: f32,     // y = x * scale + shift
    shift: f32,
}

var<workgroup> lanes: array<vec2<f32>, LANES>;

// The sum over the lanes, valid in lane 0.
fn sum_lanes(lane: u32, own: vec2<f32>) -> vec2<f32> {
    lanes[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    return lanes[0];
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2<f32>>;

@compute @workgroup_size(LANES)
fn partial(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.x;
    let chunk = group.y;
    let pivot = x[c * PLANE];
    var sums = vec2(0.0);
    let last = min((chunk + 1u) * IMAGES_PER_CHUNK, N);
    for (var n = chunk * IMAGES_PER_CHUNK; n < last; n++) {
        let plane = (n * C + c) * PLANE;
        for (var i = lane; i < PLANE; i += LANES) {
            let v = x[plane + i] - pivot;
            sums += vec2(v, v * v);
        }
    }
    let total = sum_lanes(lane, sums);
    if lane == 0u { partials[chunk * C + c] = total; }
}

@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(6) var<storage, read_write> channels: array<Channel>;

fn channel(c: u32, mean: f32, variance: f32) -> Channel {
    let inverse_deviation = 1.0 / sqrt(variance + EPSILON);
    let scale = gamma[c] * inverse_deviation;
    return Channel(mean, inverse_deviation, scale, beta[c] - mean * scale);
}

@compute @workgroup_size(LANES)
fn finish(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= C { return; }
    var total = vec2(0.0);
    for (var chunk = 0u; chunk < CHUNKS; chunk++) { total += sums[chunk * C + c]; }
    let count = f32(N * PLANE);
    let offset = total.x / count;
    let mean = x[c * PLANE] + offset;
    let variance = max(total.y / count - offset * offset, 0.0);
    channels[c] = channel(c, mean, variance);
    // Of a single element no variance can be estimated: the biased one, 0, stands in.
    let unbiased = variance * count / max(count - 1.0, 1.0);
    running_mean[c] = mix(running_mean[c], mean, MOMENTUM);
    running_var[c] = mix(running_var[c], unbiased, MOMENTUM);
}

@compute @workgroup_size(LANES)
fn prepare(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= C { return; }
    channels[c] = channel(c, running_mean[c], running_var[c]);
}

@group(0) @binding(1) var<storage, read> affine: array<Channel>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(LANES)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = (id.x + id.y * groups.x * LANES) * VECTOR;
    if first >= N * C * PLANE { return; }
    let by = affine[(first / PLANE) % C];
    for (var i = 0u; i < VECTOR; i++) { y[first + i] = x[first + i] * by.scale + by.shift; }
}

@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> backward_partials: array<vec2<f32>>;

@compute @workgroup_size(LANES)
fn backward_partial(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.x;
    let chunk = group.y;
    let mean = affine[c].mean;
    var sums = vec2(0.0);
    let last = min((chunk + 1u) * IMAGES_PER_CHUNK, N);
    for (var n = chunk * IMAGES_PER_CHUNK; n < last; n++) {
        let plane = (n * C + c) * PLANE;
        for (var i = lane; i < PLANE; i += LANES) {
            let g = dy[plane + i];
            sums += vec2(g, g * (x[plane + i] - mean));
        }
    }
    let total = sum_lanes(lane, sums);
    if lane == 0u { backward_partials[chunk * C + c] = total; }
}

// dx = of_dy dy + of_x x + constant
struct Slope { of_dy: f32, of_x: f32, constant: f32, reserved: f32 }

@group(0) @binding(0) var<storage, read> gradient_sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(4) var<storage, read_write> slopes: array<Slope>;

@compute @workgroup_size(LANES)
fn backward_finish(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= C { return; }
    var total = vec2(0.0);
    for (var chunk = 0u; chunk < CHUNKS; chunk++) { total += gradient_sums[chunk * C + c]; }
    let by = affine[c];
    let of_gamma = total.y * by.inverse_deviation;
    let count = f32(N * PLANE);
    let of_x = -by.scale * by.inverse_deviation * of_gamma / count;
    slopes[c] = Slope(by.scale, of_x, -by.scale * total.x / count - of_x * by.mean, 0.0);
    if ACCUMULATE {
        dgamma[c] += of_gamma;
        dbeta[c] += total.x;
    } else {
        dgamma[c] = of_gamma;
        dbeta[c] = total.x;
    }
}

@group(0) @binding(1) var<storage, read> slope: array<Slope>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(LANES)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = (id.x + id.y * groups.x * LANES) * VECTOR;
    if first >= N * C * PLANE { return; }
    let by = slope[(first / PLANE) % C];
    for (var i = first; i < first + VECTOR; i++) {
        var g = by.of_dy * dy[i] + by.of_x * x[i] + by.constant;
        if ACCUMULATE { g += dx[i]; }
        dx[i] = g;
    }
}
