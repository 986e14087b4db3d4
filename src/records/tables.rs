//! The tables of a run: a row type per file, written row by row and read back whole.

use crate::error::{Error, Result};
use crate::nn::objective::{Answer, Measure, Scores};
use crate::train::TableChecksum;
use serde::de::DeserializeOwned;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// What to do where a file of a finished run has been damaged.
pub(crate) const REMEDY: &str = "remove the run's directory to run it again";

/// Whether `value` is finite and not below 0.
fn is_measure(value: f64) -> bool {
    value >= 0.0 && value.is_finite()
}

/// A row of `metrics.csv`: of an interval, or of an epoch. Its columns are named by the measures'
/// keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MetricsRow {
    pub(crate) kind: String,
    pub(crate) step: u64,
    pub(crate) epoch: f64,
    pub(crate) training: PartRow,
    pub(crate) validation: Option<PartRow>,
}

/// The scores over a part of the examples.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PartRow {
    pub(crate) loss: f64,
    /// In the order of the measures.
    pub(crate) values: Vec<f64>,
}

impl From<&Scores> for PartRow {
    fn from(scores: &Scores) -> Self {
        Self { loss: scores.loss, values: scores.values.clone() }
    }
}

impl PartRow {
    fn is_sound(&self, measures: &[Measure]) -> bool {
        is_measure(self.loss) && measures.iter().zip(&self.values).all(|(measure, value)| measure.allows(*value))
    }
}

impl MetricsRow {
    /// Whether a run may have written it.
    pub(crate) fn is_sound(&self, measures: &[Measure]) -> bool {
        is_measure(self.epoch)
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

    /// All rows of a table's bytes; `path` is for messages. Columns of other names are passed over.
    /// From the second on, measures may lack a column, as in tables of before they were written:
    /// they, and those after them, have no values.
    ///
    /// # Errors
    /// [`Error::Format`] with the place of a row that is none.
    pub(crate) fn read(path: &Path, bytes: &[u8], measures: &[Measure]) -> Result<Vec<Self>> {
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(csv_fault(path))?.clone();
        let columns = Columns::of(&header, measures).ok_or_else(|| {
            let wanted = Self::header(measures).join(", ");
            Error::format(path, 0, format!("expected the columns {wanted}; {REMEDY}"))
        })?;
        let row = |record: csv::Result<csv::StringRecord>| {
            let record = record.map_err(csv_fault(path))?;
            let place = record.position().map_or(0, csv::Position::byte);
            let bad = || Error::format(path, place, format!("expected numbers in this row; {REMEDY}"));
            columns.row(&record).ok_or_else(bad)
        };
        reader.records().map(row).collect()
    }
}

/// Where the cells of a [`MetricsRow`] are.
struct Columns {
    fixed: [usize; 3],
    /// Of training and validation: the loss, then the first measures, as far as they have columns.
    parts: [Vec<usize>; 2],
}

impl Columns {
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
        let part = |places: &[usize]| -> Option<PartRow> {
            let mut numbers = places.iter().map(|&place| record.get(place)?.parse().ok());
            let loss = numbers.next()??;
            Some(PartRow { loss, values: numbers.collect::<Option<_>>()? })
        };
        let [training, validation] = &self.parts;
        let is_empty = validation.iter().all(|&place| record.get(place).is_some_and(str::is_empty));
        let validation = if is_empty { None } else { Some(part(validation)?) };
        let (step, epoch) = (step.parse().ok()?, epoch.parse().ok()?);
        Some(MetricsRow { kind: kind.to_owned(), step, epoch, training: part(training)?, validation })
    }
}

/// In the order of [`MetricsRow::header`].
impl Serialize for MetricsRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let none = vec![None; 1 + self.training.values.len()];
        let numbers = |part: &PartRow| -> Vec<Option<f64>> {
            std::iter::once(part.loss).chain(part.values.iter().copied()).map(Some).collect()
        };
        let validation = self.validation.as_ref().map_or(none, numbers);
        (&self.kind, self.step, self.epoch, numbers(&self.training), validation).serialize(serializer)
    }
}

/// Where row `place`, counted from 0, begins in a table's bytes.
pub(crate) fn offset_of_row(bytes: &[u8], place: usize) -> u64 {
    bytes.split_inclusive(|&byte| byte == b'\n').take(1 + place).map(<[u8]>::len).sum::<usize>() as u64
}

/// (epoch, value) at every point of a curve.
pub(crate) type Curve = Vec<(f64, f64)>;

