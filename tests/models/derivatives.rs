//! Every reference backward against central differences of its reference forward, in f64 and
//! without a device. The loss is a sum with fixed weights, so that errors do not cancel.

use crate::common::rows::rows;
use lerac::checks::{derivatives, difference, sample, test_values, worst_error};
use lerac::ops::regression::{Loss, Regression};
use lerac::ops::{cross_entropy, regression};

#[test]
fn references_are_the_derivatives_of_references() {
    for row in rows() {
        derivatives(&row);
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

#[test]
fn samples_reach_every_tap() {
    for shape in [[16, 3, 3, 3], [40, 16, 3, 3], [6, 1, 5, 5], [9, 3, 7, 7]] {
        let [.., h, w] = shape;
        let mut seen = [vec![false; h], vec![false; w]];
        for i in sample(&shape.into()) {
            seen[0][i / w % h] = true;
            seen[1][i % w] = true;
        }
        assert!(seen.iter().flatten().all(|&seen| seen), "{shape:?}: {seen:?}");
    }
}

#[test]
fn one_nan_is_noticed_anywhere() {
    for at in 0..7 {
        let mut row = rows().into_iter().find(|row| row.name == "relu [7]").expect("a row of this name");
        let right = std::mem::replace(&mut row.backward, Box::new(|_, _| vec![]));
        row.backward = Box::new(move |values, dy| {
            let mut gradients = right(values, dy);
            gradients[0][at] = f64::NAN;
            gradients
        });
        assert_eq!(worst_error(&row), f64::INFINITY, "NaN at {at}");
    }
}

/// Checks dz of the mean loss of rows against differences of the rows' losses.
fn assert_derivative(case: &str, mut z: Vec<f64>, rows: usize, dz: &[f64], losses: impl Fn(&[f64]) -> Vec<f64>) {
    for (i, gradient) in dz.iter().enumerate() {
        let at = z[i];
        let found = difference(at, |value| {
            z[i] = value;
            losses(&z).iter().sum::<f64>() / rows as f64
        });
        z[i] = at;
        assert!((found - gradient).abs() <= 1e-9, "{case} {i}: {gradient}, differences say {found}");
    }
}

#[test]
fn the_gradient_of_the_loss_is_the_derivative_of_its_mean() {
    use cross_entropy::reference;
    for (labels, k, smoothing, weights) in [
        (vec![0], 2, 0.0, vec![]),
        (vec![4, 0, 2, 2], 5, 0.1, vec![]),
        (vec![1, 3, 6, 6, 0], 7, 0.0, vec![]),
        (vec![0, 2], 3, 0.3, vec![]),
        (vec![0, 2, 1], 3, 0.0, vec![0.5, 0.0, 2.0]),
        (vec![0, 2, 2], 3, 0.3, vec![0.5, 1.5, 2.0]),
    ] {
        let z: Vec<f64> = test_values(labels.len() * k, 3).iter().map(|v| 2.0 * v).collect();
        let dz = reference::backward(&z, &labels, smoothing, &weights);
        assert_eq!(dz.len(), z.len());
        let case = format!("cross-entropy {labels:?} {weights:?}");
        assert_derivative(&case, z, labels.len(), &dz, |z| reference::losses(z, &labels, smoothing, &weights));
    }
}

#[test]
fn the_gradient_of_a_distance_is_the_derivative_of_its_mean() {
    use regression::reference;
    for loss in [Loss::L1, Loss::Mse] {
        for (targets, mean, std) in [(vec![0.0], 0.5, 1.0), (vec![4.0, 116.0, -7.5, 33.0, 50.0, 0.25], 33.0, 20.0)] {
            let regression = Regression { loss, mean, std };
            let z = test_values(targets.len(), 4);
            let dz = reference::backward(&z, &targets, &regression);
            assert_eq!(dz.len(), z.len());
            let case = format!("{loss:?} {targets:?}");
            assert_derivative(&case, z, targets.len(), &dz, |z| reference::losses(z, &targets, &regression));
        }
    }
}
