//! Runs that are saved in a directory.

use super::Trainer;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::records::{RunDir, Saving};
use crate::train::{Checkpoint, Observer, Outcome, Task, resume_async, run_async};
use std::path::{Path, PathBuf};

/// What to do if the directory holds a run that ended early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Continue it from its latest checkpoint, or start again if it has none.
    #[default]
    Continue,
    /// Continue it, even if it had other options.
    ContinueAnyway,
    /// Continue it, or a finished run, for more epochs. The options are those of
    /// [`crate::train::Config::extended`].
    Extend,
    /// Return an error.
    New,
}

/// The output directory of a run.
pub(super) struct Output {
    dir: PathBuf,
    saving: Saving,
    start: Start,
}

impl Trainer<'_> {
    /// Saves the run in `dir`: options, tables, checkpoints, and at the end weights, predictions,
    /// plots (feature `report`) and summary. A run there that ended early continues, to the same
    /// bytes.
    pub fn out(self, dir: impl Into<PathBuf>) -> Self {
        self.kept(dir, Saving::default(), Start::default())
    }

    /// Like [`Trainer::out`], with options for checkpoints and for an existing run.
    pub fn kept(mut self, dir: impl Into<PathBuf>, saving: Saving, start: Start) -> Self {
        self.output = Some(Output { dir: dir.into(), saving, start });
        self
    }
}

impl Output {
    fn open(&self, task: &Task) -> Result<(RunDir, Option<Checkpoint>)> {
        let (dir, config, saving) = (&self.dir, &task.config, self.saving.clone());
        match self.start {
            Start::New => Ok((RunDir::create(dir, config, saving)?, None)),
            Start::Extend => RunDir::extend(dir, config, saving).map(|(dir, checkpoint)| (dir, Some(checkpoint))),
            start => RunDir::open(dir, config, saving, start == Start::ContinueAnyway),
        }
    }

    pub(super) async fn run(
        self,
        gpu: &Gpu,
        task: &Task,
        title: &str,
        mut observers: Vec<Box<dyn Observer + '_>>,
    ) -> Result<Outcome> {
        let (mut dir, checkpoint) = self.open(task)?;
        dir.notes.iter().for_each(|note| observers.note(note));
        let outcome = match &checkpoint {
            None => run_async(gpu, task, &mut (&mut observers, &mut dir)).await?,
            Some(checkpoint) => {
                resume_notes(gpu, checkpoint).iter().for_each(|note| observers.note(note));
                resume_async(gpu, task, checkpoint, &mut (&mut observers, &mut dir)).await?
            }
        };
        drop(observers);
        dir.write_companions(task.companions())?;
        dir.finish(&outcome, &*task.data.test, |dir| pictures(dir, title, &outcome))?;
        Ok(outcome)
    }
}

/// Notes about the step at which a run continues, and about changes since its checkpoint.
fn resume_notes(gpu: &Gpu, checkpoint: &Checkpoint) -> Vec<String> {
    let (state, here, version) = (&checkpoint.state, &gpu.info().name, env!("CARGO_PKG_VERSION"));
    let mut notes = vec![format!("continues after step {}", state.step)];
    if state.adapter != *here {
        notes
            .push(format!("the checkpoint was made on {}; on {here} results agree up to rounding only", state.adapter));
    }
    if state.version != version {
        notes.push(format!(
            "the checkpoint was made by lerac {}; results of {version} may differ by rounding",
            state.version
        ));
    }
    notes
}

#[cfg(feature = "report")]
fn pictures(dir: &Path, title: &str, outcome: &Outcome) -> Result<()> {
    crate::study::run_pictures(dir, title, &outcome.summary.measures)
}

#[cfg(not(feature = "report"))]
fn pictures(_dir: &Path, _title: &str, _outcome: &Outcome) -> Result<()> {
    Ok(())
}
