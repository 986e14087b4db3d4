//! The records that a run reports while it trains, and its summary.

use super::{ModelCard, Session};
use crate::nn::objective::{Answer, Baseline, Measure, Scores};
use crate::optim::LayerNorms;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The scores and rates of one interval of steps.
#[derive(Clone, Debug)]
pub struct IntervalRecord {
    /// Steps done.
    pub step: u64,
    /// Fractional epochs done.
    pub epoch: f64,
    /// Scores over the interval's training examples.
    pub training: Scores,
    /// Training examples per second over the interval.
    pub examples_per_second: f64,
    /// The learning rate of each layer at the interval's last step.
    pub rates: Vec<f64>,
    /// The learning rate of each layer's biases at that step; `None` if it is that of the layer.
    pub bias_rates: Option<Vec<f64>>,
    /// Norms of each layer's gradient, update and weights at that step.
    pub norms: Vec<LayerNorms>,
}

/// A measurement of the gradients' signal-to-noise ratio.
#[derive(Clone, Debug)]
pub struct NoiseRecord {
    /// Steps done.
    pub step: u64,
    /// Fractional epochs done.
    pub epoch: f64,
    /// |mean|^2 / variance of each layer's gradient.
    pub signal_to_noise: Vec<f64>,
}

/// The end of an epoch.
#[derive(Clone, Debug)]
pub struct EpochRecord {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Scores over the epoch's training examples, each computed before the step that used it.
    pub training: Scores,
    /// Scores over the validation examples; `None` without validation examples.
    pub validation: Option<Scores>,
}

/// The result of a run. In files, scores have names such as `test_accuracy` and
/// `validation_accuracy`: the split and the key of the measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SummaryFile")]
pub struct Summary {
    /// The measures. The first one selects the best epoch.
    pub measures: Vec<Measure>,
    /// Scores by name: `test_` or `validation_` and the key of a measure; also the baseline's
    /// score.
    #[serde(flatten)]
    pub scores: BTreeMap<String, f64>,
    /// Score of a constant prediction, if the objective defines one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// Mean loss over the test examples.
    pub test_loss: f64,
    /// Number of test examples.
    pub test_examples: u64,
    /// The epoch of the saved weights: the best on validation, or the last.
    pub best_epoch: u64,
    /// How many times the test set was read before, by the run that this one extends. A choice made
    /// by its result makes the next one look better.
    #[serde(skip_serializing_if = "is_zero")]
    pub earlier_tests: u64,
    /// Number of training steps.
    pub steps: u64,
    /// Training examples per epoch.
    pub examples_per_epoch: u64,
    /// Seconds spent in training steps, without evaluation.
    pub seconds: f64,
    /// Training examples per second.
    pub examples_per_second: f64,
    /// Milliseconds per training step.
    pub milliseconds_per_step: f64,
    /// Bytes of device memory.
    pub device_bytes: u64,
    /// CRC-32 of all examples; for image folders, of file names and sizes. `None` in summaries of
    /// versions that did not store it.
    pub data_crc32: Option<u32>,
    /// The adapter's name.
    pub adapter: String,
    /// Version of lerac.
    pub version: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A [`Summary`] as files store it, including files of the first version, which have no `measures`.
#[derive(Deserialize)]
struct SummaryFile {
    measures: Option<Vec<Measure>>,
    baseline: Option<Baseline>,
    test_loss: f64,
    #[serde(alias = "test_images")]
    test_examples: u64,
    best_epoch: u64,
    #[serde(default)]
    earlier_tests: u64,
    steps: u64,
    #[serde(alias = "images_per_epoch")]
    examples_per_epoch: u64,
    seconds: f64,
    #[serde(alias = "images_per_second")]
    examples_per_second: f64,
    milliseconds_per_step: f64,
    device_bytes: u64,
    data_crc32: Option<u32>,
    adapter: String,
    version: String,
    #[serde(flatten)]
    scores: BTreeMap<String, f64>,
}

impl TryFrom<SummaryFile> for Summary {
    type Error = &'static str;

