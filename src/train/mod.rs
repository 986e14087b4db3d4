//! Floor 7: training. A [`Config`] says what to train, a [`Task`] holds what it names; a [`Session`] holds the device's side of it;
//! [`run`] is the loop.

mod checkpoint;
mod config;
mod evaluation;
mod observer;
mod records;
mod run;
mod session;
mod task;
mod weights;

pub use checkpoint::{BestEpoch, Checkpoint, EpochTotals, RunState, Written};
pub use config::{
    Config, CurriculumOptions, DataOptions, Method, ModelOptions, OptimizerOptions, Preset, ScheduleKind,
    TrainingOptions,
};
pub use evaluation::{Answers, trained};
pub use observer::Observer;
pub use records::{EpochRecord, IntervalRecord, NoiseRecord, Outcome, Summary};
pub use run::{resume, resume_async, run, run_async};
pub use session::{MakeCurriculum, Session, SessionOptions, SessionPlan, Snapshot};
pub use task::{Task, session};
pub use weights::{Tensor, read_safetensors, write_safetensors};
#[cfg(feature = "records")]
pub(crate) use {
    config::option_of,
    evaluation::{STEP, STEPS_PER_EPOCH, load_weights},
    run::begin,
};
#[cfg(feature = "cli")]
pub(crate) use {
    config::{OptionsFile, whole},
    evaluation::read_test_set,
};
