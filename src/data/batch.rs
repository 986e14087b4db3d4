//! Batches as pure functions of (seed, epoch).

use super::random::{Stream, generator};
use super::{Draw, Element, Examples, Form};
use crate::cores::in_parallel;
use crate::error::Result;
use rand::seq::SliceRandom;

/// Columns of a data set, at most.
pub const MOST_COLUMNS: usize = 16;

/// The order in which an epoch visits `indices`.
pub fn epoch_order(indices: &[u32], seed: u64, epoch: u64) -> Vec<u32> {
    let mut order = indices.to_vec();
    order.shuffle(&mut generator(seed, Stream::Order { epoch }));
    order
}

/// A batch as it is sent to the device: an array of u32 words for each column.
///
/// It has places for `capacity` examples. The examples are in the first `count` places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The columns of inputs, then of targets. A column has the words of all places, one after the
    /// other. Words of places without an example are 0.
    pub columns: Vec<Vec<u32>>,
    /// Number of examples.
    pub count: usize,
    /// Number of places.
    pub capacity: usize,
}

impl Batch {
    /// A batch of the examples `indices` with `capacity` places. `draw` is given in training.
    ///
    /// # Errors
    /// Those of [`Examples::read`].
    ///
    /// # Panics
    /// If there are more examples than places.
    pub fn gather(data: &dyn Examples, indices: &[u32], capacity: usize, draw: Option<Draw>) -> Result<Self> {
        let mut batch = Self::default();
        batch.fill(data, &data.form(), indices, capacity, draw).map(|()| batch)
    }

    /// Replaces the content of the batch, and reuses its memory. `form` is the form of the data.
    ///
    /// # Errors
    /// Those of [`Examples::read`]. The content of the batch is then undefined.
    ///
    /// # Panics
    /// If there are more examples than places, or more than [`MOST_COLUMNS`] columns.
    pub fn fill(
        &mut self,
        data: &dyn Examples,
        form: &Form,
        indices: &[u32],
        capacity: usize,
        draw: Option<Draw>,
    ) -> Result<()> {
        assert!(indices.len() <= capacity, "{} examples do not fit a batch of {capacity}", indices.len());
        let count = form.columns().count();
        assert!(count <= MOST_COLUMNS, "{}: {count} columns, {MOST_COLUMNS} at most", data.name());
        self.columns.resize(count, vec![]);
        for (words, column) in self.columns.iter_mut().zip(form.columns()) {
            words.clear();
            words.resize(capacity * column.words(), 0);
        }
        let words: [usize; MOST_COLUMNS] = std::array::from_fn(|i| form.columns().nth(i).map_or(0, |c| c.words()));
        let mut rest: [&mut [u32]; MOST_COLUMNS] = Default::default();
        rest.iter_mut().zip(&mut self.columns).for_each(|(rest, words)| *rest = words);
        let places = indices.iter().map(move |&index| {
            let place: [&mut [u32]; MOST_COLUMNS] = std::array::from_fn(|i| {
                let (first, others) = std::mem::take(&mut rest[i]).split_at_mut(words[i]);
                rest[i] = others;
                first
            });
            (index, place)
        });
        let read = |(index, mut place): (u32, [&mut [u32]; MOST_COLUMNS])| {
            data.read(index as usize, draw, &mut place[..count])
        };
        match data.reads_slowly(draw) {
            true => in_parallel(places, read)?,
            false => places.into_iter().try_for_each(read)?,
        }
        if cfg!(target_endian = "big") {
            self.swap_bytes(form);
        }
        (self.count, self.capacity) = (indices.len(), capacity);
        Ok(())
    }

    /// Swaps the bytes of words in u8 columns, since devices read the lowest byte first.
    fn swap_bytes(&mut self, form: &Form) {
        let bytes = self.columns.iter_mut().zip(form.columns()).filter(|(_, column)| column.element == Element::U8);
        bytes.for_each(|(words, _)| words.iter_mut().for_each(|word| *word = word.swap_bytes()));
    }

    /// The words of a column in `count` places, starting at place `first`.
    ///
    /// # Panics
    /// If there are no such places.
    pub fn places(&self, column: usize, first: usize, count: usize) -> &[u32] {
        let words = self.columns[column].len() / self.capacity;
        &self.columns[column][first * words..][..count * words]
    }

    /// The words of the example at `place` in the columns from `first` on.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn example_from(&self, first: usize, place: usize) -> Vec<&[u32]> {
        (first..self.columns.len()).map(|column| self.places(column, place, 1)).collect()
    }

    /// The batches of an epoch, in order. Examples that do not fill a last batch are dropped in
    /// this epoch, as with `drop_last` of PyTorch's `DataLoader`.
    pub fn of_epoch<'a>(
        data: &'a dyn Examples,
        indices: &[u32],
        size: usize,
        draw: Draw,
    ) -> impl Iterator<Item = Result<Self>> + use<'a> {
        let order = epoch_order(indices, draw.seed, draw.epoch);
        (0..order.len() / size).map(move |i| Self::gather(data, &order[i * size..(i + 1) * size], size, Some(draw)))
    }
}
