//! A finished run, read back from its directory.

use super::tables::{self, LayerRow, MetricsRow, NoiseRow, PartRow, PredictionRow, REMEDY, SpeedRow, offset_of_row};
use crate::error::{Error, Result};
use crate::files::text;
use crate::nn::objective::{Answer, Measure};
use crate::train::{Config, Summary, option_name};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

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
    /// (epoch, mean training loss) of each interval, short ones taken together with those before
    /// them.
    pub train_loss: Vec<(f64, f64)>,
    /// (epoch, first measure over training examples), likewise.
    pub train_score: Vec<(f64, f64)>,
    /// Training examples per second of each interval.
    pub examples_per_second: Vec<f64>,
    /// (epoch, mean validation loss) after each epoch; empty without validation examples.
    pub validation_loss: Vec<(f64, f64)>,
    /// (epoch, first measure over validation examples) after each epoch.
    pub validation_score: Vec<(f64, f64)>,
    /// What happened to each layer, in order.
    pub layers: Vec<LayerHistory>,
    /// Whether each test example's class was predicted right; empty where no classes are predicted.
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

/// What happened to the layers of these rows, in the order in which they first appear.
fn histories(rows: Vec<LayerRow>, noise: Vec<NoiseRow>) -> Vec<LayerHistory> {
    let mut histories: Vec<LayerHistory> = vec![];
    let mut places = HashMap::new();
    for row in rows {
        let place = *places.entry(row.layer).or_insert_with_key(|name| {
            histories.push(LayerHistory { name: name.clone(), ..Default::default() });
            histories.len() - 1
        });
        histories[place].effective_rate.push((row.epoch, row.effective_rate));
    }
    for row in noise {
        if let Some(&place) = places.get(&row.layer) {
            histories[place].signal_to_noise.push((row.epoch, row.signal_to_noise));
        }
    }
    histories
}

impl Finished {
    /// Reads the run in `dir` if it is finished, and was made by `config` from examples of the
    /// fingerprint `data` where that is given.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for files that cannot be read; [`Error::Option`] where
    /// another run lies there.
    pub fn load(dir: &Path, arm: &str, config: &Config, data: Option<u32>) -> Result<Option<Self>> {
        let finished = Self::load_from(dir, arm, config, |path| fs::read(path))?;
        match (finished.as_ref().and_then(|run| run.summary.data_crc32), data) {
            (Some(found), Some(data)) if found != data => {
                let message = "holds a run with other examples; choose another directory or remove it";
                Err(Error::option(dir.display().to_string(), message))
            }
            _ => Ok(finished),
        }
    }

    /// The same from files that `read` knows. Beyond 128 KiB it takes up to 64 times the memory of
    /// each table.
    ///
    /// # Errors
    /// As [`Finished::load`].
    pub fn load_from(
        dir: &Path,
        arm: &str,
        config: &Config,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Option<Self>> {
        let needed = |name: &str| {
            let path = dir.join(name);
            let bytes = read(&path).map_err(|fault| match fault.kind() {
                ErrorKind::NotFound => {
                    Error::option(path.display().to_string(), format!("is missing from a finished run; {REMEDY}"))
                }
                _ => Error::io(&path, "read")(fault),
            })?;
            Ok::<_, Error>((path, bytes))
        };
        let path = dir.join("summary.json");
        let summary = match read(&path) {
            Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => summary(&path, &bytes.map_err(Error::io(&path, "read"))?)?,
        };
        let (path, bytes) = needed("config.toml")?;
        check_same(dir, &Config::from_toml(&path, &bytes)?, config, "choose another directory or remove it")?;
        let metrics = metrics(needed("metrics.csv")?, &summary.measures)?;
        let speed = rows(needed("speed.csv")?, SpeedRow::is_sound)?;
        let right = predictions(needed("predictions.csv")?, &summary)?;
        let layers = rows(needed("layers.csv")?, LayerRow::is_sound)?;
        let noise = match config.training.snr_every {
            0 => vec![],
            _ => rows(needed("noise.csv")?, NoiseRow::is_sound)?,
        };
        let layers = histories(layers, noise);
        check_agreement(dir, &summary, &metrics, &speed, &layers)?;
        let measured = |layer: &LayerHistory| layer.signal_to_noise.len();
        let even = layers.iter().all(|layer| measured(layer) == measured(&layers[0]));
        let as_asked = (config.training.snr_every > 0) == (measured(&layers[0]) > 0);
        demand(dir, "noise.csv", even && as_asked, "as many rows of each layer")?;
        let (train_loss, train_score) = tables::training_curves(&metrics);
        let held_out = |value: fn(&PartRow) -> f64| {
            metrics.iter().filter_map(|row| Some((row.epoch, value(row.validation.as_ref()?)))).collect()
        };
        Ok(Some(Self {
            arm: arm.to_owned(),
            seed: config.training.seed,
            summary,
            dir: dir.to_owned(),
            train_loss,
            train_score,
            examples_per_second: speed.iter().map(|row| row.examples_per_second).collect(),
            validation_loss: held_out(|part| part.loss),
            validation_score: held_out(|part| part.values[0]),
            layers,
            right,
        }))
    }
}

/// Refuses the file called `name` unless what is `expected` of it holds.
fn demand(dir: &Path, name: &str, holds: bool, expected: &str) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(Error::format(&dir.join(name), 0, format!("expected {expected}; {REMEDY}"))),
    }
}

