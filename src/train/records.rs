//! What a run says of itself while it goes on and at its end, and who hears it.

use super::{Checkpoint, Measure, Prediction, Score, Session, SessionPlan};
use crate::curriculum::Layer;
use crate::error::Result;
use crate::optim::LayerNorms;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One reading of the running sums.
#[derive(Clone, Debug)]
pub struct IntervalRecord {
    /// Steps done.
    pub step: u64,
    /// Fractional epochs done.
    pub epoch: f64,
    /// Mean loss over the interval's images.
    pub train_loss: f64,
    /// How well they were predicted.
    pub train_score: Score,
    /// Images per second over the interval.
    pub images_per_second: f64,
    /// The learning rate of each layer at the interval's last step.
    pub rates: Vec<f64>,
    /// What that step did to each layer.
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
#[derive(Clone, Copy, Debug)]
pub struct EpochRecord {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean loss over the epoch's training images, as they were seen.
    pub train_loss: f64,
    /// How well they were predicted.
    pub train_score: Score,
    /// Mean loss over the validation images, if there are any.
    pub validation_loss: Option<f64>,
    /// How well they were predicted.
    pub validation_score: Option<Score>,
}

/// How well the test images are predicted, by the weights of the best epoch, and how well the validation images were, if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Scores")]
pub enum TestResult {
    /// Of classes.
    Classes {
        /// Part of the test images predicted right.
        test_accuracy: f64,
        /// Part of them whose label is among the five largest logits.
        test_top5: f64,
        /// The best validation accuracy.
        #[serde(skip_serializing_if = "Option::is_none")]
        validation_accuracy: Option<f64>,
    },
    /// Of ages.
    Years {
        /// Mean absolute error over the test images.
        test_mae: f64,
        /// What it would be if the median age of all images that are not for the test were predicted for each.
        median_mae: f64,
        /// The least mean absolute error over the validation images.
        #[serde(skip_serializing_if = "Option::is_none")]
        validation_mae: Option<f64>,
    },
}

/// What a file may hold of a [`TestResult`].
#[derive(Deserialize)]
struct Scores {
    test_accuracy: Option<f64>,
    test_top5: Option<f64>,
    validation_accuracy: Option<f64>,
    test_mae: Option<f64>,
    median_mae: Option<f64>,
    validation_mae: Option<f64>,
}

impl TryFrom<Scores> for TestResult {
    type Error = &'static str;

    fn try_from(scores: Scores) -> std::result::Result<Self, &'static str> {
        match scores {
            Scores {
                test_accuracy: Some(test_accuracy),
                test_top5: Some(test_top5),
                validation_accuracy,
                test_mae: None,
                median_mae: None,
                validation_mae: None,
            } => Ok(Self::Classes { test_accuracy, test_top5, validation_accuracy }),
            Scores {
                test_accuracy: None,
                test_top5: None,
                validation_accuracy: None,
                test_mae: Some(test_mae),
                median_mae: Some(median_mae),
                validation_mae,
            } => Ok(Self::Years { test_mae, median_mae, validation_mae }),
            _ => Err("expected the numbers test_accuracy and test_top5, or test_mae and median_mae"),
        }
    }
}

impl TestResult {
    /// All that it holds.
    #[cfg(feature = "cli")]
    pub(crate) fn scores(&self) -> impl Iterator<Item = Score> {
        let (Self::Classes { test_top5: second, .. } | Self::Years { median_mae: second, .. }) = *self;
        [Some(self.test()), Some(self.measure().score(second)), self.validation()].into_iter().flatten()
    }

    /// What is measured.
    pub fn measure(&self) -> Measure {
        match self {
            Self::Classes { .. } => Measure::Accuracy,
            Self::Years { .. } => Measure::MeanAbsoluteError,
        }
    }

    /// Over the test images.
    pub fn test(&self) -> Score {
        let (Self::Classes { test_accuracy: value, .. } | Self::Years { test_mae: value, .. }) = *self;
        self.measure().score(value)
    }

    /// Over the validation images.
    pub fn validation(&self) -> Option<Score> {
        let (Self::Classes { validation_accuracy: value, .. } | Self::Years { validation_mae: value, .. }) = *self;
        value.map(|value| self.measure().score(value))
    }
}

impl fmt::Display for TestResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "test {} {}", self.measure().name(), self.test())?;
        match *self {
            Self::Classes { .. } => Ok(()),
            Self::Years { median_mae, .. } => {
                write!(f, " ({}, were the median age always predicted)", self.measure().score(median_mae))
            }
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// How well test and validation images are predicted.
    #[serde(flatten)]
    pub result: TestResult,
    /// Mean loss over the test images.
    pub test_loss: f64,
    /// Test images.
    pub test_images: u64,
    /// The epoch that the weights are from: the best on validation, or the last.
    pub best_epoch: u64,
    /// Training steps.
    pub steps: u64,
    /// Images trained on in each epoch.
    pub images_per_epoch: u64,
    /// Seconds of training steps, evaluation not counted.
    pub seconds: f64,
    /// Training images per second.
    pub images_per_second: f64,
    /// Milliseconds per training step.
    pub milliseconds_per_step: f64,
    /// Bytes on the device.
    pub device_bytes: u64,
    /// CRC-32 of all images and labels, of image files by their names and sizes; absent in summaries of before it was kept.
    pub data_crc32: Option<u32>,
    /// The adapter's name.
    pub adapter: String,
    /// Version of lerac.
    pub version: String,
}

/// A finished run: its summary, and what to write of its model.
pub struct Outcome<'g> {
    /// The numbers.
    pub summary: Summary,
    /// The session, holding the best epoch's weights.
    pub session: Session<'g>,
    /// Label and prediction of each test image.
    pub predictions: Vec<(u32, Prediction)>,
}

/// Hears what happens during a run. Each method has a default that does nothing.
pub trait Observer {
    /// These tensors stay at their random values, since the file of `--init` has none that fit.
    fn skipped(&mut self, _names: &[String]) {}

    /// The run is about to begin.
    fn begin(&mut self, _plan: &SessionPlan, _layers: &[Layer], _steps: u64) -> Result<()> {
        Ok(())
    }

    /// A step was submitted; `step` are done.
    fn step(&mut self, _step: u64) {}

    /// The sums were read.
    fn interval(&mut self, _record: &IntervalRecord) -> Result<()> {
        Ok(())
    }

    /// The gradients' signal-to-noise ratio was measured.
    fn noise(&mut self, _record: &NoiseRecord) -> Result<()> {
        Ok(())
    }

    /// Of the `images` of the validation or test set (`part`) `done` have been read.
    fn reading(&mut self, _part: &str, _done: usize, _images: usize) {}

    /// An epoch is over.
    fn epoch(&mut self, _record: &EpochRecord) -> Result<()> {
        Ok(())
    }

    /// Whether a checkpoint is to be taken now that `step` steps are done, and the epoch's end, if they end one.
    fn wants_checkpoint(&self, _step: u64) -> bool {
        false
    }

    /// A checkpoint was taken.
    fn checkpoint(&mut self, _checkpoint: Checkpoint) -> Result<()> {
        Ok(())
    }

    /// Whether to take a checkpoint and end the run here, with [`crate::error::Error::Interrupted`]: asked behind each step, and before
    /// each batch of validation and test images.
    fn wants_to_stop(&self) -> bool {
        false
    }
}
