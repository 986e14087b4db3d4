//! The events of a run, as one type.

use crate::curriculum::Layer;
use crate::error::Result;
use crate::tape::mebibytes;
use crate::train::{EpochRecord, IntervalRecord, NoiseRecord, Observer, SessionPlan};
use std::fmt;

/// An event of a run. `Display` formats it as one line.
#[derive(Clone, Copy, Debug)]
pub enum Event<'e> {
    /// A note for the user.
    Note(&'e str),
    /// Training begins.
    Begin {
        /// Bytes on the device.
        plan: &'e SessionPlan,
        /// The model's layers.
        layers: &'e [Layer],
        /// Steps of the run.
        steps: u64,
    },
    /// The sums of an interval were read.
    Interval(&'e IntervalRecord),
    /// The gradients' signal-to-noise ratio was measured.
    Noise(&'e NoiseRecord),
    /// Progress in reading the validation or test examples.
    Reading {
        /// `validation` or `test`.
        part: &'e str,
        /// Examples read.
        done: usize,
        /// Number of examples.
        examples: usize,
    },
    /// An epoch has ended.
    Epoch(&'e EpochRecord),
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Note(text) => write!(f, "note: {text}"),
            Self::Begin { plan, steps, .. } => {
                write!(f, "{steps} steps; {} on the device", mebibytes(plan.total()))
            }
            Self::Interval(record) => {
                let IntervalRecord { step, training, examples_per_second, .. } = record;
                let name = &training.measure().name;
                write!(
                    f,
                    "step {step}: loss {:.3}, {name} {training}, {examples_per_second:.0} examples/s",
                    training.loss
                )
            }
            Self::Noise(record) => write!(f, "step {}: signal-to-noise ratio measured", record.step),
            Self::Reading { part, done, examples } => write!(f, "{part} examples {done}/{examples}"),
            Self::Epoch(EpochRecord { epoch, training, validation, .. }) => {
                let name = &training.measure().name;
                write!(f, "epoch {epoch}: loss {:.4}, training {name} {training}", training.loss)?;
                validation.as_ref().map_or(Ok(()), |scores| write!(f, ", validation {scores}"))
            }
        }
    }
}

/// An observer that calls a closure for each event.
pub(super) struct EventObserver<F>(pub(super) F);

impl<F: FnMut(Event<'_>)> Observer for EventObserver<F> {
    fn note(&mut self, text: &str) {
        (self.0)(Event::Note(text));
    }

    fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        (self.0)(Event::Begin { plan, layers, steps });
        Ok(())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        (self.0)(Event::Interval(record));
        Ok(())
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        (self.0)(Event::Noise(record));
        Ok(())
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        (self.0)(Event::Reading { part, done, examples });
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        (self.0)(Event::Epoch(record));
        Ok(())
    }
}
