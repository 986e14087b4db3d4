//! lerac trains small networks under Learning Rate Curriculum (Croitoru et al., IJCV 2024). It runs
//! hand-written WGSL kernels on any Vulkan, Metal or DX12 GPU.
//!
//! The modules form a stack of floors. A file imports only from floors below its own. Modules on
//! floor 1 may also import `error`.
//!
//! | floor | module | what | feature |
//! |---|---|---|---|
//! | 11 | `cli` | arguments, progress, printing | `cli` |
//! | 10 | [`trainer`] | training in a few lines, with checkpoints and records | |
//! | 9 | `study` | comparisons, statistics, plots, the report, benchmarks | `report` |
//! | 8 | `records` | the output directory of a run: tables, checkpoints | `records` |
//! | 7 | [`train`] | options, the session, the loop | |
//! | 6 | [`nn`], [`optim`] | models and objectives; the fused optimiser step | |
//! | 5 | [`ops`] | one file per operation | |
//! | 4 | [`tape`] | the recorded operations, their replay, the memory plan | |
//! | 3 | [`tensor`] | shapes, layouts, arenas | |
//! | 2 | [`gpu`] | the only module that uses wgpu | |
//! | 1 | [`error`], `files`, `cores`, `clock` | the error type; files; threads; time | |
//! | 1 | [`mod@cache_dir`] | the directory of cached files | |
//! | 7 | `checks` | compares an operation with its reference | `checks` |
//! | – | [`curriculum`], [`data`] | learning rates; data sets; neither uses a device | |

pub mod cache_dir;
#[cfg(feature = "checks")]
pub mod checks;
mod clock;
mod cores;
pub mod curriculum;
pub mod data;
pub mod error;
mod files;
pub mod gpu;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod tape;
pub mod tensor;
pub mod train;

pub mod trainer;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "records")]
pub mod records;
#[cfg(feature = "report")]
pub mod study;

pub use trainer::Trainer;
