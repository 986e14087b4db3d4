// x[n,c,h,w] = (byte / 255 - MEAN[c]) / STD[c], the byte taken from the image after a shifted crop and a flip:
// column flip ? W-1-w : w, moved by dx, row h moved by dy; a byte outside the image is 0.
// words: [labels: N][draws: N][bytes: N*C*H*W, four to a word, the lowest first]
// draw: bit 0 flip, bits 8..16 dx + 128, bits 16..24 dy + 128.   An invocation owns one element of x.

@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * C * H * W { return; }
    let plane = i / (H * W);
    let n = plane / C;
    let c = plane % C;
    let draw = words[N + n];
    let flipped = select(i % W, W - 1u - i % W, (draw & 1u) == 1u);
    let w = i32(flipped + ((draw >> 8u) & 255u)) - 128;
    let h = i32((i / W) % H + ((draw >> 16u) & 255u)) - 128;
    let inside = h >= 0 && h < i32(H) && w >= 0 && w < i32(W);
    let source = select(0u, plane * H * W + u32(h) * W + u32(w), inside);
    let byte = (words[2u * N + source / 4u] >> (8u * (source % 4u))) & 255u;
    x[i] = (select(0.0, f32(byte) / 255.0, inside) - MEAN[c]) / STD[c];
}
