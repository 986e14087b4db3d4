//! Settings of the augmentation of training images, and the flip and shift, which the device
//! applies.

use crate::data::Draw;
use crate::data::random::{Stream, generator};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Random changes of training images. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// Flip half of the images left to right.
    pub flip: bool,
    /// Shift by up to this many pixels in each direction, at most 127. Pixels from outside are
    /// black.
    pub shift: u8,
    /// Crop a random part with at least this fraction of the area, and resize it to the image size.
    pub random_resized_crop: Option<f64>,
    /// Multiply brightness, contrast and saturation by random factors. Each value is the largest
    /// distance of a factor from 1.
    pub jitter: [f32; 3],
    /// Replace a square with this side, in pixels, by the mean colour, which is normalised to 0.
    pub cutout: u16,
}

impl Augmentation {
    /// The movement without a flip and a shift.
    pub const IDENTITY: u32 = 128 << 8 | 128 << 16;

    /// Words of the random stream that are reserved for one image: a ChaCha block. A movement uses
    /// three words or a few more.
    const WORDS_PER_IMAGE: u128 = 16;

    /// The movement of the image `index`, which the device applies. Bit 0 is the flip, bits 8..16
    /// are dx + 128, bits 16..24 are dy + 128.
    pub fn movement(self, draw: Draw, index: usize) -> u32 {
        if !self.flip && self.shift == 0 {
            return Self::IDENTITY;
        }
        let mut rng = generator(draw.seed, Stream::Augmentation { epoch: draw.epoch });
        rng.set_word_pos(index as u128 * Self::WORDS_PER_IMAGE);
        self.draw_movement(&mut rng)
    }

    fn draw_movement(self, rng: &mut ChaCha8Rng) -> u32 {
        let shift = i32::from(self.shift.min(127));
        let flip = u32::from(self.flip && rng.random::<bool>());
        let mut offset = || (rng.random_range(-shift..=shift) + 128) as u32;
        flip | offset() << 8 | offset() << 16
    }
}
