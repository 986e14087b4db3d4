// The form of eight.wgsl for processors with subgroups of eight or more: each invocation loads one of the eight and takes the others from
// its neighbours' registers. Their drivers load for each lane by itself, so that this is an eighth of the loads.
struct Eight { own: vec4<f32> }

fn eight(first: u32, step: u32, lane: u32) -> Eight { return Eight(shared_quad(first + lane * step)); }

fn one_of(e: Eight, i: u32) -> vec4<f32> { return subgroupShuffle(e.own, i); }
