// x[n,c,h,w] = (byte / 255 - MEAN[c]) / STD[c], where byte is at row h + dy and column
// (flip ? W-1-w : w) + dx of the image, and 0 outside of it.
// bytes: N images of C*H*W bytes, each padded to WORDS words of four bytes, lowest byte first.
// movements, used with MOVED: a word per image; bit 0 is flip, bits 8..16 are dx + 128, bits 16..24
// are dy + 128. An invocation computes one element of x.

const STILL: u32 = 0x808000u;

@group(0) @binding(0) var<storage, read> bytes: array<u32>;
@group(0) @binding(1) var<storage, read> movements: array<u32>;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;

fn movement_of(n: u32) -> u32 {
    if MOVED { return movements[n]; }
    return STILL;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * C * H * W { return; }
    let plane = i / (H * W);
    let n = plane / C;
    let c = plane % C;
    let movement = movement_of(n);
    let flipped = select(i % W, W - 1u - i % W, (movement & 1u) == 1u);
    let w = i32(flipped + ((movement >> 8u) & 255u)) - 128;
    let h = i32((i / W) % H + ((movement >> 16u) & 255u)) - 128;
    let inside = h >= 0 && h < i32(H) && w >= 0 && w < i32(W);
    let source = select(0u, c * H * W + u32(h) * W + u32(w), inside);
    let byte = (bytes[n * WORDS + source / 4u] >> (8u * (source % 4u))) & 255u;
    x[i] = (select(0.0, f32(byte) / 255.0, inside) - MEAN[c]) / STD[c];
}

@group(0) @binding(2) var<storage, read_write> quads: array<Quad>;

// `forward` for W a multiple of 4. An invocation computes four columns, whose bytes are in at most
// two words.
@compute @workgroup_size(64)
fn forward_quads(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * C * H * W / 4u { return; }
    let plane = 4u * i / (H * W);
    let c = plane % C;
    let movement = movement_of(plane / C);
    let is_flipped = (movement & 1u) == 1u;
    let column = 4u * i % W;
    let h = i32(4u * i / W % H + ((movement >> 16u) & 255u)) - 128;
    // The leftmost of the four columns in the image.
    let w = i32(select(column, W - 4u - column, is_flipped) + ((movement >> 8u) & 255u)) - 128;
    let columns = vec4(w) + vec4(0, 1, 2, 3);
    let inside = vec4(h >= 0 && h < i32(H)) & (columns >= vec4(0)) & (columns < vec4(i32(W)));
    // WORDS is C*H*W/4, so the planes of all images are contiguous.
    let row = (plane * H + u32(clamp(h, 0, i32(H) - 1))) * W / 4u;
    let last = (W - 1u) / 4u;
    let low = bytes[row + min(u32(max(w, 0)) / 4u, last)];
    let high = bytes[row + min(u32(max(w + 3, 0)) / 4u, last)];
    let from_high = vec4<bool>(columns / 4 != vec4(max(w, 0) / 4));
    let word = select(vec4(low), vec4(high), from_high);
    let values = (word >> (8u * (vec4<u32>(columns) % 4u))) & vec4(255u);
    let v = (select(vec4(0.0), vec4<f32>(values) / 255.0, inside) - MEAN[c]) / STD[c];
    quads[i] = quad_of(select(v, v.wzyx, is_flipped));
}
