//! The fused update against a dispatch per tensor and against a copy.

use super::{Cell, Peaks, Report, Seconds};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::ops::cross_entropy::Metrics;
use crate::optim::{Optimizer, Rule, Settings};
use crate::tape::{Declared, Init, Mode, Storage, Tape};
use crate::tensor::Layout;
use std::time::Instant;

/// Tensors x floats in each: the first two as many as resnet20 and resnet18 have.
const SIZES: [(usize, usize); 5] = [(65, 4_096), (62, 180_224), (10_000, 256), (1_000, 4_096), (100, 300_032)];

const COLUMNS: [&str; 8] =
    ["optimizer", "tensors", "parameters", "fused ms", "GB/s", "% of copy", "per tensor ms", "per tensor / fused"];

/// A tape of `tensors` tensors of `floats` floats, each in the layer that `layer_of` says.
pub(super) fn tape(tensors: usize, floats: usize, layer_of: impl Fn(usize) -> usize) -> Tape {
    let mut tape = Tape::new(Mode::Train);
    for i in 0..tensors {
        let (name, shape, layer) = (format!("p{i}"), [floats].into(), layer_of(i));
        tape.parameter(Declared { name, shape, init: Init::Zeros, layer, norm_or_bias: false });
    }
    tape
}

/// An optimiser ready to be run again and again.
pub(super) struct Update {
    optimizer: Optimizer,
    rates: Vec<f64>,
}

impl Update {
    pub(super) fn new(gpu: &Gpu, storage: &Storage, settings: Settings) -> Result<Self> {
        let metrics = gpu.buffer("metrics", size_of::<Metrics>() as u64)?;
        let layers = 1 + storage.parameters().iter().map(|p| p.layer).max().unwrap_or(0);
        let optimizer = Optimizer::new(gpu, storage, &metrics.whole(), layers, settings)?;
        let rates = (0..layers).map(|layer| 1e-3 / (1 + layer) as f64).collect();
        Ok(Self { optimizer, rates })
    }

    /// Writes the layer table, runs, and waits.
    pub(super) fn seconds(&mut self, gpu: &Gpu) -> Result<f64> {
        let start = Instant::now();
        self.optimizer.prepare(gpu, &self.rates);
        gpu.run(self.optimizer.calls())?;
        gpu.wait()?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn time(gpu: &Gpu, storage: &Storage, settings: Settings, runs: usize) -> Result<Seconds> {
    let mut update = Update::new(gpu, storage, settings)?;
    update.seconds(gpu)?;
    let seconds = (0..runs.max(1)).map(|_| update.seconds(gpu)).collect::<Result<Vec<_>>>()?;
    Ok(Seconds::of_sample(seconds))
}

/// A row per optimiser and size: one dispatch for all tensors, and one for each of them in one submission.
///
/// # Errors
/// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or fails.
pub fn updates(gpu: &Gpu, runs: usize, peaks: &Peaks) -> Result<Report> {
    let mut report = Report::new(&COLUMNS);
    for (tensors, floats) in SIZES {
        let tape = tape(tensors, floats, |i| i);
        let one = Layout::new(tape.parameters().iter().map(|p| &p.shape).take(1), u64::MAX).bytes();
        let (fused, cut) = (Storage::new(gpu, &tape)?, Storage::with_windows(gpu, &tape, one)?);
        for name in Rule::NAMES {
            for (extra, clip_norm, layer_norms) in
                [("", None, false), (", clipped", Some(1.0), false), (", with norms", None, true)]
            {
                let rule = Rule::named(name)?;
                let spare_norm_and_bias = false;
                let settings = Settings { rule, weight_decay: 1e-4, spare_norm_and_bias, clip_norm, layer_norms };
                let seconds = time(gpu, &fused, settings, runs)?.median;
                // What clipping and norms add is no part of a dispatch per tensor elsewhere: not a fair peer.
                let alone = match extra {
                    "" => Some(time(gpu, &cut, settings, runs)?.median),
                    _ => None,
                };
                // Parameter, gradient and moments are read, all but the gradient written; clipping reads the gradient once more.
                let moments = if matches!(rule, Rule::Sgd { .. }) { 1 } else { 2 };
                let words = 3 + 2 * moments + usize::from(clip_norm.is_some());
                let gbytes = 4e-9 * (words * tensors * floats) as f64 / seconds;
                report.push(vec![
                    Cell::Text(format!("{name}{extra}")),
                    tensors.into(),
                    (tensors * floats).into(),
                    Cell::Number(1e3 * seconds, 3),
                    Cell::Number(gbytes, 2),
                    Cell::Number(100.0 * gbytes / peaks.gbytes, 0),
                    Cell::number(alone.map(|s| 1e3 * s), 3),
                    Cell::number(alone.map(|s| s / seconds), 2),
                ]);
            }
        }
    }
    Ok(report)
}
