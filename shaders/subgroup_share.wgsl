// Eight quads that all eight invocations of a workgroup need: number i is shared_quad(first + i * step), which the file behind this
// defines. All eight call these at once and with the same numbers, but for `lane`, which is their place in the workgroup, and so in the
// subgroup: drivers that compute on the processor fill subgroups in that order.
// The form of every device: each invocation loads what it asks for.
struct Share { first: u32, step: u32 }

fn share(first: u32, step: u32, lane: u32) -> Share { return Share(first, step); }

fn shared_item(e: Share, i: u32) -> vec4<f32> { return shared_quad(e.first + i * e.step); }
