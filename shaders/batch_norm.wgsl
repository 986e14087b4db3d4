// In training, over the M = N*H*W elements of a channel:
//   mean = sum(x) / M,  var = sum((x - mean)^2) / M,  xhat = (x - mean) / sqrt(var + EPSILON)
//   y = act(gamma xhat + beta + residual)
//   running = (1 - MOMENTUM) running + MOMENTUM (mean, var M/(M-1))
//   g = dy where the gradient of act is 1, else 0;  dresidual = g
//   dbeta = sum(g),  dgamma = sum(g xhat)
//   dx = gamma / sqrt(var + EPSILON) (g - dbeta/M - xhat dgamma/M)
// In evaluation, mean and var are the running ones. act is max(0, .) with RELU, and also min(6, .)
// with RELU6. With SILU, act(v) = v sigma(v), and the gradient of act is not 1 or 0, but its slope.
// The residual is added with RESIDUAL, which requires XC = C and excludes SILU.
// residual, y: [N,C,H,W], padded to a multiple of 4; gamma, beta, running: [C]. x: [N,XC,H,W],
// padded too, of which the first C channels are normalised. dx of the other channels is 0.
//
// `partial`, `backward_partial`: a workgroup per channel and chunk of images. Each invocation adds
// every 64th vec4, then a tree reduction in a fixed order adds their sums.
// `partial_serial`, `backward_partial_serial`: an invocation per channel and chunk. For processors,
// on which barriers are slow.
// The sums are of x - x[0,c,0,0], which is more accurate if the mean is large.
// `finish`, `backward_finish`: an invocation per channel adds the chunks in order.
// `prepare`: an invocation per channel prepares the running statistics, in evaluation.
// `forward`, `backward`, `backward_residual`: an invocation computes QUADS vec4.

const LANES: u32 = 64u;
const COUNT: u32 = (N * C * PLANE + 3u) / 4u;
const X_COUNT: u32 = (N * XC * PLANE + 3u) / 4u;
// Elements per image of x in the channels that are not normalised.
const SKIPPED: u32 = (XC - C) * PLANE;
// Whether the elements of each vec4 are in the same plane.
const ALIGNED: bool = PLANE % 4u == 0u;

var<workgroup> lanes: array<vec2<f32>, LANES>;

