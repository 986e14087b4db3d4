// The type `Quad`, with which kernels load and store four consecutive floats. This is the
// definition for GPUs.
alias Quad = vec4<f32>;

fn floats(q: Quad) -> vec4<f32> { return q; }

fn quad_of(v: vec4<f32>) -> Quad { return v; }

// Element i of an array of quads is float_in(quads[i / 4u][i % 4u / FLOATS_PER_WORD], i), one load.
const FLOATS_PER_WORD: u32 = 1u;

fn float_in(word: f32, i: u32) -> f32 { return word; }
