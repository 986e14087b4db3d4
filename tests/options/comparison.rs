//! Comparisons of runs, with results computed by hand; statistics against SciPy and statsmodels.

use crate::common::errors::assert_contains;
use approx::assert_relative_eq;
use lerac::nn::objective::Measure;
use lerac::records::Finished;
use lerac::study::statistics::{cochran, holm, mcnemar, mean_and_deviation, median, paired_difference};
use lerac::study::{Comparison, EpochsToBaseline, results_csv};
use lerac::train::Summary;

fn run(arm: &str, seed: u64, test_accuracy: f64, milliseconds_per_step: f64) -> Finished {
    let summary = Summary {
        measures: vec![Measure::accuracy(), Measure::top5()],
        scores: [("test_accuracy".to_owned(), test_accuracy), ("test_top5".to_owned(), 1.0)].into(),
        baseline: None,
        test_loss: 1.0,
        test_examples: 100,
        best_epoch: 1,
        steps: 10,
        examples_per_epoch: 320,
        seconds: 1.0,
        examples_per_second: 320.0,
        milliseconds_per_step,
        device_bytes: 1,
        data_crc32: None,
        earlier_tests: 0,
        adapter: String::new(),
        version: String::new(),
    };
    Finished {
        fold: None,
        arm: arm.into(),
        seed,
        summary,
        dir: "nowhere".into(),
        train_loss: vec![],
        train_score: vec![],
        examples_per_second: vec![1e3 / milliseconds_per_step],
        validation_loss: vec![],
        validation_score: vec![],
        layers: vec![],
        right: vec![],
        answers: vec![],
    }
}

/// Compares runs. The first run's method is the baseline.
fn compare(runs: &[Finished]) -> Comparison {
    Comparison::of(runs, &runs[0].arm)
}

/// A choice that was made by the test set is told.
#[test]
fn a_summary_says_how_often_the_test_set_was_read() {
    let mut summary = run("a", 0, 0.5, 1.0).summary;
    for (times, part) in [(0, None), (1, Some("once before")), (3, Some("3 times before"))] {
        summary.earlier_tests = times;
        let words = summary.in_words();
        assert!(part.is_none_or(|part| words.contains(part)) && words.contains("before") == (times > 0), "{words}");
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(json.contains("earlier_tests"), times > 0);
        assert_eq!(serde_json::from_str::<Summary>(&json).unwrap(), summary);
    }
}

#[test]
fn seeds_are_paired_and_averaged() {
    // Ordered by seed, as the command runs them.
    let comparison = compare(&[
        run("conventional", 0, 0.80, 10.0),
        run("lerac", 0, 0.90, 11.0),
        run("conventional", 1, 0.82, 20.0),
        run("lerac", 1, 0.84, 30.0),
        run("conventional", 2, 0.87, 40.0),
        run("lerac", 2, 0.96, 48.0),
    ]);
    let [conventional, lerac] = comparison.arms.as_slice() else { panic!("two methods") };
    assert_eq!((conventional.arm.as_str(), lerac.arm.as_str()), ("conventional", "lerac"));
    assert_eq!((&conventional.seeds, &lerac.seeds), (&vec![0, 1, 2], &vec![0, 1, 2]));
    assert_relative_eq!(conventional.test_score, 0.83, max_relative = 1e-12);
    assert_relative_eq!(lerac.test_score, 0.90, max_relative = 1e-12);
    // Deviations -.03, -.01, .04: 26e-4 / 2; and 0, -.06, .06: 72e-4 / 2.
    assert_relative_eq!(conventional.test_score_sd.unwrap(), 13e-4f64.sqrt(), max_relative = 1e-12);
    assert_relative_eq!(lerac.test_score_sd.unwrap(), 0.06, max_relative = 1e-12);
    assert_eq!(lerac.test_scores, [0.90, 0.84, 0.96]);
    assert_eq!((conventional.milliseconds_per_step, lerac.milliseconds_per_step), (20.0, 30.0));
    // Ratios 1.1, 1.5 and 1.2.
    assert_relative_eq!(lerac.relative_time.unwrap(), 1.2, max_relative = 1e-12);
    assert_eq!(conventional.relative_time, Some(1.0));
    assert!(conventional.against_baseline.is_none());
    assert_relative_eq!(lerac.against_baseline.as_ref().unwrap().mean, 0.07, max_relative = 1e-12);
}

