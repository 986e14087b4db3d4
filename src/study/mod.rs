//! Floor 9: comparisons of finished runs, statistics, plots and the report; benchmarks of a device.

pub mod bench;
mod compare;
mod folds;
mod kernel_cache;
mod onnx;
pub mod paper;
mod pictures;
pub mod plots;
mod report;
mod run_pictures;
pub mod statistics;
mod tensorboard;

pub use compare::{ArmResult, Comparison, EpochsToBaseline, PairResult, results_csv};
pub use kernel_cache::KernelCache;
pub use onnx::{Exported, onnx};
pub use pictures::pictures;
pub use report::{Setting, adapters, report, write_report};
pub use run_pictures::run_pictures;
pub use tensorboard::TensorBoard;
