//! What a run says of itself while it goes on and at its end, and who hears it.

use super::{Checkpoint, Session, SessionPlan};
use crate::curriculum::Layer;
use crate::error::Result;
use crate::optim::LayerNorms;
use serde::{Deserialize, Serialize};

/// One reading of the running sums.
#[derive(Clone, Debug, Serialize)]
pub struct IntervalRecord {
    /// Steps done.
    pub step: u64,
    /// Fractional epochs done.
    pub epoch: f64,
    /// Mean loss over the interval's images.
    pub train_loss: f64,
    /// Part of them predicted right.
    pub train_accuracy: f64,
    /// Part of them whose label is among the five largest logits.
    pub train_top5: f64,
    /// Images per second over the interval.
    pub images_per_second: f64,
    /// The learning rate of each layer at the interval's last step.
    #[serde(skip)]
    pub rates: Vec<f64>,
    /// What that step did to each layer.
    #[serde(skip)]
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
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EpochRecord {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean loss over the epoch's training images, as they were seen.
    pub train_loss: f64,
    /// Part of them predicted right.
    pub train_accuracy: f64,
    /// Mean loss over the validation images, if there are any.
    pub validation_loss: Option<f64>,
    /// Part of them predicted right.
    pub validation_accuracy: Option<f64>,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Part of the test images predicted right, by the weights of the best epoch.
    pub test_accuracy: f64,
    /// Part of them whose label is among the five largest logits.
    pub test_top5: f64,
    /// Mean loss over them.
    pub test_loss: f64,
    /// Test images.
    pub test_images: u64,
    /// The best validation accuracy; absent without validation images.
    pub validation_accuracy: Option<f64>,
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
    /// Label and predicted class of each test image.
    pub predictions: Vec<(u32, u32)>,
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