#[test]
fn a_seed_that_failed_under_one_method_is_left_out_of_its_pairs() {
    let comparison = compare(&[run("a", 0, 0.1, 1.0), run("a", 1, 0.2, 2.0), run("b", 1, 0.5, 6.0)]);
    let b = &comparison.arms[1];
    assert_eq!(b.seeds, [1]);
    assert_relative_eq!(b.relative_time.unwrap(), 3.0, max_relative = 1e-12);
    let difference = b.against_baseline.as_ref().unwrap();
    assert_relative_eq!(difference.mean, 0.3, max_relative = 1e-12);
    assert_eq!((difference.interval, difference.p), (None, None));
    assert!(comparison.in_words()[0].contains("one seed"), "{:?}", comparison.in_words());
}

#[test]
fn the_baseline_stays_when_its_first_seed_failed() {
    let runs = [run("a", 1, 0.2, 2.0), run("b", 0, 0.4, 1.0), run("b", 1, 0.5, 6.0)];
    let mut by_seed = runs.to_vec();
    by_seed.sort_by_key(|run| run.seed);
    let comparison = Comparison::of(&by_seed, "a");
    let b = comparison.arms.iter().find(|arm| arm.arm == "b").unwrap();
    let difference = b.against_baseline.as_ref().unwrap();
    assert_eq!((difference.pairs, b.seeds.len()), (1, 2));
    assert_relative_eq!(difference.mean, 0.3, max_relative = 1e-12);
    assert_relative_eq!(b.relative_time.unwrap(), 3.0, max_relative = 1e-12);
    let without = Comparison::of(&runs[1..], "a");
    assert_eq!((without.arms[0].relative_time, &without.arms[0].against_baseline), (None, &None));
    assert!(without.in_words()[0].contains(" a "), "the missing baseline is named: {:?}", without.in_words());
}

/// With folds, the score of a seed is its mean over them, and differences are those of seeds.
#[test]
fn folds_are_averaged_by_seed() {
    let of_fold = |arm, seed, fold, score| Finished { fold: Some(fold), ..run(arm, seed, score, 1.0) };
    let runs = [
        of_fold("a", 0, 1, 0.2),
        of_fold("a", 0, 2, 0.4),
        of_fold("a", 1, 1, 0.5),
        of_fold("a", 1, 2, 0.7),
        of_fold("b", 0, 2, 0.6),
        of_fold("b", 0, 1, 0.4),
        of_fold("b", 1, 1, 0.5),
        of_fold("b", 1, 2, 0.9),
    ];
    let comparison = compare(&runs);
    let [a, b] = [&comparison.arms[0], &comparison.arms[1]];
    assert_eq!((&a.seeds[..], &b.seeds[..]), (&[0, 1][..], &[0, 1][..]));
    for (found, expected) in [(&a.test_scores, [0.3, 0.6]), (&b.test_scores, [0.5, 0.7])] {
        found.iter().zip(expected).for_each(|(a, b)| assert_relative_eq!(*a, b, max_relative = 1e-12));
    }
    let scores: Vec<f64> = b.fold_scores.iter().map(|(_, score)| *score).collect();
    assert_relative_eq!(scores[0], 0.45, max_relative = 1e-12);
    assert_relative_eq!(scores[1], 0.75, max_relative = 1e-12);
    assert_relative_eq!(b.test_score, 0.6, max_relative = 1e-12);
    let difference = b.against_baseline.as_ref().unwrap();
    assert_eq!(difference.pairs, 2, "pairs of seeds, not of folds");
    assert_relative_eq!(difference.mean, 0.15, max_relative = 1e-12);
    assert!(comparison.in_words()[1].contains("b: 60.00 % is the mean over 2 folds"), "{:?}", comparison.in_words());
    let table = String::from_utf8(results_csv(&runs)).unwrap();
    assert!(table.starts_with("method,seed,fold,test_accuracy,") && table.contains("b,0,2,0.6,"), "{table}");
    assert!(compare(&runs[..1]).arms[0].fold_scores.is_empty());
}

