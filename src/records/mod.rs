//! Floor 8: the files of a run.
//! - [`RunDir`] observes a run and writes its tables and checkpoints.
//! - [`RunFiles`] observes a run and keeps its tables in memory.
//! - [`Finished`] reads a finished run.
//! - [`trace`] writes single steps with all their tensors.

mod checkpoints;
mod contents;
mod finished;
mod in_memory;
mod run_dir;
mod table;
mod tables;
mod trace;

pub use crate::files::{Input, Overwrite};
pub use finished::{Finished, LayerHistory};
pub use in_memory::RunFiles;
pub use run_dir::{RunDir, Saving};
#[cfg(feature = "report")]
pub(crate) use tables::{Curve, LayerRow, MetricsRow, NoiseRow, SplitScores, csv_with_header, rows, training_curves};
pub use trace::{check_trace, trace};