/// Whether tables and summary tell of one run, from its first interval to its last.
fn check_agreement(
    dir: &Path,
    summary: &Summary,
    metrics: &[MetricsRow],
    speed: &[SpeedRow],
    layers: &[LayerHistory],
) -> Result<()> {
    let of_kind = |kind: &'static str| metrics.iter().filter(move |row| row.kind == kind);
    let (intervals, epochs) = (|| of_kind("interval"), || of_kind("epoch"));
    let steps = summary.steps;
    let ends =
        [intervals().next_back(), epochs().next_back()].into_iter().all(|row| row.is_some_and(|row| row.step == steps));
    demand(dir, "metrics.csv", ends, &format!("rows up to step {steps}, the last of summary.json"))?;
    let best = (summary.best_epoch as f64, summary.validation());
    let has_best = epochs().any(|row| (row.epoch, row.validation.as_ref().map(|part| part.values[0])) == best);
    let expected = "what summary.json says of the validation examples in the row of its best epoch";
    demand(dir, "metrics.csv", has_best, expected)?;
    let timed = speed.iter().map(|row| row.step).eq(intervals().map(|row| row.step));
    demand(dir, "speed.csv", timed, "a row for each interval of metrics.csv")?;
    let count = intervals().count();
    let rated = !layers.is_empty() && layers.iter().all(|layer| layer.effective_rate.len() == count);
    demand(dir, "layers.csv", rated, "a row of each layer for each interval of metrics.csv")
}

/// The numbers in the bytes of a `summary.json`.
pub(super) fn summary(path: &Path, bytes: &[u8]) -> Result<Summary> {
    let summary: Summary = serde_json::from_slice(bytes).map_err(|fault| {
        let offset = text::place_in_json(bytes, &fault);
        Error::format(path, offset as u64, format!("{fault}; {REMEDY}"))
    })?;
    match summary.is_sound() {
        true => Ok(summary),
        false => Err(Error::format(path, 0, format!("holds a score that no run comes to; {REMEDY}"))),
    }
}

/// The rows of a table, all of them `sound`.
fn rows<T: DeserializeOwned>((path, bytes): (PathBuf, Vec<u8>), sound: impl Fn(&T) -> bool) -> Result<Vec<T>> {
    all_sound(&path, &bytes, tables::rows(&path, &bytes)?, sound)
}

/// The rows, if a run may have written each of them.
fn all_sound<T>(path: &Path, bytes: &[u8], rows: Vec<T>, sound: impl Fn(&T) -> bool) -> Result<Vec<T>> {
    match rows.iter().position(|row| !sound(row)) {
        None => Ok(rows),
        Some(place) => {
            let message = format!("row {} holds a number that no run writes; {REMEDY}", 1 + place);
            Err(Error::format(path, offset_of_row(bytes, place), message))
        }
    }
}

/// The rows of `metrics.csv`, all of them such as a run writes.
fn metrics((path, bytes): (PathBuf, Vec<u8>), measures: &[Measure]) -> Result<Vec<MetricsRow>> {
    all_sound(&path, &bytes, MetricsRow::read(&path, &bytes, measures)?, |row| row.is_sound(measures))
}

