//! Kernels against their f64 reference, forward and backward.

use super::{CONTROLS, Row, assert_close, narrow};
use crate::gpu::{BufferRange, Gpu};
use crate::tape::{self, Program, Storage, Tape};

/// f32 rounding over sums of a few thousand terms, relative to the norm.
pub const TOLERANCE: f64 = 2e-6;

/// Runs, on the empty `tape` that chooses the kernels, `uses` uses of the row's operation on the same operands, added up: y of these
/// values, and from dy the gradient of each of them.
fn outcome(gpu: &Gpu, row: &Row, tape: Tape, uses: usize, values: &[Vec<f64>], dy: &[f64]) -> Vec<Vec<f32>> {
    let (tape, inputs, y) = row.used(tape, uses);
    let count = tape.shape(y).count();

    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    for (&var, value) in inputs.iter().zip(values) {
        gpu.write(program.value(var), 0, &narrow(value));
    }
    for (span, value) in storage.layout.spans().iter().zip(&values[inputs.len()..]) {
        storage.params.write(gpu, span, &narrow(value));
    }
    if let Some(controls) = program.buffer_named(tape::CONTROLS) {
        gpu.write(controls, 0, &[CONTROLS]);
    }
    for (name, words) in &row.buffers {
        for i in 0..uses {
            let of_use = if i == 0 { name.clone() } else { name.replacen("op", &format!("op{i}"), 1) };
            if let Some(range) = program.buffer_named(&of_use) {
                gpu.write(range, 0, words);
            }
        }
    }
    // Gradients of parameters lie in an arena, which starts at 0: NaN shows where one is added to instead of stored.
    for span in storage.layout.spans() {
        storage.grads.write(gpu, span, &vec![f32::NAN; span.count]);
    }
    gpu.write(program.gradient(y), 0, &narrow(dy));
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();

    let first = |range: BufferRange, count: usize| gpu.read(&range.part(0, 4 * count as u64)).unwrap();
    let y = first(program.value(y), count);
    let of_inputs = inputs.iter().zip(&row.inputs).map(|(&x, shape)| first(program.gradient(x), shape.count()));
    let of_params = storage.layout.spans().iter().map(|span| storage.grads.read(gpu, span).unwrap());
    std::iter::once(y).chain(of_inputs).chain(of_params).collect()
}

/// What [`outcome`] should be of one use.
fn expected(row: &Row, values: &[Vec<f64>], dy: &[f64]) -> Vec<Vec<f64>> {
    std::iter::once((row.forward)(values)).chain((row.backward)(values, dy)).collect()
}

/// What [`outcome`] holds, in order.
fn names(row: &Row) -> impl Iterator<Item = String> {
    let numbered = |name: &'static str, count: usize| (0..count).map(move |i| format!("{name}{i}"));
    std::iter::once("y".into()).chain(numbered("dx", row.inputs.len())).chain(numbered("dp", row.params.len()))
}

/// Compares y and all gradients, computed on the empty `tape`, which chooses the kernels, with `uses` times the reference: one use
/// stores every gradient, two also add to it.
///
/// # Panics
/// Where they differ by more than [`TOLERANCE`] of their norm, or the device fails.
pub fn kernels_on(gpu: &Gpu, row: &Row, tape: Tape, uses: usize) {
    let values = row.values();
    let dy = row.weights((row.forward)(&values).len());
    let found = outcome(gpu, row, tape, uses, &values, &dy);
    let expected = expected(row, &values, &dy);
    assert_eq!(found.len(), expected.len());
    for ((name, found), expected) in names(row).zip(found).zip(expected) {
        let expected: Vec<f64> = expected.into_iter().map(|v| v * uses as f64).collect();
        // y is a difference of what is as large as the offset; gradients are none.
        let lost = if name == "y" { row.offset * f64::from(f32::EPSILON) } else { 0.0 };
        assert_close(&name, &found, &expected, TOLERANCE + lost);
    }
}

/// One NaN in each activation and in dy must come through wherever it does in the reference, and nowhere else.
///
/// # Panics
/// Where it does not, or the device fails.
pub fn nan_passes(gpu: &Gpu, row: &Row, tape: &Tape) {
    let right = row.values();
    let y = (row.forward)(&right);
    // Between the kinks of the activation, where gradients pass.
    let at = y.iter().position(|&y| y > 0.0 && y < 6.0).expect("an element that passes");
    for broken in 0..=row.inputs.len() {
        let (mut values, mut dy) = (right.clone(), row.weights(y.len()));
        let operand = if broken == row.inputs.len() { &mut dy } else { &mut values[broken] };
        operand[at] = f64::NAN;
        let expected = expected(row, &values, &dy);
        let reached = if broken == row.inputs.len() { &expected[1] } else { &expected[0] };
        assert!(reached.iter().any(|v| v.is_nan()), "the reference hides NaN in operand {broken}");
        let found = outcome(gpu, row, tape.clone(), 1, &values, &dy);
        for ((name, found), expected) in names(row).zip(found).zip(expected) {
            let what = format!("NaN in operand {broken}: {name}");
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found.is_nan(), expected.is_nan(), "{what}, element {i}: {found} for {expected}");
            }
            let numbers: (Vec<f32>, Vec<f64>) = found.into_iter().zip(expected).filter(|(_, e)| !e.is_nan()).unzip();
            assert_close(&what, &numbers.0, &numbers.1, TOLERANCE);
        }
    }
}

/// Holds the kernels of every way to compute a row against its reference: y, every gradient, and gradients that are added to; and
/// where it ends in an activation, that NaN passes.
///
/// # Panics
/// Where they differ, or the device fails.
pub fn kernels(gpu: &Gpu, row: &Row) {
    for (tape, _) in row.ways() {
        kernels_on(gpu, row, tape.clone(), 1);
        kernels_on(gpu, row, tape.clone(), 2);
        if row.activates {
            nan_passes(gpu, row, &tape);
        }
    }
}
