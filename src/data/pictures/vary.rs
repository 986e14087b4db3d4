//! Augmentation on the host: random resized crop, colour jitter and cutout. Each is a pure function
//! of (seed, epoch, image). Flips and shifts are done on the device.

use super::image_file::{planes, read_image, resized};
use super::{Augmentation, Images, Pictures};
use crate::data::Draw;
use crate::data::random::{Stream, generator};
use crate::error::Result;
use image::{Rgb, RgbImage, imageops};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Words of the random stream that are reserved for one image.
const WORDS_PER_IMAGE: u128 = 128;

// The first word of each kind of augmentation. None uses the words of the next.
const CROP: u128 = 0;
const JITTER: u128 = 96;
const CUTOUT: u128 = 112;

/// A rectangle in an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Distance from the left.
    pub x: u32,
    /// Distance from the top.
    pub y: u32,
    /// At least 1.
    pub width: u32,
    /// At least 1.
    pub height: u32,
}

/// Colour jitter of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// Factors of brightness, contrast and saturation; 1 changes nothing.
    pub factors: [f32; 3],
    /// The order in which they are applied, as indices into `factors`.
    pub order: [usize; 3],
}

/// The augmentation on the host in an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variation {
    augmentation: Augmentation,
    draw: Draw,
}

impl Augmentation {
    /// The augmentation on the host in an epoch; `None` if the host changes nothing.
    pub fn variation(self, draw: Draw) -> Option<Variation> {
        let changes = self.random_resized_crop.is_some() || self.jitter != [0.0; 3] || self.cutout > 0;
        changes.then_some(Variation { augmentation: self, draw })
    }
}

impl Variation {
    fn generator(&self, image: u32, change: u128) -> ChaCha8Rng {
        let mut rng = generator(self.draw.seed, Stream::Variation { epoch: self.draw.epoch });
        rng.set_word_pos(u128::from(image) * WORDS_PER_IMAGE + change);
        rng
    }

    /// The random resized crop of an image of this size, as torchvision's `RandomResizedCrop` draws
    /// it.
    ///
    /// The area is between the least fraction and the whole image, the aspect ratio between 3:4 and
    /// 4:3. If ten draws do not fit, it is the largest centred crop with an aspect ratio in this
    /// range.
    pub fn crop(&self, image: u32, width: u32, height: u32) -> Option<Crop> {
        let least = self.augmentation.random_resized_crop?;
        let mut rng = self.generator(image, CROP);
        let (w, h) = (f64::from(width), f64::from(height));
        let ratios = (3.0 / 4.0, 4.0 / 3.0);
        for _ in 0..10 {
            let area = w * h * rng.random_range(least..=1.0);
            let ratio = libm::exp(rng.random_range(libm::log(ratios.0)..=libm::log(ratios.1)));
            let [part_w, part_h] = [(area * ratio).sqrt(), (area / ratio).sqrt()].map(|side| side.round() as u32);
            if (1..=width).contains(&part_w) && (1..=height).contains(&part_h) {
                let (x, y) = (rng.random_range(0..=width - part_w), rng.random_range(0..=height - part_h));
                return Some(Crop { x, y, width: part_w, height: part_h });
            }
        }
        let part_w = if w / h > ratios.1 { (h * ratios.1).round() } else { w };
        let part_h = if w / h < ratios.0 { (w / ratios.0).round() } else { h };
        let (part_w, part_h) = ((part_w as u32).clamp(1, width), (part_h as u32).clamp(1, height));
        Some(Crop { x: (width - part_w) / 2, y: (height - part_h) / 2, width: part_w, height: part_h })
    }

    /// The colour jitter of an image. Factors are within the distance [`Augmentation::jitter`] of
    /// 1, and at least 0.
    pub fn jitter(&self, image: u32) -> Option<Jitter> {
        let strengths = self.augmentation.jitter;
        if strengths == [0.0; 3] {
            return None;
        }
        let mut rng = self.generator(image, JITTER);
        let factors = strengths.map(|strength| rng.random_range((1.0 - strength).max(0.0)..=1.0 + strength));
        let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        Some(Jitter { factors, order: orders[rng.random_range(0..orders.len())] })
    }