/// How far a number is off.
fn error(row: &PredictionRow) -> Option<f64> {
    let number = |answer: &Answer| match answer {
        Answer::Whole(number) => Some(f64::from(*number)),
        Answer::Number(number) => Some(f64::from(*number)),
        Answer::Text(_) => None,
    };
    let predicted = number(&row.prediction).filter(|_| matches!(row.prediction, Answer::Number(_)))?;
    Some((predicted - number(&row.label)?).abs())
}

/// Whether each class was predicted right, from `predictions.csv`, which has a row for each test
/// example, since other runs' are paired with them. Where the first measure is an accuracy or a
/// mean absolute error, the rows must come to what the summary says: exactly in how many are right,
/// up to the rounding of single errors in how far numbers are off.
fn predictions((path, bytes): (PathBuf, Vec<u8>), summary: &Summary) -> Result<Vec<bool>> {
    let rows: Vec<PredictionRow> = tables::rows(&path, &bytes)?;
    let bad = |message: String| Error::format(&path, bytes.len() as u64, format!("{message}; {REMEDY}"));
    let examples = summary.test_examples;
    if rows.len() as u64 != examples || rows.iter().enumerate().any(|(i, row)| row.example != i) {
        return Err(bad(format!("expected a row for each of {examples} examples in order, found {}", rows.len())));
    }
    let class = |row: &PredictionRow| matches!(row.prediction, Answer::Whole(_)).then(|| row.label == row.prediction);
    let (values, kind, tolerance): (Option<Vec<f64>>, _, _) = match summary.measure().key.as_str() {
        "accuracy" => {
            (rows.iter().map(|row| class(row).map(|right| f64::from(u8::from(right)))).collect(), "a class", 0.0)
        }
        "mae" => (rows.iter().map(error).collect(), "a number with a point", 1e-4),
        _ => return Ok(vec![]),
    };
    let values = values.ok_or_else(|| bad(format!("expected {kind} as each prediction")))?;
    let (found, expected) = (values.iter().sum::<f64>() / examples.max(1) as f64, summary.test());
    if (found - expected).abs() <= tolerance * (1.0 + expected) {
        return Ok(rows.iter().filter_map(class).collect());
    }
    let name = &summary.measure().name;
    Err(bad(format!("the {name} of the {examples} examples is {found} here, {expected} in summary.json")))
}

/// Whether a run in `dir` that was made by `there` is the one that `here` makes, wherever its data
/// may lie.
///
/// # Errors
/// [`Error::Option`] with every option that differs, and `remedy`.
pub(super) fn check_same(dir: &Path, there: &Config, here: &Config, remedy: &str) -> Result<()> {
    let there = there.clone().with(|there| there.data.data_dir.clone_from(&here.data.data_dir));
    if there == *here {
        return Ok(());
    }
    let message = format!("holds a run with other options ({}); {remedy}", difference(&there, here));
    Err(Error::option(dir.display().to_string(), message))
}

/// The options that two configurations set apart, as `key: there, here`.
fn difference(there: &Config, here: &Config) -> String {
    let (there, here) = (by_option(there), by_option(here));
    let keys: BTreeSet<_> = there.keys().chain(here.keys()).collect();
    let show = |value: Option<&Value>| value.map_or("not set".to_owned(), ToString::to_string);
    let differs = keys.into_iter().filter(|key| there.get(*key) != here.get(*key));
    let parts: Vec<_> =
        differs.map(|key| format!("{key}: {} there, {} here", show(there.get(key)), show(here.get(key)))).collect();
    parts.join("; ")
}

/// All options without their sections, and the kernels. As JSON, since a checkpoint may hold
/// numbers that have no TOML form.
fn by_option(config: &Config) -> BTreeMap<String, Value> {
    let Ok(Value::Object(sections)) = serde_json::to_value(config) else { return BTreeMap::new() };
    let entries = sections.into_iter().flat_map(|(section, values)| {
        let Value::Object(values) = values else { unreachable!("sections are tables") };
        values.into_iter().map(move |(key, value)| (option_name(&section, &key).to_owned(), value)).collect::<Vec<_>>()
    });
    entries.collect()
}
