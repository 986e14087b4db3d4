// What the device can do at most, for benches to be held against.
// `multiply_add`: an invocation makes 512 x 64 multiply-adds on 16 independent vec4, without a load.
// `copy`: an invocation moves 16 vec4, eight neighbours 128 bytes at once and those behind them next, as the update does.

@group(0) @binding(0) var<storage, read_write> y: array<Quad>;

@compute @workgroup_size(64)
fn multiply_add(@builtin(global_invocation_id) id: vec3<u32>) {
    let x = vec4(f32(id.x)) * 1e-6;
    let a = vec4(1.0) - x;
    var s0 = mat4x4(x, x + 1.0, x + 2.0, x + 3.0);
    var s1 = mat4x4(x + 4.0, x + 5.0, x + 6.0, x + 7.0);
    var s2 = mat4x4(x + 8.0, x + 9.0, x + 10.0, x + 11.0);
    var s3 = mat4x4(x + 12.0, x + 13.0, x + 14.0, x + 15.0);
    for (var i = 0u; i < 512u; i++) {
        s0 = mat4x4(s0[0] * a + x, s0[1] * a + x, s0[2] * a + x, s0[3] * a + x);
        s1 = mat4x4(s1[0] * a + x, s1[1] * a + x, s1[2] * a + x, s1[3] * a + x);
        s2 = mat4x4(s2[0] * a + x, s2[1] * a + x, s2[2] * a + x, s2[3] * a + x);
        s3 = mat4x4(s3[0] * a + x, s3[1] * a + x, s3[2] * a + x, s3[3] * a + x);
    }
    y[id.x] = quad_of((s0 + s1 + s2 + s3) * vec4(1.0));
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
