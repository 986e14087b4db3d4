//! The CSV tables of a run: a row type per file. Rows are appended during the run and read together
//! afterwards.

use crate::error::{Error, Result};
use crate::nn::objective::{Answer, Measure, Scores};
use serde::de::DeserializeOwned;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Advice for a damaged file of a finished run.
pub(crate) const RERUN_HINT: &str = "remove the run's directory to run it again";

/// Whether `value` is finite and not negative.
fn is_finite_non_negative(value: f64) -> bool {
    value >= 0.0 && value.is_finite()
}

/// A row of `metrics.csv`: of an interval or an epoch. The columns of scores are named by the
/// measures' keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricsRow {
    pub(crate) kind: String,
    pub(crate) step: u64,
    pub(crate) epoch: f64,
    pub(crate) training: SplitScores,
    pub(crate) validation: Option<SplitScores>,
}

/// The scores over the training or the validation examples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SplitScores {
    pub(crate) loss: f64,
    /// One value per measure, in their order; NaN if it is not known, an empty cell in the file.
    pub(crate) values: Vec<f64>,
}

impl From<&Scores> for SplitScores {
    fn from(scores: &Scores) -> Self {
        Self { loss: scores.loss, values: scores.values.clone() }
    }
}

impl SplitScores {
    fn is_sound(&self, measures: &[Measure]) -> bool {
        is_finite_non_negative(self.loss)
            && measures
                .iter()
                .zip(&self.values)
                .all(|(measure, value)| measure.allows(*value) || (measure.of_predictions && value.is_nan()))
    }
}

impl MetricsRow {
    /// Whether all values are in range.
    pub(crate) fn is_sound(&self, measures: &[Measure]) -> bool {
        is_finite_non_negative(self.epoch)
            && [Some(&self.training), self.validation.as_ref()]
                .into_iter()
                .flatten()
                .all(|part| part.is_sound(measures))
    }

    /// The names of the columns.
    pub(crate) fn header(measures: &[Measure]) -> Vec<String> {
        let of_part = |part: &str| {
            let keys = measures.iter().map(|measure| measure.key.as_str());
            std::iter::once("loss").chain(keys).map(|key| format!("{part}_{key}")).collect::<Vec<_>>()
        };
        let fixed = ["kind", "step", "epoch"].map(str::to_owned).to_vec();
        [fixed, of_part("train"), of_part("validation")].concat()
    }

    /// All rows of a table's bytes; `path` is for error messages. Unknown columns are ignored.
    /// Older tables may lack the columns of all but the first measure; the rows then have fewer
    /// values.
    ///
    /// # Errors
    /// [`Error::Format`] with the position of an invalid row.
    pub(crate) fn read(path: &Path, bytes: &[u8], measures: &[Measure]) -> Result<Vec<Self>> {
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(read_error(path))?.clone();
        let columns = MetricsColumns::of(&header, measures).ok_or_else(|| {
            let wanted = Self::header(measures).join(", ");
            Error::format(path, 0, format!("expected the columns {wanted}; {RERUN_HINT}"))
        })?;
        let row = |record: csv::Result<csv::StringRecord>| {
            let record = record.map_err(read_error(path))?;
            let place = record.position().map_or(0, csv::Position::byte);
            let bad = || Error::format(path, place, format!("expected numbers in this row; {RERUN_HINT}"));
            columns.row(&record).ok_or_else(bad)
        };
        reader.records().map(row).collect()
    }
}

/// The column numbers of a [`MetricsRow`].
struct MetricsColumns {
    fixed: [usize; 3],
    /// For training and validation: the column of the loss, then those of the measures.
    parts: [Vec<usize>; 2],
}

