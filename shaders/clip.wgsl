// scale = min(1, max_norm / (norm + 1e-6)),  norm = the L2 norm of all gradients.
// `squares`: a workgroup per 4,096 floats of a window; lanes stride, then a tree adds the lanes in a fixed order.
// `finish`: one invocation adds the workgroups' sums in order.

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

var<workgroup> lanes: array<f32, LANES>;

@group(0) @binding(0) var<storage, read> grads: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(LANES)
fn squares(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = workgroup.x + workgroup.y * groups.x;
    var sum = 0.0;
    for (var i = lane; i < 1024u; i += LANES) {
        let at = group * 1024u + i;
        if at < arrayLength(&grads) { sum += dot(grads[at], grads[at]); }
    }
    lanes[lane] = sum;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    if lane == 0u && group < WORKGROUPS { sums[FIRST_SUM + group] = lanes[0]; }
}

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> all_sums: array<f32>;
@group(0) @binding(2) var<storage, read_write> scale: array<vec4<f32>>;

@compute @workgroup_size(1)
fn finish() {
    var sum = 0.0;
    for (var i = 0u; i < TOTAL_SUMS; i++) { sum += all_sums[i]; }
    scale[0].x = min(1.0, step.max_norm / (sqrt(sum) + 1e-6));
}
