//! What every data set gives: examples by index.

use super::Form;
use super::random::{Stream, generator};
use crate::error::{Error, Result};
use rand::Rng;
use std::path::PathBuf;
use std::sync::Arc;

/// Chance in training: what is drawn for an example is a function of seed, epoch and index alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u64,
}

/// Words of the generator's stream that belong to one example.
const WORDS_PER_EXAMPLE: u128 = 1 << 20;

impl Draw {
    /// The random numbers of the example `index`.
    pub fn generator(self, index: usize) -> impl Rng {
        let mut rng = generator(self.seed, Stream::Example { epoch: self.epoch });
        rng.set_word_pos(index as u128 * WORDS_PER_EXAMPLE);
        rng
    }
}

/// A data set, or a part of one.
pub trait Examples: Send + Sync {
    /// What it is called in messages.
    fn name(&self) -> &str;

    /// The columns of each example.
    fn form(&self) -> Form;

    /// How many examples there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the example `index` into the words of its columns, inputs first, all of them 0 before. In training, where `draw` is
    /// given, the example may be varied by it; [`bytes_of`] and [`floats_of`] see words as bytes and numbers.
    ///
    /// # Errors
    /// Those of the example's file.
    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()>;

    /// Writes the targets alone, not varied.
    ///
    /// # Errors
    /// Those of the example's file.
    fn targets(&self, index: usize, into: &mut [&mut [u32]]) -> Result<()> {
        let form = self.form();
        let mut inputs: Vec<Vec<u32>> = form.inputs.iter().map(|column| vec![0; column.words()]).collect();
        let mut places: Vec<&mut [u32]> = inputs.iter_mut().map(Vec::as_mut_slice).collect();
        places.extend(into.iter_mut().map(|place| &mut **place));
        self.read(index, None, &mut places)
    }

    /// Whether reading an example takes long enough to be shared between threads: decoding does, copying does not.
    fn reads_slowly(&self, _draw: Option<Draw>) -> bool {
        false
    }

    /// Gives `add` all that tells these examples from others: a checkpoint goes on with the same examples only.
    fn fingerprint(&self, add: &mut dyn FnMut(&[u8]));

    /// Examples without targets made of files that do not belong to the set, read as the set's own are.
    ///
    /// # Errors
    /// Those of the files; [`Error::Setting`] where a set reads no such files.
    fn of_files(&self, _files: &[PathBuf]) -> Result<Arc<dyn Examples>> {
        Err(Error::setting("files", format!("the data set {} does not read single files", self.name())))
    }
}

/// Words of a [`super::Element::U8`] column as its bytes.
pub fn bytes_of(words: &mut [u32]) -> &mut [u8] {
    bytemuck::cast_slice_mut(words)
}

/// Words of a [`super::Element::F32`] column as its numbers.
pub fn floats_of(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}

/// A data set as its authors divided it. A clone shares the examples.
#[derive(Clone)]
pub struct Splits {
    /// For training and validation.
    pub train: Arc<dyn Examples>,
    /// Read once, at the end.
    pub test: Arc<dyn Examples>,
}

impl std::fmt::Debug for Splits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Splits({}, {} + {} examples)", self.train.name(), self.train.len(), self.test.len())
    }
}

impl Splits {
    /// CRC-32 of what [`Examples::fingerprint`] says of both parts.
    pub fn fingerprint(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for part in [&self.train, &self.test] {
            part.fingerprint(&mut |bytes| hasher.update(bytes));
        }
        hasher.finalize()
    }
}
