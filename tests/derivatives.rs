//! Every reference backward against central differences of its reference forward, in f64 and without a device. The loss is a sum
//! weighted by fixed numbers, so that no error cancels.

mod common;

use common::rows::{Row, rows};

fn loss(row: &Row, values: &[Vec<f64>], weights: &[f64]) -> f64 {
    (row.forward)(values).iter().zip(weights).map(|(y, w)| y * w).sum()
}

/// The largest error of a sample of derivatives, relative to the largest derivative of their operand.
fn worst_error(row: &Row) -> f64 {
    const STEP: f64 = 1e-5;
    let mut values = row.values();
    let weights = row.weights((row.forward)(&values).len());
    let gradients = (row.backward)(&values, &weights);
    assert_eq!(gradients.len(), values.len(), "a gradient per operand");
    let mut worst = 0.0;
    for operand in 0..values.len() {
        let scale = gradients[operand].iter().fold(1e-3f64, |m, g| m.max(g.abs()));
        let stride = values[operand].len().div_ceil(24);
        for i in (0..values[operand].len()).step_by(stride) {
            let at = values[operand][i];
            values[operand][i] = at + STEP;
            let above = loss(row, &values, &weights);
            values[operand][i] = at - STEP;
            let below = loss(row, &values, &weights);
            values[operand][i] = at;
            let error = ((above - below) / (2.0 * STEP) - gradients[operand][i]).abs() / scale;
            worst = if error <= worst { worst } else { error };
        }
    }
    worst
}

#[test]
fn references_are_the_derivatives_of_references() {
    for row in rows() {
        // Finite differences over two elements per channel are dominated by the norm's curvature.
        let error = worst_error(&row);
        assert!(error <= 1e-5, "{}: error {error:e}", row.name);
    }
}

#[test]
fn a_wrong_derivative_is_noticed() {
    for mut row in rows() {
        let right = std::mem::replace(&mut row.backward, Box::new(|_, _| vec![]));
        row.backward = Box::new(move |values, dy| {
            let mut gradients = right(values, dy);
            gradients.iter_mut().flatten().for_each(|g| *g = *g * 1.01 + 0.01);
            gradients
        });
        let error = worst_error(&row);
        assert!(error > 1e-5, "{}: error {error:e}", row.name);
    }
}
