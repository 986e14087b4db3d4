//! A finished run, read back from its directory.

use super::tables::{
    self, LayerRow, MetricsRow, NoiseRow, PredictionRow, RERUN_HINT, SpeedRow, SplitScores, offset_of_row,
};
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

/// A finished run, as comparisons use it.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The method; with its k and range if several of them are compared.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// The fold for the test; `None` for a data set without folds.
    pub fold: Option<u32>,
    /// The summary.
    pub summary: Summary,
    /// The directory of the run.
    pub dir: PathBuf,
    /// (epoch, mean training loss) of each interval. A short interval is merged with the previous
    /// one.
    pub train_loss: Vec<(f64, f64)>,
    /// (epoch, first measure over the training examples) of each of these intervals.
    pub train_score: Vec<(f64, f64)>,
    /// Training examples per second of each interval.
    pub examples_per_second: Vec<f64>,
    /// (epoch, mean validation loss) after each epoch; empty without validation examples.
    pub validation_loss: Vec<(f64, f64)>,
    /// (epoch, first measure over validation examples) after each epoch.
    pub validation_score: Vec<(f64, f64)>,
    /// Measurements of each layer, in order.
    pub layers: Vec<LayerHistory>,
    /// Whether each test example was classified correctly; empty if the model does not predict
    /// classes.
    pub right: Vec<bool>,
    /// The target and the prediction of each test example.
    pub answers: Vec<(Answer, Answer)>,
}

impl Finished {
    /// The method, the seed, and the fold if there is one.
    pub fn title(&self) -> String {
        let fold = self.fold.map_or(String::new(), |fold| format!(" fold {fold}"));
        format!("{} seed {}{fold}", self.arm, self.seed)
    }
}

/// Measurements of a layer over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerHistory {
    /// The layer's name.
    pub name: String,
    /// (epoch, |update| / |weight|) at the last step of each interval.
    pub effective_rate: Vec<(f64, f64)>,
    /// (epoch, signal-to-noise ratio of the gradient); empty if it was not measured.
    pub signal_to_noise: Vec<(f64, f64)>,
}

/// The measurements in these rows by layer, in the order in which layers first appear.
fn layer_histories(rows: Vec<LayerRow>, noise: Vec<NoiseRow>) -> Vec<LayerHistory> {
    let mut layers: Vec<LayerHistory> = vec![];
    let mut places = HashMap::new();
    for row in rows {
        let place = *places.entry(row.layer).or_insert_with_key(|name| {
            layers.push(LayerHistory { name: name.clone(), ..Default::default() });
            layers.len() - 1
        });
        layers[place].effective_rate.push((row.epoch, row.effective_rate));
    }
    for row in noise {
        if let Some(&place) = places.get(&row.layer) {
            layers[place].signal_to_noise.push((row.epoch, row.signal_to_noise));
        }
    }
    layers
}

impl Finished {
    /// Reads the run in `dir` if it is finished. It must have been made by `config`, and from
    /// examples with the fingerprint `data` if that is given.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for files that cannot be read; [`Error::Option`] if the
    /// directory contains a different run.
    pub fn load(dir: &Path, arm: &str, config: &Config, data: Option<u32>) -> Result<Option<Self>> {
        let finished = Self::load_from(dir, arm, config, |path| fs::read(path))?;
        match (finished.as_ref().and_then(|run| run.summary.data_crc32), data) {
            (Some(found), Some(data)) if found != data => {
                let message = "contains a run with other examples; choose another directory or remove it";
                Err(Error::option(dir.display().to_string(), message))
            }
            _ => Ok(finished),
        }
    }

