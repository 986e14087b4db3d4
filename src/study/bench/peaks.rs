//! What a device can do at most.

use super::Seconds;
use crate::error::Result;
use crate::gpu::{Access, Gpu, Kernel, Shader};
use crate::tape::linear_grid;
use serde::Serialize;

/// `shaders/peak.wgsl`.
pub static SHADER: Shader = Shader { name: "peak", source: include_str!("../../../shaders/peak.wgsl") };

/// Multiply-adds of one invocation of `multiply_add`.
const MULTIPLY_ADDS: usize = 512 * 64;

/// Bytes that an invocation of `copy` moves.
const MOVED: usize = 16 * 16;

/// Bytes that `copy` reads, and again those that it writes: more than the caches of most devices.
const COPIED: u64 = 64 << 20;

/// The device's limits, measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Peaks {
    /// Floating-point operations per second (a multiply-add is two), in units of 10^9.
    pub gflops: f64,
    /// Bytes read and written per second by a copy, in units of 10^9.
    pub gbytes: f64,
}

impl Peaks {
    /// Times both kernels, the fastest of `runs`.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or fails.
    pub fn measure(gpu: &Gpu, runs: usize) -> Result<Self> {
        let bytes = COPIED.min(gpu.limits().binding_bytes);
        let (source, copied) = (gpu.buffer("source", bytes)?, gpu.buffer("copied", bytes)?);
        let kernel = |entry| Kernel { shader: &SHADER, entry, constants: vec![] };
        // A processor needs few invocations to be busy, a GPU many.
        let mut workgroups = 64;
        let gflops = loop {
            let range = [(copied.whole(), Access::Write)];
            let call = gpu.call(&kernel("multiply_add"), &range, [workgroups, 1, 1])?;
            let seconds = Seconds::of_calls(gpu, runs, &[&call])?.least;
            if seconds > 5e-3 || workgroups >= 32_768 {
                break 2e-9 * (MULTIPLY_ADDS * 64) as f64 * f64::from(workgroups) / seconds;
            }
            workgroups *= 4;
        };
        let ranges = [(source.whole(), Access::Read), (copied.whole(), Access::Write)];
        let call = gpu.call(&kernel("copy"), &ranges, linear_grid(bytes as usize / MOVED, 256))?;
        let seconds = Seconds::of_calls(gpu, runs, &[&call])?.least;
        Ok(Self { gflops, gbytes: 2e-9 * bytes as f64 / seconds })
    }
}
