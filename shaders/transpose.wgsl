// y[a,c,b,d] = x[a,b,c,d].   dx is the same with dy for x, and B and C exchanged.
// x: [A,B,C,D], y: [A,C,B,D]. An invocation computes one element.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// The element of x that is element i of y.
fn source(i: u32) -> u32 {
    let d = i % D;
    let b = i / D % B;
    let c = i / (D * B) % C;
    let a = i / (D * B * C);
    return ((a * B + b) * C + c) * D + d;
}

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= A * B * C * D { return; }
    y[i] = x[source(i)];
}

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= A * B * C * D { return; }
    var g = x[source(i)];
    if ACCUMULATE { g += y[i]; }
    y[i] = g;
}
