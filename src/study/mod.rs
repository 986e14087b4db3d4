//! Floor 9: what is made of finished runs: comparisons of methods, statistics, pictures and the report; and timings of a device.

pub mod bench;
mod compare;
mod kernel_cache;
mod pictures;
pub mod plots;
mod report;
mod run_pictures;
pub mod statistics;

pub use compare::{ArmResult, Comparison, PairResult, Reached, results_csv};
pub use kernel_cache::KernelCache;
pub use pictures::pictures;
pub use report::{Setting, report, write_report};
pub use run_pictures::run_pictures;