    fn try_from(stored: SummaryFile) -> std::result::Result<Self, &'static str> {
        let default_measures = || match stored.scores.contains_key("test_mae") {
            true => vec![Measure::mean_absolute_error("years")],
            false => vec![Measure::accuracy(), Measure::top5()],
        };
        let median = stored.scores.get("median_mae").filter(|_| stored.measures.is_none());
        let baseline = stored.baseline.clone().or(median.copied().map(Baseline::median));
        let measures = stored.measures.clone().unwrap_or_else(default_measures);
        let has = |measure: &Measure| stored.scores.contains_key(&format!("test_{}", measure.key));
        if measures.is_empty() || !measures.iter().all(has) {
            return Err("expected a score over the test examples for each measure, such as test_accuracy or test_mae");
        }
        Ok(Self {
            measures,
            scores: stored.scores,
            baseline,
            test_loss: stored.test_loss,
            test_examples: stored.test_examples,
            best_epoch: stored.best_epoch,
            earlier_tests: stored.earlier_tests,
            steps: stored.steps,
            examples_per_epoch: stored.examples_per_epoch,
            seconds: stored.seconds,
            examples_per_second: stored.examples_per_second,
            milliseconds_per_step: stored.milliseconds_per_step,
            device_bytes: stored.device_bytes,
            data_crc32: stored.data_crc32,
            adapter: stored.adapter,
            version: stored.version,
        })
    }
}

impl Summary {
    /// The first measure.
    pub fn measure(&self) -> &Measure {
        &self.measures[0]
    }

    /// The first measure over the test examples.
    pub fn test(&self) -> f64 {
        self.scores[&format!("test_{}", self.measure().key)]
    }

    /// The first measure over the validation examples, in the best epoch.
    pub fn validation(&self) -> Option<f64> {
        self.scores.get(&format!("validation_{}", self.measure().key)).copied()
    }

    /// Whether every score, including the baseline's, is in the range of its measure.
    pub fn is_sound(&self) -> bool {
        let sound = |measure: &Measure| {
            let of = |part: &str| self.scores.get(&format!("{part}_{}", measure.key)).copied();
            ["test", "validation"].into_iter().filter_map(of).all(|value| measure.allows(value))
        };
        let of_baseline = |baseline: &Baseline| {
            let named = self.scores.get(&baseline.score_name(self.measure())).copied();
            [named, Some(baseline.value)].into_iter().flatten().all(|value| self.measure().allows(value))
        };
        self.measures.iter().all(sound) && self.baseline.iter().all(of_baseline)
    }

    /// The test score as text, such as `test accuracy 81.20 %`, with the baseline's score, and
    /// whether the test set had been read before.
    pub fn in_words(&self) -> String {
        let measure = self.measure();
        let in_words = |baseline: &Baseline| format!(" ({})", baseline.in_words(measure));
        let baseline = self.baseline.as_ref().map_or(String::new(), in_words);
        let earlier = match self.earlier_tests {
            0 => String::new(),
            1 => ", after the test set had been read once before,".to_owned(),
            times => format!(", after the test set had been read {times} times before,"),
        };
        format!("test {} {}{baseline}{earlier}", measure.name, measure.text(self.test()))
    }
}

/// A finished run: its summary, its session, and its predictions.
pub struct Outcome {
    /// Scores, timings and sizes.
    pub summary: Summary,
    /// The session, with the best epoch's weights.
    pub session: Session,
    /// What the weights need to be used elsewhere.
    pub card: ModelCard,
    /// The target and the prediction of each test example.
    pub answers: Vec<(Answer, Answer)>,
    /// The probability of each prediction; empty if the objective knows none.
    pub probabilities: Vec<f64>,
    /// Files about the test set that a run writes: name and content.
    pub files: Vec<(&'static str, Vec<u8>)>,
}
