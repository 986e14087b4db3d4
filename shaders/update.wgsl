// One optimiser step over the whole parameter arena. Each block has the learning rate and weight
// decay of its row in the layer table:
//   g: gradient, after clipping;  lr, wd: the row's learning rate and weight decay
//   t: this step, counted from 1
//   sgd      g += wd p;  m = mu m + g;  p -= lr m, or p -= lr (g + mu m) with NESTEROV
//   adam     g += wd p;  m, v: running means of g, g^2;
//            p -= lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps)
//   adamw    p -= lr wd p;  then as adam without decay
//   adamax   g += wd p;  m as adam;  v = max(b2 v, |g| + eps);  p -= lr / (1 - b1^t) m / v
// The definitions are PyTorch's.
//
// params, grads, first, second: one window of an arena, in blocks of 256 floats (64 vec4).
// 64 consecutive invocations process a run: up to MOST_BLOCKS blocks of one row, with one vec4 of
// each block per invocation. Frozen rows keep their parameters and moments. After a non-finite
// loss, all rows keep them.
// With NORMS, each invocation writes its sums over its run: of g^2 (before weight decay), of the
// squared change of p (before p is rounded) and of p^2 (before the change). There is no barrier: on
// llvmpipe it would cost more than the update itself.
// `layer_norms` adds up the sums of each layer in a fixed order, with a workgroup per layer.

struct Step {
    beta1: f32,             // for sgd, the momentum
    beta2: f32,
    rest1: f32,             // 1 - beta1, computed in f64
    rest2: f32,             // 1 - beta2, computed in f64
    epsilon: f32,
    correction1: f32,       // 1 - beta1^t
    correction2_sqrt: f32,  // sqrt(1 - beta2^t)
    max_norm: f32,          // with CLIP, the largest L2 norm of the whole gradient
}

// A row of the layer table. `trained` is 0 if the row is frozen.
struct Hyper { learning_rate: f32, weight_decay: f32, trained: u32 }

struct Run { first_block: u32, blocks: u32, row: u32 }

// The first members of `Sums` in sums.wgsl.
struct Losses { examples: u32, halted: u32 }

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read_write> params: array<Quad>;
@group(0) @binding(2) var<storage, read> grads: array<Quad>;
@group(0) @binding(3) var<storage, read> runs: array<Run>;
@group(0) @binding(4) var<storage, read> table: array<Hyper>;
@group(0) @binding(5) var<storage, read> losses: Losses;
// The clipping factor, then a vec4 of sums for each invocation of each run.
@group(0) @binding(6) var<storage, read_write> sums: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> first: array<Quad>;
@group(0) @binding(8) var<storage, read_write> second: array<Quad>;

fn gradient(i: u32) -> vec4<f32> {
    var g = floats(grads[i]);
    if CLIP { g *= sums[0].x; }
    return g;
}

// The run of an invocation. It is empty past the last run, in a frozen row, and after a non-finite
// loss.
fn run_of(index: u32) -> Run {
    const NONE = Run(0u, 0u, 0u);
    if index >= arrayLength(&runs) || losses.halted != 0u { return NONE; }
    let run = runs[index];
    if table[run.row].trained == 0u { return NONE; }
    return run;
}

// Index of an invocation's k-th vec4. Eight consecutive invocations read 128 consecutive bytes,
// then the next 128: whole cache lines on a GPU, and a sequential stream on a processor.
fn index_of(run: Run, lane: u32, k: u32) -> u32 {
    return run.first_block * 64u + ((lane / 8u) * run.blocks + k) * 8u + lane % 8u;
}

fn squares(g: vec4<f32>, change: vec4<f32>, p: vec4<f32>) -> vec4<f32> {
    return vec4(dot(g, g), dot(change, change), dot(p, p), 0.0);
}

fn write_sums(index: u32, lane: u32, sums_of_squares: vec4<f32>) {
    if index < arrayLength(&runs) { sums[1u + (FIRST_RUN + index) * 64u + lane] = sums_of_squares; }
}

fn sgd_step(i: u32, hyper: Hyper) -> vec4<f32> {
    let p = floats(params[i]);
    let raw = gradient(i);
    let g = raw + hyper.weight_decay * p;
    let m = step.beta1 * floats(first[i]) + g;
    first[i] = quad_of(m);
    var direction = m;
    if NESTEROV { direction = g + step.beta1 * m; }
    let change = hyper.learning_rate * direction;
    params[i] = quad_of(p - change);
    return squares(raw, change, p);
}

