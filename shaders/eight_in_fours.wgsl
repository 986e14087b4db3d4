// The form of eight.wgsl for processors with subgroups of four (or more): each invocation loads two of the eight, and takes the others
// from the registers of the three beside it.
struct Eight { low: vec4<f32>, high: vec4<f32> }

fn eight(first: u32, step: u32, lane: u32) -> Eight {
    let own = first + lane % 4u * step;
    return Eight(shared_quad(own), shared_quad(own + 4u * step));
}

fn one_of(e: Eight, i: u32) -> vec4<f32> {
    if i < 4u { return subgroupShuffle(e.low, i); }
    return subgroupShuffle(e.high, i - 4u);
}
