// The definitions of subgroup_share.wgsl for processors with subgroups of at least eight. Each
// invocation loads one of the eight items, and gets the others from the other seven's registers.
// The drivers load separately for each lane, so this makes an eighth of the loads.
struct Share { own: vec4<f32> }

fn share(first: u32, step: u32, lane: u32) -> Share { return Share(shared_quad(first + lane * step)); }

fn shared_item(e: Share, i: u32) -> vec4<f32> { return subgroupShuffle(e.own, i); }