    /// Like [`Finished::load`], with files that `read` returns. Tables above 128 KiB take up to 64
    /// times their size in memory.
    ///
    /// # Errors
    /// The errors of [`Finished::load`].
    pub fn load_from(
        dir: &Path,
        arm: &str,
        config: &Config,
        read: impl Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Option<Self>> {
        let read_required = |name: &str| {
            let path = dir.join(name);
            let bytes = read(&path).map_err(|fault| match fault.kind() {
                ErrorKind::NotFound => {
                    Error::option(path.display().to_string(), format!("is missing from a finished run; {RERUN_HINT}"))
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
        let (path, bytes) = read_required("config.toml")?;
        check_same_options(dir, &Config::from_toml(&path, &bytes)?, config, "choose another directory or remove it")?;
        let metrics = metrics(read_required("metrics.csv")?, &summary.measures)?;
        let speed = rows(read_required("speed.csv")?, SpeedRow::is_sound)?;
        let (right, answers) = predictions(read_required("predictions.csv")?, &summary)?;
        let layers = rows(read_required("layers.csv")?, LayerRow::is_sound)?;
        let noise = match config.training.snr_every {
            0 => vec![],
            _ => rows(read_required("noise.csv")?, NoiseRow::is_sound)?,
        };
        let layers = layer_histories(layers, noise);
        check_agreement(dir, &summary, &metrics, &speed, &layers)?;
        let measured = |layer: &LayerHistory| layer.signal_to_noise.len();
        let even = layers.iter().all(|layer| measured(layer) == measured(&layers[0]));
        let as_requested = (config.training.snr_every > 0) == (measured(&layers[0]) > 0);
        require(dir, "noise.csv", even && as_requested, "as many rows of each layer")?;
        let (train_loss, train_score) = tables::training_curves(&metrics);
        let validation_curve = |value: fn(&SplitScores) -> f64| {
            metrics.iter().filter_map(|row| Some((row.epoch, value(row.validation.as_ref()?)))).collect()
        };
        Ok(Some(Self {
            arm: arm.to_owned(),
            seed: config.training.seed,
            fold: config.data.fold,
            summary,
            dir: dir.to_owned(),
            train_loss,
            train_score,
            examples_per_second: speed.iter().map(|row| row.examples_per_second).collect(),
            validation_loss: validation_curve(|part| part.loss),
            validation_score: validation_curve(|part| part.values[0]),
            layers,
            right,
            answers,
        }))
    }
}

/// An error for the file `name` in `dir`, unless `holds` is true.
fn require(dir: &Path, name: &str, holds: bool, expected: &str) -> Result<()> {
    match holds {
        true => Ok(()),
        false => Err(Error::format(&dir.join(name), 0, format!("expected {expected}; {RERUN_HINT}"))),
    }
}

/// Checks that tables and summary belong to the same run, and contain all of its intervals.
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
    require(dir, "metrics.csv", ends, &format!("rows up to step {steps}, the last of summary.json"))?;
    let best = (summary.best_epoch as f64, summary.validation());
    let has_best = epochs().any(|row| (row.epoch, row.validation.as_ref().map(|part| part.values[0])) == best);
    let expected = "the validation score of summary.json in the row of its best epoch";
    require(dir, "metrics.csv", has_best, expected)?;
    let timed = speed.iter().map(|row| row.step).eq(intervals().map(|row| row.step));
    require(dir, "speed.csv", timed, "a row for each interval of metrics.csv")?;
    let count = intervals().count();
    let rated = !layers.is_empty() && layers.iter().all(|layer| layer.effective_rate.len() == count);
    require(dir, "layers.csv", rated, "a row of each layer for each interval of metrics.csv")
}

/// Reads the bytes of a `summary.json`.
pub(super) fn summary(path: &Path, bytes: &[u8]) -> Result<Summary> {
    let summary: Summary = serde_json::from_slice(bytes).map_err(|fault| {
        let offset = text::offset_in_json(bytes, &fault);
        Error::format(path, offset as u64, format!("{fault}; {RERUN_HINT}"))
    })?;
    match summary.is_sound() {
        true => Ok(summary),
        false => Err(Error::format(path, 0, format!("contains a score that is out of range; {RERUN_HINT}"))),
    }
}

/// The rows of a table, each of them accepted by `is_valid`.
fn rows<T: DeserializeOwned>((path, bytes): (PathBuf, Vec<u8>), is_valid: impl Fn(&T) -> bool) -> Result<Vec<T>> {
    check_rows(&path, &bytes, tables::rows(&path, &bytes)?, is_valid)
}

/// The rows, if `is_valid` accepts each of them.
fn check_rows<T>(path: &Path, bytes: &[u8], rows: Vec<T>, is_valid: impl Fn(&T) -> bool) -> Result<Vec<T>> {
    match rows.iter().position(|row| !is_valid(row)) {
        None => Ok(rows),
        Some(place) => {
            let message = format!("row {} contains a number that is out of range; {RERUN_HINT}", 1 + place);
            Err(Error::format(path, offset_of_row(bytes, place), message))
        }
    }
}

/// The rows of `metrics.csv`, with all values in range.
fn metrics((path, bytes): (PathBuf, Vec<u8>), measures: &[Measure]) -> Result<Vec<MetricsRow>> {
    check_rows(&path, &bytes, MetricsRow::read(&path, &bytes, measures)?, |row| row.is_sound(measures))
}

/// The absolute error of a predicted number.
fn absolute_error(row: &PredictionRow) -> Option<f64> {
    let number = |answer: &Answer| match answer {
        Answer::Whole(number) => Some(f64::from(*number)),
        Answer::Number(number) => Some(f64::from(*number)),
        Answer::Text(_) => None,
    };
    let predicted = number(&row.prediction).filter(|_| matches!(row.prediction, Answer::Number(_)))?;
    Some((predicted - number(&row.label)?).abs())
}

/// Reads `predictions.csv`: whether each test example was classified correctly, and the rows. It
/// must have a row for each test example, since runs are compared example by example.
/// If the first measure is an accuracy or a mean absolute error, it is computed again and compared
/// with the summary: an accuracy exactly, an error up to rounding.
fn predictions((path, bytes): (PathBuf, Vec<u8>), summary: &Summary) -> Result<(Vec<bool>, Answers)> {
    let rows: Vec<PredictionRow> = tables::rows(&path, &bytes)?;
    let bad = |message: String| Error::format(&path, bytes.len() as u64, format!("{message}; {RERUN_HINT}"));
    let examples = summary.test_examples;
    if rows.len() as u64 != examples || rows.iter().enumerate().any(|(i, row)| row.example != i) {
        return Err(bad(format!("expected a row for each of {examples} examples in order, found {}", rows.len())));
    }
    let class = |row: &PredictionRow| matches!(row.prediction, Answer::Whole(_)).then(|| row.label == row.prediction);
    let (values, kind, tolerance): (Option<Vec<f64>>, _, _) = match summary.measure().key.as_str() {
        "accuracy" => {
            (rows.iter().map(|row| class(row).map(|right| f64::from(u8::from(right)))).collect(), "a class", 0.0)
        }
        "mae" => (rows.iter().map(absolute_error).collect(), "a decimal number", 1e-4),
        _ => return Ok((vec![], answers(rows))),
    };
    let values = values.ok_or_else(|| bad(format!("expected {kind} as each prediction")))?;
    let (found, expected) = (values.iter().sum::<f64>() / examples.max(1) as f64, summary.test());
    if (found - expected).abs() <= tolerance * (1.0 + expected) {
        return Ok((rows.iter().filter_map(class).collect(), answers(rows)));
    }
    let name = &summary.measure().name;
    Err(bad(format!("the {name} of the {examples} examples is {found} here, {expected} in summary.json")))
}

/// Targets and predictions.
type Answers = Vec<(Answer, Answer)>;

fn answers(rows: Vec<PredictionRow>) -> Answers {
    rows.into_iter().map(|row| (row.label, row.prediction)).collect()
}

/// Checks that the run in `dir`, made with the options `there`, has the options `here`. The
/// directory of the data may differ.
///
/// # Errors
/// [`Error::Option`] with every option that differs, and `remedy`.
pub(super) fn check_same_options(dir: &Path, there: &Config, here: &Config, remedy: &str) -> Result<()> {
    let there = there.clone().with(|there| there.data.data_dir.clone_from(&here.data.data_dir));
    if there == *here {
        return Ok(());
    }
    let message = format!("contains a run with other options ({}); {remedy}", differing_options(&there, here));
    Err(Error::option(dir.display().to_string(), message))
}

/// The options that differ, as `key: there, here`.
fn differing_options(there: &Config, here: &Config) -> String {
    let (there, here) = (by_option(there), by_option(here));
    let keys: BTreeSet<_> = there.keys().chain(here.keys()).collect();
    let show = |value: Option<&Value>| value.map_or("not set".to_owned(), ToString::to_string);
    let differs = keys.into_iter().filter(|key| there.get(*key) != here.get(*key));
    let parts: Vec<_> =
        differs.map(|key| format!("{key}: {} there, {} here", show(there.get(key)), show(here.get(key)))).collect();
    parts.join("; ")
}

/// All options and kernel choices by name, without sections. As JSON, since a checkpoint may
/// contain numbers that TOML cannot represent.
fn by_option(config: &Config) -> BTreeMap<String, Value> {
    let Ok(Value::Object(sections)) = serde_json::to_value(config) else { return BTreeMap::new() };
    let entries = sections.into_iter().flat_map(|(section, values)| {
        let Value::Object(values) = values else { unreachable!("sections are tables") };
        values.into_iter().map(move |(key, value)| (option_name(&section, &key).to_owned(), value)).collect::<Vec<_>>()
    });
    entries.collect()
}
