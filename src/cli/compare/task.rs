//! Runs one task of a comparison under a claim, so that no other process runs it at the same time.

use super::jobs::Reported;
use super::{CompareArgs, Folds, Plan, open_folds};
use crate::cli::grid::Run;
use crate::cli::progress::Progress;
use crate::cli::{print, print_stderr};
use crate::cores::spawn;
use crate::curriculum::Layer;
use crate::error::{Error, Result};
use crate::files::{Claim, Held, Replace};
use crate::gpu::Gpu;
use crate::records::{Finished, RunDir, Saving};
use crate::study::TensorBoard;
use crate::train::{Checkpoint, EpochRecord, IntervalRecord, Observer, SessionPlan, Task};
use crate::trainer::{Start, Trainer};
use indicatif::MultiProgress;
use std::io::{Read, stdin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends a run whose claim another process has taken over, before it writes more.
struct Watch<'c>(&'c Claim);

impl Observer for Watch<'_> {
    fn begin(&mut self, _plan: &SessionPlan, _layers: &[Layer], _steps: u64) -> Result<()> {
        self.0.check()
    }

    fn interval(&mut self, _record: &IntervalRecord) -> Result<()> {
        self.0.check()
    }

    fn epoch(&mut self, _record: &EpochRecord) -> Result<()> {
        self.0.check()
    }

    fn checkpoint(&mut self, _checkpoint: &mut Checkpoint) -> Result<()> {
        self.0.check()
    }
}

/// Trains one run into its directory, or continues it, and reads the result. The inner error is the
/// process that has claimed it.
pub(super) fn train<'o>(
    plan: &Plan,
    run: &Run,
    folds: &Folds,
    (gpu, saving, replace): (&Gpu, Saving, Replace),
    progress: impl Observer + 'o,
) -> Result<Result<Finished, Held>> {
    let claim = match Claim::take(&plan.claims, &run.name(), replace)? {
        Ok(claim) => claim,
        Err(held) => return Ok(Err(held)),
    };
    // Another process may have finished it since.
    if let Some(finished) = plan.load(run, folds)? {
        return Ok(Ok(finished));
    }
    let trainer = Trainer::of(gpu, Task::of(&run.config, &folds[&run.config.data.fold].0)?).title(&run.arm);
    let mut trainer = trainer.kept(&run.dir, saving, Start::Continue).observer(Watch(&claim)).observer(progress);
    if plan.tensorboard {
        trainer = trainer.observer(TensorBoard::new(&run.dir));
    }
    trainer.run()?;
    let finished = Finished::load(&run.dir, &run.arm, &run.config, None)?;
    finished.map(Ok).ok_or_else(|| Error::option("--out", format!("{} no longer exists", run.dir.display())))
}

/// Runs the task with this number, and prints its result.
pub(super) fn run(args: &CompareArgs, plan: &Plan, number: usize) -> Result<()> {
    let Some(run) = plan.runs.get(number) else {
        let most = plan.runs.len() - 1;
        return Err(Error::option("--task", format!("expected 0 to {most}, found {number}; --list shows the tasks")));
    };
    let folds = open_folds([run], args.quiet)?;
    let _lock = plan.open()?;
    if plan.load(run, &folds)?.is_some() {
        RunDir::tidy(&run.dir, false)?;
        print_stderr(&format!("task {number}, {}, is finished already in {}", run.title(), run.dir.display()));
        return Ok(());
    }
    let gpu = args.device.open()?;
    let saving = Saving { keep_last: false, ..args.saving.start(plan.overwrite.clone())? };
    if args.tasks.worker {
        stop_with_input(saving.stop.clone())?;
    }
    let replace = if args.tasks.take_over { Replace::Unknown } else { Replace::None };
    let splits = &folds[&run.config.data.fold].0;
    let progress = Progress::new(&run.title(), splits, args.quiet, &MultiProgress::new());
    let reported = Reported(args.tasks.worker);
    match train(plan, run, &folds, (&gpu, saving, replace), (progress, reported)) {
        Ok(Ok(finished)) => {
            if !args.tasks.worker {
                print(&format!("{}: {}; {}", run.title(), finished.summary.in_words(), run.dir.display()));
            }
            Ok(())
        }
        Ok(Err(held)) if args.tasks.worker => {
            print(&format!("elsewhere {held}"));
            Ok(())
        }
        Ok(Err(held)) => {
            let message = format!(
                "{} is claimed by {held}; wait for it, or if that process has ended, give --take-over",
                run.title()
            );
            Err(Error::option(format!("--task {number}"), message))
        }
        Err(Error::Interrupted(place)) => {
            Err(Error::Interrupted(format!("{}: {place}; the same command continues it", run.title())))
        }
        Err(error) => Err(error),
    }
}

/// Sets `stop` when standard input ends: the process that started this one closes it, or has ended.
fn stop_with_input(stop: Arc<AtomicBool>) -> Result<()> {
    spawn("standard input", move || {
        let _ = stdin().read_to_end(&mut vec![]);
        stop.store(true, Ordering::Relaxed);
    })
    .map(drop)
}
