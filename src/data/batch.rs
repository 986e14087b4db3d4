//! Batches as pure functions of (seed, epoch).

use super::random::{Stream, generator};
use super::vary::Variation;
use super::{Dataset, Images};
use crate::cores::in_parallel;
use crate::error::Result;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};

/// The label of a place in a batch that no image fills.
pub const IGNORED_LABEL: u32 = u32::MAX;

/// The order in which an epoch visits `indices`.
pub fn epoch_order(indices: &[u32], seed: u64, epoch: u64) -> Vec<u32> {
    let mut order = indices.to_vec();
    order.shuffle(&mut generator(seed, Stream::Order { epoch }));
    order
}

/// Random changes of training images. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// Mirror half of the images left to right.
    pub flip: bool,
    /// Shift by up to this many pixels each way, black moving in; at most 127.
    pub shift: u8,
    /// Scale a random part of an image to the whole, of this part of its area at least.
    pub random_resized_crop: Option<f64>,
    /// Change brightness, contrast and saturation by factors up to so far from 1.
    pub jitter: [f32; 3],
    /// Cut out a square of so many pixels; it takes the colour that normalises to 0.
    pub cutout: u16,
}

impl Augmentation {
    /// The draw that changes nothing: no flip, shifts 128 - 128 = 0.
    pub const IDENTITY: u32 = 128 << 8 | 128 << 16;

    /// Words of the generator's stream that belong to one image: a ChaCha block, of which a draw takes three or a few more.
    const WORDS_PER_IMAGE: u128 = 16;

    /// The draws of an epoch, by the image's index in its data set, so neither order nor batch size changes them.
    pub fn draws(self, seed: u64, epoch: u64) -> impl FnMut(u32) -> u32 {
        let mut rng = generator(seed, Stream::Augmentation { epoch });
        move |image| {
            if !self.flip && self.shift == 0 {
                return Self::IDENTITY;
            }
            rng.set_word_pos(u128::from(image) * Self::WORDS_PER_IMAGE);
            self.draw(&mut rng)
        }
    }

    /// One draw, as the GPU reads it: bit 0 flip, bits 8..16 dx + 128, bits 16..24 dy + 128.
    fn draw(self, rng: &mut ChaCha8Rng) -> u32 {
        let shift = i32::from(self.shift.min(127));
        let flip = u32::from(self.flip && rng.random::<bool>());
        let mut offset = || (rng.random_range(-shift..=shift) + 128) as u32;
        flip | offset() << 8 | offset() << 16
    }
}

/// An image's own part in what mixup makes of it, of a step: Beta(alpha, alpha), the larger of the two parts, since in pairs of which each
/// image is the other's partner it does not matter which is whose.
///
/// # Panics
/// If alpha is not a positive number.
pub fn mixing_part(alpha: f64, seed: u64, step: u64) -> f64 {
    let beta = Beta::new(alpha, alpha).expect("alpha is a positive number");
    let part: f64 = beta.sample(&mut generator(seed, Stream::Mixture { step }));
    part.max(1.0 - part)
}

/// A batch as it is sent to the device: N labels, N draws, then the images' bytes, four to a word, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostBatch {
    /// All of it.
    pub words: Vec<u32>,
    /// Images in it; the other places are labelled [`IGNORED_LABEL`] and black.
    pub count: usize,
}

impl HostBatch {
    /// The batch of the images `indices`, in a batch of `capacity` places.
    ///
    /// # Errors
    /// Those of image files.
    ///
    /// # Panics
    /// If there are more images than places.
    pub fn gather(data: &Dataset, indices: &[u32], capacity: usize, mut draws: impl FnMut() -> u32) -> Result<Self> {
        let mut batch = Self::default();
        batch.fill(data, indices, capacity, |_| draws()).map(|()| batch)
    }

    /// The same in the words that the batch already has; `draw` is asked once for each image, by its index.
    ///
    /// # Errors
    /// Those of image files; the batch is then good for nothing but filling it again.
    ///
    /// # Panics
    /// If there are more images than places.
    pub fn fill(
        &mut self,
        data: &Dataset,
        indices: &[u32],
        capacity: usize,
        draw: impl FnMut(u32) -> u32,
    ) -> Result<()> {
        self.fill_varied(data, indices, capacity, draw, None)
    }

    /// The same with what the host changes in an epoch.
    pub(super) fn fill_varied(
        &mut self,
        data: &Dataset,
        indices: &[u32],
        capacity: usize,
        draw: impl FnMut(u32) -> u32,
        variation: Option<Variation>,
    ) -> Result<()> {
        assert!(indices.len() <= capacity, "{} images do not fit a batch of {capacity}", indices.len());
        let (words, bytes) = (&mut self.words, data.image_bytes());
        words.clear();
        words.extend(indices.iter().map(|&i| u32::from(data.labels[i as usize])));
        words.resize(capacity, IGNORED_LABEL);
        words.extend(indices.iter().copied().map(draw));
        words.resize(2 * capacity, Augmentation::IDENTITY);
        words.resize(2 * capacity + (capacity * bytes).div_ceil(4), 0);
        let pixels: &mut [u8] = bytemuck::cast_slice_mut(&mut words[2 * capacity..]);
        let mut places = pixels.chunks_exact_mut(bytes).zip(indices);
        match (variation, &data.images) {
            // What is decoded or changed is worth a thread; what is copied is not.
            (Some(variation), _) => in_parallel(places, |(place, &i)| variation.read(data, i, place))?,
            (None, Images::Files(_)) => in_parallel(places, |(place, &i)| data.images.read(i as usize, place))?,
            (None, _) => places.try_for_each(|(place, &i)| data.images.read(i as usize, place))?,
        }
        if cfg!(target_endian = "big") {
            words[2 * capacity..].iter_mut().for_each(|word| *word = word.swap_bytes());
        }
        self.count = indices.len();
        Ok(())
    }

    /// Part `index` of this batch of `capacity` places, cut in parts of `places` each, as a batch of its own.
    ///
    /// # Panics
    /// If there is no such part.
    pub fn part(&self, index: usize, places: usize, capacity: usize, image_bytes: usize) -> Self {
        let range = index * places..(index + 1) * places;
        let mut words = [&self.words[range.clone()], &self.words[capacity..][range.clone()]].concat();
        let bytes: &[u8] = &bytemuck::cast_slice(&self.words[2 * capacity..])[range.start * image_bytes..];
        words.resize(2 * places + (places * image_bytes).div_ceil(4), 0);
        let pixels: &mut [u8] = bytemuck::cast_slice_mut(&mut words[2 * places..]);
        pixels[..places * image_bytes].copy_from_slice(&bytes[..places * image_bytes]);
        Self { words, count: self.count.saturating_sub(range.start).min(places) }
    }

    /// The whole batches of an epoch, in order; what is left over at the end is not visited in this epoch.
    pub fn of_epoch<'a>(
        data: &'a Dataset,
        indices: &[u32],
        size: usize,
        augmentation: Augmentation,
        seed: u64,
        epoch: u64,
    ) -> impl Iterator<Item = Result<Self>> + use<'a> {
        let order = epoch_order(indices, seed, epoch);
        let (mut draw, variation) = (augmentation.draws(seed, epoch), augmentation.variation(seed, epoch));
        (0..order.len() / size).map(move |i| {
            let mut batch = Self::default();
            let chunk = &order[i * size..(i + 1) * size];
            batch.fill_varied(data, chunk, size, &mut draw, variation).map(|()| batch)
        })
    }
}
