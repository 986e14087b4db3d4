//! The tables of a run: a row type per file, written row by row and read back whole.

use crate::error::{Error, Result};
use crate::files::read_regular;
use crate::train::{Measure, Prediction, Written};
use serde::de::DeserializeOwned;
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What to do where a file of a finished run has been damaged.
pub(super) const REMEDY: &str = "remove the run's directory to run it again";

/// Whether `value` is finite and not below 0.
fn is_measure(value: f64) -> bool {
    value >= 0.0 && value.is_finite()
}

/// A row of `metrics.csv`: of an interval, or of an epoch.
#[derive(Debug, Deserialize)]
pub(super) struct MetricsRow {
    pub(super) kind: String,
    pub(super) step: u64,
    pub(super) epoch: f64,
    pub(super) train_loss: f64,
    #[serde(alias = "train_accuracy", alias = "train_mae")]
    pub(super) train_score: f64,
    pub(super) validation_loss: Option<f64>,
    #[serde(alias = "validation_accuracy", alias = "validation_mae")]
    pub(super) validation_score: Option<f64>,
}

impl MetricsRow {
    /// Whether a run may have written it.
    pub(super) fn is_sound(&self, measure: Measure) -> bool {
        let losses = [Some(self.train_loss), self.validation_loss].into_iter().flatten();
        let mut scores = [Some(self.train_score), self.validation_score].into_iter().flatten();
        losses.chain([self.epoch]).all(is_measure) && scores.all(|score| measure.allows(score))
    }
}

/// (epoch, value) at every point of a curve.
pub(super) type Curve = Vec<(f64, f64)>;

/// Training loss and score over the intervals among `rows`. One that the end of an epoch has cut to less than half is taken together with
/// the one before it: the mean over so few images would stick out.
pub(super) fn training_curves(rows: &[MetricsRow]) -> (Curve, Curve) {
    struct Point {
        steps: f64,
        epoch: f64,
        values: [f64; 2],
    }
    let mut before = 0;
    let points = rows.iter().filter(|row| row.kind == "interval").map(|row| {
        let steps = row.step.saturating_sub(before) as f64;
        before = row.step;
        Point { steps, epoch: row.epoch, values: [row.train_loss, row.train_score] }
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
    let curve = |i: usize| merged.iter().map(|point| (point.epoch, point.values[i])).collect();
    (curve(0), curve(1))
}

/// What the columns of scores are called: of training, validation and test images.
pub(super) fn score_columns(measure: Measure) -> [&'static str; 3] {
    match measure {
        Measure::Accuracy => ["train_accuracy", "validation_accuracy", "test_accuracy"],
        Measure::MeanAbsoluteError => ["train_mae", "validation_mae", "test_mae"],
    }
}

/// A row as it is written: what was measured names the columns of its scores.
pub(super) struct Measured(pub(super) Measure, pub(super) MetricsRow);

impl Serialize for Measured {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self(measure, row) = self;
        let [train_score, validation_score, _] = score_columns(*measure);
        let mut columns = serializer.serialize_struct("MetricsRow", 7)?;
        columns.serialize_field("kind", &row.kind)?;
        columns.serialize_field("step", &row.step)?;
        columns.serialize_field("epoch", &row.epoch)?;
        columns.serialize_field("train_loss", &row.train_loss)?;
        columns.serialize_field(train_score, &row.train_score)?;
        columns.serialize_field("validation_loss", &row.validation_loss)?;
        columns.serialize_field(validation_score, &row.validation_score)?;
        columns.end()
    }
}

/// A row of `layers.csv`: what the last step of an interval did to a layer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LayerRow {
    pub(super) step: u64,
    pub(super) epoch: f64,
    pub(super) depth: usize,
    pub(super) layer: String,
    pub(super) learning_rate: f64,
    pub(super) gradient_norm: f64,
    pub(super) update_norm: f64,
    pub(super) weight_norm: f64,
    pub(super) effective_rate: f64,
}

impl LayerRow {
    /// Whether a run may have written it. A norm beyond f32 is infinite, the quotient of two such is no number.
    pub(super) fn is_sound(&self) -> bool {
        let Self { gradient_norm, update_norm, weight_norm, .. } = *self;
        let without_bounds = update_norm.is_infinite() && weight_norm.is_infinite();
        [self.epoch, self.learning_rate].into_iter().all(is_measure)
            && [gradient_norm, update_norm, weight_norm].iter().all(|norm| *norm >= 0.0)
            && (self.effective_rate >= 0.0 || without_bounds)
    }
}

