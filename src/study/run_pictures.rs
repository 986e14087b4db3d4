//! Plots of one run, drawn from its tables.

use super::plots::{self, HeatMap, Panel, Series};
use crate::error::Result;
use crate::files::read_regular;
use crate::nn::objective::Measure;
use crate::records::{Curve, LayerRow, MetricsRow, NoiseRow, SplitScores, rows, training_curves};
use std::path::Path;

/// Draws `curves.png`, `rates.png`, `effective.png` and, if it was measured, `noise.png` of the run
/// in `dir`.
///
/// # Errors
/// [`crate::error::Error::Io`] and [`crate::error::Error::Format`] if a table cannot be read or a
/// file cannot be written.
pub fn run_pictures(dir: &Path, method: &str, measures: &[Measure]) -> Result<()> {
    let bytes_of = |name: &str| -> Result<_> {
        let path = dir.join(name);
        read_regular(&path).map(|bytes| (path, bytes))
    };
    let (path, bytes) = bytes_of("metrics.csv")?;
    plots::curves(&dir.join("curves.png"), &panels(&MetricsRow::read(&path, &bytes, measures)?, &measures[0]))?;
    let (path, bytes) = bytes_of("layers.csv")?;
    let layers: Vec<LayerRow> = rows(&path, &bytes)?;
    let values =
        |value: fn(&LayerRow) -> f64| layers.iter().map(move |row| (row.layer.as_str(), row.epoch, value(row)));
    let map =
        layer_heat_map(format!("Learning rates under {method}"), "learning rate", values(|row| row.learning_rate));
    plots::heat_map(&dir.join("rates.png"), &map)?;
    let map = layer_heat_map(
        format!("Effective rates under {method}"),
        "|update| / |weight|",
        values(|row| row.effective_rate),
    );
    plots::heat_map(&dir.join("effective.png"), &map)?;
    let path = dir.join("noise.csv");
    if path.exists() {
        let noise: Vec<NoiseRow> = rows(&path, &read_regular(&path)?)?;
        let values = noise.iter().map(|row| (row.layer.as_str(), row.epoch, row.signal_to_noise));
        let title = format!("Gradient signal-to-noise ratio under {method}");
        plots::heat_map(&dir.join("noise.png"), &layer_heat_map(title, "|mean|^2 / variance", values))?;
    }
    Ok(())
}

/// A heat map with a row per layer, from (layer, epoch, value) in the order of time.
fn layer_heat_map<'r>(title: String, label: &str, rows: impl Iterator<Item = (&'r str, f64, f64)>) -> HeatMap {
    let mut map = HeatMap { title, x_label: "epoch".into(), value_label: label.into(), ..Default::default() };
    for (layer, epoch, value) in rows {
        let row = map.rows.iter().position(|name| name == layer).unwrap_or_else(|| {
            map.rows.push(layer.to_owned());
            map.values.push(vec![]);
            map.rows.len() - 1
        });
        if row == 0 {
            map.x.push(epoch);
        }
        map.values[row].push(value);
    }
    map
}

/// The panels of loss and score over epochs.
fn panels(rows: &[MetricsRow], measure: &Measure) -> [Panel; 2] {
    let (loss, score) = training_curves(rows);
    let panel = |title: &str, label: &str, points: Curve, validation: fn(&SplitScores) -> f64| {
        let validation_points: Vec<_> =
            rows.iter().filter_map(|row| Some((row.epoch, validation(row.validation.as_ref()?)))).collect();
        let mut series = vec![Series { label: "training".into(), points, ..Default::default() }];
        if !validation_points.is_empty() {
            series.push(Series { label: "validation".into(), points: validation_points, ..Default::default() });
        }
        let (x_label, y_label) = ("epoch".into(), label.into());
        Panel { title: title.into(), x_label, y_label, series, ..Default::default() }
    };
    [
        panel("Loss", "loss", loss, |part| part.loss),
        panel(&measure.title(), &measure.axis(), score, |part| part.values[0]),
    ]
}
