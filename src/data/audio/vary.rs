//! Augmentation of clips: speed, time shift and noise in the samples, SpecAugment's masks in the
//! spectrogram. Each is a pure function of (seed, epoch, clip).

use super::SoundAugmentation;
use super::spectrogram::resampled;
use crate::data::Draw;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal};

/// Masks of each kind, as in SpecAugment's policies for LibriSpeech.
const MASKS: usize = 2;

/// The changes of one clip in one epoch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Changes {
    /// Percent of the original speed.
    speed: u32,
    /// Fraction of the duration.
    shift: f32,
    /// Standard deviation, as a fraction of the clip's root mean square.
    noise: f32,
    noise_seed: u64,
    /// Width and place of each mask, both as fractions of what is possible.
    bands: [[f32; 2]; MASKS],
    frames: [[f32; 2]; MASKS],
}

impl SoundAugmentation {
    /// Whether the samples of a clip change, so that a stored spectrogram cannot be used.
    pub(super) fn changes_samples(&self) -> bool {
        self.noise > 0.0 || self.time_shift > 0.0 || self.speed > 0
    }

    /// Seconds of a file that are needed for a clip of `duration` seconds at any speed.
    pub(super) fn seconds(&self, duration: f64) -> f64 {
        duration * (1.0 + f64::from(self.speed) / 100.0)
    }

    /// The changes of the clip `index`. Each draw is made whether it is used or not, so that an
    /// option does not influence the others.
    pub(super) fn changes(&self, draw: Draw, index: usize) -> Changes {
        let mut rng = draw.generator(index);
        let speed = u32::from(self.speed);
        Changes {
            speed: rng.random_range(100 - speed..=100 + speed),
            shift: rng.random_range(-1.0..=1.0f32) * self.time_shift,
            noise: rng.random_range(0.0..=1.0f32) * self.noise,
            noise_seed: rng.random(),
            bands: std::array::from_fn(|_| [rng.random(), rng.random()]),
            frames: std::array::from_fn(|_| [rng.random(), rng.random()]),
        }
    }

    /// Masks some bands and frames of a spectrogram with its mean.
    pub(super) fn mask(&self, changes: &Changes, place: &mut [u8], frames: usize) {
        let bands = place.len() / frames;
        let sum: u64 = place.iter().map(|byte| u64::from(*byte)).sum();
        let mean = (sum / place.len() as u64) as u8;
        for (start, end) in changes.bands.map(|of| span(of, self.mask_bands, bands)) {
            place[start * frames..end * frames].fill(mean);
        }
        for (start, end) in changes.frames.map(|of| span(of, self.mask_frames, frames)) {
            place.chunks_exact_mut(frames).for_each(|row| row[start..end].fill(mean));
        }
    }
}

/// A mask of at most `widest` of `all` rows, from its fractions.
fn span([width, start]: [f32; 2], widest: u16, all: usize) -> (usize, usize) {
    let scaled = |fraction: f32, most: usize| ((fraction * (most + 1) as f32) as usize).min(most);
    let width = scaled(width, usize::from(widest));
    let start = scaled(start, all - width);
    (start, start + width)
}

impl Changes {
    /// The samples of a clip, changed and cut or padded to `count`.
    pub(super) fn apply(&self, samples: Vec<f32>, count: usize) -> Vec<f32> {
        let mut samples = resampled(samples, self.speed, 100);
        samples.resize(count, 0.0);
        let shift = (self.shift * count as f32) as isize;
        let gap = shift.unsigned_abs();
        match shift >= 0 {
            true => {
                samples.rotate_right(gap);
                samples[..gap].fill(0.0);
            }
            false => {
                samples.rotate_left(gap);
                samples[count - gap..].fill(0.0);
            }
        }
        if self.noise > 0.0 {
            self.add_noise(&mut samples);
        }
        samples
    }

    /// Adds noise with a normal distribution.
    fn add_noise(&self, samples: &mut [f32]) {
        let power: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        let deviation = self.noise * (power / samples.len() as f64).sqrt() as f32;
        let mut rng = ChaCha8Rng::seed_from_u64(self.noise_seed);
        for sample in samples {
            let noise: f32 = StandardNormal.sample(&mut rng);
            *sample += deviation * noise;
        }
    }
}
