//! Helpers that several test binaries share.
#![allow(dead_code, unused_imports)]

pub mod boxes;
pub mod cifar;
pub mod device;
pub mod errors;
pub mod files;
pub mod pictures;
#[cfg(feature = "cli")]
pub mod program;
pub mod rows;
pub mod sounds;

pub use device::*;
