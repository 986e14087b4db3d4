//! The fused update against a dispatch per tensor and against a copy.

use super::{Cell, Peaks, Report, Seconds};
use crate::error::Result;
use crate::gpu::{Call, Gpu};
use crate::ops::cross_entropy::Metrics;
use crate::optim::{Optimizer, Rule, Settings};
use crate::tape::{Declared, Init, Mode, Storage, Tape};
use crate::tensor::Layout;

/// Tensors x floats in each: the first two as many as resnet20 and resnet18 have.
const SIZES: [(usize, usize); 5] = [(65, 4_096), (62, 180_224), (10_000, 256), (1_000, 4_096), (100, 300_032)];

const COLUMNS: [&str; 8] =
    ["optimizer", "tensors", "parameters", "fused ms", "GB/s", "% of copy", "per tensor ms", "per tensor / fused"];

/// A tape of `tensors` tensors of `floats` floats, a layer each.
fn tape(tensors: usize, floats: usize) -> Tape {
    let mut tape = Tape::new(Mode::Train);
    for i in 0..tensors {
        let name = format!("p{i}");
        tape.parameter(Declared { name, shape: [floats].into(), init: Init::Zeros, layer: i, norm_or_bias: false });
    }
    tape
}

fn time(gpu: &Gpu, storage: &Storage, settings: Settings, runs: usize) -> Result<Seconds> {
    let metrics = gpu.buffer("metrics", size_of::<Metrics>() as u64)?;
    let layers = storage.parameters().len();
    let mut optimizer = Optimizer::new(gpu, storage, &metrics, layers, settings)?;
    let rates: Vec<f64> = (0..layers).map(|layer| 1e-3 / (1 + layer) as f64).collect();
    optimizer.prepare(gpu, &rates);
    let calls: Vec<&Call> = optimizer.calls().iter().collect();
    Seconds::of_calls(gpu, runs, &calls)
}

/// A row per optimiser and size: one dispatch for all tensors, and one for each of them in one submission.
///
/// # Errors
/// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or fails.
pub fn updates(gpu: &Gpu, runs: usize, peaks: &Peaks) -> Result<Report> {
    let mut report = Report::new(&COLUMNS);
    for (tensors, floats) in SIZES {
        let tape = tape(tensors, floats);
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