/// Training loss and score over the intervals among `rows`. One that the end of an epoch has cut to
/// less than half is taken together with the one before it: the mean over so few examples would
/// stick out.
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
    let curve = |i: usize| merged.iter().map(|point| (point.epoch, point.values[i])).collect();
    (curve(0), curve(1))
}

/// A row of `layers.csv`: what the last step of an interval did to a layer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LayerRow {
    pub(crate) step: u64,
    pub(crate) epoch: f64,
    pub(crate) depth: usize,
    pub(crate) layer: String,
    pub(crate) learning_rate: f64,
    pub(crate) gradient_norm: f64,
    pub(crate) update_norm: f64,
    pub(crate) weight_norm: f64,
    pub(crate) effective_rate: f64,
}

impl LayerRow {
    /// Whether a run may have written it. A norm beyond f32 is infinite, the quotient of two such
    /// is no number.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { gradient_norm, update_norm, weight_norm, .. } = *self;
        let without_bounds = update_norm.is_infinite() && weight_norm.is_infinite();
        [self.epoch, self.learning_rate].into_iter().all(is_measure)
            && [gradient_norm, update_norm, weight_norm].iter().all(|norm| *norm >= 0.0)
            && (self.effective_rate >= 0.0 || without_bounds)
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
    /// Whether a run may have written it.
    pub(crate) fn is_sound(&self) -> bool {
        is_measure(self.epoch) && is_measure(self.signal_to_noise)
    }
}

/// A row of `speed.csv`, the one table that no second run repeats.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpeedRow {
    pub(crate) step: u64,
    #[serde(alias = "images_per_second")]
    pub(crate) examples_per_second: f64,
}

impl SpeedRow {
    /// Whether a run may have written it.
    pub(crate) fn is_sound(&self) -> bool {
        is_measure(self.examples_per_second) && self.examples_per_second > 0.0
    }
}

/// A row of `predictions.csv`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PredictionRow {
    #[serde(alias = "image")]
    pub(crate) example: usize,
    pub(crate) label: Answer,
    pub(crate) prediction: Answer,
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
pub(crate) struct Table {
    path: PathBuf,
    rows: csv::Writer<Summed>,
}

impl Table {
    /// An empty table, over one that may be there.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        let rows = csv::Writer::from_writer(Summed { file, bytes: 0, crc32: Default::default() });
        Ok(Self { path, rows })
    }

    /// The table as it was at a checkpoint, to be written further.
    pub(crate) fn cut(path: PathBuf, TableChecksum { bytes, crc32 }: TableChecksum) -> Result<Self> {
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
    pub(crate) fn append<T: Serialize>(&mut self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        for row in rows {
            self.rows.serialize(row).map_err(csv_error(&self.path))?;
        }
        self.rows.flush().map_err(Error::io(&self.path, "write"))
    }

    /// Appends rows that do not name their columns, after `header` where the table is empty.
    pub(crate) fn append_below<T: Serialize>(
        &mut self,
        header: &[String],
        rows: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        if self.rows.get_ref().bytes == 0 {
            self.rows.write_record(header).map_err(csv_error(&self.path))?;
        }
        self.append(rows)
    }

    /// Puts all rows on the disk.
    pub(crate) fn sync(&self) -> Result<TableChecksum> {
        let Summed { file, bytes, crc32 } = self.rows.get_ref();
        file.sync_all().map_err(Error::io(&self.path, "write"))?;
        Ok(TableChecksum { bytes: *bytes, crc32: crc32.clone().finalize() })
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
pub(crate) fn csv_of<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(vec![]);
    for row in rows {
        writer.serialize(row).expect("a vector takes every row");
    }
    writer.into_inner().expect("a vector needs no flush")
}

/// Rows that do not name their columns as the bytes of a CSV file, below a header.
#[cfg(feature = "report")]
pub(crate) fn csv_below<T: Serialize>(header: &[&str], rows: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(vec![]);
    writer.write_record(header).expect("a vector takes every row");
    for row in rows {
        writer.serialize(row).expect("a vector takes every row");
    }
    writer.into_inner().expect("a vector needs no flush")
}

fn csv_fault(path: &Path) -> impl FnOnce(csv::Error) -> Error {
    |error| {
        let offset = error.position().map_or(0, csv::Position::byte);
        Error::format(path, offset, format!("{error}; {REMEDY}"))
    }
}

/// All rows of a table's bytes; `path` is for messages.
///
/// # Errors
/// [`Error::Format`] with the place of a row that is not of this kind.
pub(crate) fn rows<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<T>> {
    csv::Reader::from_reader(bytes).deserialize().collect::<csv::Result<_>>().map_err(csv_fault(path))
}
