//! What a comparison makes of its runs, by hand.
#![cfg(feature = "cli")]

use approx::assert_relative_eq;
use lerac::study::{Comparison, Finished};
use lerac::train::{Method, Summary};

fn run(method: Method, test_accuracy: f64, milliseconds_per_step: f64) -> Finished {
    let summary = Summary {
        test_accuracy,
        test_top5: 1.0,
        test_loss: 1.0,
        test_images: 100,
        validation_accuracy: None,
        best_epoch: 1,
        steps: 10,
        images_per_epoch: 320,
        seconds: 1.0,
        images_per_second: 320.0,
        milliseconds_per_step,
        device_bytes: 1,
        adapter: String::new(),
        version: "",
    };
    Finished { method, summary, curves: [vec![], vec![]] }
}

#[test]
fn seeds_are_paired_and_averaged() {
    use Method::{Conventional, Lerac};
    // By seed, as the command runs them.
    let comparison = Comparison::of(&[
        run(Conventional, 0.80, 10.0),
        run(Lerac, 0.90, 11.0),
        run(Conventional, 0.82, 20.0),
        run(Lerac, 0.84, 30.0),
        run(Conventional, 0.87, 40.0),
        run(Lerac, 0.96, 48.0),
    ]);
    let [conventional, lerac] = comparison.methods.as_slice() else { panic!("two methods") };
    assert_eq!((conventional.method, lerac.method, conventional.runs, lerac.runs), (Conventional, Lerac, 3, 3));
    assert_relative_eq!(conventional.test_accuracy, 0.83, max_relative = 1e-12);
    assert_relative_eq!(lerac.test_accuracy, 0.90, max_relative = 1e-12);
    // Deviations -.03, -.01, .04: 26e-4 / 2; and 0, -.06, .06: 72e-4 / 2.
    assert_relative_eq!(conventional.test_accuracy_sd.unwrap(), 13e-4f64.sqrt(), max_relative = 1e-12);
    assert_relative_eq!(lerac.test_accuracy_sd.unwrap(), 0.06, max_relative = 1e-12);
    assert_eq!(lerac.test_accuracies, [0.90, 0.84, 0.96]);
    assert_eq!((conventional.milliseconds_per_step, lerac.milliseconds_per_step), (20.0, 30.0));
    // Ratios 1.1, 1.5 and 1.2.
    assert_relative_eq!(lerac.relative_time, 1.2, max_relative = 1e-12);
    assert_eq!(conventional.relative_time, 1.0);
}

#[test]
fn one_seed_has_no_deviation_and_two_have_a_middle() {
    use Method::{Cbs, Conventional};
    let one = Comparison::of(&[run(Cbs, 0.5, 7.0)]);
    assert_eq!((one.methods[0].test_accuracy_sd, one.methods[0].relative_time), (None, 1.0));
    let runs = [run(Conventional, 0.1, 1.0), run(Cbs, 0.2, 2.0), run(Conventional, 0.1, 1.0), run(Cbs, 0.2, 4.0)];
    assert_eq!(Comparison::of(&runs).methods[1].relative_time, 3.0);
}
