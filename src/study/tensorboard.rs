//! Event files for TensorBoard: scalars of a run while it is trained.
//!
//! A file is a list of records: the length of an event, its masked CRC-32C, the event, and the
//! masked CRC-32C of the event. Field numbers are those of `event.proto` and `summary.proto`.

use crate::clock::seconds_since_1970;
use crate::curriculum::Layer;
use crate::error::{Error, Result};
use crate::files::Message;
use crate::nn::objective::Scores;
use crate::train::{EpochRecord, IntervalRecord, NoiseRecord, Observer, SessionPlan};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The directory of event files in that of a run.
const DIR: &str = "tensorboard";

/// Writes the scalars of a run into an event file. A run that is continued gets another file, and
/// TensorBoard drops what the first one has from the step on at which it continues.
pub struct TensorBoard {
    dir: PathBuf,
    layers: Vec<String>,
    events: Option<(File, PathBuf)>,
}

/// CRC-32C (Castagnoli) of some bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let shifted = |crc: u32, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), shifted))
}

/// The masked form of a checksum, as in TFRecord files.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// A record with its length and checksums.
fn framed(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), event, &masked(event)].concat()
}

/// An event at this step, without its content.
fn event(step: u64) -> Message {
    Message::default().double(1, seconds_since_1970()).int(2, step as i64)
}

/// An event with these scalars.
fn scalars(step: u64, values: &[(String, f64)]) -> Vec<u8> {
    let value = |(tag, value): &(String, f64)| Message::default().text(1, tag).float(2, *value as f32);
    let summary = values.iter().map(value).fold(Message::default(), |summary, value| summary.message(1, value));
    event(step).message(5, summary).into_bytes()
}

/// Loss and measures of a split, such as `accuracy/validation`, without those that are not known.
fn of_scores(split: &str, scores: &Scores) -> Vec<(String, f64)> {
    let measures = scores.measures.iter().zip(&scores.values).filter(|(_, value)| !value.is_nan());
    let measures = measures.map(|(measure, value)| (format!("{}/{split}", measure.key), *value));
    std::iter::once((format!("loss/{split}"), scores.loss)).chain(measures).collect()
}

impl TensorBoard {
    /// For the run in this directory.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.join(DIR), layers: vec![], events: None }
    }

    /// Appends scalars. The first call creates the file.
    fn write(&mut self, step: u64, values: &[(String, f64)]) -> Result<()> {
        let (file, path) = match &mut self.events {
            Some(events) => events,
            none => {
                fs::create_dir_all(&self.dir).map_err(Error::io(&self.dir, "create"))?;
                let name = format!("events.out.tfevents.{:.0}.{}", seconds_since_1970(), std::process::id());
                let path = self.dir.join(name);
                let mut file = File::create(&path).map_err(Error::io(&path, "create"))?;
                let version = event(0).text(3, "brain.Event:2").into_bytes();
                // A session starts at this step: later steps of earlier files do not count.
                const START: i64 = 1;
                let start = event(step).message(7, Message::default().int(1, START)).into_bytes();
                let head = [framed(&version), framed(&start)].concat();
                file.write_all(&head).map_err(Error::io(&path, "write"))?;
                none.insert((file, path))
            }
        };
        file.write_all(&framed(&scalars(step, values))).map_err(Error::io(path, "write"))
    }

    /// A value of each layer, such as `learning rate/conv1`.
    fn of_layers<'v>(&self, what: &str, values: impl IntoIterator<Item = f64> + 'v) -> Vec<(String, f64)> {
        self.layers.iter().zip(values).map(|(layer, value)| (format!("{what}/{layer}"), value)).collect()
    }
}

impl Observer for TensorBoard {
    fn begin(&mut self, _plan: &SessionPlan, layers: &[Layer], _steps: u64) -> Result<()> {
        self.layers = layers.iter().map(|layer| layer.name.clone()).collect();
        Ok(())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        let mut values = of_scores("train", &record.training);
        values.push(("examples per second".to_owned(), record.examples_per_second));
        values.extend(self.of_layers("learning rate", record.rates.iter().copied()));
        values.extend(self.of_layers("gradient norm", record.norms.iter().map(|norms| norms.gradient)));
        values.extend(self.of_layers("effective rate", record.norms.iter().map(|norms| norms.effective_rate())));
        self.write(record.step, &values)
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        let values = self.of_layers("signal to noise", record.signal_to_noise.iter().copied());
        self.write(record.step, &values)
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        match &record.validation {
            Some(scores) => self.write(record.step, &of_scores("validation", scores)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{crc32c, framed};

    /// The test vectors of RFC 3720, appendix B.4.
    #[test]
    fn the_checksum_is_that_of_castagnoli() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(framed(b"abc").len(), 8 + 4 + 3 + 4);
    }
}
