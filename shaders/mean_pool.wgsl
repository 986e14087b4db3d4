// y[n,c,oh,ow] = mean over kh < KH, kw < KW of x[n,c,oh*S+kh,ow*S+kw]
// x: [N,C,H,W], y: [N,C,OH,OW]. Global pooling has one window per plane.
// `forward`: an invocation computes one element of y.
// `backward`: an invocation computes one element of dx, from the dy of all windows that contain it.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= PLANES * OH * OW { return; }
    let plane = i / (OH * OW);
    let top = ((i / OW) % OH) * S;
    let left = (i % OW) * S;
    var sum = 0.0;
    for (var kh = 0u; kh < KH; kh++) {
        for (var kw = 0u; kw < KW; kw++) {
            sum += x[(plane * H + top + kh) * W + left + kw];
        }
    }
    y[i] = sum / f32(KH * KW);
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    // In this kernel, x is dy and y is dx.
    let i = id.x + id.y * groups.x * 64u;
    if i >= PLANES * H * W { return; }
    let plane = i / (H * W);
    let h = (i / W) % H;
    let w = i % W;
    // Window oh contains h if oh*S <= h < oh*S + KH. Likewise for w.
    let first_oh = select(0u, (h - KH) / S + 1u, h >= KH);
    let first_ow = select(0u, (w - KW) / S + 1u, w >= KW);
    var sum = 0.0;
    for (var oh = first_oh; oh < OH && oh * S <= h; oh++) {
        for (var ow = first_ow; ow < OW && ow * S <= w; ow++) {
            sum += x[(plane * OH + oh) * OW + ow];
        }
    }
    var g = sum / f32(KH * KW);
    if ACCUMULATE { g += y[i]; }
    y[i] = g;
}

@group(0) @binding(1) var<storage, read_write> quads: array<Quad>;

// `backward` for global pooling with H * W a multiple of 4. An invocation computes one vec4 of dx.
@compute @workgroup_size(64)
fn backward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= PLANES * H * W / 4u { return; }
    var g = vec4(x[4u * i / (H * W)] / f32(KH * KW));
    if ACCUMULATE { g += floats(quads[i]); }
    quads[i] = quad_of(g);
}
