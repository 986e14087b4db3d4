//! Benchmarks on the user's device, next to its peak performance, measured in the same run.

mod layers;
mod loader;
mod ops;
mod peaks;
mod random_boxes;
mod random_tokens;
mod report;
mod steps;
mod updates;
mod variants;

pub use layers::layers;
pub use loader::loader;
pub use ops::{can_profile, ops, profile};
pub use peaks::{Peaks, SHADER};
pub use report::{Cell, Report};
pub use steps::{session, steps, task};
pub use updates::updates;
pub use variants::{TuningModel, TuningOptions, VariantTimes, variants, winners};

use crate::clock::Instant;
use crate::error::Result;
use crate::gpu::{Call, Gpu};

/// Seconds of a repeated call: median, least and most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds {
    /// The median run.
    pub median: f64,
    /// The fastest run.
    pub least: f64,
    /// The slowest run.
    pub most: f64,
}

impl Seconds {
    /// Calls `run` once to warm up, then `runs` times.
    ///
    /// # Errors
    /// The errors of `run`.
    pub fn of(runs: usize, mut run: impl FnMut() -> Result<()>) -> Result<Self> {
        run()?;
        let mut seconds = Vec::with_capacity(runs);
        for _ in 0..runs.max(1) {
            let start = Instant::now();
            run()?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        Ok(Self::of_sample(seconds))
    }

    /// Submits `calls` and waits for them, once to warm up and then `runs` times.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub fn of_calls(gpu: &Gpu, runs: usize, calls: &[&Call]) -> Result<Self> {
        Self::of(runs, || gpu.run(calls.iter().copied()).and_then(|()| gpu.wait()))
    }

    fn of_sample(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        Self { median: seconds[seconds.len() / 2], least: seconds[0], most: seconds[seconds.len() - 1] }
    }
}
