//! First launches, for software drivers that compile a kernel when it is first launched.
//!
//! Mesa's llvmpipe compiles on one thread per device, and caches the result on disk. More devices
//! on the same adapter compile a part of the kernels in parallel. The device that runs the kernels
//! then finds them in the cache. Without a cache on disk, it compiles that part again at its first
//! real launch.

use super::blocking::block_on;
use super::{Access, AdapterInfo, AdapterKind, Buffer, Gpu, Kernel};
use crate::clock::Instant;
use crate::cores::on_cores;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// An empty launch that takes longer than this has compiled the kernel.
const COMPILE_THRESHOLD: Duration = Duration::from_millis(20);

/// Most devices to open. Each takes tens of MiB, and more would still wait for the slowest kernels.
const MAX_DEVICES: usize = 8;

/// Bytes of each binding of an empty launch: the largest size of a uniform.
const BINDING_BYTES: u64 = 64 << 10;

/// A kernel with the accesses of its bindings.
pub(super) type WithAccesses<'k> = (&'k Kernel, &'k [Access]);

/// Whether to launch kernels early: the adapter may compile at the first launch, and this thread
/// may wait. In a browser it must not.
pub(super) fn is_needed(info: &AdapterInfo) -> bool {
    info.kind == AdapterKind::Software && !cfg!(target_family = "wasm")
}

impl Gpu {
    /// Launches each kernel with an empty grid, and waits. After the first one that had to be
    /// compiled, several devices on `adapter` share the rest. Errors are ignored: a kernel that
    /// fails here fails again, or compiles, at its first real launch.
    pub(super) fn launch_first(&self, adapter: &wgpu::Adapter, kernels: &[WithAccesses]) {
        let mut remaining = kernels;
        while let [first, others @ ..] = remaining {
            let start = Instant::now();
            self.launch_empty([first]);
            remaining = others;
            if start.elapsed() > COMPILE_THRESHOLD {
                break;
            }
        }
        let next = AtomicUsize::new(0);
        let take = || std::iter::from_fn(|| remaining.get(next.fetch_add(1, Ordering::Relaxed)));
        let on_this_device = || self.launch_empty(take());
        let on_another_device = || {
            // If no other device can be opened, the existing ones launch all kernels.
            if let Ok(sibling) = block_on(self.sibling(adapter)) {
                sibling.launch_empty(take());
            }
        };
        on_cores("first launches", MAX_DEVICES.min(remaining.len()), on_this_device, on_another_device);
    }

    fn launch_empty<'k>(&self, kernels: impl IntoIterator<Item = &'k WithAccesses<'k>>) {
        // One buffer per binding: a buffer must not be written at one binding and read at another.
        let mut buffers = vec![];
        for (kernel, accesses) in kernels {
            while buffers.len() < accesses.len() {
                let Ok(buffer) = self.buffer("bindings of an empty launch", BINDING_BYTES) else { return };
                buffers.push(buffer);
            }
            let ranges: Vec<_> = buffers.iter().map(Buffer::whole).zip(accesses.iter().copied()).collect();
            // This fails if a kernel needs a larger binding. Then its real launch compiles it.
            let _ = self.caught(|| self.call(kernel, &ranges, [0, 0, 0]).and_then(|call| self.run([&call])));
            // If the device is lost, the next call on it returns the error.
            if self.wait().is_err() {
                return;
            }
        }
    }
}
