//! Blocking forms of the asynchronous functions, for native code. In a browser, where a thread must
//! not block, call the asynchronous forms.

use super::{AdapterInfo, BufferRange, Call, Gpu, GpuOptions, Timing, adapters_async};
use crate::error::Result;

/// Blocks this thread until `future` is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    pollster::block_on(future)
}

/// Every adapter of this machine.
///
/// # Errors
/// See [`adapters_async`].
pub fn adapters() -> Result<Vec<AdapterInfo>> {
    block_on(adapters_async())
}

impl Gpu {
    /// Opens the adapter that `options` select.
    ///
    /// # Errors
    /// See [`Gpu::open_async`].
    pub fn open(options: &GpuOptions) -> Result<Self> {
        block_on(Self::open_async(options))
    }

    /// Waits until the device has done all submitted work, then copies a range to the host.
    ///
    /// # Errors
    /// See [`Gpu::read_async`].
    pub fn read<T: bytemuck::Pod>(&self, range: &BufferRange) -> Result<Vec<T>> {
        block_on(self.read_async(range))
    }

    /// Waits until the device has done all submitted work.
    ///
    /// # Errors
    /// See [`Gpu::wait_async`].
    pub fn wait(&self) -> Result<()> {
        block_on(self.wait_async())
    }

    /// Runs each call in its own compute pass and returns their times, or `None` if the adapter has
    /// no timestamps.
    ///
    /// # Errors
    /// See [`Gpu::run_timed_async`].
    pub fn run_timed(&self, calls: &[&Call]) -> Result<Option<Vec<Timing>>> {
        block_on(self.run_timed_async(calls))
    }
}
