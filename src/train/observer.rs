//! Who observes a run.

use super::{Checkpoint, EpochRecord, IntervalRecord, NoiseRecord, SessionPlan};
use crate::curriculum::Layer;
use crate::error::Result;

/// Observes a run. Each method has a default that does nothing; a pair of observers is an observer.
pub trait Observer {
    /// Something that the user should know before the run begins. Fields of the options are in backquotes.
    fn note(&mut self, _text: &str) {}

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

    /// A checkpoint was taken. An observer that saves it may note in it what belongs to it.
    fn checkpoint(&mut self, _checkpoint: &mut Checkpoint) -> Result<()> {
        Ok(())
    }

    /// Whether to take a checkpoint and end the run here, with [`crate::error::Error::Interrupted`]: asked after each step, and before
    /// each batch of validation and test examples.
    fn wants_to_stop(&self) -> bool {
        false
    }
}

/// The methods of an [`Observer`] that passes all on to others: `every` calls each of them, `any` asks whether one says yes.
macro_rules! pass_on {
    () => {
        fn note(&mut self, text: &str) {
            let _ = self.every(&mut |observer| Ok(observer.note(text)));
        }

        fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
            self.every(&mut |observer| observer.begin(plan, layers, steps))
        }

        fn step(&mut self, step: u64) {
            let _ = self.every(&mut |observer| Ok(observer.step(step)));
        }

        fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
            self.every(&mut |observer| observer.interval(record))
        }

        fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
            self.every(&mut |observer| observer.noise(record))
        }

        fn reading(&mut self, part: &str, done: usize, examples: usize) {
            let _ = self.every(&mut |observer| Ok(observer.reading(part, done, examples)));
        }

        fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
            self.every(&mut |observer| observer.epoch(record))
        }

        fn wants_checkpoint(&self, step: u64) -> bool {
            self.any(&|observer| observer.wants_checkpoint(step))
        }

        fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
            self.every(&mut |observer| observer.checkpoint(checkpoint))
        }

        fn wants_to_stop(&self) -> bool {
            self.any(&|observer| observer.wants_to_stop())
        }
    };
}

/// What is done with each observer.
type Each<'e> = &'e mut dyn FnMut(&mut dyn Observer) -> Result<()>;

/// Observers that all observe.
trait Several {
    fn every(&mut self, each: Each<'_>) -> Result<()>;
    fn any(&self, says_yes: &dyn Fn(&dyn Observer) -> bool) -> bool;
}

impl<A: Observer, B: Observer> Several for (A, B) {
    fn every(&mut self, each: Each<'_>) -> Result<()> {
        each(&mut self.0)?;
        each(&mut self.1)
    }

    fn any(&self, says_yes: &dyn Fn(&dyn Observer) -> bool) -> bool {
        says_yes(&self.0) || says_yes(&self.1)
    }
}

impl Several for Vec<Box<dyn Observer + '_>> {
    fn every(&mut self, each: Each<'_>) -> Result<()> {
        self.iter_mut().try_for_each(|observer| each(&mut **observer))
    }

    fn any(&self, says_yes: &dyn Fn(&dyn Observer) -> bool) -> bool {
        self.iter().any(|observer| says_yes(&**observer))
    }
}

impl<O: Observer> Several for &mut O {
    fn every(&mut self, each: Each<'_>) -> Result<()> {
        each(&mut **self)
    }

    fn any(&self, says_yes: &dyn Fn(&dyn Observer) -> bool) -> bool {
        says_yes(&**self)
    }
}

/// Both observe; a checkpoint is taken, and the run stopped, where one of them wants it.
impl<A: Observer, B: Observer> Observer for (A, B) {
    pass_on!();
}

/// All observe; a checkpoint is taken, and the run stopped, where one of them wants it.
impl Observer for Vec<Box<dyn Observer + '_>> {
    pass_on!();
}

impl<O: Observer> Observer for &mut O {
    pass_on!();
}
