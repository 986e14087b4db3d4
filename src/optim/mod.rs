//! Floor 6: optimisers. One dispatch per step and window updates every parameter of the model, each
//! at the learning rate of its layer and group, which it reads from a table that the host rewrites
//! every step.

mod optimizer;
mod rule;
mod table;
mod update;

pub use optimizer::{LayerNorms, Optimizer};
pub use rule::{Rule, Settings, reference};
pub use table::RateRow;
pub use update::{SHADERS, Update, UpdateOperand};
