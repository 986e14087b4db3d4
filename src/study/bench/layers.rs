//! The cost of a learning rate per layer: the update with one layer per tensor, compared with one
//! layer for all tensors.

use super::updates::{TimedUpdate, tape};
use super::{Cell, Report, Seconds};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::optim::{Rule, Settings};
use crate::tape::Storage;

/// Numbers of layers. The number of parameters is always about a million.
const LAYERS: [usize; 4] = [1, 10, 100, 1_000];
const PARAMETERS: usize = 1 << 20;

const COLUMNS: [&str; 7] =
    ["optimizer", "layers", "parameters", "one rate ms", "a rate per layer ms", "ratio", "least to most"];

/// A row per optimiser and number of layers: the medians of `runs` runs of both variants, run
/// alternately, and the ratio of each pair. Both write the layer table before each run, as training
/// does.
///
/// # Errors
/// [`crate::error::Error::Capacity`] if the device does not have enough memory;
/// [`crate::error::Error::Device`] if it fails.
pub fn layers(gpu: &Gpu, runs: usize) -> Result<Report> {
    let mut report = Report::new(&COLUMNS);
    for name in ["sgd", "adam"] {
        for layers in LAYERS {
            let floats = PARAMETERS / layers;
            let rule = Rule::named(name)?;
            let (spare_norm_and_bias, clip_norm, layer_norms) = (false, None, false);
            let settings = Settings { rule, weight_decay: 1e-4, spare_norm_and_bias, clip_norm, layer_norms };
            let (one_layer, layer_per_tensor) = (tape(layers, floats, |_| 0), tape(layers, floats, |i| i));
            let (one_layer, layer_per_tensor) = (Storage::new(gpu, &one_layer)?, Storage::new(gpu, &layer_per_tensor)?);
            let mut one_rate = TimedUpdate::new(gpu, &one_layer, settings)?;
            let mut rate_per_layer = TimedUpdate::new(gpu, &layer_per_tensor, settings)?;
            let (mut one_rate_seconds, mut rate_per_layer_seconds, mut ratios) = (vec![], vec![], vec![]);
            // The first pair warms up.
            for pair in 0..=runs {
                let (a, b) = (one_rate.seconds(gpu)?, rate_per_layer.seconds(gpu)?);
                if pair > 0 {
                    one_rate_seconds.push(a);
                    rate_per_layer_seconds.push(b);
                    ratios.push(b / a);
                }
            }
            let ratio = Seconds::of_sample(ratios);
            report.push(vec![
                name.into(),
                layers.into(),
                (floats * layers).into(),
                Cell::Number(1e3 * Seconds::of_sample(one_rate_seconds).median, 3),
                Cell::Number(1e3 * Seconds::of_sample(rate_per_layer_seconds).median, 3),
                Cell::Number(ratio.median, 3),
                Cell::Text(format!("{:.3} to {:.3}", ratio.least, ratio.most)),
            ]);
        }
    }
    Ok(report)
}
