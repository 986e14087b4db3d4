//! What rates of their own cost: the same update with a layer per tensor and with one layer for all.

use super::updates::{Update, tape};
use super::{Cell, Report, Seconds};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::optim::{Rule, Settings};
use crate::tape::Storage;

/// Layers; the parameters stay about a million.
const LAYERS: [usize; 4] = [1, 10, 100, 1_000];
const PARAMETERS: usize = 1 << 20;

const COLUMNS: [&str; 7] =
    ["optimizer", "layers", "parameters", "one rate ms", "a rate per layer ms", "ratio", "least to most"];

/// A row per optimiser and number of layers: medians of `runs` runs of each, taken in turn, and the ratio of each pair. Both write
/// the layer table before each run, as training does.
///
/// # Errors
/// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or fails.
pub fn layers(gpu: &Gpu, runs: usize) -> Result<Report> {
    let mut report = Report::new(&COLUMNS);
    for name in ["sgd", "adam"] {
        for layers in LAYERS {
            let floats = PARAMETERS / layers;
            let rule = Rule::named(name)?;
            let (spare_norm_and_bias, clip_norm, layer_norms) = (false, None, false);
            let settings = Settings { rule, weight_decay: 1e-4, spare_norm_and_bias, clip_norm, layer_norms };
            let (shared, own) = (tape(layers, floats, |_| 0), tape(layers, floats, |i| i));
            let (shared, own) = (Storage::new(gpu, &shared)?, Storage::new(gpu, &own)?);
            let mut one = Update::new(gpu, &shared, settings)?;
            let mut each = Update::new(gpu, &own, settings)?;
            let (mut first, mut second, mut ratios) = (vec![], vec![], vec![]);
            // One pair more, to warm up.
            for pair in 0..=runs {
                let (a, b) = (one.seconds(gpu)?, each.seconds(gpu)?);
                if pair > 0 {
                    first.push(a);
                    second.push(b);
                    ratios.push(b / a);
                }
            }
            let ratio = Seconds::of_sample(ratios);
            report.push(vec![
                name.into(),
                layers.into(),
                (floats * layers).into(),
                Cell::Number(1e3 * Seconds::of_sample(first).median, 3),
                Cell::Number(1e3 * Seconds::of_sample(second).median, 3),
                Cell::Number(ratio.median, 3),
                Cell::Text(format!("{:.3} to {:.3}", ratio.least, ratio.most)),
            ]);
        }
    }
    Ok(report)
}
