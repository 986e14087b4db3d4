//! How training images are varied, and the part of it that the device does.

use crate::data::Draw;
use crate::data::random::{Stream, generator};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

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
    /// The movement that changes nothing: no flip, shifts 128 - 128 = 0.
    pub const IDENTITY: u32 = 128 << 8 | 128 << 16;

    /// Words of the generator's stream that belong to one image: a ChaCha block, of which a movement takes three or a few more.
    const WORDS_PER_IMAGE: u128 = 16;

    /// How the device moves the image `index`: bit 0 flip, bits 8..16 dx + 128, bits 16..24 dy + 128.
    pub fn movement(self, draw: Draw, index: usize) -> u32 {
        if !self.flip && self.shift == 0 {
            return Self::IDENTITY;
        }
        let mut rng = generator(draw.seed, Stream::Augmentation { epoch: draw.epoch });
        rng.set_word_pos(index as u128 * Self::WORDS_PER_IMAGE);
        self.move_by(&mut rng)
    }

    fn move_by(self, rng: &mut ChaCha8Rng) -> u32 {
        let shift = i32::from(self.shift.min(127));
        let flip = u32::from(self.flip && rng.random::<bool>());
        let mut offset = || (rng.random_range(-shift..=shift) + 128) as u32;
        flip | offset() << 8 | offset() << 16
    }
}
