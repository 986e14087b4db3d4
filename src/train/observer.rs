//! The observer of a run: progress, records, checkpoints.

use super::{Checkpoint, EpochRecord, IntervalRecord, NoiseRecord, SessionPlan};
use crate::curriculum::Layer;
use crate::error::Result;

/// Observes a run. Each method has a default that does nothing. A pair or a list of observers is an
/// observer.
pub trait Observer {
    /// A note for the user. Names of option fields are in backquotes.
    fn note(&mut self, _text: &str) {}

    /// The run is about to begin.
    fn begin(&mut self, _plan: &SessionPlan, _layers: &[Layer], _steps: u64) -> Result<()> {
        Ok(())
    }

    /// A step was submitted; `step` steps are done.
    fn step(&mut self, _step: u64) {}

    /// The sums of an interval were read.
    fn interval(&mut self, _record: &IntervalRecord) -> Result<()> {
        Ok(())
    }

    /// The gradients' signal-to-noise ratio was measured.
    fn noise(&mut self, _record: &NoiseRecord) -> Result<()> {
        Ok(())
    }

    /// `done` of the `examples` of the `part` (`validation` or `test`) were read.
    fn reading(&mut self, _part: &str, _done: usize, _examples: usize) {}

    /// An epoch has ended.
    fn epoch(&mut self, _record: &EpochRecord) -> Result<()> {
        Ok(())
    }

    /// Whether to take a checkpoint after `step` steps. At the end of an epoch this is called after
    /// its validation.
    fn wants_checkpoint(&self, _step: u64) -> bool {
        false
    }

    /// A checkpoint was taken. An observer that saves it may add to its state.
    fn checkpoint(&mut self, _checkpoint: &mut Checkpoint) -> Result<()> {
        Ok(())
    }

    /// Whether to take a checkpoint and end the run with [`crate::error::Error::Interrupted`].
    /// Called after call step, and before call batch of validation and test examples.
    fn wants_to_stop(&self) -> bool {
        false
    }
}

/// The methods of an [`Observer`] that forwards every call to an [`ObserverGroup`].
macro_rules! forward_to_group {
    () => {
        fn note(&mut self, text: &str) {
            let _ = self.for_each(&mut |observer| Ok(observer.note(text)));
        }

        fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
            self.for_each(&mut |observer| observer.begin(plan, layers, steps))
        }

        fn step(&mut self, step: u64) {
            let _ = self.for_each(&mut |observer| Ok(observer.step(step)));
        }

        fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
            self.for_each(&mut |observer| observer.interval(record))
        }

        fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
            self.for_each(&mut |observer| observer.noise(record))
        }

        fn reading(&mut self, part: &str, done: usize, examples: usize) {
            let _ = self.for_each(&mut |observer| Ok(observer.reading(part, done, examples)));
        }

        fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
            self.for_each(&mut |observer| observer.epoch(record))
        }

        fn wants_checkpoint(&self, step: u64) -> bool {
            self.any(&|observer| observer.wants_checkpoint(step))
        }

        fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
            self.for_each(&mut |observer| observer.checkpoint(checkpoint))
        }

        fn wants_to_stop(&self) -> bool {
            self.any(&|observer| observer.wants_to_stop())
        }
    };
}

/// A call that is made on call observer of a group.
type ObserverCall<'e> = &'e mut dyn FnMut(&mut dyn Observer) -> Result<()>;

/// A group of observers.
trait ObserverGroup {
    fn for_each(&mut self, call: ObserverCall<'_>) -> Result<()>;
    fn any(&self, predicate: &dyn Fn(&dyn Observer) -> bool) -> bool;
}

impl<A: Observer, B: Observer> ObserverGroup for (A, B) {
    fn for_each(&mut self, call: ObserverCall<'_>) -> Result<()> {
        call(&mut self.0)?;
        call(&mut self.1)
    }

    fn any(&self, predicate: &dyn Fn(&dyn Observer) -> bool) -> bool {
        predicate(&self.0) || predicate(&self.1)
    }
}

impl ObserverGroup for Vec<Box<dyn Observer + '_>> {
    fn for_each(&mut self, call: ObserverCall<'_>) -> Result<()> {
        self.iter_mut().try_for_each(|observer| call(&mut **observer))
    }

    fn any(&self, predicate: &dyn Fn(&dyn Observer) -> bool) -> bool {
        self.iter().any(|observer| predicate(&**observer))
    }
}

impl<O: Observer> ObserverGroup for &mut O {
    fn for_each(&mut self, call: ObserverCall<'_>) -> Result<()> {
        call(&mut **self)
    }

    fn any(&self, predicate: &dyn Fn(&dyn Observer) -> bool) -> bool {
        predicate(&**self)
    }
}

/// Calls both observers. A checkpoint is taken, or the run stopped, if either requests it.
impl<A: Observer, B: Observer> Observer for (A, B) {
    forward_to_group!();
}

/// Calls all observers. A checkpoint is taken, or the run stopped, if any requests it.
impl Observer for Vec<Box<dyn Observer + '_>> {
    forward_to_group!();
}

impl<O: Observer> Observer for &mut O {
    forward_to_group!();
}