impl MetricsColumns {
    fn of(header: &csv::StringRecord, measures: &[Measure]) -> Option<Self> {
        let place = |name: &str| header.iter().position(|column| column == name);
        let part = |part: &str| {
            let keys = std::iter::once("loss").chain(measures.iter().map(|measure| measure.key.as_str()));
            let places: Vec<usize> = keys.map_while(|key| place(&format!("{part}_{key}"))).collect();
            (places.len() > 1).then_some(places)
        };
        Some(Self {
            fixed: [place("kind")?, place("step")?, place("epoch")?],
            parts: [part("train")?, part("validation")?],
        })
    }

    fn row(&self, record: &csv::StringRecord) -> Option<MetricsRow> {
        let [kind, step, epoch] = self.fixed.map(|place| record.get(place).unwrap_or_default());
        let part = |places: &[usize]| -> Option<SplitScores> {
            let (&loss, values) = places.split_first()?;
            let value = |&place: &usize| match record.get(place)? {
                "" => Some(f64::NAN),
                number => number.parse().ok(),
            };
            Some(SplitScores {
                loss: record.get(loss)?.parse().ok()?,
                values: values.iter().map(value).collect::<Option<_>>()?,
            })
        };
        let [training, validation] = &self.parts;
        let is_empty = validation.iter().all(|&place| record.get(place).is_some_and(str::is_empty));
        let validation = if is_empty { None } else { Some(part(validation)?) };
        let (step, epoch) = (step.parse().ok()?, epoch.parse().ok()?);
        Some(MetricsRow { kind: kind.to_owned(), step, epoch, training: part(training)?, validation })
    }
}

/// The columns are in the order of [`MetricsRow::header`].
impl Serialize for MetricsRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let none = vec![None; 1 + self.training.values.len()];
        let numbers = |part: &SplitScores| -> Vec<Option<f64>> {
            let values = part.values.iter().map(|value| Some(*value).filter(|value| !value.is_nan()));
            std::iter::once(Some(part.loss)).chain(values).collect()
        };
        let validation = self.validation.as_ref().map_or(none, numbers);
        (&self.kind, self.step, self.epoch, numbers(&self.training), validation).serialize(serializer)
    }
}

/// The byte offset of row `place`, counted from 0.
pub(crate) fn offset_of_row(bytes: &[u8], place: usize) -> u64 {
    bytes.split_inclusive(|&byte| byte == b'\n').take(1 + place).map(<[u8]>::len).sum::<usize>() as u64
}

/// The points (epoch, value) of a curve.
pub(crate) type Curve = Vec<(f64, f64)>;

/// Training loss and score of the intervals in `rows`, without those that are not known. An
/// interval that the end of an epoch cut to less than half the usual length is merged with the
/// previous one: its mean over few examples is noisy.
pub(crate) fn training_curves(rows: &[MetricsRow]) -> (Curve, Curve) {
    struct Point {
        steps: f64,
        epoch: f64,
        values: [f64; 2],
    }
    let mut before = 0;
    let points = rows.iter().filter(|row| row.kind == "interval").map(|row| {
        let steps = row.step.saturating_sub(before) as f64;
        before = row.step;
        Point { steps, epoch: row.epoch, values: [row.training.loss, row.training.values[0]] }
    });
    let points: Vec<Point> = points.collect();
    let longest = points.iter().map(|point| point.steps).fold(0.0, f64::max);
    let mut merged: Vec<Point> = vec![];
    for point in points {
        match merged.last_mut() {
            Some(last) if 2.0 * point.steps < longest => {
                let all = (last.steps + point.steps).max(1.0);
                let mean = |i: usize| (last.steps * last.values[i] + point.steps * point.values[i]) / all;
                *last = Point { steps: all, epoch: point.epoch, values: [mean(0), mean(1)] };
            }
            _ => merged.push(point),
        }
    }
    let known = |i: usize| merged.iter().filter(move |point| !point.values[i].is_nan());
    let curve = |i: usize| known(i).map(|point| (point.epoch, point.values[i])).collect();
    (curve(0), curve(1))
}