// The sum over the workgroup. Only invocation 0 gets it.
fn sum_lanes(lane: u32, own: vec2<f32>) -> vec2<f32> {
    lanes[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    return lanes[lane];
}

// Vec4 i, with elements outside of the range first..last set to 0.
fn mask_range(v: vec4<f32>, i: u32, first: u32, last: u32) -> vec4<f32> {
    if ALIGNED { return v; }
    let at = 4u * i + vec4(0u, 1u, 2u, 3u);
    return select(vec4(0.0), v, (at >= vec4(first)) & (at < vec4(last)));
}

fn total(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2<f32>>;

fn x_at(i: u32) -> f32 { return float_in(x[i / 4u][i % 4u / FLOATS_PER_WORD], i); }

fn pivot(c: u32) -> f32 { return x_at(c * PLANE); }

// The sums of x - pivot and of its square, over every `stride`th vec4 of a channel in a chunk.
fn sums_of(c: u32, chunk: u32, start: u32, stride: u32) -> vec2<f32> {
    let offset = pivot(c);
    var sum = vec4(0.0);
    var squares = vec4(0.0);
    let last = min((chunk + 1u) * IMAGES_PER_CHUNK, N);
    for (var n = chunk * IMAGES_PER_CHUNK; n < last; n++) {
        let plane = (n * XC + c) * PLANE;
        for (var i = plane / 4u + start; i < (plane + PLANE + 3u) / 4u; i += stride) {
            let v = mask_range(floats(x[i]) - offset, i, plane, plane + PLANE);
            sum += v;
            squares += v * v;
        }
    }
    return vec2(total(sum), total(squares));
}

@compute @workgroup_size(LANES)
fn partial(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let sums = sum_lanes(lane, sums_of(group.x, group.y, lane, LANES));
    if lane == 0u { partials[group.y * C + group.x] = sums; }
}

@compute @workgroup_size(16)
fn partial_serial(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= C * CHUNKS { return; }
    partials[id.x] = sums_of(id.x % C, id.x / C, 0u, 1u);
}

// Each channel's (mean, 1 / sqrt(var + EPSILON), scale, shift).
// The normalised x is x * scale + shift.
@group(0) @binding(1) var<storage, read> sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> gamma: array<f32>;
@group(0) @binding(3) var<storage, read> beta: array<f32>;
@group(0) @binding(4) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(6) var<storage, read_write> channels: array<vec4<f32>>;

fn channel(c: u32, mean: f32, variance: f32) -> vec4<f32> {
    let inverse_deviation = 1.0 / sqrt(variance + EPSILON);
    let scale = gamma[c] * inverse_deviation;
    return vec4(mean, inverse_deviation, scale, beta[c] - mean * scale);
}

@compute @workgroup_size(LANES)
fn finish(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= C { return; }
    var sum = vec2(0.0);
    for (var chunk = 0u; chunk < CHUNKS; chunk++) { sum += sums[chunk * C + c]; }
    let count = f32(N * PLANE);
    let offset = sum.x / count;
    let mean = pivot(c) + offset;
    let variance = max(sum.y / count - offset * offset, 0.0);
    channels[c] = channel(c, mean, variance);
    // For a single element, the unbiased variance is undefined, and the biased one, 0, is used.
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

@group(0) @binding(1) var<storage, read> affine: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> residual: array<Quad>;
@group(0) @binding(3) var<storage, read_write> y: array<Quad>;

fn elements(i: u32) -> vec4<u32> { return 4u * i + vec4(0u, 1u, 2u, 3u); }

// The channel of each element of vec4 i, in a tensor with this number of channels.
fn channels_of(i: u32, channels: u32) -> vec4<u32> { return (elements(i) / PLANE) % channels; }

// v * scale + shift, with the scale and shift of each element's channel.
fn normalised(v: vec4<f32>, group: vec4<u32>) -> vec4<f32> {
    let a = affine[group.x];
    if ALIGNED { return v * a.z + a.w; }
    let b = affine[group.y];
    let c = affine[group.z];
    let d = affine[group.w];
    return v * vec4(a.z, b.z, c.z, d.z) + vec4(a.w, b.w, c.w, d.w);
}

// The elements of x that correspond to vec4 i of y.
fn x_of(i: u32) -> vec4<f32> {
    if SKIPPED == 0u { return floats(x[i]); }
    if ALIGNED { return floats(x[i + 4u * i / (C * PLANE) * SKIPPED / 4u]); }
    let at = elements(i) + elements(i) / (C * PLANE) * SKIPPED;
    return vec4(x_at(at.x), x_at(at.y), x_at(at.z), x_at(at.w));
}

// 1 / (1 + exp(-v)), with an exponential that does not overflow.
fn sigmoid(v: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(v));
    return select(e, vec4(1.0), v >= vec4(0.0)) / (1.0 + e);
}

fn activation(v: vec4<f32>) -> vec4<f32> {
    if SILU { return v * sigmoid(v); }
    var y = v;
    if RELU { y = select(y, vec4(0.0), y <= vec4(0.0)); }
    if RELU6 { y = select(y, vec4(6.0), y >= vec4(6.0)); }
    return y;
}

// g where the gradient of the activation with result y is 1, else 0. NaN in y lets g through.
fn through_activation(g: vec4<f32>, y: vec4<f32>) -> vec4<f32> {
    var passed = g;
    if RELU { passed = select(passed, vec4(0.0), y <= vec4(0.0)); }
    if RELU6 { passed = select(passed, vec4(0.0), y >= vec4(6.0)); }
    return passed;
}

@compute @workgroup_size(LANES)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = (id.x + id.y * groups.x * LANES) * QUADS;
    for (var i = first; i < min(first + QUADS, COUNT); i++) {
        var v = normalised(x_of(i), channels_of(i, C));
        if RESIDUAL { v += floats(residual[i]); }
        y[i] = quad_of(activation(v));
    }
}

@group(0) @binding(2) var<storage, read> dy: array<Quad>;
@group(0) @binding(3) var<storage, read> result: array<Quad>;
@group(0) @binding(4) var<storage, read_write> backward_partials: array<vec2<f32>>;

fn dy_at(i: u32) -> f32 { return float_in(dy[i / 4u][i % 4u / FLOATS_PER_WORD], i); }

// The elements of dy that correspond to vec4 i of x. Arbitrary in the channels that are not
// normalised.
fn dy_of(i: u32) -> vec4<f32> {
    if SKIPPED == 0u { return floats(dy[i]); }
    if ALIGNED { return floats(dy[i - 4u * i / (XC * PLANE) * SKIPPED / 4u]); }
    let at = elements(i) - elements(i) / (XC * PLANE) * SKIPPED;
    return vec4(dy_at(at.x), dy_at(at.y), dy_at(at.z), dy_at(at.w));
}

// The gradient with respect to the input of the activation, at vec4 i of x, whose value is v.
// Without a residual, y is computed from v instead of loaded.
fn gradient_before_activation(v: vec4<f32>, i: u32) -> vec4<f32> {
    if RESIDUAL { return through_activation(floats(dy[i]), floats(result[i])); }
    if SILU {
        // For |u| > 100 the second term of the slope is 0 in f32. Without the clamp it would be
        // infinity times 0.
        let u = normalised(v, channels_of(i, XC));
        let near = clamp(u, vec4(-100.0), vec4(100.0));
        return dy_of(i) * sigmoid(u) * (1.0 + near * sigmoid(-u));
    }
    if RELU || RELU6 { return through_activation(dy_of(i), normalised(v, channels_of(i, XC))); }
    return dy_of(i);
}

fn backward_sums_of(c: u32, chunk: u32, start: u32, stride: u32) -> vec2<f32> {
    let mean = affine[c].x;
    var sum = vec4(0.0);
    var products = vec4(0.0);
    let last = min((chunk + 1u) * IMAGES_PER_CHUNK, N);
    for (var n = chunk * IMAGES_PER_CHUNK; n < last; n++) {
        let plane = (n * XC + c) * PLANE;
        for (var i = plane / 4u + start; i < (plane + PLANE + 3u) / 4u; i += stride) {
            let v = floats(x[i]);
            let g = mask_range(gradient_before_activation(v, i), i, plane, plane + PLANE);
            sum += g;
            products += mask_range(g * (v - mean), i, plane, plane + PLANE);
        }
    }
    return vec2(total(sum), total(products));
}

@compute @workgroup_size(LANES)
fn backward_partial(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let sums = sum_lanes(lane, backward_sums_of(group.x, group.y, lane, LANES));
    if lane == 0u { backward_partials[group.y * C + group.x] = sums; }
}

@compute @workgroup_size(16)
fn backward_partial_serial(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= C * CHUNKS { return; }
    backward_partials[id.x] = backward_sums_of(id.x % C, id.x / C, 0u, 1u);
}

// The coefficients (a, b, constant, mean) of a channel: dx = a g + b (x - mean) + constant. The
// mean is subtracted first, for accuracy if it is large.
@group(0) @binding(0) var<storage, read> gradient_sums: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(3) var<storage, read_write> dbeta: array<f32>;
@group(0) @binding(4) var<storage, read_write> slopes: array<vec4<f32>>;

@compute @workgroup_size(LANES)
fn backward_finish(@builtin(global_invocation_id) id: vec3<u32>) {
    let c = id.x;
    if c >= C { return; }
    var sum = vec2(0.0);
    for (var chunk = 0u; chunk < CHUNKS; chunk++) { sum += gradient_sums[chunk * C + c]; }
    let by = affine[c];
    let inverse_deviation = by.y;
    let scale = by.z;
    let gamma_gradient = sum.y * inverse_deviation;
    let count = f32(N * PLANE);
    let of_x = -scale * inverse_deviation * gamma_gradient / count;
    slopes[c] = vec4(scale, of_x, -scale * sum.x / count, by.x);
    if ACCUMULATE {
        dgamma[c] += gamma_gradient;
        dbeta[c] += sum.x;
    } else {
        dgamma[c] = gamma_gradient;
        dbeta[c] = sum.x;
    }
}

@group(0) @binding(4) var<storage, read> slope: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> dx: array<Quad>;

@compute @workgroup_size(LANES)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = (id.x + id.y * groups.x * LANES) * QUADS;
    for (var i = first; i < min(first + QUADS, X_COUNT); i++) {
        let group = channels_of(i, XC);
        if ALIGNED && group.x >= C {
            if !ACCUMULATE { dx[i] = quad_of(vec4(0.0)); }
            continue;
        }
        let v = floats(x[i]);
        let before = gradient_before_activation(v, i);
        let a = slope[group.x];
        var g = a.x * before + a.y * (v - a.w) + a.z;
        if !ALIGNED {
            let b = slope[group.y];
            let c = slope[group.z];
            let d = slope[group.w];
            let centred = v - vec4(a.w, b.w, c.w, d.w);
            g = vec4(a.x, b.x, c.x, d.x) * before + vec4(a.y, b.y, c.y, d.y) * centred + vec4(a.z, b.z, c.z, d.z);
            g = select(vec4(0.0), g, group < vec4(C));
        }
        if ACCUMULATE { g += floats(dx[i]); }
        dx[i] = quad_of(g);
    }
}

@group(0) @binding(0) var<storage, read> activated: array<Quad>;
@group(0) @binding(1) var<storage, read> gradient: array<Quad>;
@group(0) @binding(2) var<storage, read_write> dresidual: array<Quad>;

@compute @workgroup_size(LANES)
fn backward_residual(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = (id.x + id.y * groups.x * LANES) * QUADS;
    for (var i = first; i < min(first + QUADS, COUNT); i++) {
        var g = through_activation(floats(gradient[i]), floats(activated[i]));
        if ACCUMULATE { g += floats(dresidual[i]); }
        dresidual[i] = quad_of(g);
    }
}
