// Four floats that lie together in memory, as kernels that say `Quad` load and store them: the form of all devices but processors.
alias Quad = vec4<f32>;

fn floats(q: Quad) -> vec4<f32> { return q; }

fn quad_of(v: vec4<f32>) -> Quad { return v; }

// Element i of memory is float_in(quads[i / 4u][i % 4u / FLOATS_PER_WORD], i): one load.
const FLOATS_PER_WORD: u32 = 1u;

fn float_in(word: f32, i: u32) -> f32 { return word; }
