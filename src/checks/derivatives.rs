//! Checks a reference's backward against central differences of its forward, in f64 and without a
//! device. The loss is a sum of y with fixed weights, so that errors do not cancel.

use super::Row;
use crate::tensor::Shape;

/// Step of the finite differences.
const STEP: f64 = 1e-5;

/// Errors of the finite differences themselves. The largest are those of batch norm over two
/// elements per channel, which has a large second derivative.
const TOLERANCE: f64 = 1e-5;

fn loss(row: &Row, values: &[Vec<f64>], weights: &[f64]) -> f64 {
    (row.forward)(values).iter().zip(weights).map(|(y, w)| y * w).sum()
}

/// The central difference of `f` around `at`.
pub fn difference(at: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    (f(at + STEP) - f(at - STEP)) / (2.0 * STEP)
}

/// The larger of two errors. NaN counts as infinite.
fn larger_error(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::INFINITY } else { a.max(b) }
}

/// Indices of about 24 elements of a tensor, evenly spaced. The stride has no common factor with
/// any extent, so that every index along every dimension can occur.
pub fn sample(shape: &Shape) -> impl Iterator<Item = usize> {
    fn common_factor(a: usize, b: usize) -> usize {
        if b == 0 { a } else { common_factor(b, a % b) }
    }
    let coprime = |stride: &usize| shape.dims().iter().all(|&extent| common_factor(*stride, extent) == 1);
    let stride = (shape.count().div_ceil(24)..).find(coprime).expect("some prime divides no extent");
    (0..shape.count()).step_by(stride)
}

/// The largest error in a sample of derivatives, relative to the largest derivative of the operand.
pub fn worst_error(row: &Row) -> f64 {
    let mut values = row.values();
    let weights = row.weights((row.forward)(&values).len());
    let gradients = (row.backward)(&values, &weights);
    assert_eq!(gradients.len(), values.len(), "{}: a gradient per operand", row.name);
    let mut worst = 0.0;
    for (operand, shape) in row.inputs.iter().chain(&row.params).enumerate() {
        let scale = gradients[operand].iter().fold(1e-3f64, |m, g| m.max(g.abs()));
        for i in sample(shape) {
            let at = values[operand][i];
            let found = difference(at, |value| {
                values[operand][i] = value;
                loss(row, &values, &weights)
            });
            values[operand][i] = at;
            worst = larger_error(worst, (found - gradients[operand][i]).abs() / scale);
        }
    }
    worst
}

/// Checks the reference's gradients against finite differences of its forward.
///
/// # Panics
/// If they differ.
pub fn derivatives(row: &Row) {
    let error = worst_error(row);
    assert!(error <= TOLERANCE, "{}: error {error:e}", row.name);
}
