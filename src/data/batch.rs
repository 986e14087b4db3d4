//! Batches as pure functions of (seed, epoch).

use super::Dataset;
use rand::seq::SliceRandom;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The label of a place in a batch that no image fills.
pub const IGNORED_LABEL: u32 = u32::MAX;

/// The order in which an epoch visits `indices`.
pub fn epoch_order(indices: &[u32], seed: u64, epoch: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(2 * epoch);
    let mut order = indices.to_vec();
    order.shuffle(&mut rng);
    order
}

/// Random changes of training images. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augmentation {
    /// Mirror half of the images left to right.
    pub flip: bool,
    /// Shift by up to this many pixels each way, black moving in; at most 127.
    pub shift: u8,
}

impl Augmentation {
    /// The draw that changes nothing: no flip, shifts 128 - 128 = 0.
    pub const IDENTITY: u32 = 128 << 8 | 128 << 16;

    /// The draw of the image at `place` of an epoch, as the GPU reads it: bit 0 flip, bits 8..16 dx + 128, bits 16..24 dy + 128.
    fn draw(self, rng: &mut ChaCha8Rng) -> u32 {
        if self == Self::default() {
            return Self::IDENTITY;
        }
        let shift = i32::from(self.shift.min(127));
        let flip = u32::from(self.flip && rng.random::<bool>());
        let mut offset = || (rng.random_range(-shift..=shift) + 128) as u32;
        flip | offset() << 8 | offset() << 16
    }
}

/// A batch as it is sent to the device: N labels, N draws, then the images' bytes, four to a word, the lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostBatch {
    /// All of it.
    pub words: Vec<u32>,
    /// Images in it; the other places are labelled [`IGNORED_LABEL`] and black.
    pub count: usize,
}

impl HostBatch {
    /// The batch of the images `indices`, in a batch of `capacity` places.
    pub fn gather(data: &Dataset, indices: &[u32], capacity: usize, draws: impl FnMut() -> u32) -> Self {
        let bytes = data.image_bytes();
        let mut words = vec![IGNORED_LABEL; capacity];
        words.resize(2 * capacity, Augmentation::IDENTITY);
        words.resize(2 * capacity + (capacity * bytes).div_ceil(4), 0);
        let (labels, rest) = words.split_at_mut(capacity);
        let (places, pixels) = rest.split_at_mut(capacity);
        labels.iter_mut().zip(indices).for_each(|(label, &i)| *label = u32::from(data.labels[i as usize]));
        places[..indices.len()].fill_with(draws);
        let pixels: &mut [u8] = bytemuck::cast_slice_mut(pixels);
        for (place, &i) in pixels.chunks_exact_mut(bytes).zip(indices) {
            place.copy_from_slice(data.bytes_of(i as usize));
        }
        if cfg!(target_endian = "big") {
            words[2 * capacity..].iter_mut().for_each(|word| *word = word.swap_bytes());
        }
        Self { words, count: indices.len() }
    }

    /// The whole batches of an epoch, in order; what is left over at the end is not visited in this epoch.
    pub fn of_epoch<'a>(
        data: &'a Dataset,
        indices: &[u32],
        size: usize,
        augmentation: Augmentation,
        seed: u64,
        epoch: u64,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let order = epoch_order(indices, seed, epoch);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(2 * epoch + 1);
        (0..order.len() / size).map(move |i| {
            Self::gather(data, &order[i * size..(i + 1) * size], size, || augmentation.draw(&mut rng))
        })
    }
}
