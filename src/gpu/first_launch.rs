//! First launches, for drivers that compile a kernel only then.
//!
//! Such a driver computes on the processor, compiles on the one thread that a device has, and keeps what it compiled on disk (Mesa's
//! llvmpipe). Further devices of the same adapter compile a share of the kernels beside the one that is to run them, which then finds
//! theirs on disk. Where the driver keeps nothing, that share is compiled once more, when it is launched with work.

use super::blocking::block_on;
use super::{Access, AdapterInfo, AdapterKind, Buffer, Gpu, Kernel};
use crate::clock::Instant;
use crate::cores::on_cores;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A launch without work that takes longer has compiled.
const COMPILED: Duration = Duration::from_millis(20);

/// Devices at most: the kernels that take longest set an end to what more of them gain, and each takes tens of MiB.
const MOST_DEVICES: usize = 8;

/// Bytes at each binding of a launch without work: as many as a uniform has at most.
const BYTES: u64 = 64 << 10;

/// A kernel with the accesses of its bindings.
pub(super) type WithAccesses<'k> = (&'k Kernel, &'k [Access]);

/// Whether a first launch compiles on this adapter, and may be waited for, which a browser forbids.
pub(super) fn is_needed(info: &AdapterInfo) -> bool {
    info.kind == AdapterKind::Software && !cfg!(target_family = "wasm")
}

impl Gpu {
    /// Launches each kernel without any workgroup, once one of them had to be compiled, on several devices of `adapter`, and waits. What
    /// fails here is compiled, or fails, when it is launched with work.
    pub(super) fn launch_first(&self, adapter: &wgpu::Adapter, kernels: &[WithAccesses]) {
        let mut rest = kernels;
        while let [first, others @ ..] = rest {
            let start = Instant::now();
            self.launch_without_work([first]);
            rest = others;
            if start.elapsed() > COMPILED {
                break;
            }
        }
        let next = AtomicUsize::new(0);
        let share = || std::iter::from_fn(|| rest.get(next.fetch_add(1, Ordering::Relaxed)));
        let own = || self.launch_without_work(share());
        let further = || {
            // Where there is no further device, the others take its share.
            if let Ok(sibling) = block_on(self.sibling(adapter)) {
                sibling.launch_without_work(share());
            }
        };
        on_cores("first launches", MOST_DEVICES.min(rest.len()), own, further);
    }

    fn launch_without_work<'k>(&self, kernels: impl IntoIterator<Item = &'k WithAccesses<'k>>) {
        // A buffer for each binding: one that is written must not be read at another.
        let mut buffers = vec![];
        for (kernel, accesses) in kernels {
            while buffers.len() < accesses.len() {
                let Ok(buffer) = self.buffer("bindings of a launch without work", BYTES) else { return };
                buffers.push(buffer);
            }
            let ranges: Vec<_> = buffers.iter().map(Buffer::whole).zip(accesses.iter().copied()).collect();
            // A kernel may want more at a binding than there is: it is left for its launch with work.
            let _ = self.caught(|| self.call(kernel, &ranges, [0, 0, 0]).and_then(|call| self.run([&call])));
            // A device that is lost says so to whoever asks it next.
            if self.wait().is_err() {
                return;
            }
        }
    }
}
