//! Every parser of the crate on malformed files, a module per format. `common/hostile.rs` describes
//! the method.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/hostile.rs"]
mod harness;

mod boxes;
mod checkpoints;
mod cifar;
#[cfg(feature = "cli")]
mod config;
mod folders;
mod idx;
#[cfg(feature = "cli")]
mod kernels;
#[cfg(feature = "audio")]
mod sounds;
#[cfg(feature = "cli")]
mod tables;
#[cfg(feature = "text")]
mod text;
mod weights;
