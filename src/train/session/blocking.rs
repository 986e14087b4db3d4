//! The forms that wait, for native programs: each is its async form, waited for.

use super::{Session, Snapshot};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::gpu::block_on;
use crate::nn::objective::Answer;
use crate::ops::sums::Totals;
use crate::optim::LayerNorms;
use crate::train::Tensor;

impl Session {
    /// [`Session::training_totals_async`], waiting.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn training_totals(&mut self) -> Result<Totals> {
        block_on(self.training_totals_async())
    }

    /// [`Session::layer_norms_async`], waiting.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn layer_norms(&self) -> Result<Vec<LayerNorms>> {
        block_on(self.layer_norms_async())
    }

    /// [`Session::signal_to_noise_async`], waiting.
    ///
    /// # Errors
    /// As there.
    pub fn signal_to_noise(&mut self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Vec<f64>> {
        block_on(self.signal_to_noise_async(batches))
    }

    /// [`Session::explain_async`], waiting.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn explain(&mut self, step: u64, batch: &Batch) -> Result<Error> {
        block_on(self.explain_async(step, batch))
    }

    /// [`Session::evaluate_async`], waiting.
    ///
    /// # Errors
    /// As there.
    pub fn evaluate(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Totals> {
        block_on(self.evaluate_async(batches))
    }

    /// Sums over all of `batches`, and what the model says of each example.
    ///
    /// # Errors
    /// As [`Session::predict_async`].
    pub fn predict(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<(Totals, Vec<Answer>)> {
        let mut answers = vec![];
        let see = |_: &Batch, _, outputs: &[&[f32]]| answers.push(self.objective.answer(outputs));
        let totals = block_on(self.predict_async(batches, see))?;
        Ok((totals, answers))
    }

    /// The first output for each example.
    ///
    /// # Errors
    /// As [`Session::predict_async`].
    pub fn outputs(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Vec<Vec<f32>>> {
        let mut all = vec![];
        block_on(self.predict_async(batches, |_, _, outputs| all.push(outputs[0].to_vec()))).map(|_| all)
    }

    /// [`Session::snapshot_async`], waiting.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn snapshot(&self) -> Result<Snapshot> {
        block_on(self.snapshot_async())
    }

    /// [`Session::state_async`], waiting.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn state(&self) -> Result<Vec<Tensor>> {
        block_on(self.state_async())
    }
}
