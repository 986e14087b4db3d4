// The exponential moving average of the weights after a step:
//   average += (1 - d) (value - average),  d = the decay at this step
// So an average that equals its value does not change.
//
// averages, values: one window of an arena, in vec4. An invocation owns one vec4. After a
// non-finite loss nothing changes.

struct Average { rest: f32 }  // 1 - d, computed in f64

// The first members of `Sums` in sums.wgsl.
struct Losses { examples: u32, halted: u32 }

@group(0) @binding(0) var<uniform> step: Average;
@group(0) @binding(1) var<storage, read> losses: Losses;
@group(0) @binding(2) var<storage, read_write> averages: array<Quad>;
@group(0) @binding(3) var<storage, read> values: array<Quad>;

@compute @workgroup_size(256)
fn average(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 256u;
    if i >= arrayLength(&averages) || losses.halted != 0u { return; }
    let a = floats(averages[i]);
    averages[i] = quad_of(a + step.rest * (floats(values[i]) - a));
}
