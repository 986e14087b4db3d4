//! Floor 2: the device. The only module that uses `wgpu`.
//!
//! [`Gpu`] opens an adapter, [`Buffer`]s hold bytes on it, a [`Kernel`] names an entry point of a
//! WGSL shader with its constants, and a [`Call`] is a kernel bound to buffers, ready to be
//! replayed any number of times.
//!
//! Functions that wait for the device have an asynchronous form, which a browser needs
//! ([`Gpu::open_async`], [`Gpu::read_async`], [`Gpu::wait_async`]), and a blocking form for native
//! code ([`Gpu::open`], [`Gpu::read`], [`Gpu::wait`]).

mod adapter;
mod blocking;
mod buffer;
mod call;
mod device;
mod dialect;
mod dx12;
mod faults;
mod first_launch;
mod kernel;
mod pipeline_cache;
mod readback;

pub use adapter::{AdapterChoice, AdapterInfo, AdapterKind, adapters_async, choose};
pub use blocking::adapters;
pub(crate) use blocking::block_on;
pub use buffer::{Access, Buffer, BufferRange};
pub use call::{Call, Timing};
pub use device::{Gpu, GpuOptions, Limits};
pub use dialect::{Dialect, PackedLoad, SubgroupShare};
pub use kernel::{Constant, Kernel, Shader};
