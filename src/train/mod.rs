//! Floor 7: training. A [`Config`] says what to train; a [`Session`] holds the device's side of it; [`run`] is the loop.

mod config;
mod run;
mod session;
mod weights;

pub use config::{Config, Method, Preset, ScheduleKind};
pub use run::{EpochRecord, IntervalRecord, NoiseRecord, Observer, Outcome, Summary, run};
pub use session::{MakeCurriculum, Parts, Session, SessionPlan, Snapshot};
pub use weights::write_safetensors;
#[cfg(feature = "cli")]
pub(crate) use {
    run::begin,
    weights::{Values, write_tensors, write_whole},
};
