//! lerac trains small networks under Learning Rate Curriculum (Croitoru et al., IJCV 2024) with hand-written WGSL kernels on any
//! Vulkan, Metal or DX12 GPU.
//!
//! A file imports only from the floors below its own; on floor 1, also `error`:
//!
//! | floor | module | what | feature |
//! |---|---|---|---|
//! | 11 | `cli` | arguments, progress, printing | `cli` |
//! | 10 | [`trainer`] | training in a few lines, with all that the floors below have | |
//! | 9 | `study` | comparisons, statistics, pictures, the report, timings | `report` |
//! | 8 | `records` | the directory of a run: tables, checkpoints | `records` |
//! | 7 | [`train`] | options, the session, the loop | |
//! | 6 | [`nn`], [`optim`] | models, objectives; the fused update | |
//! | 5 | [`ops`] | one room per operation | |
//! | 4 | [`tape`] | records, replay, memory plan | |
//! | 3 | [`tensor`] | shapes, layouts, arenas | |
//! | 2 | [`gpu`] | the only place that knows wgpu | |
//! | 1 | [`error`], `files`, `cores`, `clock`, [`mod@cache_dir`] | the one error; files read, written and locked; threads; time; where files lie that only save time | |
//! | 7 | `checks` | an operation against its reference | `checks` |
//! | – | [`curriculum`], [`data`] | learning rates; examples; both without a device | |

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
