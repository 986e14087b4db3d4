// The form of subgroup_share.wgsl for processors with subgroups of eight or more: each invocation loads one of the eight and takes the others from
// its neighbours' registers. Their drivers load for each lane by itself, so that this is an eighth of the loads.
struct Share { own: vec4<f32> }

fn share(first: u32, step: u32, lane: u32) -> Share { return Share(shared_quad(first + lane * step)); }

fn shared_item(e: Share, i: u32) -> vec4<f32> { return subgroupShuffle(e.own, i); }
