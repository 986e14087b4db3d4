//! Floor 6: optimisers.
//!
//! One dispatch per step and window updates all parameters. It reads the learning rate of each
//! layer and group from a table that the host rewrites before every step.

mod optimizer;
mod rule;
mod table;
mod update;

pub use optimizer::{LayerNorms, Optimizer};
pub use rule::{Rule, Settings, reference};
pub use table::RateRow;
pub use update::{SHADERS, Update, UpdateOperand};
