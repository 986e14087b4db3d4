// Over the M = N*H*W elements of a channel, in training:
//   mean = sum(x) / M,  var = sum((x - mean)^2) / M,  xhat = (x - mean) / sqrt(var + EPSILON)
//   y = act(gamma xhat + beta + residual); act is max(0, .) where RELU, also min(6, .) where RELU6; residual is there where RESIDUAL
//   running = (1 - MOMENTUM) running + MOMENTUM (mean, var M/(M-1))
//   g = dy where act has a slope, else 0;  dresidual = g
//   dbeta = sum(g),  dgamma = sum(g xhat),  dx = gamma / sqrt(var + EPSILON) (g - dbeta/M - xhat dgamma/M)
// In evaluation mean and var are the running ones. residual, y: [N,C,H,W], x: [N,XC,H,W], of which the first C channels are read, all
// padded to whole vec4; gamma, beta, running: [C]. A residual is there only where XC = C.
//
// `partial` and `backward_partial`: a workgroup per channel and chunk of images; lanes stride over the chunk, then a tree adds
// the 64 lanes in a fixed order. `partial_alone` and `backward_partial_alone`: an invocation per channel and chunk, for processors,
// whose drivers pay for each barrier. The sums are of x - x[0,c,0,0], which keeps them accurate where the mean is large.
// `finish`, `backward_finish`, `prepare`: an invocation per channel adds the chunks in order.
// `forward`, `backward`, `backward_residual`: an invocation owns QUADS vec4 of what it writes. dx beyond the first C channels is 0.

const LANES: u32 = 64u;
const COUNT: u32 = (N * C * PLANE + 3u) / 4u;
const X_COUNT: u32 = (N * XC * PLANE + 3u) / 4u;
// Elements of an image of x that are not read.
const SKIPPED: u32 = (XC - C) * PLANE;
// Whether each vec4 lies in one plane.
const ALIGNED: bool = PLANE % 4u == 0u;

var<workgroup> lanes: array<vec2<f32>, LANES>;

// The sum over the lanes, valid in lane 0.
fn sum_lanes(lane: u32, own: vec2<f32>) -> vec2<f32> {
    lanes[lane] = own;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    return lanes[lane];
}

// The parts of vec4 i that belong to the elements first..last.
fn within(v: vec4<f32>, i: u32, first: u32, last: u32) -> vec4<f32> {
    if ALIGNED { return v; }
    let at = 4u * i + vec4(0u, 1u, 2u, 3u);
    return select(vec4(0.0), v, (at >= vec4(first)) & (at < vec4(last)));
}

fn total(v: vec4<f32>) -> f32 { return (v.x + v.y) + (v.z + v.w); }

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2<f32>>;

fn x_at(i: u32) -> f32 { return float_in(x[i / 4u][i % 4u / FLOATS_PER_WORD], i); }

fn pivot(c: u32) -> f32 { return x_at(c * PLANE); }

// The sums of every `stride`th vec4 of a channel over a chunk of images.
fn sums_of(c: u32, chunk: u32, start: u32, stride: u32) -> vec2<f32> {
    let offset = pivot(c);
    var sum = vec4(0.0);
    var squares = vec4(0.0);
    let last = min((chunk + 1u) * IMAGES_PER_CHUNK, N);
    for (var n = chunk * IMAGES_PER_CHUNK; n < last; n++) {
        let plane = (n * XC + c) * PLANE;
        for (var i = plane / 4u + start; i < (plane + PLANE + 3u) / 4u; i += stride) {
            let v = within(floats(x[i]) - offset, i, plane, plane + PLANE);
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
fn partial_alone(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= C * CHUNKS { return; }
    partials[id.x] = sums_of(id.x % C, id.x / C, 0u, 1u);
}

// A channel as (mean, 1 / deviation, scale, shift): the normalised x is x * scale + shift.
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

@group(0) @binding(1) var<storage, read> affine: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> residual: array<Quad>;
@group(0) @binding(3) var<storage, read_write> y: array<Quad>;

fn elements(i: u32) -> vec4<u32> { return 4u * i + vec4(0u, 1u, 2u, 3u); }

// The channel of each element of vec4 i of a tensor of that many channels.
fn channels_of(i: u32, channels: u32) -> vec4<u32> { return (elements(i) / PLANE) % channels; }

// v, of these channels, by their scale and shift.
fn normalised(v: vec4<f32>, group: vec4<u32>) -> vec4<f32> {
    let a = affine[group.x];
    if ALIGNED { return v * a.z + a.w; }
    let b = affine[group.y];
    let c = affine[group.z];
    let d = affine[group.w];
    return v * vec4(a.z, b.z, c.z, d.z) + vec4(a.w, b.w, c.w, d.w);
}

// What of x belongs to vec4 i of y.
fn x_of(i: u32) -> vec4<f32> {
    if SKIPPED == 0u { return floats(x[i]); }
    if ALIGNED { return floats(x[i + 4u * i / (C * PLANE) * SKIPPED / 4u]); }
    let at = elements(i) + elements(i) / (C * PLANE) * SKIPPED;
    return vec4(x_at(at.x), x_at(at.y), x_at(at.z), x_at(at.w));
}

fn activation(v: vec4<f32>) -> vec4<f32> {
    var y = v;
    if RELU { y = select(y, vec4(0.0), y <= vec4(0.0)); }
    if RELU6 { y = select(y, vec4(6.0), y >= vec4(6.0)); }
    return y;
}

// g where the activation that gave y has a slope. NaN passes.
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

// What of dy belongs to vec4 i of x; anything where x is not read.
fn dy_of(i: u32) -> vec4<f32> {
    if SKIPPED == 0u { return floats(dy[i]); }
    if ALIGNED { return floats(dy[i - 4u * i / (XC * PLANE) * SKIPPED / 4u]); }
    let at = elements(i) - elements(i) / (XC * PLANE) * SKIPPED;
    return vec4(dy_at(at.x), dy_at(at.y), dy_at(at.z), dy_at(at.w));
}

// dy before the activation; v is vec4 i of x. Without a residual y follows from v and needs no load.
fn before_activation(v: vec4<f32>, i: u32) -> vec4<f32> {
    if RESIDUAL { return through_activation(floats(dy[i]), floats(result[i])); }
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
            let g = within(before_activation(v, i), i, plane, plane + PLANE);
            sum += g;
            products += within(g * (v - mean), i, plane, plane + PLANE);
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
fn backward_partial_alone(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= C * CHUNKS { return; }
    backward_partials[id.x] = backward_sums_of(id.x % C, id.x / C, 0u, 1u);
}

// A slope is (of_dy, of_x, constant, mean): dx = of_dy g + of_x (x - mean) + constant. The difference is taken first, since a large mean
// would swallow what it is there for.
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
    let of_gamma = sum.y * inverse_deviation;
    let count = f32(N * PLANE);
    let of_x = -scale * inverse_deviation * of_gamma / count;
    slopes[c] = vec4(scale, of_x, -scale * sum.x / count, by.x);
    if ACCUMULATE {
        dgamma[c] += of_gamma;
        dbeta[c] += sum.x;
    } else {
        dgamma[c] = of_gamma;
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
        let before = before_activation(v, i);
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