/// A row of `layers.csv`: rate and norms of a layer at the last step of an interval.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LayerRow {
    pub(crate) step: u64,
    pub(crate) epoch: f64,
    pub(crate) depth: usize,
    pub(crate) layer: String,
    pub(crate) learning_rate: f64,
    /// Only in runs whose biases have a warm-up of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bias_learning_rate: Option<f64>,
    pub(crate) gradient_norm: f64,
    pub(crate) update_norm: f64,
    pub(crate) weight_norm: f64,
    pub(crate) effective_rate: f64,
}

impl LayerRow {
    /// Whether all values are in range. A norm that overflows f32 is infinite, and the quotient of
    /// two infinite norms is NaN.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { gradient_norm, update_norm, weight_norm, .. } = *self;
        let both_overflow = update_norm.is_infinite() && weight_norm.is_infinite();
        let rates = [self.epoch, self.learning_rate].into_iter().chain(self.bias_learning_rate);
        rates.into_iter().all(is_finite_non_negative)
            && [gradient_norm, update_norm, weight_norm].iter().all(|norm| *norm >= 0.0)
            && (self.effective_rate >= 0.0 || both_overflow)
    }
}

/// A row of `noise.csv`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NoiseRow {
    pub(crate) step: u64,
    pub(crate) epoch: f64,
    pub(crate) depth: usize,
    pub(crate) layer: String,
    pub(crate) signal_to_noise: f64,
}

impl NoiseRow {
    /// Whether all values are in range.
    pub(crate) fn is_sound(&self) -> bool {
        is_finite_non_negative(self.epoch) && is_finite_non_negative(self.signal_to_noise)
    }
}

/// A row of `speed.csv`. Its values differ between runs with the same options.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpeedRow {
    pub(crate) step: u64,
    #[serde(alias = "images_per_second")]
    pub(crate) examples_per_second: f64,
}

impl SpeedRow {
    /// Whether all values are in range.
    pub(crate) fn is_sound(&self) -> bool {
        is_finite_non_negative(self.examples_per_second) && self.examples_per_second > 0.0
    }
}

/// A row of `predictions.csv` as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct PredictionRow {
    #[serde(alias = "image")]
    pub(crate) example: usize,
    pub(crate) label: Answer,
    pub(crate) prediction: Answer,
}

/// A row of `predictions.csv` as it is written: with what a person wants to read. Cells are empty
/// where there is no file, no class or no probability.
#[derive(Debug, Serialize)]
pub(crate) struct WrittenPrediction<'r> {
    pub(crate) example: usize,
    pub(crate) file: Option<String>,
    pub(crate) label_name: Option<&'r str>,
    pub(crate) prediction_name: Option<&'r str>,
    pub(crate) probability: Option<f32>,
    pub(crate) label: &'r Answer,
    pub(crate) prediction: &'r Answer,
}

/// The bytes of a CSV file with these rows.
pub(crate) fn to_csv<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(vec![]);
    for row in rows {
        writer.serialize(row).expect("writing to a vector does not fail");
    }
    writer.into_inner().expect("flushing a vector does not fail")
}

/// The bytes of a CSV file with a header and rows without column names.
pub(crate) fn csv_with_header<T: Serialize>(header: &[impl AsRef<[u8]>], rows: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(vec![]);
    writer.write_record(header).expect("writing to a vector does not fail");
    for row in rows {
        writer.serialize(row).expect("writing to a vector does not fail");
    }
    writer.into_inner().expect("flushing a vector does not fail")
}

fn read_error(path: &Path) -> impl FnOnce(csv::Error) -> Error {
    |error| {
        let offset = error.position().map_or(0, csv::Position::byte);
        Error::format(path, offset, format!("{error}; {RERUN_HINT}"))
    }
}

/// All rows of a table's bytes; `path` is for error messages.
///
/// # Errors
/// [`Error::Format`] with the position of an invalid row.
pub(crate) fn rows<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<T>> {
    csv::Reader::from_reader(bytes).deserialize().collect::<csv::Result<_>>().map_err(read_error(path))
}
