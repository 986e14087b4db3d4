//! Peak arithmetic and memory throughput of a device.

use super::Seconds;
use crate::clock::Instant;
use crate::error::Result;
use crate::gpu::{Access, Call, Gpu, Kernel, Shader};
use crate::tape::linear_grid;
use serde::Serialize;

/// `shaders/peak.wgsl`.
pub static SHADER: Shader = Shader::built_in("peak", include_str!("../../../shaders/peak.wgsl"));

/// Multiply-adds of one invocation of `multiply_add`.
const MULTIPLY_ADDS: usize = 512 * 60;

/// Bytes that one invocation of `copy` copies.
const COPY_BYTES_PER_INVOCATION: usize = 16 * 16;

/// Size of the output of `multiply_add` at the largest number of invocations, a vec4 each.
const OUTPUT_BYTES: u64 = 32 << 20;

/// Bytes that `copy` reads, and that it writes: more than the caches of most devices hold.
const COPY_BYTES: u64 = 64 << 20;

/// The measured peak performance of a device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Peaks {
    /// Floating-point operations per second (a multiply-add is two), in units of 10^9.
    pub gflops: f64,
    /// Bytes read and written per second by a copy, in units of 10^9.
    pub gbytes: f64,
}

/// A copy that can be timed repeatedly.
pub(super) struct CopyBenchmark {
    call: Call,
    bytes: u64,
}

impl CopyBenchmark {
    /// A copy of 64 MiB, or of the largest binding if that is less.
    pub(super) fn new(gpu: &Gpu) -> Result<Self> {
        let bytes = COPY_BYTES.min(gpu.limits().binding_bytes);
        let (source, copied) = (gpu.buffer("source", bytes)?, gpu.buffer("copied", bytes)?);
        let ranges = [(source.whole(), Access::Read), (copied.whole(), Access::Write)];
        let kernel = Kernel { shader: &SHADER, entry: "copy", constants: vec![] };
        Ok(Self {
            call: gpu.call(&kernel, &ranges, linear_grid(bytes as usize / COPY_BYTES_PER_INVOCATION, 256))?,
            bytes,
        })
    }

    /// Runs the copy and returns its time.
    pub(super) fn seconds(&self, gpu: &Gpu) -> Result<f64> {
        let start = Instant::now();
        gpu.run([&self.call])?;
        gpu.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Bytes read and written per second, in units of 10^9, for a copy that takes `seconds`.
    pub(super) fn gbytes(&self, seconds: f64) -> f64 {
        2e-9 * self.bytes as f64 / seconds
    }
}

impl Peaks {
    /// Times both kernels; the fastest of `runs` runs counts.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] if the device does not have enough memory;
    /// [`crate::error::Error::Device`] if it fails.
    pub fn measure(gpu: &Gpu, runs: usize) -> Result<Self> {
        let (kernel, written) = (
            Kernel { shader: &SHADER, entry: "multiply_add", constants: vec![] },
            gpu.buffer("written", OUTPUT_BYTES)?,
        );
        // A processor is busy with few invocations; a GPU needs many.
        let mut workgroups = 64;
        let gflops = loop {
            let call = gpu.call(&kernel, &[(written.whole(), Access::Write)], [workgroups, 1, 1])?;
            let seconds = Seconds::of_calls(gpu, runs, &[&call])?.least;
            if seconds > 5e-3 || workgroups >= 32_768 {
                break 2e-9 * (MULTIPLY_ADDS * 64) as f64 * f64::from(workgroups) / seconds;
            }
            workgroups = (workgroups * 4).min(32_768);
        };
        let copy = CopyBenchmark::new(gpu)?;
        let seconds = (0..=runs).map(|_| copy.seconds(gpu)).collect::<Result<Vec<_>>>()?;
        Ok(Self { gflops, gbytes: copy.gbytes(Seconds::of_sample(seconds).least) })
    }
}
