//! Comparison of training methods. All methods use the same seeds, so they have the same initial
//! weights, split and batches.

use super::folds;
use super::statistics::{
    Cochran, McNemar, PairedDifference, cochran, holm, mcnemar, mean_and_deviation, median, paired_difference,
};
use crate::nn::objective::Measure;
use crate::records::{Finished, csv_with_header};
use serde::Serialize;

/// The results of a method over all seeds.
#[derive(Clone, Debug, Serialize)]
pub struct ArmResult {
    /// The method; with its k and range if several of them are compared.
    pub arm: String,
    /// The seeds, in the order of the lists below.
    pub seeds: Vec<u64>,
    /// Mean over seeds of the first measure over the test examples.
    pub test_score: f64,
    /// Standard deviation of the test score over seeds; `None` for one seed.
    pub test_score_sd: Option<f64>,
    /// Test score of each seed; of several folds their mean.
    pub test_scores: Vec<f64>,
    /// Each fold with the mean over seeds of its test score; empty unless there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fold_scores: Vec<(u32, f64)>,
    /// Median over seeds of the milliseconds per step.
    pub milliseconds_per_step: f64,
    /// Time per step relative to the baseline's: the median over all seeds and intervals, each
    /// paired with the same interval of the same seed; `None` without a pair.
    pub relative_time: Option<f64>,
    /// When its validation score reaches the baseline's final one; `None` without validation
    /// examples or pairs.
    pub reaches_baseline: Option<EpochsToBaseline>,
    /// Test score minus the baseline's with the same seed; `None` for the baseline, and without a
    /// pair.
    pub against_baseline: Option<PairedDifference>,
    /// p value of that difference, corrected for the number of methods by Holm's method.
    pub corrected_p: Option<f64>,
}

/// When the validation score of a method reaches the baseline's final one, over pairs of runs with
/// the same seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EpochsToBaseline {
    /// Number of pairs of runs.
    pub pairs: usize,
    /// Number of pairs in which the score is reached.
    pub reached: usize,
    /// Median of the epochs until it is reached.
    pub epochs: Option<f64>,
}

/// McNemar's test of two methods, on the pooled test predictions of all seeds.
#[derive(Clone, Debug, Serialize)]
pub struct PairResult {
    /// Names of the methods.
    pub arms: [String; 2],
    /// The test.
    pub mcnemar: McNemar,
}

/// The whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The measure of the scores.
    pub measure: Measure,
    /// The method that the others are compared with; it may have no finished runs.
    pub baseline: String,
    /// A row per method.
    pub arms: Vec<ArmResult>,
    /// Cochran's Q over all methods on the pooled test predictions; `None` if it is not defined,
    /// for example without classes.
    pub cochran: Option<Cochran>,
    /// McNemar's test for each pair of methods; empty if the model does not predict classes.
    pub pairs: Vec<PairResult>,
}

/// The runs of each method, sorted by seed and fold. Methods are in the order of their first run.
pub(super) fn by_arm(runs: &[Finished]) -> Vec<Vec<&Finished>> {
    let mut arms: Vec<Vec<&Finished>> = vec![];
    for run in runs {
        match arms.iter_mut().find(|arm| arm[0].arm == run.arm) {
            Some(arm) => arm.push(run),
            None => arms.push(vec![run]),
        }
    }
    arms.iter_mut().for_each(|arm| arm.sort_by_key(|run| (run.seed, run.fold)));
    arms
}

/// Pairs of runs of two methods with the same seed and fold.
fn pairs<'r>(first: &[&'r Finished], second: &[&'r Finished]) -> Vec<(&'r Finished, &'r Finished)> {
    let is_same = |a: &Finished, b: &Finished| (a.seed, a.fold) == (b.seed, b.fold);
    let partner = |run: &&'r Finished| second.iter().find(|other| is_same(run, other)).map(|other| (*run, *other));
    first.iter().filter_map(partner).collect()
}

/// How many second runs of `pairs` reach the final validation score of the first run, and the
/// median number of epochs until then.
fn epochs_to_baseline(pairs: &[(&Finished, &Finished)], measure: &Measure) -> Option<EpochsToBaseline> {
    let epochs = |(first, second): &(&Finished, &Finished)| {
        let &(_, final_score) = first.validation_score.last()?;
        let is_as_good = |(_, score): &&(f64, f64)| measure.to_maximise(*score) >= measure.to_maximise(final_score);
        Some(second.validation_score.iter().find(is_as_good).map(|(epoch, _)| *epoch))
    };
    let first_epochs: Vec<Option<f64>> = pairs.iter().filter_map(epochs).collect();
    let reached: Vec<f64> = first_epochs.iter().flatten().copied().collect();
    let epochs = (!reached.is_empty()).then(|| median(&reached));
    (!first_epochs.is_empty()).then_some(EpochsToBaseline { pairs: first_epochs.len(), reached: reached.len(), epochs })
}

impl Comparison {
    /// The files of a comparison, next to the directories of its runs. The first one marks it.
    /// `precision.png` is drawn for detectors.
    pub const FILES: [&str; 8] = [
        "compare.toml",
        "compare.json",
        "results.csv",
        "report.html",
        "compare.png",
        "layers.png",
        "noise.png",
        "precision.png",
    ];

