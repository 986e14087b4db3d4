//! Options of a run that is trained longer.

use super::{Config, Preset};
use crate::error::{Error, Result};

impl Config {
    /// The options of this run with more epochs, so that all steps it has done are those of the
    /// longer run: a default `k`, which depends on the number of epochs, stays as it was.
    ///
    /// # Errors
    /// [`Error::Setting`] if there are fewer epochs, or if rates of earlier steps would be others.
    pub fn extended(&self, epochs: u64) -> Result<Self> {
        let had = self.training.epochs;
        let anew = "train a new run from its weights with `init`";
        if epochs < had {
            let message = format!("expected more than the {had} epochs that the run has, found {epochs}");
            return Err(Error::setting("epochs", message));
        }
        if let Some(schedule) = self.optimizer.falling_schedule() {
            let message = format!(
                "`schedule` {schedule} falls over all {had} epochs, so earlier steps of a run of {epochs} epochs have other \
                 rates; {anew}"
            );
            return Err(Error::setting("epochs", message));
        }
        let of_paper = self.curriculum.preset == Preset::Paper || !self.curriculum.is_lerac();
        let longer = self.clone().with(|longer| {
            longer.training.epochs = epochs;
            if self.curriculum.method.has_ramp() && of_paper {
                longer.curriculum.k = Some(self.k());
            }
        });
        longer.check_values().map(|()| longer)
    }
}
