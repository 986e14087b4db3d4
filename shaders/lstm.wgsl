// One direction of an LSTM, one dispatch per step. s(a) = 1 / (1 + exp(-a)). The gates are in
// PyTorch's order:
//   a = W_ih x[n,t] + b_ih + W_hh h + b_hh, from two products
//   i = s(a_i), f = s(a_f), g = tanh(a_g), o = s(a_o)
//   c' = f c + i g,  h' = o tanh(c'),  y[n,t] = h'
// For an example of length L, step k < L is at position t = k, or at t = L - 1 - k if REVERSE.
// In the steps k >= L nothing changes: y and all gradients are 0 at the positions from L on.
// L is lengths[n], at most T, if MASKED, and T otherwise.
// gates: [N,T,4H]: W_ih x + b_ih before a step, then its i, f, g and o, for the backward pass.
// h_before, c_before: [N,T,H]: h and c before each step.
// y: [N,T,WIDTH]. This direction writes H elements from OFFSET on.
// state: [N,H] of h, then [N,H] of c, then the number of steps done.
// carry: [N,4H] of da of the previous step of the backward pass, then [N,H] of dc, then the number
// of steps done.
// A step reads one state or carry and writes the next. An invocation computes one element of h.

@group(0) @binding(0) var<storage, read_write> cleared: array<f32>;

@compute @workgroup_size(64)
fn clear(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i < arrayLength(&cleared) { cleared[i] = 0.0; }
}

@group(0) @binding(0) var<storage, read> lengths: array<u32>;
// [N,4H] of W_hh h + b_hh.
@group(0) @binding(1) var<storage, read> recurrent: array<f32>;
@group(0) @binding(2) var<storage, read> state: array<f32>;
@group(0) @binding(3) var<storage, read_write> gates: array<f32>;
@group(0) @binding(4) var<storage, read_write> next: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read_write> h_before: array<f32>;
@group(0) @binding(7) var<storage, read_write> c_before: array<f32>;

fn length(n: u32) -> u32 {
    if MASKED { return min(lengths[n], T); }
    return T;
}

// Row n, t of a step: n T + t.
fn row_of(n: u32, step: u32) -> u32 {
    let count = length(n);
    return n * T + select(step, count - 1u - step, REVERSE && step < count);
}

// Uses exp(-|a|), which does not overflow.
fn sigmoid(a: f32) -> f32 {
    let e = exp(-abs(a));
    return select(e, 1.0, a >= 0.0) / (1.0 + e);
}

// For |a| < 0.5 a polynomial, since the difference would cancel (see activation.wgsl).
fn hyperbolic_tangent(a: f32) -> f32 {
    let e = exp(-2.0 * abs(a));
    let far = (1.0 - e) / (1.0 + e);
    let q = a * a;
    var p = -0.0069429418 * q + 0.0214706830;
    p = p * q - 0.0539334691;
    p = p * q + 0.1333322578;
    p = p * q - 0.3333333280;
    return select(a + a * q * p, select(-far, far, a > 0.0), abs(a) >= 0.5);
}

// The indices of the four gates of element j in row `row` of [rows,4H].
fn places(row: u32, j: u32) -> vec4<u32> { return row * 4u * H + j + vec4(0u, H, 2u * H, 3u * H); }

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * H { return; }
    let step = u32(state[2u * N * H]);
    if i == 0u { next[2u * N * H] = f32(step + 1u); }
    let n = i / H;
    let j = i % H;
    let row = row_of(n, step);
    let at = places(row, j);
    var h = state[i];
    var c = state[N * H + i];
    var before = vec2(0.0);
    var gate = vec4(0.0);
    var output = 0.0;
    if step < length(n) {
        before = vec2(h, c);
        let by = places(n, j);
        let a = vec4(gates[at.x], gates[at.y], gates[at.z], gates[at.w])
            + vec4(recurrent[by.x], recurrent[by.y], recurrent[by.z], recurrent[by.w]);
        gate = vec4(sigmoid(a.x), sigmoid(a.y), hyperbolic_tangent(a.z), sigmoid(a.w));
        c = gate.y * c + gate.x * gate.z;
        h = gate.w * hyperbolic_tangent(c);
        output = h;
    }
    gates[at.x] = gate.x;
    gates[at.y] = gate.y;
    gates[at.z] = gate.z;
    gates[at.w] = gate.w;
    h_before[row * H + j] = before.x;
    c_before[row * H + j] = before.y;
    y[row * WIDTH + OFFSET + j] = output;
    next[i] = h;
    next[N * H + i] = c;
}

