// One optimiser step over the whole parameter arena, each block at its layer's own learning rate:
//   g: gradient, after clipping;  lr, wd: the layer's learning rate and weight decay;  t: this step, counted from 1
//   sgd      g += wd p;  m = mu m + g;                    p -= lr m, or p -= lr (g + mu m) with NESTEROV
//   adam     g += wd p;  m, v: running means of g, g^2;   p -= lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
//   adamw    p -= lr wd p;  then as adam without decay
//   adamax   g += wd p;  m as adam;  v = max(b2 v, |g| + eps);  p -= lr / (1 - b1^t) m / v
// as PyTorch defines them. params, grads, first, second: one window of an arena, blocks of 256 floats (64 vec4).
// An invocation owns one vec4; 64 neighbours share a block and so a layer. Once a loss was not finite nothing changes any more.

struct Step {
    beta1: f32,             // momentum for sgd
    beta2: f32,
    rest1: f32,             // 1 - beta1, 1 - beta2: rounded once, from the host's f64
    rest2: f32,
    epsilon: f32,
    correction1: f32,       // 1 - beta1^t
    correction2_sqrt: f32,  // sqrt(1 - beta2^t)
    max_norm: f32,          // of the whole gradient, with CLIP
}

struct LayerHyper { learning_rate: f32, weight_decay: f32 }

struct Metrics { loss: f32, top1: u32, top5: u32, images: u32, batch_images: u32, halted: u32 }

const NO_DECAY: u32 = 0x80000000u;

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read_write> params: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grads: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> block_layer: array<u32>;
@group(0) @binding(4) var<storage, read> layer_hyper: array<LayerHyper>;
@group(0) @binding(5) var<storage, read> metrics: Metrics;
@group(0) @binding(6) var<storage, read> clip: array<f32>;
@group(0) @binding(7) var<storage, read_write> first: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> second: array<vec4<f32>>;

fn hyper_of(i: u32) -> LayerHyper {
    let entry = block_layer[i / 64u];
    var hyper = layer_hyper[entry & ~NO_DECAY];
    if (entry & NO_DECAY) != 0u { hyper.weight_decay = 0.0; }
    return hyper;
}

fn gradient(i: u32) -> vec4<f32> {
    var g = grads[i];
    if CLIP { g *= clip[0]; }
    return g;
}

fn idle(i: u32) -> bool {
    return i >= arrayLength(&params) || metrics.halted != 0u;
}

@compute @workgroup_size(256)
fn sgd(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 256u;
    if idle(i) { return; }
    let hyper = hyper_of(i);
    let p = params[i];
    let g = gradient(i) + hyper.weight_decay * p;
    let m = step.beta1 * first[i] + g;
    first[i] = m;
    var direction = m;
    if NESTEROV { direction = g + step.beta1 * m; }
    params[i] = p - hyper.learning_rate * direction;
}

fn adam_direction(i: u32, g: vec4<f32>) -> vec4<f32> {
    let m = step.beta1 * first[i] + step.rest1 * g;
    let v = step.beta2 * second[i] + step.rest2 * g * g;
    first[i] = m;
    second[i] = v;
    return m / step.correction1 / (sqrt(v) / step.correction2_sqrt + step.epsilon);
}

@compute @workgroup_size(256)
fn adam(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 256u;
    if idle(i) { return; }
    let hyper = hyper_of(i);
    let p = params[i];
    params[i] = p - hyper.learning_rate * adam_direction(i, gradient(i) + hyper.weight_decay * p);
}

@compute @workgroup_size(256)
fn adamw(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 256u;
    if idle(i) { return; }
    let hyper = hyper_of(i);
    let p = params[i] * (1.0 - hyper.learning_rate * hyper.weight_decay);
    params[i] = p - hyper.learning_rate * adam_direction(i, gradient(i));
}

@compute @workgroup_size(256)
fn adamax(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 256u;
    if idle(i) { return; }
    let hyper = hyper_of(i);
    let p = params[i];
    let g = gradient(i) + hyper.weight_decay * p;
    let m = step.beta1 * first[i] + step.rest1 * g;
    let v = max(step.beta2 * second[i], abs(g) + step.epsilon);
    first[i] = m;
    second[i] = v;
    params[i] = p - hyper.learning_rate * m / step.correction1 / v;
}
