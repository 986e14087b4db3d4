// The definitions of quad.wgsl for processors. Their drivers load and store one number at a time,
// separately for each lane. Half as many 64-bit numbers take 0.6 to 0.8 of the time (llvmpipe of
// Mesa 25.0.7 and 22.3.6).
alias Quad = vec2<u64>;

fn floats(q: Quad) -> vec4<f32> {
    return bitcast<vec4<f32>>(vec4(u32(q.x), u32(q.x >> 32u), u32(q.y), u32(q.y >> 32u)));
}

fn quad_of(v: vec4<f32>) -> Quad {
    let bits = bitcast<vec4<u32>>(v);
    return vec2(u64(bits.x) | (u64(bits.y) << 32u), u64(bits.z) | (u64(bits.w) << 32u));
}

const FLOATS_PER_WORD: u32 = 2u;

fn float_in(word: u64, i: u32) -> f32 { return bitcast<f32>(u32(word >> (i % 2u * 32u))); }
