// Loads of quads that all eight invocations of a workgroup need. Item i of eight is
// shared_quad(first + i * step). The shader that includes this file defines `shared_quad`.
// All eight invocations call `share` and `shared_item` together, with equal arguments except
// `lane`, the index in the workgroup. On software adapters it is also the index in the subgroup.
// This is the definition for every device, without sharing: each invocation loads all items.
struct Share { first: u32, step: u32 }

fn share(first: u32, step: u32, lane: u32) -> Share { return Share(first, step); }

fn shared_item(e: Share, i: u32) -> vec4<f32> { return shared_quad(e.first + i * e.step); }
