// Eight quads that all eight invocations of a workgroup need: number i is shared_quad(first + i * step), which the file behind this
// defines. The form of every device: each invocation loads what it asks for.
struct Eight { first: u32, step: u32 }

fn eight(first: u32, step: u32, lane: u32) -> Eight { return Eight(first, step); }

fn one_of(e: Eight, i: u32) -> vec4<f32> { return shared_quad(e.first + i * e.step); }
