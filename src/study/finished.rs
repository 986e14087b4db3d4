//! A finished run, read back from its directory.

use super::tables::{self, LayerRow, MetricsRow, NoiseRow, PredictionRow, SpeedRow};
use crate::error::{Error, Result};
use crate::train::{Config, Summary};
use std::fs;
use std::path::{Path, PathBuf};

/// What comparisons are made of.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which method, and with what k and range where several are compared.
    pub arm: String,
    /// Its seed.
    pub seed: u64,
    /// Its numbers.
    pub summary: Summary,
    /// The directory that it was read from.
    pub dir: PathBuf,
    /// (epoch, mean training loss) of each interval.
    pub train_loss: Vec<(f64, f64)>,
    /// (epoch, training accuracy) of each interval.
    pub train_accuracy: Vec<(f64, f64)>,
    /// Images per second of each interval.
    pub images_per_second: Vec<f64>,
    /// (epoch, mean validation loss) after each epoch; empty without validation images.
    pub validation_loss: Vec<(f64, f64)>,
    /// (epoch, validation accuracy), likewise.
    pub validation_accuracy: Vec<(f64, f64)>,
    /// What happened to each layer, in order.
    pub layers: Vec<LayerHistory>,
    /// Whether each test image was predicted right.
    pub right: Vec<bool>,
}

/// What happened to a layer over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerHistory {
    /// Its name.
    pub name: String,
    /// (epoch, |update| / |weight|) of each interval's last step.
    pub effective_rate: Vec<(f64, f64)>,
    /// (epoch, signal-to-noise ratio of the gradient) where that was measured.
    pub signal_to_noise: Vec<(f64, f64)>,
}

/// The layers of `layers.csv` and what `noise.csv`, which need not be there, knows of them.
fn histories(dir: &Path) -> Result<Vec<LayerHistory>> {
    let mut histories: Vec<LayerHistory> = vec![];
    for row in tables::read::<LayerRow>(&dir.join("layers.csv"))? {
        let index = histories.iter().position(|history| history.name == row.layer).unwrap_or_else(|| {
            histories.push(LayerHistory { name: row.layer, ..Default::default() });
            histories.len() - 1
        });
        histories[index].effective_rate.push((row.epoch, row.effective_rate));
    }
    let noise = dir.join("noise.csv");
    if noise.exists() {
        for row in tables::read::<NoiseRow>(&noise)? {
            if let Some(history) = histories.iter_mut().find(|history| history.name == row.layer) {
                history.signal_to_noise.push((row.epoch, row.signal_to_noise));
            }
        }
    }
    Ok(histories)
}

impl Finished {
    /// Reads the run in `dir` if it is finished, and was made by `config`.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for files that cannot be read; [`Error::Option`] where another run lies there.
    pub fn load(dir: &Path, arm: &str, config: &Config) -> Result<Option<Self>> {
        let path = dir.join("summary.json");
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(Error::io(&path, "read"))?;
        let summary: Summary = serde_json::from_slice(&bytes)
            .map_err(|error| Error::format(&path, 0, format!("{error}; remove the run's directory to run it again")))?;
        let path = dir.join("config.toml");
        let text = fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        let made_by: Config = toml::from_str(&text).map_err(|error| Error::format(&path, 0, error.message()))?;
        check_same(dir, &made_by, config)?;
        let metrics: Vec<MetricsRow> = tables::read(&dir.join("metrics.csv"))?;
        let speed: Vec<SpeedRow> = tables::read(&dir.join("speed.csv"))?;
        let predictions: Vec<PredictionRow> = tables::read(&dir.join("predictions.csv"))?;
        let intervals = || metrics.iter().filter(|row| row.kind == "interval");
        let held_out = |value: fn(&MetricsRow) -> Option<f64>| {
            metrics.iter().filter_map(|row| Some((row.epoch, value(row)?))).collect()
        };
        Ok(Some(Self {
            arm: arm.to_owned(),
            seed: config.seed,
            summary,
            dir: dir.to_owned(),
            train_loss: intervals().map(|row| (row.epoch, row.train_loss)).collect(),
            train_accuracy: intervals().map(|row| (row.epoch, row.train_accuracy)).collect(),
            images_per_second: speed.iter().map(|row| row.images_per_second).collect(),
            validation_loss: held_out(|row| row.validation_loss),
            validation_accuracy: held_out(|row| row.validation_accuracy),
            layers: histories(dir)?,
            right: predictions.iter().map(|row| row.label == row.prediction).collect(),
        }))
    }
}

/// Whether a run in `dir` that was made by `there` is the one that `here` makes, wherever its data may lie.
///
/// # Errors
/// [`Error::Option`] with every option that differs.
pub(super) fn check_same(dir: &Path, there: &Config, here: &Config) -> Result<()> {
    let there = Config { data_dir: here.data_dir.clone(), ..there.clone() };
    if there == *here {
        return Ok(());
    }
    let (dir, difference) = (dir.display(), difference(&there, here));
    Err(Error::option(
        "--out",
        format!("{dir} holds a run with other options ({difference}); choose another directory or remove it"),
    ))
}

/// The options that two configurations set apart, as `key: there, here`.
fn difference(there: &Config, here: &Config) -> String {
    let table = |config: &Config| toml::Table::try_from(config).expect("a checked configuration has a TOML form");
    let (there, here) = (table(there), table(here));
    let mut keys: Vec<_> = there.keys().chain(here.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let show = |value: Option<&toml::Value>| value.map_or("not set".to_owned(), ToString::to_string);
    let differs = keys.into_iter().filter(|key| there.get(*key) != here.get(*key));
    let parts: Vec<_> =
        differs.map(|key| format!("{key}: {} there, {} here", show(there.get(key)), show(here.get(key)))).collect();
    parts.join("; ")
}