#[test]
fn equal_differences_have_no_p_value() {
    // Differences of 0.02 whose floating-point values differ in the last bits.
    let found = paired_difference(&[0.1, 0.511], &[0.12, 0.531]);
    assert_ne!(0.12f64 - 0.1, 0.531 - 0.511);
    assert_eq!(found.p, None);
}

#[test]
fn time_is_compared_interval_by_interval() {
    let with = |arm: &str, examples_per_second: &[f64]| Finished {
        examples_per_second: examples_per_second.to_vec(),
        ..run(arm, 0, 0.5, 1.0)
    };
    // The machine was busy in the second interval of the first method and in the third of the
    // second.
    let comparison = compare(&[with("a", &[100.0, 10.0, 100.0, 90.0]), with("b", &[100.0, 100.0, 10.0, 100.0])]);
    // Ratios 1, .1, 10 and .9.
    assert_relative_eq!(comparison.arms[1].relative_time.unwrap(), 0.95, max_relative = 1e-12);
}

#[test]
fn epochs_to_the_baseline_are_counted() {
    let with = |arm: &str, seed, validation: &[f64]| {
        let mut run = run(arm, seed, 0.5, 1.0);
        run.validation_score = validation.iter().enumerate().map(|(i, &v)| (i as f64 + 1.0, v)).collect();
        run
    };
    let comparison = compare(&[
        with("a", 0, &[0.3, 0.6, 0.5]),
        with("a", 1, &[0.3, 0.4, 0.7]),
        with("b", 0, &[0.5, 0.6, 0.7]),
        with("b", 1, &[0.5, 0.6, 0.6]),
    ]);
    // a ends at .5 and .7. It reaches .5 in epoch 2. b reaches .5 in epoch 1, and never reaches .7.
    let when = |arm: usize| comparison.arms[arm].reaches_baseline.unwrap();
    assert_eq!(when(0), EpochsToBaseline { pairs: 2, reached: 2, epochs: Some(2.5) });
    assert_eq!(when(1), EpochsToBaseline { pairs: 2, reached: 1, epochs: Some(1.0) });
    let never = compare(&[with("a", 0, &[0.9]), with("b", 0, &[0.1])]);
    assert_eq!(never.arms[1].reaches_baseline.unwrap(), EpochsToBaseline { pairs: 1, reached: 0, epochs: None });
    let unasked = compare(&[with("a", 0, &[]), with("b", 0, &[])]);
    assert_eq!(unasked.arms.iter().filter_map(|arm| arm.reaches_baseline).count(), 0, "without validation images");
}