/// A row of `noise.csv`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NoiseRow {
    pub(super) step: u64,
    pub(super) epoch: f64,
    pub(super) depth: usize,
    pub(super) layer: String,
    pub(super) signal_to_noise: f64,
}

impl NoiseRow {
    /// Whether a run may have written it.
    pub(super) fn is_sound(&self) -> bool {
        is_measure(self.epoch) && is_measure(self.signal_to_noise)
    }
}

/// A row of `speed.csv`, the one table that no second run repeats.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SpeedRow {
    pub(super) step: u64,
    pub(super) images_per_second: f64,
}

impl SpeedRow {
    /// Whether a run may have written it.
    pub(super) fn is_sound(&self) -> bool {
        is_measure(self.images_per_second) && self.images_per_second > 0.0
    }
}

/// A row of `predictions.csv`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PredictionRow {
    pub(super) image: usize,
    pub(super) label: u32,
    pub(super) prediction: Prediction,
}

/// A file, and what was written of it.
struct Summed {
    file: File,
    bytes: u64,
    crc32: crc32fast::Hasher,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.crc32.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A table being written.
pub(super) struct Table {
    path: PathBuf,
    rows: csv::Writer<Summed>,
}

impl Table {
    /// An empty table, over one that may be there.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let rows = csv::Writer::from_writer(Summed { file, bytes: 0, crc32: Default::default() });
        Ok(Self { path, rows })
    }

    /// The table as it was at a checkpoint, to be written further.
    pub(super) fn cut(path: PathBuf, Written { bytes, crc32 }: Written) -> Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(Error::io(&path, "open"))?;
        let mut there = vec![];
        (&mut file).take(bytes).read_to_end(&mut there).map_err(Error::io(&path, "read"))?;
        let changed = |message: String| {
            let remedy = "put the file back as it was, or remove the run's directory to run it again";
            Error::format(&path, there.len() as u64, format!("{message}; {remedy}"))
        };
        if (there.len() as u64) < bytes {
            return Err(changed(format!("{bytes} bytes were there at the checkpoint; something has shortened it")));
        }
        let found = crc32fast::hash(&there);
        if found != crc32 {
            let message = format!(
                "the {bytes} bytes up to here are not those of the checkpoint (CRC-32 {found:08x}, not {crc32:08x})"
            );
            return Err(changed(message));
        }
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(Error::io(&path, "write"))?;
        let summed = Summed { file, bytes, crc32: crc32fast::Hasher::new_with_initial(crc32) };
        let rows = csv::WriterBuilder::new().has_headers(bytes == 0).from_writer(summed);
        Ok(Self { path, rows })
    }

    /// Appends rows, and hands them to the system.
    pub(super) fn append<T: Serialize>(&mut self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        for row in rows {
            self.rows.serialize(row).map_err(csv_error(&self.path))?;
        }
        self.rows.flush().map_err(Error::io(&self.path, "write"))
    }

    /// Puts all rows on the disk.
    pub(super) fn sync(&self) -> Result<Written> {
        let Summed { file, bytes, crc32 } = self.rows.get_ref();
        file.sync_all().map_err(Error::io(&self.path, "write"))?;
        Ok(Written { bytes: *bytes, crc32: crc32.clone().finalize() })
    }
}

fn csv_error(path: &Path) -> impl FnOnce(csv::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::Io { path, action: "write", source },
        other => Error::option(path.display().to_string(), format!("{other:?}")),
    }
}

/// Rows as the bytes of a CSV file.
pub(super) fn csv_of<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(vec![]);
    for row in rows {
        writer.serialize(row).expect("a vector takes every row");
    }
    writer.into_inner().expect("a vector needs no flush")
}

/// All rows of a table.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Format`] with the place of a row that is not of this kind.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    rows(path, &read_regular(path)?)
}

/// The same from the table's bytes; `path` is for messages.
pub(super) fn rows<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<T>> {
    csv::Reader::from_reader(bytes).deserialize().collect::<csv::Result<_>>().map_err(|error| {
        let offset = error.position().map_or(0, csv::Position::byte);
        Error::format(path, offset, format!("{error}; {REMEDY}"))
    })
}
