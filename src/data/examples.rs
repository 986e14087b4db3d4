//! The trait of data sets: examples by index.

use super::Form;
use super::random::{Stream, generator};
use crate::error::{Error, Result};
use rand::Rng;
use std::path::PathBuf;
use std::sync::Arc;

/// Random numbers in training. Those of an example depend only on seed, epoch and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u64,
}

/// Words of the random stream that are reserved for one example.
const WORDS_PER_EXAMPLE: u128 = 1 << 20;

impl Draw {
    /// The random generator of the example `index`.
    pub fn generator(self, index: usize) -> impl Rng {
        let mut rng = generator(self.seed, Stream::Example { epoch: self.epoch });
        rng.set_word_pos(index as u128 * WORDS_PER_EXAMPLE);
        rng
    }
}

/// A data set, or a part of one.
pub trait Examples: Send + Sync {
    /// The name in messages.
    fn name(&self) -> &str;

    /// The columns of each example.
    fn form(&self) -> Form;

    /// Number of examples.
    fn len(&self) -> usize;

    /// Whether the data set has no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the example `index` to `into`: the words of each column, inputs first. All words are
    /// 0 before the call. [`bytes_of`] and [`floats_of`] view words as bytes and f32.
    ///
    /// `draw` is given in training: the example may be augmented with its random numbers.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`], if the example is read from a file.
    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()>;

    /// Writes only the targets, without augmentation.
    ///
    /// # Errors
    /// Those of [`Examples::read`].
    fn targets(&self, index: usize, into: &mut [&mut [u32]]) -> Result<()> {
        let form = self.form();
        let mut inputs: Vec<Vec<u32>> = form.inputs.iter().map(|column| vec![0; column.words()]).collect();
        let mut places: Vec<&mut [u32]> = inputs.iter_mut().map(Vec::as_mut_slice).collect();
        places.extend(into.iter_mut().map(|place| &mut **place));
        self.read(index, None, &mut places)
    }

    /// Whether examples are read on all cores. This pays for decoding, but not for copying.
    fn reads_slowly(&self, _draw: Option<Draw>) -> bool {
        false
    }

    /// Passes all data that identify the examples to `add`. A checkpoint can only be resumed with
    /// the same examples.
    fn fingerprint(&self, add: &mut dyn FnMut(&[u8]));

    /// Files that a model of these data needs, or that describe them: name and content. A run
    /// writes them next to its weights.
    fn companions(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![]
    }

    /// Number of training examples, the last ones, that are the published ones for validation.
    /// Otherwise they are chosen by the seed.
    fn held_out(&self) -> usize {
        0
    }

    /// The same examples, of which only `indices` are mixed with others in training, so that no
    /// validation example gets into a mosaic. `None` if examples are not mixed.
    fn mixed_among(&self, _indices: &[u32]) -> Option<Arc<dyn Examples>> {
        None
    }

    /// The file of an example, relative to the directory of the set; `None` if it is not a file.
    fn file_of(&self, _index: usize) -> Option<String> {
        None
    }

    /// A short description of an example for a person: by default the name of its file.
    fn caption(&self, index: usize) -> Option<String> {
        self.file_of(index)
    }

    /// Reads files that do not belong to the set in the same way as its own. The examples have no
    /// targets.
    ///
    /// # Errors
    /// Those of [`Examples::read`]; [`Error::Setting`] if the set does not read single files.
    fn of_files(&self, _files: &[PathBuf]) -> Result<Arc<dyn Examples>> {
        Err(Error::setting("files", format!("the data set {} does not read single files", self.name())))
    }
}

/// The words of a [`super::Element::U8`] column as bytes.
pub fn bytes_of(words: &mut [u32]) -> &mut [u8] {
    bytemuck::cast_slice_mut(words)
}

/// The words of a [`super::Element::F32`] column as f32.
pub fn floats_of(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}

/// A data set with its published training and test parts. Clones share the examples.
#[derive(Clone)]
pub struct Splits {
    /// For training and validation.
    pub train: Arc<dyn Examples>,
    /// For the test, once at the end of a run.
    pub test: Arc<dyn Examples>,
}

impl std::fmt::Debug for Splits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Splits({}, {} + {} examples)", self.train.name(), self.train.len(), self.test.len())
    }
}

impl Splits {
    /// CRC-32 of the data of [`Examples::fingerprint`] of both parts.
    pub fn fingerprint(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for part in [&self.train, &self.test] {
            part.fingerprint(&mut |bytes| hasher.update(bytes));
        }
        hasher.finalize()
    }
}