/// Lower errors are better.
#[test]
fn errors_are_compared_the_other_way_round() {
    let with = |arm: &str, seed, test_mae, validation: &[f64]| {
        let mut run = run(arm, seed, 0.5, 1.0);
        run.summary.measures = vec![Measure::mean_absolute_error("years")];
        run.summary.scores = [("test_mae".to_owned(), test_mae)].into();
        run.validation_score = validation.iter().enumerate().map(|(i, &v)| (i as f64 + 1.0, v)).collect();
        run
    };
    let comparison = compare(&[
        with("a", 0, 9.0, &[12.0, 8.0, 9.5]),
        with("a", 1, 9.5, &[12.0, 8.0, 9.5]),
        with("a", 2, 9.2, &[12.0, 8.0, 9.5]),
        with("b", 0, 7.0, &[10.0, 9.6, 9.0]),
        with("b", 1, 7.4, &[10.0, 9.6, 9.0]),
        with("b", 2, 7.3, &[10.0, 9.6, 9.0]),
    ]);
    let b = &comparison.arms[1];
    assert_relative_eq!(b.test_score, 21.7 / 3.0, max_relative = 1e-12);
    assert_eq!(b.reaches_baseline.unwrap(), EpochsToBaseline { pairs: 3, reached: 3, epochs: Some(3.0) });
    assert_eq!((comparison.pairs.len(), comparison.cochran.is_none()), (0, true), "no image is right or wrong");
    let sentences = comparison.in_words().join("\n");
    assert_contains(&sentences, &["b is 2.00 years below a", "significantly better"]);
}

#[test]
fn means_and_medians() {
    assert_eq!(mean_and_deviation(&[3.0]), (3.0, None));
    assert_eq!(mean_and_deviation(&[1.0, 3.0]), (2.0, Some(2f64.sqrt())));
    assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
}

#[test]
fn paired_differences_match_scipy() {
    let a = [0.80, 0.82, 0.87, 0.79, 0.85];
    let b = [0.83, 0.81, 0.90, 0.84, 0.86];
    let found = paired_difference(&a, &b);
    assert_relative_eq!(found.mean, 0.022, max_relative = 1e-9);
    // scipy.stats.ttest_rel.
    assert_relative_eq!(found.p.unwrap(), 0.09718518518518456, max_relative = 1e-6);
    assert_relative_eq!(
        paired_difference(&[0.5, 0.7], &[0.4, 0.5]).p.unwrap(),
        0.20483276469913345,
        max_relative = 1e-6
    );
    // The 2.5 and 97.5 % quantiles of the means of all 5^5 resamples. The 5 and 95 % quantiles
    // would be .006 and .038.
    let [low, high] = found.interval.unwrap();
    assert!((low - 0.002).abs() <= 0.002 && (high - 0.038).abs() <= 0.002, "{low} to {high}");
    assert_eq!(found, paired_difference(&a, &b), "the bootstrap draws from a fixed seed");
    let same = paired_difference(&[0.1, 0.2], &[0.1, 0.2]);
    assert_eq!((same.mean, same.p), (0.0, None));
}

#[test]
fn holm_matches_statsmodels() {
    // statsmodels.stats.multitest.multipletests([...], method="holm").
    let found = holm(&[0.01, 0.04, 0.03, 0.005, 0.9]);
    for (found, expected) in found.iter().zip([0.04, 0.09, 0.09, 0.025, 0.9]) {
        assert_relative_eq!(*found, expected, max_relative = 1e-12);
    }
    assert_eq!((holm(&[]), holm(&[0.3]), holm(&[0.6, 0.7])), (vec![], vec![0.3], vec![1.0, 1.0]));
}

#[test]
fn the_verdict_names_significant_differences() {
    let accuracies = [
        ("conventional", [0.80, 0.81, 0.82, 0.80, 0.81]),
        ("lerac", [0.83, 0.84, 0.85, 0.835, 0.84]),
        ("cbs", [0.70, 0.72, 0.71, 0.705, 0.70]),
        ("uniform", [0.80, 0.82, 0.81, 0.79, 0.82]),
    ];
    let of = |(arm, values): &(&str, [f64; 5])| (0..5).map(|i| run(arm, i as u64, values[i], 1.0)).collect::<Vec<_>>();
    let comparison = compare(&accuracies.iter().flat_map(of).collect::<Vec<_>>());
    let words = comparison.in_words();
    // The first sentence is the verdict, then one of each arm.
    let (better, worse) = (words[0].find("lerac").unwrap(), words[0].find("cbs").unwrap());
    assert!(better < worse && !words[0].contains("uniform"), "{}", words[0]);
    assert_contains(&words[1], &["lerac is 3.10 points above conventional", "significantly better"]);
    assert_contains(&words[2], &["cbs is 10.10 points below", "significantly worse"]);
    assert_contains(&words[3], &["uniform", "no significant"]);
    // Holm: the smallest of three p values is multiplied by three, the largest by one.
    let p =
        |i: usize| (comparison.arms[i].against_baseline.as_ref().unwrap().p.unwrap(), comparison.arms[i].corrected_p);
    let ((least, corrected), (most, same)) = (if p(1).0 < p(2).0 { p(1) } else { p(2) }, p(3));
    assert_relative_eq!(corrected.unwrap(), 3.0 * least, max_relative = 1e-12);
    assert_relative_eq!(same.unwrap(), most, max_relative = 1e-12);
}

