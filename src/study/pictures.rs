//! Plots of a comparison: all methods in one chart, as the mean over seeds with a band from the
//! lowest to the highest seed.

use super::compare::by_arm;
use super::plots::{self, Panel, Series};
use crate::error::Result;
use crate::records::{Curve, Finished, LayerHistory};
use std::path::Path;

/// The largest number of layers that are plotted.
const MAX_LAYERS: usize = 4;

/// Draws into `dir`: `compare.png` with loss and score; `layers.png` with the effective rates of
/// some layers; and, if it was measured, `noise.png` with the signal-to-noise ratios of their
/// gradients.
///
/// # Errors
/// [`crate::error::Error::Io`] if a file cannot be written.
pub fn pictures(runs: &[Finished], dir: &Path) -> Result<()> {
    let Some(first) = runs.first() else { return Ok(()) };
    let score = first.summary.measure().axis();
    let mut panels = vec![panel("Training loss", runs, |run| Some(&run.train_loss))];
    if runs.iter().any(|run| !run.train_score.is_empty()) {
        panels.push(panel(&format!("Training {score}"), runs, |run| Some(&run.train_score)));
    }
    if runs.iter().any(|run| !run.validation_score.is_empty()) {
        panels.push(panel("Validation loss", runs, |run| Some(&run.validation_loss)));
        panels.push(panel(&format!("Validation {score}"), runs, |run| Some(&run.validation_score)));
    }
    plots::curves(&dir.join("compare.png"), &panels)?;
    by_layer(runs, &dir.join("layers.png"), "|update| / |weight|", |layer| &layer.effective_rate)?;
    by_layer(runs, &dir.join("noise.png"), "|mean|^2 / variance", |layer| &layer.signal_to_noise)
}

/// A panel for each of some layers, evenly spaced from the first to the last. Draws nothing if no
/// run has values.
fn by_layer(runs: &[Finished], path: &Path, label: &str, curve: fn(&LayerHistory) -> &Curve) -> Result<()> {
    if runs.iter().flat_map(|run| &run.layers).all(|layer| curve(layer).is_empty()) {
        return Ok(());
    }
    let first = &runs[0];
    let layers = first.layers.len();
    let shown = layers.min(MAX_LAYERS);
    let panels = (0..shown).map(|i| {
        let layer = i * (layers - 1) / (shown - 1).max(1);
        let title = format!("{} (layer {} of {layers})", first.layers[layer].name, layer + 1);
        let panel = panel(&title, runs, |run| run.layers.get(layer).map(curve));
        Panel { y_label: label.into(), log_y: true, ..panel }
    });
    plots::curves(path, &panels.collect::<Vec<_>>())
}

/// A panel with a curve over epochs for each method.
fn panel<'r>(title: &str, runs: &'r [Finished], curve: impl Fn(&'r Finished) -> Option<&'r Curve>) -> Panel {
    let series = by_arm(runs).into_iter().map(|arm| {
        let curves: Vec<_> = arm.iter().filter_map(|run| curve(run)).collect();
        let (points, band) = over_seeds(&curves);
        Series { label: arm[0].arm.clone(), points, band, marks: false }
    });
    Panel {
        title: title.to_owned(),
        x_label: "epoch".into(),
        y_label: title.to_lowercase(),
        log_x: false,
        log_y: false,
        series: series.collect(),
    }
}

/// The mean of curves with the same x values, and a band from the lowest to the highest curve if
/// there are several.
fn over_seeds(curves: &[&Curve]) -> (Curve, Vec<(f64, f64, f64)>) {
    let points = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    let at = |i: usize| curves.iter().map(move |curve: &&Curve| curve[i].1);
    let mean = |i: usize| (curves[0][i].0, at(i).sum::<f64>() / curves.len() as f64);
    let extremes =
        |i: usize| (curves[0][i].0, at(i).fold(f64::INFINITY, f64::min), at(i).fold(f64::NEG_INFINITY, f64::max));
    let band = if curves.len() > 1 { (0..points).map(extremes).collect() } else { vec![] };
    ((0..points).map(mean).collect(), band)
}
