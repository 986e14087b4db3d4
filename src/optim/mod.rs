//! Floor 6: optimisers.
//!
//! One dispatch per step and window updates all parameters. It reads the learning rate of each
//! layer and group from a table that the host rewrites before every step. On request, another
//! dispatch for each window updates moving averages of the weights.

mod average;
mod optimizer;
mod rule;
mod table;
mod update;

pub use average::{AverageOperand, Averages, Averaging, average_dispatches};
pub use optimizer::{LayerNorms, Optimizer};
pub use rule::{Rule, Settings, reference};
pub use table::RateRow;
pub use update::{SHADERS, Update, UpdateOperand};