#[test]
fn predictions_are_pooled_over_the_seeds_that_methods_share() {
    let with = |arm: &str, seed, right: [u8; 6]| Finished {
        right: right.map(|r| r == 1).to_vec(),
        ..run(arm, seed, 0.5, 1.0)
    };
    let comparison = compare(&[
        with("a", 0, [1, 1, 1, 0, 0, 1]),
        with("b", 0, [1, 0, 0, 0, 1, 1]),
        with("b", 1, [1, 0, 1, 1, 1, 0]),
        with("c", 1, [0, 0, 0, 1, 1, 1]),
        with("a", 1, [1, 1, 0, 0, 1, 1]),
    ]);
    let pairs = comparison.pairs.iter();
    let found: Vec<_> = pairs
        .map(|pair| (pair.arms[0].as_str(), pair.arms[1].as_str(), pair.mcnemar.only_first, pair.mcnemar.only_second))
        .collect();
    // a against b over both seeds: 2 + 2 and 1 + 2 images. c has only the second seed.
    assert_eq!(found, [("a", "b", 4, 3), ("a", "c", 2, 1), ("b", "c", 2, 1)]);
    // Only the second seed: 4, 4 and 3 right, of 2, 1, 1, 2, 3 and 2 methods: 2 (3 * 41 - 11^2) /
    // (3 * 11 - 23).
    let cochran = comparison.cochran.unwrap();
    assert_relative_eq!(cochran.q, 0.4, max_relative = 1e-12);
    // With two degrees of freedom the chi-squared distribution is exponential.
    assert_relative_eq!(cochran.p, (-0.2f64).exp(), max_relative = 1e-9);
}

#[test]
fn cochran_matches_statsmodels() {
    let images =
        [[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]];
    let right: Vec<Vec<bool>> = (0..3).map(|k| images.iter().map(|image| image[k] == 1).collect()).collect();
    let found = cochran(&right).unwrap();
    assert_relative_eq!(found.q, 5.25, max_relative = 1e-12);
    assert_relative_eq!(found.p, 0.07243975703425146, max_relative = 1e-9);
    assert_eq!(found.degrees_of_freedom, 2);
    assert_eq!(cochran(&[vec![true, false], vec![true, false]]), None, "no image sets them apart");
    assert_eq!((cochran(&right[..1]), cochran(&[])), (None, None));
}

#[test]
fn mcnemar_matches_statsmodels() {
    let p = |only_first: usize, only_second: usize| {
        let both = |a: bool| [vec![a; only_first], vec![!a; only_second], vec![true; 7]].concat();
        let found = mcnemar(&both(true), &both(false));
        assert_eq!((found.only_first, found.only_second), (only_first, only_second));
        found.p
    };
    assert_relative_eq!(p(9, 3), 0.14599609375, max_relative = 1e-9);
    assert_relative_eq!(p(0, 6), 0.03125, max_relative = 1e-9);
    assert_eq!((p(5, 5), p(0, 0)), (1.0, 1.0));
    assert_relative_eq!(p(40, 22), 0.030849999436874987, max_relative = 1e-9);
}
