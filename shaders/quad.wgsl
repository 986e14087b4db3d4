// Four floats that lie together in memory, as kernels that say `Quad` load and store them: the form of all devices but processors.
alias Quad = vec4<f32>;

fn floats(q: Quad) -> vec4<f32> { return q; }

fn quad_of(v: vec4<f32>) -> Quad { return v; }

