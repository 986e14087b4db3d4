//! Checks kernels against their f64 reference, forward and backward.

use super::{CONTROLS, Row, assert_close, narrow};
use crate::gpu::{BufferRange, Gpu};
use crate::tape::{self, Program, Storage, Tape};

/// The tolerance: f32 rounding of sums of a few thousand terms, relative to the norm.
pub const TOLERANCE: f64 = 2e-6;

/// Runs the sum of `uses` uses of the row's operation on the same operands. `tape` is empty, and
/// chooses the kernels. Returns y, then the gradient of each operand from dy.
fn run(gpu: &Gpu, row: &Row, tape: Tape, uses: usize, values: &[Vec<f64>], dy: &[f64]) -> Vec<Vec<f32>> {
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
            let name_in_use = if i == 0 { name.clone() } else { name.replacen("op", &format!("op{i}"), 1) };
            if let Some(range) = program.buffer_named(&name_in_use) {
                gpu.write(range, 0, words);
            }
        }
    }
    // Parameter gradients are filled with NaN, which reveals a kernel that adds where it should
    // store.
    for span in storage.layout.spans() {
        storage.grads.write(gpu, span, &vec![f32::NAN; span.count]);
    }
    gpu.write(program.gradient(y), 0, &narrow(dy));
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();

    let first = |range: BufferRange, count: usize| gpu.read(&range.part(0, 4 * count as u64)).unwrap();
    let y = first(program.value(y), count);
    let dx = inputs.iter().zip(&row.inputs).map(|(&x, shape)| first(program.gradient(x), shape.count()));
    let dparams = storage.layout.spans().iter().map(|span| storage.grads.read(gpu, span).unwrap());
    std::iter::once(y).chain(dx).chain(dparams).collect()
}

/// The reference's results, in the order of [`run`], for one use.
fn expected(row: &Row, values: &[Vec<f64>], dy: &[f64]) -> Vec<Vec<f64>> {
    std::iter::once((row.forward)(values)).chain((row.backward)(values, dy)).collect()
}

/// The names of the results of [`run`].
fn names(row: &Row) -> impl Iterator<Item = String> {
    let numbered = |name: &'static str, count: usize| (0..count).map(move |i| format!("{name}{i}"));
    std::iter::once("y".into()).chain(numbered("dx", row.inputs.len())).chain(numbered("dp", row.params.len()))
}

/// Checks y and all gradients of `uses` uses of the operation against `uses` times the reference.
/// One use only stores gradients, two also accumulate them. `tape` is empty, and chooses the
/// kernels.
///
/// # Panics
/// If they differ by more than [`TOLERANCE`], or the device fails.
pub fn kernels_on(gpu: &Gpu, row: &Row, tape: Tape, uses: usize) {
    let values = row.values();
    let dy = row.weights((row.forward)(&values).len());
    let found = run(gpu, row, tape, uses, &values, &dy);
    let expected = expected(row, &values, &dy);
    assert_eq!(found.len(), expected.len());
    for ((name, found), expected) in names(row).zip(found).zip(expected) {
        let expected: Vec<f64> = expected.into_iter().map(|v| v * uses as f64).collect();
        // y is a difference of numbers as large as the offset, so it loses precision. Gradients do
        // not.
        let cancellation = if name == "y" { row.offset * f64::from(f32::EPSILON) } else { 0.0 };
        assert_close(&name, &found, &expected, TOLERANCE + cancellation);
    }
}

/// Sets one element of an input or of dy to NaN, for each of them. Checks that exactly those
/// results are NaN that are NaN in the reference.
///
/// # Panics
/// If the check fails, or the device fails.
pub fn nan_passes(gpu: &Gpu, row: &Row, tape: &Tape) {
    let finite = row.values();
    let y = (row.forward)(&finite);
    // Between the kinks of the activation, the gradient is not 0.
    let at = y.iter().position(|&y| y > 0.0 && y < 6.0).expect("an element of y between 0 and 6");
    for changed in 0..=row.inputs.len() {
        let (mut values, mut dy) = (finite.clone(), row.weights(y.len()));
        let operand = if changed == row.inputs.len() { &mut dy } else { &mut values[changed] };
        operand[at] = f64::NAN;
        let expected = expected(row, &values, &dy);
        let affected = if changed == row.inputs.len() { &expected[1] } else { &expected[0] };
        assert!(affected.iter().any(|v| v.is_nan()), "the reference hides NaN in operand {changed}");
        let found = run(gpu, row, tape.clone(), 1, &values, &dy);
        for ((name, found), expected) in names(row).zip(found).zip(expected) {
            let what = format!("NaN in operand {changed}: {name}");
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert_eq!(found.is_nan(), expected.is_nan(), "{what}, element {i}: {found} for {expected}");
            }
            let numbers: (Vec<f32>, Vec<f64>) = found.into_iter().zip(expected).filter(|(_, e)| !e.is_nan()).unzip();
            assert_close(&what, &numbers.0, &numbers.1, TOLERANCE);
        }
    }
}

/// Checks all kernels of a row against its reference: y, every gradient, and accumulated gradients.
/// For a row with [`Row::activates`], also checks that NaN is passed on.
///
/// # Panics
/// If they differ, or the device fails.
pub fn kernels(gpu: &Gpu, row: &Row) {
    for (tape, _) in row.tapes() {
        kernels_on(gpu, row, tape.clone(), 1);
        kernels_on(gpu, row, tape.clone(), 2);
        if row.activates {
            nan_passes(gpu, row, &tape);
        }
    }
}