    /// The cutout of an image of this size: a square with a random centre, clipped to the image.
    pub fn cutout(&self, image: u32, width: u32, height: u32) -> Option<Crop> {
        let side = u32::from(self.augmentation.cutout);
        if side == 0 {
            return None;
        }
        let mut rng = self.generator(image, CUTOUT);
        let within = |centre: u32, most: u32| {
            let (start, end) = (centre.saturating_sub(side / 2), (centre + side - side / 2).min(most));
            (start, end - start)
        };
        let (x, width) = within(rng.random_range(0..width), width);
        let (y, height) = within(rng.random_range(0..height), height);
        Some(Crop { x, y, width, height })
    }

    /// Reads the augmented image `index` into `place`.
    pub(super) fn read(&self, data: &Pictures, index: u32, place: &mut [u8]) -> Result<()> {
        let [c, h, w] = data.image;
        let (width, height) = (w as u32, h as u32);
        if self.augmentation.random_resized_crop.is_some() {
            let whole = match &data.images {
                Images::Files(files) => read_image(&files.path(index as usize))?,
                _ => {
                    data.images.read(index as usize, place)?;
                    interleaved(place, data.image)
                }
            };
            let crop = self.crop(index, whole.width(), whole.height()).expect("random_resized_crop is set");
            let part = imageops::crop_imm(&whole, crop.x, crop.y, crop.width, crop.height).to_image();
            place.copy_from_slice(&planes(&resized(&part, width, height), c));
        } else {
            data.images.read(index as usize, place)?;
        }
        if let Some(jitter) = self.jitter(index) {
            jitter.apply(place, c);
        }
        if let Some(hole) = self.cutout(index, width, height) {
            for (plane, mean) in place.chunks_exact_mut(h * w).zip(&data.mean) {
                let fill = (255.0 * mean).round() as u8;
                for row in plane.chunks_exact_mut(w).skip(hole.y as usize).take(hole.height as usize) {
                    row[hole.x as usize..(hole.x + hole.width) as usize].fill(fill);
                }
            }
        }
        Ok(())
    }
}

/// Planes as RGB pixels. Grey is repeated for the three channels.
fn interleaved(planes: &[u8], [c, h, w]: [usize; 3]) -> RgbImage {
    RgbImage::from_fn(w as u32, h as u32, |x, y| {
        let at = y as usize * w + x as usize;
        Rgb([0, 1, 2].map(|channel: usize| planes[channel.min(c - 1) * h * w + at]))
    })
}

/// Grey of a pixel by ITU-R 601, as Pillow's mode L.
fn grey([r, g, b]: [u8; 3]) -> f32 {
    (0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)).round()
}

impl Jitter {
    /// Applies the factors to the planes of an image, as torchvision's `ColorJitter` does:
    /// brightness blends with black, contrast with the mean grey, saturation with the grey of each
    /// pixel. The result of each factor is rounded to bytes.
    pub fn apply(&self, image: &mut [u8], channels: usize) {
        let pixels = image.len() / channels;
        let blend = |byte: u8, with: f32, factor: f32| (with + (f32::from(byte) - with) * factor).round() as u8;
        let pixel = |image: &[u8], i: usize| [0, 1, 2].map(|c: usize| image[c.min(channels - 1) * pixels + i]);
        for change in self.order {
            let factor = self.factors[change];
            match change {
                0 => image.iter_mut().for_each(|byte| *byte = blend(*byte, 0.0, factor)),
                1 => {
                    let sum: f64 = (0..pixels).map(|i| f64::from(grey(pixel(image, i)))).sum();
                    let mean = (sum / pixels as f64).round() as f32;
                    image.iter_mut().for_each(|byte| *byte = blend(*byte, mean, factor));
                }
                _ => {
                    for i in 0..pixels {
                        let own = grey(pixel(image, i));
                        (0..channels).for_each(|c| image[c * pixels + i] = blend(image[c * pixels + i], own, factor));
                    }
                }
            }
        }
    }
}
