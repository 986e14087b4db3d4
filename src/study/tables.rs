//! The tables of a run: a row type per file, written row by row and read back whole.

use crate::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// What to do where a file of a finished run has been damaged.
pub(super) const REMEDY: &str = "remove the run's directory to run it again";

/// A row of `metrics.csv`: of an interval, or of an epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MetricsRow {
    pub(super) kind: String,
    pub(super) step: u64,
    pub(super) epoch: f64,
    pub(super) train_loss: f64,
    pub(super) train_accuracy: f64,
    pub(super) validation_loss: Option<f64>,
    pub(super) validation_accuracy: Option<f64>,
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

/// A row of `noise.csv`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NoiseRow {
    pub(super) step: u64,
    pub(super) epoch: f64,
    pub(super) depth: usize,
    pub(super) layer: String,
    pub(super) signal_to_noise: f64,
}

/// A row of `speed.csv`, the one table that no second run repeats.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SpeedRow {
    pub(super) step: u64,
    pub(super) images_per_second: f64,
}

/// A row of `predictions.csv`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PredictionRow {
    pub(super) image: usize,
    pub(super) label: u32,
    pub(super) prediction: u32,
}

/// A table being written.
pub(super) struct Table {
    path: PathBuf,
    rows: csv::Writer<File>,
}

impl Table {
    /// An empty table, over one that may be there.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).map_err(Error::io(&path, "create"))?;
        Ok(Self { rows: csv::Writer::from_writer(file), path })
    }

    /// The table as it was at `bytes` bytes, to be written further.
    pub(super) fn cut(path: PathBuf, bytes: u64) -> Result<Self> {
        let mut file = OpenOptions::new().write(true).open(&path).map_err(Error::io(&path, "open"))?;
        let found = file.metadata().map_err(Error::io(&path, "read"))?.len();
        if found < bytes {
            let message = format!("{bytes} bytes were there at the checkpoint; something has shortened it");
            return Err(Error::format(&path, found, message));
        }
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(Error::io(&path, "write"))?;
        let rows = csv::WriterBuilder::new().has_headers(bytes == 0).from_writer(file);
        Ok(Self { path, rows })
    }

    /// Appends rows, and hands them to the system.
    pub(super) fn append<T: Serialize>(&mut self, rows: impl IntoIterator<Item = T>) -> Result<()> {
        for row in rows {
            self.rows.serialize(row).map_err(csv_error(&self.path))?;
        }
        self.rows.flush().map_err(Error::io(&self.path, "write"))
    }

    /// Puts all rows on the disk; its size then, bytes.
    pub(super) fn sync(&self) -> Result<u64> {
        let file = self.rows.get_ref();
        file.sync_all().and_then(|()| file.metadata()).map(|data| data.len()).map_err(Error::io(&self.path, "write"))
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
    rows(path, &fs::read(path).map_err(Error::io(path, "read"))?)
}

/// The same from the table's bytes; `path` is for messages.
pub(super) fn rows<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Vec<T>> {
    csv::Reader::from_reader(bytes).deserialize().collect::<csv::Result<_>>().map_err(|error| {
        let offset = error.position().map_or(0, csv::Position::byte);
        Error::format(path, offset, format!("{error}; {REMEDY}"))
    })
}
