// The definitions of subgroup_share.wgsl for processors with subgroups of at least four. Each
// invocation loads two of the eight items, and gets the others from three others' registers.
struct Share { low: vec4<f32>, high: vec4<f32> }

fn share(first: u32, step: u32, lane: u32) -> Share {
    let own = first + lane % 4u * step;
    return Share(shared_quad(own), shared_quad(own + 4u * step));
}

fn shared_item(e: Share, i: u32) -> vec4<f32> {
    if i < 4u { return subgroupShuffle(e.low, i); }
    return subgroupShuffle(e.high, i - 4u);
}
