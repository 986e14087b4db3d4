//! Options of a run, without a device: the library's configuration, its files, curricula and
//! schedules, and the command line.

#[path = "../common/mod.rs"]
mod common;

mod adapters;
#[cfg(feature = "cli")]
mod boxes;
#[cfg(feature = "cli")]
mod command_line;
#[cfg(feature = "cli")]
mod comparison;
mod config;
#[cfg(feature = "cli")]
mod config_file;
mod curriculum;
#[cfg(feature = "cli")]
mod extending;
#[cfg(feature = "cli")]
mod model_files;
#[cfg(feature = "cli")]
mod overwriting;
#[cfg(feature = "cli")]
mod recipes;
#[cfg(feature = "cli")]
mod refusals;
#[cfg(feature = "cli")]
mod text_files;
#[cfg(all(unix, feature = "cli"))]
mod unix;
#[cfg(all(unix, feature = "cli"))]
mod wording;
