// scale = min(1, max_norm / (norm + 1e-6)),  norm = the L2 norm of the gradients of all parameters
// that are not frozen.
// `squares`: a workgroup processes 16 blocks (4,096 floats) of a window. An invocation adds up the
// squares of one vec4 of each block whose bit in `trained` is set, and writes its own sum.
// `finish`: one workgroup adds up all sums. Each invocation adds every 256th, then a tree reduction
// in a fixed order adds their results.

struct Step {
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    correction1: f32,
    correction2_sqrt: f32,
    max_norm: f32,
}

const LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> grads: array<Quad>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<storage, read> trained: array<u32>;

@compute @workgroup_size(LANES)
fn squares(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = workgroup.x + workgroup.y * groups.x;
    if group >= WORKGROUPS { return; }
    let blocks = trained[group];
    var sum = vec4(0.0);
    for (var i = 0u; i < 16u; i++) {
        if extractBits(blocks, i, 1u) != 0u {
            let g = floats(grads[group * 1024u + i * LANES + lane]);
            sum += g * g;
        }
    }
    sums[(FIRST_GROUP + group) * LANES + lane] = dot(sum, vec4(1.0));
}

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> all_sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<vec4<f32>>;

var<workgroup> lanes: array<f32, 256>;

@compute @workgroup_size(256)
fn finish(@builtin(local_invocation_index) lane: u32) {
    var sum = 0.0;
    for (var i = lane; i < arrayLength(&all_sums); i += 256u) { sum += all_sums[i]; }
    lanes[lane] = sum;
    for (var width = 128u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    if lane == 0u { scale[0].x = min(1.0, step.max_norm / (sqrt(lanes[0]) + 1e-6)); }
}
