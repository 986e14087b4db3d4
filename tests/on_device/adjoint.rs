//! For linear operations, <f(x), y> = <x, f*(y)>: the backward kernel is the adjoint of the forward
//! kernel. Independent of the references.

use crate::common::rows::rows;
use crate::common::{Test, test};
use lerac::checks::{CONTROLS, Row, narrow, test_values};
use lerac::gpu::{BufferRange, Gpu};
use lerac::tape::{Program, Storage, Tape, Var};
use std::sync::Arc;

fn check(gpu: &Gpu, row: &Row, tape: &Tape) {
    let (tape, inputs, y) = row.on(tape.clone());
    let count = |var: Var| tape.shape(var).count();
    let counts: Vec<usize> = inputs.iter().map(|&input| count(input)).collect();
    let dy = narrow(&test_values(count(y), 22));
    let values: Vec<Vec<f32>> =
        counts.iter().zip(100..).map(|(&count, seed)| narrow(&test_values(count, seed))).collect();
    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    for (&input, values) in inputs.iter().zip(&values) {
        gpu.write(program.value(input), 0, values);
    }
    for (span, seed) in storage.layout.spans().iter().zip(23..) {
        storage.params.write(gpu, span, &narrow(&test_values(span.count, seed)));
    }
    if let Some(controls) = program.buffer_named(lerac::tape::CONTROLS) {
        gpu.write(controls, 0, &[CONTROLS]);
    }
    gpu.write(program.gradient(y), 0, &dy);
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let read = |range: BufferRange, count: usize| gpu.read::<f32>(&range.part(0, 4 * count as u64)).unwrap();

    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let norm = |a: &[f32]| dot(a, a).sqrt();
    let y = read(program.value(y), dy.len());
    let scale = norm(&y) * norm(&dy);
    for ((&input, values), count) in inputs.iter().zip(&values).zip(counts) {
        let dx = read(program.gradient(input), count);
        let difference = (dot(&y, &dy) - dot(values, &dx)).abs();
        let name = program.tape().name(input);
        assert!(
            difference <= 1e-6 * scale,
            "{name}: <f(x),y> and <x,f*(y)> differ by {difference:e} at a scale of {scale:e}"
        );
    }
}

/// A test per linear row and dialect.
pub fn tests() -> Vec<Test> {
    let mut tests = vec![];
    for row in rows().into_iter().filter(|row| row.linear) {
        let row = Arc::new(row);
        for (tape, which) in row.tapes() {
            let row = row.clone();
            tests.push(test(format!("adjoint {}{which}", row.name), move |gpu| check(gpu, &row, &tape)));
        }
    }
    tests
}
