//! Floor 7: what is made of runs: their files, comparisons of methods, and pictures.

pub mod bench;
mod compare;
pub mod plots;
mod rates;
mod run_dir;

pub use compare::{Comparison, Finished, MethodResult};
pub use rates::RateRow;
pub use run_dir::RunDir;
