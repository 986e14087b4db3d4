//! Blocking forms of the asynchronous methods, for native programs.

use super::{Session, Snapshot};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::gpu::block_on;
use crate::nn::objective::Answer;
use crate::ops::sums::Totals;
use crate::optim::LayerNorms;
use crate::train::Tensor;

impl Session {
    /// Blocking form of [`Session::training_totals_async`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn training_totals(&mut self) -> Result<Totals> {
        block_on(self.training_totals_async())
    }

    /// Blocking form of [`Session::layer_norms_async`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn layer_norms(&self) -> Result<Vec<LayerNorms>> {
        block_on(self.layer_norms_async())
    }

    /// Blocking form of [`Session::signal_to_noise_async`].
    ///
    /// # Errors
    /// The errors of the asynchronous form.
    pub fn signal_to_noise(&mut self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Vec<f64>> {
        block_on(self.signal_to_noise_async(batches))
    }

    /// Blocking form of [`Session::explain_async`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn explain(&mut self, step: u64, batch: &Batch) -> Result<Error> {
        block_on(self.explain_async(step, batch))
    }

    /// Blocking form of [`Session::evaluate_async`].
    ///
    /// # Errors
    /// The errors of the asynchronous form.
    pub fn evaluate(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Totals> {
        block_on(self.evaluate_async(batches))
    }

    /// Evaluates `batches`: the sums, and the prediction for each example.
    ///
    /// # Errors
    /// The errors of [`Session::predict_async`].
    pub fn predict(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<(Totals, Vec<Answer>)> {
        let mut answers = vec![];
        let on_example = |_: &Batch, _, outputs: &[&[f32]]| answers.push(self.objective.answer(outputs));
        let totals = block_on(self.predict_async(batches, on_example))?;
        Ok((totals, answers))
    }

    /// The values of the first output, for each example.
    ///
    /// # Errors
    /// The errors of [`Session::predict_async`].
    pub fn outputs(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Vec<Vec<f32>>> {
        let mut all = vec![];
        block_on(self.predict_async(batches, |_, _, outputs| all.push(outputs[0].to_vec()))).map(|_| all)
    }

    /// Blocking form of [`Session::snapshot_async`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn snapshot(&self) -> Result<Snapshot> {
        block_on(self.snapshot_async())
    }

    /// Blocking form of [`Session::trained_snapshot_async`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn trained_snapshot(&self) -> Result<Snapshot> {
        block_on(self.trained_snapshot_async())
    }

    /// Blocking form of [`Session::state_async`].
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub fn state(&self) -> Result<Vec<Tensor>> {
        block_on(self.state_async())
    }
}
