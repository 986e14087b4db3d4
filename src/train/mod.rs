//! Floor 7: training.
//! - [`Config`] holds the options of a run.
//! - [`Task`] holds the model, data, objective and curriculum that the options name.
//! - [`Session`] holds the model and the optimiser on the device.
//! - [`run`] is the training loop.

mod checkpoint;
mod config;
mod evaluation;
mod fit;
mod foreign;
mod model_card;
mod names;
mod observer;
mod records;
mod run;
mod session;
mod task;
mod weights;

pub use checkpoint::{BestEpoch, Checkpoint, EpochTotals, RunState, TableChecksum};
pub use config::{
    Config, CurriculumOptions, DataOptions, LayerScales, Method, ModelOptions, OptimizerOptions, Preset, ScheduleKind,
    TrainingOptions,
};
pub use evaluation::{TestResults, trained};
pub use fit::Fit;
pub use model_card::{CardTarget, ModelCard};
pub use observer::Observer;
pub use records::{EpochRecord, IntervalRecord, NoiseRecord, Outcome, Summary};
pub use run::{resume, resume_async, run, run_async};
pub use session::{MakeCurriculum, Session, SessionOptions, SessionPlan, Snapshot};
pub(crate) use task::objective_of;
pub use task::{Task, session};
pub use weights::{Tensor, read_safetensors, write_safetensors};
#[cfg(feature = "records")]
pub(crate) use {
    config::option_name,
    evaluation::{STEP, STEPS_PER_EPOCH, load_weights},
    run::begin,
    weights::safetensors,
};
#[cfg(feature = "cli")]
pub(crate) use {
    config::{OptionsFile, check_tilde, whole_number},
    evaluation::read_test_set,
};
