//! Floor 2: the device. The only place that says `wgpu::`.
//!
//! [`Gpu`] opens an adapter, [`Buffer`]s hold bytes on it, a [`Kernel`] names an entry point of a WGSL shader with its
//! constants, and a [`Call`] is a kernel bound to buffers, ready to be replayed any number of times.

mod adapter;
mod buffer;
mod call;
mod device;
mod dialect;
mod first_launch;
mod kernel;
mod pipeline_cache;
mod readback;

pub use adapter::{AdapterChoice, AdapterInfo, AdapterKind, adapters, choose};
pub use buffer::{Access, Buffer, BufferRange};
pub use call::{Call, Timing};
pub use device::{Gpu, Limits, Options};
pub use dialect::{Dialect, Lanes, Quads};
pub use kernel::{Constant, Kernel, Shader};
