// y = f(x). The constant FUNCTION chooses f, with s(u) = 1 / (1 + exp(-u)):
//   0  tanh(x)                                    dx = dy (1 - y^2)
//   1  sigmoid: s(x)                              dx = dy y (1 - y)
//   2  silu: x s(x)                               dx = dy (s(u) + x s(u) s(-u) u'),  u = x
//   3  gelu, tanh form: x s(u)                    as silu, u = sqrt(8 / pi) (x + 0.044715 x^3)
//   4  QuickGELU: x s(u)                          as silu, u = 1.702 x
// The tanh form is x (1 + tanh(u / 2)) / 2, and (1 + tanh(u / 2)) / 2 = s(u). NaN stays NaN.
// All arrays have the same shape, padded to a multiple of 4. An invocation computes one vec4.

const TANH: u32 = 0u;
const SIGMOID: u32 = 1u;
const SILU: u32 = 2u;
const GELU_TANH: u32 = 3u;

// Uses exp(-|u|), which does not overflow.
fn sigmoid(u: vec4<f32>) -> vec4<f32> {
    let e = exp(-abs(u));
    return select(e, vec4(1.0), u >= vec4(0.0)) / (1.0 + e);
}

// For |v| < 0.5 a polynomial in v^2 with a relative error below 2e-9, since the difference would
// cancel. A NaN may be lost in the minimum, but not in the polynomial, which is selected for it.
fn hyperbolic_tangent(v: vec4<f32>) -> vec4<f32> {
    let a = abs(v);
    let far = 1.0 - 2.0 / (exp(2.0 * min(a, vec4(10.0))) + 1.0);
    let q = v * v;
    var p = vec4(-0.0069429418);
    p = p * q + 0.0214706830;
    p = p * q - 0.0539334691;
    p = p * q + 0.1333322578;
    p = p * q - 0.3333333280;
    let near = v + v * q * p;
    return select(near, select(-far, far, v > vec4(0.0)), a >= vec4(0.5));
}

const SLOPE: f32 = 1.5957691216;

// u, where y = x s(u).
fn inner(v: vec4<f32>) -> vec4<f32> {
    if FUNCTION == SILU { return v; }
    if FUNCTION == GELU_TANH { return SLOPE * (v + 0.044715 * v * v * v); }
    return 1.702 * v;
}

fn inner_slope(v: vec4<f32>) -> vec4<f32> {
    if FUNCTION == SILU { return vec4(1.0); }
    if FUNCTION == GELU_TANH { return SLOPE * (1.0 + 0.134145 * v * v); }
    return vec4(1.702);
}

fn value(v: vec4<f32>) -> vec4<f32> {
    if FUNCTION == TANH { return hyperbolic_tangent(v); }
    if FUNCTION == SIGMOID { return sigmoid(v); }
    return v * sigmoid(inner(v));
}

// dy/dx; v is y for tanh and sigmoid, x for the others.
fn slope(v: vec4<f32>) -> vec4<f32> {
    if FUNCTION == TANH { return 1.0 - v * v; }
    if FUNCTION == SIGMOID { return v * (1.0 - v); }
    let u = inner(v);
    let rising = sigmoid(u);
    // For |v| > 100 the second term is 0 in f32. Without the clamp it would be infinity times 0.
    let near = clamp(v, vec4(-100.0), vec4(100.0));
    return rising + near * inner_slope(near) * rising * sigmoid(-u);
}

@group(0) @binding(0) var<storage, read> x: array<Quad>;
@group(0) @binding(1) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&y) { return; }
    y[i] = quad_of(value(floats(x[i])));
}

@group(0) @binding(1) var<storage, read> dy: array<Quad>;
@group(0) @binding(2) var<storage, read_write> dx: array<Quad>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= arrayLength(&dx) { return; }
    var g = floats(dy[i]) * slope(floats(x[i]));
    if ACCUMULATE { g += floats(dx[i]); }
    dx[i] = quad_of(g);
}
