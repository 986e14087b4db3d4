//! Floor 7: what is made of runs: their files, comparisons of methods, statistics, pictures and the report.

pub mod bench;
mod compare;
mod finished;
mod pictures;
pub mod plots;
mod report;
mod run_dir;
pub mod statistics;
mod trace;

pub use compare::{ArmResult, Comparison, PairResult, results_csv};
pub use finished::{Finished, LayerHistory};
pub use pictures::pictures;
pub use report::{Setting, report};
pub use run_dir::RunDir;
pub use trace::trace;
