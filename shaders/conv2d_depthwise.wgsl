// The convolutions of conv2d.wgsl where each channel is a group by itself (GROUPS = C = O), with KH = KW = 3, PAD = 1, S = 1 or 2.
// y[n,c,oh,ow] = bias[c] + sum over kh,kw of w[c,kh,kw] x[n,c,oh*S+kh-1,ow*S+kw-1]; x: [N,C,H,W], w: [C,1,3,3], y: [N,C,OH,OW].
// dx is `forward` of dy, spread out by S (DILATION), with w flipped (TRANSPOSED); dw is as in conv2d.wgsl.
//
// `forward`: an invocation owns four columns x 8 rows of a plane. `weight_partial`: the nine taps of a channel, over a slice of the
// columns of all images. Both go down the rows and load each row of x once: three loads (one number, a vec4, one number) for
// 36 multiply-adds. Memory is the limit: no staging pays, and about 48 registers leave every GPU its full occupancy.

const STRIP: u32 = 8u;
const QUADS: u32 = (OW + 3u) / 4u;
const STRIPS: u32 = (OH + STRIP - 1u) / STRIP;

@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;

// Column w of the row of x that begins at `row`, 0 beyond its ends.
fn column(row: u32, w: u32) -> f32 {
    let at = row + w;
    return select(0.0, x[at / 4u][at % 4u], w < W);
}

fn quad(row: u32, w: u32) -> vec4<f32> {
    if W % 4u == 0u { return select(vec4(0.0), x[(row + w) / 4u], w < W); }
    return vec4(column(row, w), column(row, w + 1u), column(row, w + 2u), column(row, w + 3u));
}

// What the three taps of a row see of row h of a plane at columns ow..ow+4 of y. Before the first row and column the numbers wrap
// around to large ones, which are outside too.
fn seen(plane: u32, h: u32, ow: u32) -> mat3x4<f32> {
    let row = plane + h / DILATION * W;
    if h / DILATION >= H || h % DILATION > 0u { return mat3x4<f32>(); }
    if DILATION == 2u {
        let a = column(row, ow / 2u);
        let b = column(row, ow / 2u + 1u);
        let c = column(row, ow / 2u + 2u);
        return mat3x4(vec4(0.0, a, 0.0, b), vec4(a, 0.0, b, 0.0), vec4(0.0, b, 0.0, c));
    }
    let before = column(row, ow * S - 1u);
    let a = quad(row, ow * S);
    if S == 2u {
        let b = quad(row, ow * S + 4u);
        let odd = vec4(a.yw, b.yw);
        return mat3x4(vec4(before, odd.xyz), vec4(a.xz, b.xz), odd);
    }
    return mat3x4(vec4(before, a.xyz), a, vec4(a.yzw, column(row, ow + 4u)));
}

fn row_of_taps(c: u32, kh: u32) -> vec3<f32> {
    let at = c * 9u + kh * 3u;
    if TRANSPOSED { return vec3(w[c * 9u + 8u - kh * 3u], w[c * 9u + 7u - kh * 3u], w[c * 9u + 6u - kh * 3u]); }
    return vec3(w[at], w[at + 1u], w[at + 2u]);
}

fn store(row: u32, ow: u32, sum: f32) {
    if ow < OW {
        var v = sum;
        if ACCUMULATE { v += y[row + ow]; }
        y[row + ow] = v;
    }
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * C * STRIPS * QUADS { return; }
    let ow = i % QUADS * 4u;
    let first = i / QUADS % STRIPS * STRIP;
    let image_channel = i / (QUADS * STRIPS);
    let c = image_channel % C;
    let plane = image_channel * H * W;
    let upper = row_of_taps(c, 0u);
    let middle = row_of_taps(c, 1u);
    let lower = row_of_taps(c, 2u);
    var start = vec4(0.0);
    if BIAS { start = vec4(bias[c]); }
    var above = seen(plane, first * S - 1u, ow);
    var here = seen(plane, first * S, ow);
    for (var oh = first; oh < min(first + STRIP, OH); oh++) {
        let below = seen(plane, oh * S + 1u, ow);
        let sums = start + above * upper + here * middle + below * lower;
        let row = (image_channel * OH + oh) * OW;
        store(row, ow, sums.x);
        store(row, ow + 1u, sums.y);
        store(row, ow + 2u, sums.z);
        store(row, ow + 3u, sums.w);
        if S == 1u {
            above = here;
            here = below;
        } else {
            above = below;
            here = seen(plane, oh * S + 2u, ow);
        }
    }
}

@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;

fn gradient_at(row: u32, ow: u32) -> f32 {
    let at = row + ow;
    return select(0.0, dy[at / 4u][at % 4u], ow < OW);
}

fn gradient(row: u32, ow: u32) -> vec4<f32> {
    if OW % 4u == 0u { return dy[(row + ow) / 4u]; }
    return vec4(gradient_at(row, ow), gradient_at(row, ow + 1u), gradient_at(row, ow + 2u), gradient_at(row, ow + 3u));
}

fn times(v: mat3x4<f32>, g: vec4<f32>) -> mat3x4<f32> { return mat3x4(v[0] * g, v[1] * g, v[2] * g); }

fn keep_row(at: u32, sums: mat3x4<f32>) {
    let totals = vec4(1.0) * sums;
    partials[at] = totals.x;
    partials[at + 1u] = totals.y;
    partials[at + 2u] = totals.z;
}

@compute @workgroup_size(64)
fn weight_partial(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let slice = i / C;
    if slice >= SLICES { return; }
    let c = i % C;
    var upper = mat3x4<f32>();
    var middle = mat3x4<f32>();
    var lower = mat3x4<f32>();
    let end = min((slice + 1u) * PER_SLICE, N * QUADS);
    for (var of_images = slice * PER_SLICE; of_images < end; of_images++) {
        let image_channel = of_images / QUADS * C + c;
        let ow = of_images % QUADS * 4u;
        let plane = image_channel * H * W;
        var above = mat3x4<f32>();
        var here = seen(plane, 0u, ow);
        for (var oh = 0u; oh < OH; oh++) {
            let g = gradient((image_channel * OH + oh) * OW, ow);
            let below = seen(plane, oh * S + 1u, ow);
            upper += times(above, g);
            middle += times(here, g);
            lower += times(below, g);
            if S == 1u {
                above = here;
                here = below;
            } else {
                above = below;
                here = seen(plane, oh * S + 2u, ow);
            }
        }
    }
    let at = (slice * C + c) * 9u;
    keep_row(at, upper);
    keep_row(at + 3u, middle);
    keep_row(at + 6u, lower);
}
