//! Comparison of results with references. A NaN in the result fails every comparison.

/// ||actual - expected|| / ||expected||.
pub fn relative_error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "lengths differ");
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = squares(&mut actual.iter().zip(expected).map(|(&a, e)| f64::from(a) - e));
    let norm = squares(&mut expected.iter().copied());
    if norm == 0.0 { difference } else { difference / norm }
}

/// max |actual - expected| / max |expected|. Infinite if a difference is NaN.
pub fn largest_error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len(), "lengths differ");
    let largest = expected.iter().fold(0.0f64, |m, e| m.max(e.abs())).max(f64::MIN_POSITIVE);
    let differences = actual.iter().zip(expected).map(|(&a, e)| (f64::from(a) - e).abs());
    differences.fold(0.0, |m, d| {
        if d <= m {
            m
        } else if d.is_nan() {
            f64::INFINITY
        } else {
            d
        }
    }) / largest
}

/// Whether a result equals its reference up to rounding: [`relative_error`] is at most `tolerance`,
/// and [`largest_error`] at most 10 times `tolerance`.
pub fn close(actual: &[f32], expected: &[f64], tolerance: f64) -> bool {
    relative_error(actual, expected) <= tolerance && largest_error(actual, expected) <= 10.0 * tolerance
}

/// Asserts that [`close`] holds.
///
/// # Panics
/// If it does not hold. The message has both errors and the first elements.
pub fn assert_close(what: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert!(
        close(actual, expected, tolerance),
        "{what}: relative error {:.2e}, worst element {:.2e}, allowed {tolerance:.0e} and {:.0e}\n  found    {:?}\n  expected {:?}",
        relative_error(actual, expected),
        largest_error(actual, expected),
        10.0 * tolerance,
        &actual[..actual.len().min(8)],
        &expected[..expected.len().min(8)],
    );
}
