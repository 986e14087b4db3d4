//! Who observes a run.

use super::{Checkpoint, EpochRecord, IntervalRecord, NoiseRecord, SessionPlan};
use crate::curriculum::Layer;
use crate::error::Result;

/// Observes a run. Each method has a default that does nothing; a pair of observers is an observer.
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

    /// Of the `examples` of the validation or test set (`part`) `done` have been read.
    fn reading(&mut self, _part: &str, _done: usize, _examples: usize) {}

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

    /// Whether to take a checkpoint and end the run here, with [`crate::error::Error::Interrupted`]: asked after each step, and before
    /// each batch of validation and test examples.
    fn wants_to_stop(&self) -> bool {
        false
    }
}

/// Both observe; a checkpoint is taken, and the run stopped, where one of them wants it.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn skipped(&mut self, names: &[String]) {
        self.0.skipped(names);
        self.1.skipped(names);
    }

    fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        self.0.begin(plan, layers, steps)?;
        self.1.begin(plan, layers, steps)
    }

    fn step(&mut self, step: u64) {
        self.0.step(step);
        self.1.step(step);
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.0.interval(record)?;
        self.1.interval(record)
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        self.0.noise(record)?;
        self.1.noise(record)
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        self.0.reading(part, done, examples);
        self.1.reading(part, done, examples);
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.0.epoch(record)?;
        self.1.epoch(record)
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        self.0.wants_checkpoint(step) || self.1.wants_checkpoint(step)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<()> {
        self.0.checkpoint(checkpoint.clone())?;
        self.1.checkpoint(checkpoint)
    }

    fn wants_to_stop(&self) -> bool {
        self.0.wants_to_stop() || self.1.wants_to_stop()
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn skipped(&mut self, names: &[String]) {
        (**self).skipped(names);
    }

    fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        (**self).begin(plan, layers, steps)
    }

    fn step(&mut self, step: u64) {
        (**self).step(step);
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        (**self).interval(record)
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        (**self).noise(record)
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        (**self).reading(part, done, examples);
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        (**self).epoch(record)
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        (**self).wants_checkpoint(step)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<()> {
        (**self).checkpoint(checkpoint)
    }

    fn wants_to_stop(&self) -> bool {
        (**self).wants_to_stop()
    }
}
