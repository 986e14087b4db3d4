//! lerac trains small networks under Learning Rate Curriculum (Croitoru et al., IJCV 2024) with hand-written WGSL kernels on any
//! Vulkan, Metal or DX12 GPU.
//!
//! A file imports only from the floors below its own; on floor 1, also `error`:
//!
//! | floor | module | what |
//! |---|---|---|
//! | 8 | `cli` | arguments, progress, printing |
//! | 7 | [`train`], `study` | the loop and its records; comparisons and pictures |
//! | 6 | [`nn`], [`optim`] | models and layers; the fused update |
//! | 5 | [`ops`] | one room per operation |
//! | 4 | [`tape`] | records, replay, memory plan |
//! | 3 | [`tensor`] | shapes, layouts, arenas |
//! | 2 | [`gpu`] | the only place that knows wgpu |
//! | 1 | [`error`], `files`, `cores`, `clock`, [`mod@cache_dir`] | the one error; files read, written and locked; threads; time; where files lie that only save time |
//! | beside | [`curriculum`], [`data`] | learning rates and images, without a device |

pub mod cache_dir;
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

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod study;
