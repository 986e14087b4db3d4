// y[n,0] = token[n / REPEAT], y[n,1+t] = x[n,t].
// dx[n,t] = dy[n,1+t]; dtoken[g] = sum of dy[n,0] over the REPEAT sequences n of g.
// x: [N,T,C], y: [N,T+1,C], token: [N/REPEAT,C]. An invocation computes one element.

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> token: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let row = (T + 1u) * C;
    if i >= N * row { return; }
    let n = i / row;
    let j = i % row;
    if j < C {
        y[i] = token[n / REPEAT * C + j];
    } else {
        y[i] = x[n * T * C + j - C];
    }
}

@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64)
fn backward(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    let row = T * C;
    if i >= N * row { return; }
    var g = dy[i / row * (row + C) + C + i % row];
    if ACCUMULATE { g += dx[i]; }
    dx[i] = g;
}

@compute @workgroup_size(64)
fn backward_token(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = id.x + id.y * groups.x * 64u;
    if i >= N / REPEAT * C { return; }
    var sum = 0.0;
    for (var r = 0u; r < REPEAT; r++) {
        sum += dy[(i / C * REPEAT + r) * (T + 1u) * C + i % C];
    }
    if ACCUMULATE { sum += dx[i]; }
    dx[i] = sum;
}
