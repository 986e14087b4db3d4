//! Making a checkpoint of a run, and restoring a run from one.

use super::{Clock, Training, loader};
use crate::error::{Error, Result};
use crate::train::checkpoint::OPTIONS_HINT;
use crate::train::{Checkpoint, RunState};

impl Training<'_> {
    /// A checkpoint after the latest step. `interval_seconds` have passed in the current interval.
    ///
    /// # Errors
    /// The errors of [`Self::take_totals`] if a loss was not finite: a checkpoint of diverged
    /// weights is not saved.
    pub(super) async fn checkpoint(&mut self, interval_seconds: f64) -> Result<Checkpoint> {
        let sums = self.session.read_training_totals().await?;
        if sums.halted != 0 {
            self.take_totals().await?;
        }
        let mut tensors = self.session.state_async().await?;
        if let Some((_, snapshot)) = &self.best {
            tensors.extend(self.session.named(snapshot, &Checkpoint::of_best("")));
        }
        let state = RunState {
            format: Checkpoint::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            adapter: self.session.gpu().info().name.clone(),
            config: self.task.config.clone(),
            data: self.fingerprint,
            step: self.session.time().step,
            epoch_open: self.epoch_open,
            best: self.best.as_ref().map(|(best, _)| *best),
            plateau: self.session.plateau(),
            totals: self.totals.clone(),
            sums,
            seconds: self.seconds,
            interval_seconds,
            tables: Default::default(),
            earlier_tests: self.earlier_tests,
        };
        Ok(Checkpoint { state, tensors })
    }

    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let state = &checkpoint.state;
        if state.data != self.fingerprint {
            let message = format!(
                "the examples of {} differ from those of the checkpoint; give the directory of the original ones",
                self.task.data.train.name()
            );
            return Err(Error::setting("data_dir", message));
        }
        if state.step > self.steps {
            let message = format!(
                "the checkpoint was taken at step {}, but {} epochs have only {} steps; {OPTIONS_HINT}",
                state.step, self.task.config.training.epochs, self.steps
            );
            return Err(Error::setting("resume", message));
        }
        self.session.set_state(state.step, |name, count| checkpoint.values(name, count))?;
        if let Some(best) = state.best {
            let values = |name: &str, count| checkpoint.values(&Checkpoint::of_best(name), count);
            self.best = Some((best, self.session.snapshot_of(best.step, values)?));
        }
        if let Some(plateau) = state.plateau {
            self.session.set_plateau(plateau);
        }
        self.session.write_training_totals(&state.sums);
        self.earlier_tests = state.earlier_tests;
        self.epoch_open = state.epoch_open;
        self.totals = state.totals.clone();
        self.seconds = state.seconds;
        self.clock = Clock::from(state.interval_seconds);
        self.loader = loader(self.task, &self.split, state.step);
        if !self.epoch_open && state.step.is_multiple_of(self.session.time().steps_per_epoch) {
            self.stop_early();
        }
        Ok(())
    }
}