@compute @workgroup_size(256)
fn sgd(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 256u;
    let run = run_of(at / 64u);
    let hyper = table[run.row];
    var sums_of_squares = vec4(0.0);
    for (var k = 0u; k < min(run.blocks, MOST_BLOCKS); k++) {
        sums_of_squares += sgd_step(index_of(run, at % 64u, k), hyper);
    }
    if NORMS { write_sums(at / 64u, at % 64u, sums_of_squares); }
}

fn adam_direction(i: u32, g: vec4<f32>) -> vec4<f32> {
    let m = step.beta1 * floats(first[i]) + step.rest1 * g;
    let v = step.beta2 * floats(second[i]) + step.rest2 * g * g;
    first[i] = quad_of(m);
    second[i] = quad_of(v);
    return m / step.correction1 / (sqrt(v) / step.correction2_sqrt + step.epsilon);
}

fn adam_step(i: u32, hyper: Hyper) -> vec4<f32> {
    let p = floats(params[i]);
    let g = gradient(i);
    let change = hyper.learning_rate * adam_direction(i, g + hyper.weight_decay * p);
    params[i] = quad_of(p - change);
    return squares(g, change, p);
}

@compute @workgroup_size(256)
fn adam(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 256u;
    let run = run_of(at / 64u);
    let hyper = table[run.row];
    var sums_of_squares = vec4(0.0);
    for (var k = 0u; k < min(run.blocks, MOST_BLOCKS); k++) {
        sums_of_squares += adam_step(index_of(run, at % 64u, k), hyper);
    }
    if NORMS { write_sums(at / 64u, at % 64u, sums_of_squares); }
}

fn adamw_step(i: u32, hyper: Hyper) -> vec4<f32> {
    let p = floats(params[i]);
    let g = gradient(i);
    let decay = hyper.learning_rate * hyper.weight_decay;
    let change = hyper.learning_rate * adam_direction(i, g);
    params[i] = quad_of(p * (1.0 - decay) - change);
    return squares(g, decay * p + change, p);
}

@compute @workgroup_size(256)
fn adamw(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 256u;
    let run = run_of(at / 64u);
    let hyper = table[run.row];
    var sums_of_squares = vec4(0.0);
    for (var k = 0u; k < min(run.blocks, MOST_BLOCKS); k++) {
        sums_of_squares += adamw_step(index_of(run, at % 64u, k), hyper);
    }
    if NORMS { write_sums(at / 64u, at % 64u, sums_of_squares); }
}

fn adamax_step(i: u32, hyper: Hyper) -> vec4<f32> {
    let p = floats(params[i]);
    let raw = gradient(i);
    let g = raw + hyper.weight_decay * p;
    let m = step.beta1 * floats(first[i]) + step.rest1 * g;
    let v = max(step.beta2 * floats(second[i]), abs(g) + step.epsilon);
    first[i] = quad_of(m);
    second[i] = quad_of(v);
    let change = hyper.learning_rate * m / step.correction1 / v;
    params[i] = quad_of(p - change);
    return squares(raw, change, p);
}

@compute @workgroup_size(256)
fn adamax(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 256u;
    let run = run_of(at / 64u);
    let hyper = table[run.row];
    var sums_of_squares = vec4(0.0);
    for (var k = 0u; k < min(run.blocks, MOST_BLOCKS); k++) {
        sums_of_squares += adamax_step(index_of(run, at % 64u, k), hyper);
    }
    if NORMS { write_sums(at / 64u, at % 64u, sums_of_squares); }
}

@group(0) @binding(0) var<storage, read> run_sums: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> run_layers: array<u32>;
@group(0) @binding(2) var<storage, read_write> layer_sums: array<vec4<f32>>;

var<workgroup> lanes: array<vec4<f32>, 64>;

@compute @workgroup_size(64)
fn layer_norms(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let layer = group.x + group.y * groups.x;
    var sum = vec4(0.0);
    for (var run = 0u; run < arrayLength(&run_layers); run++) {
        if run_layers[run] == layer { sum += run_sums[1u + run * 64u + lane]; }
    }
    lanes[lane] = sum;
    for (var width = 32u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width { lanes[lane] += lanes[lane + width]; }
    }
    if lane == 0u && layer < arrayLength(&layer_sums) { layer_sums[layer] = lanes[0]; }
}
