//! Runs one kernel without a tape: a shader, two buffers, a call.
//! Run it with `cargo run --release --example one_kernel`.

use lerac::error::Result;
use lerac::gpu::{Access, Gpu, GpuOptions, Kernel, Shader};

static DOUBLE: Shader = Shader::new(
    "double",
    "
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;

        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3<u32>) {
            if id.x < arrayLength(&y) { y[id.x] = FACTOR * x[id.x]; }
        }",
);

fn main() -> Result<()> {
    let gpu = Gpu::open(&GpuOptions::default())?;
    let (x, y) = (gpu.buffer("x", 40)?, gpu.buffer("y", 40)?);
    gpu.write(&x, 0, &[0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
    let kernel = Kernel { shader: &DOUBLE, entry: "main", constants: vec![("FACTOR", 2f32.into())] };
    let call = gpu.call(&kernel, &[(x.whole(), Access::Read), (y.whole(), Access::Write)], [1, 1, 1])?;
    gpu.run([&call])?;
    println!("{:?} on {}", gpu.read::<f32>(&y.whole())?, gpu.info().name);
    Ok(())
}
