//! The comparers are fed wrong results and must refuse every one.

use lerac::checks::close;

fn right() -> (Vec<f32>, Vec<f64>) {
    let expected: Vec<f64> = (0..64).map(|i| f64::from((i as f32 * 0.37).sin())).collect();
    (expected.iter().map(|&v| v as f32).collect(), expected)
}

#[test]
fn the_right_result_passes() {
    let (actual, expected) = right();
    assert!(close(&actual, &expected, 1e-6));
    assert!(close(&[0.0], &[0.0], 1e-6), "all zero");
}

#[test]
fn one_nan_fails() {
    for at in [0, 31, 63] {
        let (mut actual, expected) = right();
        actual[at] = f32::NAN;
        assert!(!close(&actual, &expected, 1e-2), "NaN at {at}");
    }
}

#[test]
fn one_infinity_fails() {
    let (mut actual, expected) = right();
    actual[5] = f32::INFINITY;
    assert!(!close(&actual, &expected, 1e-2));
}

#[test]
fn a_shift_by_one_fails() {
    let (mut actual, expected) = right();
    actual.rotate_left(1);
    assert!(!close(&actual, &expected, 1e-2));
}

#[test]
fn one_element_off_fails() {
    let (mut actual, expected) = right();
    actual[40] += 1e-3;
    assert!(!close(&actual, &expected, 1e-5));
}

#[test]
fn a_swapped_buffer_fails() {
    let (actual, mut expected) = right();
    expected.reverse();
    assert!(!close(&actual, &expected, 1e-2));
}

#[test]
fn zeros_fail() {
    let (actual, expected) = right();
    assert!(!close(&vec![0.0; actual.len()], &expected, 1e-2));
}

#[test]
#[should_panic(expected = "lengths differ")]
fn a_missing_element_fails() {
    let (actual, expected) = right();
    close(&actual[1..], &expected, 1e-2);
}
