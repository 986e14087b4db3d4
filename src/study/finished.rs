//! A finished run, read back from its directory.

use crate::error::{Error, Result};
use crate::train::{Config, Summary};
use std::fs;
use std::path::Path;

/// What comparisons are made of.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which method, and with what k and range where several are compared.
    pub arm: String,
    /// Its seed.
    pub seed: u64,
    /// Its numbers.
    pub summary: Summary,
    /// (epoch, mean training loss) and (epoch, training accuracy) of each interval.
    pub curves: [Vec<(f64, f64)>; 2],
    /// Validation accuracy after each epoch; empty without validation images.
    pub validation: Vec<f64>,
    /// Whether each test image was predicted right.
    pub right: Vec<bool>,
}

#[derive(serde::Deserialize)]
struct MetricsRow {
    kind: String,
    epoch: f64,
    train_loss: f64,
    train_accuracy: f64,
    validation_accuracy: Option<f64>,
}

#[derive(serde::Deserialize)]
struct PredictionRow {
    label: u32,
    prediction: u32,
}

fn rows<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let bytes = fs::read(path).map_err(Error::io(path, "read"))?;
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    reader.deserialize().collect::<csv::Result<_>>().map_err(|error| {
        let offset = error.position().map_or(0, csv::Position::byte);
        Error::format(path, offset, format!("{error}; remove the run's directory to run it again"))
    })
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
        if made_by != *config {
            let message = format!(
                "{} holds a finished run with other options ({}); choose another --out or remove it",
                dir.display(),
                difference(&made_by, config)
            );
            return Err(Error::option("--out", message));
        }
        let metrics: Vec<MetricsRow> = rows(&dir.join("metrics.csv"))?;
        let predictions: Vec<PredictionRow> = rows(&dir.join("predictions.csv"))?;
        let intervals = || metrics.iter().filter(|row| row.kind == "interval");
        Ok(Some(Self {
            arm: arm.to_owned(),
            seed: config.seed,
            summary,
            curves: [
                intervals().map(|row| (row.epoch, row.train_loss)).collect(),
                intervals().map(|row| (row.epoch, row.train_accuracy)).collect(),
            ],
            validation: metrics.iter().filter_map(|row| row.validation_accuracy).collect(),
            right: predictions.iter().map(|row| row.label == row.prediction).collect(),
        }))
    }
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
