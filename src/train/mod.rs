//! Floor 7: training. A [`Config`] says what to train; a [`Session`] holds the device's side of it; [`run`] is the loop.

mod checkpoint;
mod config;
mod evaluation;
mod measure;
mod records;
mod run;
mod session;
mod setting;
mod weights;

pub use checkpoint::{BestEpoch, Checkpoint, Standing, Totals, Written};
pub use config::{
    Config, CurriculumOptions, DataOptions, Method, ModelOptions, OptimizerOptions, Preset, ScheduleKind,
    TrainingOptions,
};
pub use measure::{Measure, Score};
pub use records::{EpochRecord, IntervalRecord, NoiseRecord, Observer, Outcome, Summary, TestResult};
pub use run::{resume, run};
pub use session::{MakeCurriculum, Parts, Prediction, Session, SessionPlan, Snapshot};
pub use setting::session;
pub use weights::{Tensor, read_safetensors, write_safetensors};
#[cfg(feature = "cli")]
pub(crate) use {
    config::{OptionsFile, option_of, whole},
    evaluation::{STEP, STEPS_PER_EPOCH, load_weights, read_test_set, test_result, trained},
    run::begin,
    weights::{sync_directory, write_whole, write_whole_by},
};
