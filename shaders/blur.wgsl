// y[n,c,h,w] = sum over i,j in -1..1 of k[i,j] x[n,c,h+i,w+j], with zero padding,
// k[i,j] = exp(-(i^2 + j^2) / (2 sigma^2)), normalised to sum 1.
// The kernel is symmetric, so dx is the same blur of dy. It is separable: the product of
// (e, 1, e) / (1 + 2 e) along columns and along rows, with e = exp(-1 / (2 sigma^2)).
// `forward_tokens`, `backward_tokens` blur sequences [N,T,C] along T, with (e, 1, e) / (1 + 2 e).
// x, y: [N,C,H,W]. `forward`, `backward`: an invocation computes one element.
// `forward_quads`, `backward_quads`: an invocation computes four columns, for W a multiple of 4.

struct Controls { step: u32, seed: u32, sigma: f32, pass_index: u32, mix: f32 }

@group(0) @binding(0) var<uniform> controls: Controls;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn edge() -> f32 { return exp(-0.5 / (controls.sigma * controls.sigma)); }

// Element (h, w) of a plane, or 0 outside. An index of -1 wraps around to a large number.
fn at(plane: u32, h: u32, w: u32) -> f32 {
    return select(0.0, x[plane + h * W + w], h < H && w < W);
}

fn blurred(i: u32) -> f32 {
    let plane = i - i % (H * W);
    let h = (i / W) % H;
    let w = i % W;
    let e = edge();
    let before = at(plane, h, w - 1u) + e * (at(plane, h - 1u, w - 1u) + at(plane, h + 1u, w - 1u));
    let here = at(plane, h, w) + e * (at(plane, h - 1u, w) + at(plane, h + 1u, w));
    let after = at(plane, h, w + 1u) + e * (at(plane, h - 1u, w + 1u) + at(plane, h + 1u, w + 1u));
    return (here + e * (before + after)) / ((1.0 + 2.0 * e) * (1.0 + 2.0 * e));
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= COUNT { return; }
    y[i] = blurred(i);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= COUNT { return; }
    var g = blurred(i);
    if ACCUMULATE { g += y[i]; }
    y[i] = g;
}

// A sequence [T,C] is a plane of H = T rows and W = C columns, blurred along its rows only.
fn blurred_tokens(i: u32) -> f32 {
    let plane = i - i % (H * W);
    let h = (i / W) % H;
    let w = i % W;
    let e = edge();
    return (at(plane, h, w) + e * (at(plane, h - 1u, w) + at(plane, h + 1u, w))) / (1.0 + 2.0 * e);
}

@compute @workgroup_size(64)
fn forward_tokens(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= COUNT { return; }
    y[i] = blurred_tokens(i);
}

@compute @workgroup_size(64)
fn backward_tokens(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= COUNT { return; }
    var g = blurred_tokens(i);
    if ACCUMULATE { g += y[i]; }
    y[i] = g;
}

@group(0) @binding(1) var<storage, read> x_quads: array<Quad>;
@group(0) @binding(2) var<storage, read_write> y_quads: array<Quad>;

// vec4 per row. At least 1, so that the file compiles for every shape.
const W4: u32 = max(W / 4u, 1u);

// Four columns of a row, with the columns to their left (`before`) and right (`after`).
struct Row { columns: vec4<f32>, before: f32, after: f32 }

fn row(plane: u32, h: u32, q: u32) -> Row {
    let i = plane + h * W4 + q;
    return Row(
        select(vec4(0.0), floats(x_quads[i]), h < H),
        select(0.0, floats(x_quads[i - 1u]).w, h < H && q > 0u),
        select(0.0, floats(x_quads[i + 1u]).x, h < H && q + 1u < W4),
    );
}

fn blurred_vec4(i: u32) -> vec4<f32> {
    let plane = i - i % (H * W4);
    let h = (i / W4) % H;
    let q = i % W4;
    let e = edge();
    let above = row(plane, h - 1u, q);
    let middle = row(plane, h, q);
    let below = row(plane, h + 1u, q);
    let here = middle.columns + e * (above.columns + below.columns);
    let before = middle.before + e * (above.before + below.before);
    let after = middle.after + e * (above.after + below.after);
    let sides = vec4(before, here.xyz) + vec4(here.yzw, after);
    return (here + e * sides) / ((1.0 + 2.0 * e) * (1.0 + 2.0 * e));
}

@compute @workgroup_size(64)
fn forward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    y_quads[i] = quad_of(blurred_vec4(i));
}

@compute @workgroup_size(64)
fn backward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if 4u * i >= COUNT { return; }
    var g = blurred_vec4(i);
    if ACCUMULATE { g += floats(y_quads[i]); }
    y_quads[i] = quad_of(g);
}
