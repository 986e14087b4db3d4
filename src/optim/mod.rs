//! Floor 6: optimisers. One dispatch per step and window updates every parameter of the model, each at its layer's own learning
//! rate, which it reads from a table that the host rewrites every step.

mod rule;
mod update;

pub use rule::{Rule, Settings, reference};
pub use update::{LayerNorms, NO_DECAY, Optimizer, SHADERS};