    /// Compares finished runs with those of the method `baseline`. A seed that failed under one
    /// method is left out of its pairs.
    ///
    /// # Panics
    /// If `runs` is empty.
    pub fn of(runs: &[Finished], baseline: &str) -> Self {
        let measure = runs[0].summary.measure();
        let arms = by_arm(runs);
        let firsts: &[&Finished] = arms.iter().find(|arm| arm[0].arm == baseline).map_or(&[], Vec::as_slice);
        let result = |arm: &Vec<&Finished>| {
            let paired = pairs(firsts, arm);
            let (seeds, test_scores): (Vec<_>, Vec<_>) = folds::by_seed(arm).into_iter().unzip();
            let (test_score, test_score_sd) = mean_and_deviation(&test_scores);
            let times: Vec<_> = arm.iter().map(|run| run.summary.milliseconds_per_step).collect();
            let ratios = paired.iter().flat_map(|(first, run)| {
                first.examples_per_second.iter().zip(&run.examples_per_second).map(|(first, run)| first / run)
            });
            let ratios: Vec<f64> = ratios.collect();
            let (firsts, seconds): (Vec<_>, Vec<_>) = paired.iter().copied().unzip();
            let [firsts, seconds] = [firsts, seconds]
                .map(|runs| folds::by_seed(&runs).into_iter().map(|(_, score)| score).collect::<Vec<_>>());
            ArmResult {
                arm: arm[0].arm.clone(),
                seeds,
                test_score,
                test_score_sd,
                test_scores,
                fold_scores: folds::by_fold(arm),
                milliseconds_per_step: median(&times),
                relative_time: (!ratios.is_empty()).then(|| median(&ratios)),
                reaches_baseline: epochs_to_baseline(&paired, measure),
                against_baseline: (arm[0].arm != baseline && !paired.is_empty())
                    .then(|| paired_difference(&firsts, &seconds)),
                corrected_p: None,
            }
        };
        Self {
            measure: measure.clone(),
            baseline: baseline.to_owned(),
            arms: with_corrected_p(arms.iter().map(result).collect()),
            cochran: pooled_cochran(&arms),
            pairs: pooled_pairs(&arms),
        }
    }
}

/// Adds p values corrected for the number of tests.
fn with_corrected_p(mut arms: Vec<ArmResult>) -> Vec<ArmResult> {
    let p = |arm: &ArmResult| arm.against_baseline.as_ref().and_then(|difference| difference.p);
    let found: Vec<f64> = arms.iter().filter_map(p).collect();
    for (arm, p) in arms.iter_mut().filter(|arm| p(arm).is_some()).zip(holm(&found)) {
        arm.corrected_p = Some(p);
    }
    arms
}

/// A CSV table with a row per run.
///
/// # Panics
/// If `runs` is empty.
pub fn results_csv(runs: &[Finished]) -> Vec<u8> {
    let key = &runs[0].summary.measure().key;
    let [test, validation] = ["test", "validation"].map(|part| format!("{part}_{key}"));
    // Scores of runs of earlier versions may be absent.
    let has = |name: &&str| runs.iter().any(|run| run.summary.scores.contains_key(*name));
    let further: Vec<&str> = ["test_macro_f1", "test_matthews"].into_iter().filter(has).collect();
    let fold: &[&str] = if folds::are_several(runs) { &["fold"] } else { &[] };
    let header = [&test, "test_loss", &validation, "best_epoch"];
    let header = [&["method", "seed"], fold, &header, &further, &["milliseconds_per_step"]].concat();
    let row = |Finished { arm, seed, fold: of_run, summary, .. }: &Finished| {
        let scores = (summary.test(), summary.test_loss, summary.validation());
        let fold: Vec<u32> = of_run.iter().copied().take(fold.len()).collect();
        let further: Vec<_> = further.iter().map(|name| summary.scores.get(*name).copied()).collect();
        (arm.clone(), *seed, fold, scores, summary.best_epoch, further, summary.milliseconds_per_step)
    };
    csv_with_header(&header, runs.iter().map(row))
}

/// Cochran's Q over the seeds and folds that all methods have.
fn pooled_cochran(arms: &[Vec<&Finished>]) -> Option<Cochran> {
    let key = |run: &Finished| (run.seed, run.fold);
    let keys = arms.first()?.iter().map(|run| key(run));
    let everywhere = |wanted: &(u64, Option<u32>)| arms.iter().all(|arm| arm.iter().any(|run| key(run) == *wanted));
    let keys: Vec<_> = keys.filter(everywhere).collect();
    let right = |arm: &Vec<&Finished>| {
        arm.iter().filter(|run| keys.contains(&key(run))).flat_map(|run| run.right.iter().copied()).collect()
    };
    cochran(&arms.iter().map(right).collect::<Vec<Vec<bool>>>())
}

fn pooled_pairs(arms: &[Vec<&Finished>]) -> Vec<PairResult> {
    let mut results = vec![];
    for (i, first) in arms.iter().enumerate() {
        for second in &arms[i + 1..] {
            let paired = pairs(first, second);
            let pool = |run: fn(&(&Finished, &Finished)) -> Vec<bool>| paired.iter().flat_map(run).collect::<Vec<_>>();
            let (a, b) = (pool(|pair| pair.0.right.clone()), pool(|pair| pair.1.right.clone()));
            if !a.is_empty() {
                let arms = [first[0].arm.clone(), second[0].arm.clone()];
                results.push(PairResult { arms, mcnemar: mcnemar(&a, &b) });
            }
        }
    }
    results
}
