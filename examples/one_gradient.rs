//! Records a linear function once, runs it many times: fits y = 3 x - 1 by gradient descent, and
//! prints the tape.
//! Run it with `cargo run --release --example one_gradient`.

use lerac::error::Result;
use lerac::gpu::{Gpu, GpuOptions};
use lerac::ops::linear::linear;
use lerac::tape::{Declared, Group, Init, Mode, Program, Storage, Tape};

fn main() -> Result<()> {
    let gpu = Gpu::open(&GpuOptions::default())?;
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [8, 1], false);
    let mut declare = |name: &str, shape: Vec<usize>, group| {
        tape.parameter(Declared { name: name.into(), shape: shape.into(), init: Init::Zeros, layer: 0, group })
    };
    let (slope, offset) = (declare("slope", vec![1, 1], Group::Weight), declare("offset", vec![1], Group::Bias));
    let y = linear(&mut tape, "line", x, slope, offset);
    // No loss is recorded: the host writes dy = y - target, the gradient of half the squared error.
    tape.seed_gradient(y);
    println!("{}", tape.describe());

    let storage = Storage::new(&gpu, &tape)?;
    let program = Program::new(&gpu, tape, &storage)?;
    let places: Vec<f32> = (0..8).map(|i| i as f32 / 4.0 - 1.0).collect();
    gpu.write(program.value(x), 0, &places);
    for _ in 0..200 {
        gpu.run(program.forward())?;
        let found: Vec<f32> = gpu.read(&program.value(y))?;
        let dy: Vec<f32> = found.iter().zip(&places).map(|(y, x)| y - (3.0 * x - 1.0)).collect();
        gpu.write(program.gradient(y), 0, &dy);
        gpu.run(program.backward())?;
        for span in storage.layout.spans() {
            let (value, gradient) = (storage.params.read(&gpu, span)?[0], storage.grads.read(&gpu, span)?[0]);
            storage.params.write(&gpu, span, &[value - 0.1 * gradient]);
        }
    }
    let read = |param: usize| storage.params.read(&gpu, &storage.layout.spans()[param]);
    println!("slope {:.4}, offset {:.4}", read(0)?[0], read(1)?[0]);
    Ok(())
}
