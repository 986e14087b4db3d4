//! What a device can do at most.

use super::Seconds;
use crate::error::Result;
use crate::gpu::{Access, Call, Gpu, Kernel, Shader};
use crate::tape::linear_grid;
use serde::Serialize;
use std::time::Instant;

/// `shaders/peak.wgsl`.
pub static SHADER: Shader = Shader::built_in("peak", include_str!("../../../shaders/peak.wgsl"));

/// Multiply-adds of one invocation of `multiply_add`.
const MULTIPLY_ADDS: usize = 512 * 60;

/// Bytes that an invocation of `copy` moves.
const MOVED: usize = 16 * 16;

/// Bytes that most invocations of `multiply_add` write, a vec4 each.
const WRITTEN: u64 = 32 << 20;

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

/// A copy, ready to be timed again and again.
pub(super) struct Copying {
    call: Call,
    bytes: u64,
}

impl Copying {
    /// Of as much as a binding has room for, up to 64 MiB.
    pub(super) fn new(gpu: &Gpu) -> Result<Self> {
        let bytes = COPIED.min(gpu.limits().binding_bytes);
        let (source, copied) = (gpu.buffer("source", bytes)?, gpu.buffer("copied", bytes)?);
        let ranges = [(source.whole(), Access::Read), (copied.whole(), Access::Write)];
        let kernel = Kernel { shader: &SHADER, entry: "copy", constants: vec![] };
        Ok(Self { call: gpu.call(&kernel, &ranges, linear_grid(bytes as usize / MOVED, 256))?, bytes })
    }

    /// How long one takes now.
    pub(super) fn seconds(&self, gpu: &Gpu) -> Result<f64> {
        let start = Instant::now();
        gpu.run([&self.call])?;
        gpu.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Bytes read and written per second, in units of 10^9, where one takes so long.
    pub(super) fn gbytes(&self, seconds: f64) -> f64 {
        2e-9 * self.bytes as f64 / seconds
    }
}

impl Peaks {
    /// Times both kernels, the fastest of `runs`.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or fails.
    pub fn measure(gpu: &Gpu, runs: usize) -> Result<Self> {
        let (kernel, written) =
            (Kernel { shader: &SHADER, entry: "multiply_add", constants: vec![] }, gpu.buffer("written", WRITTEN)?);
        // A processor needs few invocations to be busy, a GPU many.
        let mut workgroups = 64;
        let gflops = loop {
            let call = gpu.call(&kernel, &[(written.whole(), Access::Write)], [workgroups, 1, 1])?;
            let seconds = Seconds::of_calls(gpu, runs, &[&call])?.least;
            if seconds > 5e-3 || workgroups >= 32_768 {
                break 2e-9 * (MULTIPLY_ADDS * 64) as f64 * f64::from(workgroups) / seconds;
            }
            workgroups = (workgroups * 4).min(32_768);
        };
        let copy = Copying::new(gpu)?;
        let seconds = (0..=runs).map(|_| copy.seconds(gpu)).collect::<Result<Vec<_>>>()?;
        Ok(Self { gflops, gbytes: copy.gbytes(Seconds::of_sample(seconds).least) })
    }
}
