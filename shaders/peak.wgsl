// The device's peak arithmetic rate and copy bandwidth, for comparison with other kernels.
// `multiply_add`: an invocation makes 512 x 60 multiply-adds on 3 independent vec4, without a load.
// Three chains hide the latency, and fit a processor's registers. 16 vec4 reach only two thirds of
// the rate (Mesa 22.3.6 llvmpipe).
// `copy`: an invocation copies 16 vec4. Eight consecutive invocations copy 128 bytes together, then
// the next 128 bytes, in the same access pattern as update.wgsl.

@group(0) @binding(0) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = vec4(f32(id.x)) * 1e-6;
    let a = vec4(1.0) - x;
    var s0 = x + vec4(0.0, 0.1, 0.2, 0.3);
    var s1 = x + vec4(0.4, 0.5, 0.6, 0.7);
    var s2 = x + vec4(0.8, 0.9, 1.0, 1.1);
    for (var i = 0u; i < 512u; i++) {
        for (var round = 0u; round < 5u; round++) {
            s0 = s0 * a + x;
            s1 = s1 * a + x;
            s2 = s2 * a + x;
        }
    }
    y[id.x] = quad_of(s0 + s1 + s2);
}

@group(0) @binding(0) var<storage, read> source: array<Quad>;
@group(0) @binding(1) var<storage, read_write> copied: array<Quad>;

@compute @workgroup_size(256)
fn copy(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let at = id.x + id.y * groups.x * 256u;
    for (var k = 0u; k < 16u; k++) {
        let i = (at / 8u) * 128u + k * 8u + at % 8u;
        if i < arrayLength(&copied) { copied[i] = source[i]; }
    }
}
