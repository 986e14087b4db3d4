//! Epochs, batch size, seed, logging and the loss.

#[cfg(feature = "cli")]
use super::whole_number;
use super::{check_integers, require};
use crate::error::Result;
use crate::nn::objective::{ClassWeights, ObjectiveOptions};
use crate::ops::regression::Loss;
use serde::{Deserialize, Serialize};

/// Epochs, batch size, seed, logging and the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainingOptions {
    /// Epochs to train
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, default_value_t = TrainingOptions::default().epochs, help_heading = "Training"))]
    pub epochs: u64,
    /// Examples per step
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, default_value_t = TrainingOptions::default().batch_size, help_heading = "Training"))]
    pub batch_size: usize,
    /// Examples per pass, for devices with little memory; must divide the batch size. Gradients are
    /// accumulated over the passes of a step. Only batch norm differs: it normalises over one pass
    /// [default: the batch size]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Stop after this many epochs without a better validation score [default: never]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<u64>,
    /// Seed of initial weights, split, batch order, augmentation and dropout
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, default_value_t = 0, help_heading = "Training"))]
    pub seed: u64,
    /// Steps between log entries of training loss and scores
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, default_value_t = TrainingOptions::default().log_every, help_heading = "Training"))]
    pub log_every: u64,
    /// Steps between measurements of each layer's gradient signal-to-noise ratio; 0 for none
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, default_value_t = 0, help_heading = "Training"))]
    pub snr_every: u64,
    /// Batches per measurement of the signal-to-noise ratio
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, default_value_t = TrainingOptions::default().snr_batches, help_heading = "Training"))]
    pub snr_batches: u64,
    /// utkface-age: loss of the predicted age [default: l1]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// Label smoothing of the loss
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, help_heading = "Optimiser"))]
    pub label_smoothing: f64,
    /// Weight of each class in the loss: balanced, or numbers such as 1,2.5 in the order of the
    /// classes [default: 1 each]
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "WEIGHTS", allow_hyphen_values = true, help_heading = "Optimiser")
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Mixup of pairs of examples, with weights from Beta(MIXUP, MIXUP); usually 0.2 to 1
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<f64>,
}

impl Default for TrainingOptions {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch_size: 64,
            micro_batch: None,
            early_stopping: None,
            seed: 0,
            log_every: 20,
            snr_every: 0,
            snr_batches: 8,
            loss: None,
            label_smoothing: 0.0,
            class_weights: None,
            mixup: None,
        }
    }
}

impl TrainingOptions {
    /// Checks every option.
    ///
    /// # Errors
    /// [`crate::error::Error::Setting`] with the option, the expected and the found value.
    pub fn check(&self) -> Result<()> {
        self.check_storable()?;
        require("epochs", self.epochs, self.epochs > 0, "at least 1")?;
        let patience = self.early_stopping.unwrap_or(1);
        require("early_stopping", patience, patience > 0, "at least 1")?;
        require("log_every", self.log_every, self.log_every > 0, "at least 1")?;
        require("batch_size", self.batch_size, (1..1 << 24).contains(&self.batch_size), "1 to 16777215")?;
        let alpha = self.mixup.unwrap_or(1.0);
        require("mixup", alpha, (1e-3..=1e3).contains(&alpha), "0.001 to 1000")?;
        let smoothing = self.label_smoothing;
        require("label_smoothing", smoothing, (0.0..1.0).contains(&smoothing), "0 <= smoothing < 1")?;
        require("snr_batches", self.snr_batches, (2..=1024).contains(&self.snr_batches), "2 to 1024")?;
        self.check_micro_batch()
    }

    fn check_micro_batch(&self) -> Result<()> {
        let size = self.micro_batch_size();
        let divides = size > 0 && self.batch_size.is_multiple_of(size);
        require("micro_batch", size, divides, &format!("a divisor of the batch size, {}", self.batch_size))?;
        let pairs = self.mixup.is_none() || size == self.batch_size || size.is_multiple_of(2);
        require("micro_batch", size, pairs, "an even number, since `mixup` makes pairs")
    }

    pub(super) fn check_storable(&self) -> Result<()> {
        check_integers(&[
            ("seed", self.seed),
            ("batch_size", self.batch_size as u64),
            ("snr_batches", self.snr_batches),
            ("epochs", self.epochs),
            ("early_stopping", self.early_stopping.unwrap_or(0)),
            ("log_every", self.log_every),
            ("snr_every", self.snr_every),
        ])
    }

    /// The options of the objective, without class weights.
    pub fn objective(&self) -> ObjectiveOptions {
        ObjectiveOptions { label_smoothing: self.label_smoothing, class_weights: vec![], loss: self.loss }
    }

    /// Whether early stopping ends training after `epoch`. `best` is the best epoch so far; both
    /// count from 1. An epoch with the same score as the best is not better.
    pub fn stops_after(&self, epoch: u64, best: u64) -> bool {
        self.early_stopping.is_some_and(|patience| epoch.saturating_sub(best) >= patience)
    }

    /// Examples per pass: `micro_batch`, or the batch size.
    pub fn micro_batch_size(&self) -> usize {
        self.micro_batch.unwrap_or(self.batch_size)
    }
}
