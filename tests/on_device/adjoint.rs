//! For linear operations, <f(x), y> = <x, f*(y)>: the kernels' backward is the adjoint of the kernels' forward, whatever the
//! references say.

use crate::common::rows::{CONTROLS, Row, rows, spread};
use crate::common::{Test, test};
use lerac::gpu::Gpu;
use lerac::tape::{Program, Storage, Tape};
use std::sync::Arc;

fn check(gpu: &Gpu, row: &Row, tape: &Tape) {
    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let (tape, inputs, y) = row.on(tape.clone());
    let x = inputs[0];
    let (x_count, y_count) = (tape.shape(x).count(), tape.shape(y).count());
    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    let (x_values, dy) = (narrow(spread(x_count, 21)), narrow(spread(y_count, 22)));
    gpu.write(program.value(x), 0, &x_values);
    for (span, seed) in storage.layout.spans().iter().zip(23..) {
        storage.params.write(gpu, span, &narrow(spread(span.count, seed)));
    }
    if let Some(controls) = program.buffer_named(lerac::tape::CONTROLS) {
        gpu.write(controls, 0, &[CONTROLS]);
    }
    gpu.write(program.gradient(y), 0, &dy);
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let y_values: Vec<f32> = gpu.read(&program.value(y).part(0, 4 * y_count as u64)).unwrap();
    let dx: Vec<f32> = gpu.read(&program.gradient(x).part(0, 4 * x_count as u64)).unwrap();

    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let norm = |a: &[f32]| dot(a, a).sqrt();
    let difference = (dot(&y_values, &dy) - dot(&x_values, &dx)).abs();
    let scale = norm(&y_values) * norm(&dy);
    assert!(difference <= 1e-6 * scale, "<f(x),y> and <x,f*(y)> differ by {difference:e} at a scale of {scale:e}");
}

/// A test per linear row and way to compute it.
pub fn tests() -> Vec<Test> {
    let mut tests = vec![];
    for row in rows().into_iter().filter(|row| row.linear) {
        let row = Arc::new(row);
        for (tape, which) in row.ways() {
            let row = row.clone();
            tests.push(test(format!("adjoint {}{which}", row.name), move |gpu| check(gpu, &row, &tape)));
        }
    }
    tests
}
