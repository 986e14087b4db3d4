//! Cross-validation: the score of a seed is the mean over the folds of a data set.

use super::compare::Comparison;
use crate::records::Finished;

/// The mean of some numbers.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The test scores of these runs by a property of a run, in ascending order; several with the same
/// property as their mean.
fn by<K: Ord + Copy>(runs: &[&Finished], key: impl Fn(&Finished) -> K) -> Vec<(K, f64)> {
    let mut keys: Vec<K> = runs.iter().map(|run| key(run)).collect();
    keys.sort();
    keys.dedup();
    let score = |of: K| {
        let scores = runs.iter().filter(|run| key(run) == of).map(|run| run.summary.test());
        (of, mean(&scores.collect::<Vec<_>>()))
    };
    keys.into_iter().map(score).collect()
}

/// Each seed with its test score, the mean over its folds.
pub(super) fn by_seed(runs: &[&Finished]) -> Vec<(u64, f64)> {
    by(runs, |run| run.seed)
}

/// Each fold with its test score, the mean over seeds; empty unless there are several.
pub(super) fn by_fold(runs: &[&Finished]) -> Vec<(u32, f64)> {
    let folds = by(runs, |run| run.fold);
    if folds.len() < 2 { vec![] } else { folds.into_iter().filter_map(|(fold, score)| Some((fold?, score))).collect() }
}

/// Whether the runs have different folds.
pub(super) fn are_several(runs: &[Finished]) -> bool {
    runs.iter().any(|run| run.fold != runs[0].fold)
}

impl Comparison {
    /// Sentences about the folds: the mean of each method over them, and the score of each. Empty
    /// unless there are several folds.
    pub(super) fn folds_in_words(&self) -> Vec<String> {
        let arms = self.arms.iter().filter(|arm| !arm.fold_scores.is_empty());
        let sentence = |arm: &super::ArmResult| {
            let folds = arm.fold_scores.iter().map(|(fold, score)| format!("{fold}: {}", self.measure.text(*score)));
            let (count, folds) = (arm.fold_scores.len(), folds.collect::<Vec<_>>().join(", "));
            format!("{}: {} is the mean over {count} folds ({folds}).", arm.arm, self.measure.text(arm.test_score))
        };
        arms.map(sentence).collect()
    }
}
