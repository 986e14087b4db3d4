//! Floor 7: what is made of runs: their files, comparisons of methods, statistics, pictures and the report.

pub mod bench;
mod checkpoints;
mod compare;
mod finished;
mod kernel_cache;
mod pictures;
pub mod plots;
mod report;
mod run_dir;
mod run_pictures;
pub mod statistics;
mod tables;
mod trace;

pub use compare::{ArmResult, Comparison, PairResult, Reached, results_csv};
pub use finished::{Finished, LayerHistory};
pub use kernel_cache::KernelCache;
pub use pictures::pictures;
pub use report::{Setting, report};
pub use run_dir::{RunDir, Saving};
pub use trace::trace;
