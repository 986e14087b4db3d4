// y[n,c,h,w] = sum over i,j in -1..1 of k[i,j] x[n,c,h+i,w+j], zero outside the plane,
// k[i,j] = exp(-(i^2 + j^2) / (2 sigma^2)), normalised to sum 1. The kernel is symmetric, so dx is the same blur of dy.
// x, y: [N,C,H,W]. An invocation owns one element of y.

struct Controls { step: u32, seed: u32, sigma: f32, reserved: u32 }

@group(0) @binding(0) var<uniform> controls: Controls;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn at(plane: u32, h: i32, w: i32) -> f32 {
    let inside = h >= 0 && h < i32(H) && w >= 0 && w < i32(W);
    return select(0.0, x[plane + u32(h) * W + u32(w)], inside);
}

fn blurred(i: u32) -> f32 {
    let plane = i - i % (H * W);
    let h = i32((i / W) % H);
    let w = i32(i % W);
    let edge = exp(-0.5 / (controls.sigma * controls.sigma));
    let corner = edge * edge;
    let edges = at(plane, h - 1, w) + at(plane, h + 1, w) + at(plane, h, w - 1) + at(plane, h, w + 1);
    let corners = at(plane, h - 1, w - 1) + at(plane, h - 1, w + 1) + at(plane, h + 1, w - 1) + at(plane, h + 1, w + 1);
    return (x[i] + edge * edges + corner * corners) / (1.0 + 4.0 * edge + 4.0 * corner);
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