@group(0) @binding(1) var<storage, read> done: array<f32>;
@group(0) @binding(2) var<storage, read> c_old: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> carry: array<f32>;
// [N,H]: the gradient of h from the step after this one.
@group(0) @binding(5) var<storage, read> dh_after: array<f32>;
@group(0) @binding(6) var<storage, read_write> next_carry: array<f32>;
// The gradient of gates. No other operation writes it, so it is never accumulated.
@group(0) @binding(7) var<storage, read_write> dgates: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * H { return; }
    let steps = u32(carry[5u * N * H]);
    if i == 0u { next_carry[5u * N * H] = f32(steps + 1u); }
    let step = T - 1u - steps;
    let n = i / H;
    let j = i % H;
    let row = row_of(n, step);
    let at = places(row, j);
    var dc = carry[4u * N * H + i];
    var d = vec4(0.0);
    if step < length(n) {
        let gate = vec4(done[at.x], done[at.y], done[at.z], done[at.w]);
        let old = c_old[row * H + j];
        let t = hyperbolic_tangent(gate.y * old + gate.x * gate.z);
        let dh = dy[row * WIDTH + OFFSET + j] + dh_after[i];
        dc += dh * gate.w * (1.0 - t * t);
        d = vec4(dc * gate.z, dc * old, dc * gate.x, dh * t);
        d *= vec4(gate.x * (1.0 - gate.x), gate.y * (1.0 - gate.y), 1.0 - gate.z * gate.z, gate.w * (1.0 - gate.w));
        dc *= gate.y;
    }
    dgates[at.x] = d.x;
    dgates[at.y] = d.y;
    dgates[at.z] = d.z;
    dgates[at.w] = d.w;
    let to = places(n, j);
    next_carry[to.x] = d.x;
    next_carry[to.y] = d.y;
    next_carry[to.z] = d.z;
    next_carry[to.w] = d.w;
    next_carry[4u * N * H + i] = dc;
}

// last[n,j] = output[n,t,j] with t = L - 1 for the first H elements, and t = 0 for the H elements
// of the reverse direction. For an example of length 0 it is 0.
@group(0) @binding(1) var<storage, read> output: array<f32>;
@group(0) @binding(2) var<storage, read_write> last: array<f32>;

fn last_position(n: u32, j: u32) -> u32 { return select(0u, length(n) - 1u, j < H); }

@compute @workgroup_size(64)
fn forward_last(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * WIDTH { return; }
    let n = i / WIDTH;
    var v = 0.0;
    if length(n) > 0u { v = output[(n * T + last_position(n, i % WIDTH)) * WIDTH + i % WIDTH]; }
    last[i] = v;
}

@group(0) @binding(1) var<storage, read> dlast: array<f32>;
@group(0) @binding(2) var<storage, read_write> doutput: array<f32>;

@compute @workgroup_size(64)
fn backward_last(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N * T * WIDTH { return; }
    let n = i / (T * WIDTH);
    let j = i % WIDTH;
    var g = 0.0;
    if length(n) > 0u && i / WIDTH % T == last_position(n, j) { g = dlast[n * WIDTH + j]; }
    if ACCUMULATE { g += doutput[i]; }
    doutput[i] = g;
}
