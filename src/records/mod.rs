//! Floor 8: what a run leaves on disk. A [`RunDir`] observes a run and writes its tables and checkpoints; [`Finished`] reads a
//! finished run back; [`trace`] writes single steps with all their tensors.

mod checkpoints;
mod finished;
mod run_dir;
mod tables;
mod trace;

pub use finished::{Finished, LayerHistory};
pub use run_dir::{RunDir, Saving};
#[cfg(feature = "report")]
pub(crate) use tables::{Curve, LayerRow, MetricsRow, NoiseRow, PartRow, csv_below, rows, training_curves};
pub use trace::trace;
