//! Spectrograms after the LeRaC paper: short-time Fourier transform, square root of the magnitude,
//! mel bands, logarithm, scaled to `[0, 1]`.

use super::decode::{Sound, read_sound};
use super::options::{MelScale, SoundInput};
use crate::data::layout::Decoder;
use crate::error::{Error, Result};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use rubato::audioadapter_buffers::owned::InterleavedOwned;
use rubato::{Fft, FixedSync, Resampler};
use std::f64::consts::PI;
use std::path::Path;
use std::sync::Arc;

/// Powers of ten between the values that become 0 and 1. Values are square roots of magnitudes, so
/// these are 80 dB of power.
const DECADES: f32 = 2.0;

/// Input samples that the resampler processes at once.
const CHUNK: usize = 1024;

/// A mel band: its weights, and the first frequency that has one.
#[derive(Debug)]
struct Band {
    first: usize,
    weights: Vec<f32>,
}

/// The parts of the computation that are the same for all clips.
struct Tables {
    fft: Arc<dyn RealToComplex<f32>>,
    /// The window in the middle of a frame.
    window: Vec<f32>,
    bands: Vec<Band>,
}

/// Computes the spectrograms of clips. Clones share its tables.
#[derive(Clone)]
pub struct Spectrogram {
    input: SoundInput,
    tables: Arc<Tables>,
}

impl std::fmt::Debug for Spectrogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.input.fmt(f)
    }
}

impl PartialEq for Spectrogram {
    fn eq(&self, other: &Self) -> bool {
        self.input == other.input
    }
}

/// Samples of the Hamming window of `length` samples, which is periodic, in the middle of `n_fft`.
fn hamming(length: usize, n_fft: usize) -> Vec<f32> {
    let mut window = vec![0.0; n_fft];
    let value = |i: usize| 0.54 - 0.46 * libm::cos(2.0 * PI * i as f64 / length as f64);
    let middle = &mut window[(n_fft - length) / 2..][..length];
    middle.iter_mut().enumerate().for_each(|(i, place)| *place = value(i) as f32);
    window
}

impl MelScale {
    /// The frequency of a place on the scale, Hz.
    fn frequency(self, mel: f64) -> f64 {
        match self {
            Self::Htk => 700.0 * (libm::pow(10.0, mel / 2595.0) - 1.0),
            Self::Slaney if mel < 15.0 => mel * 200.0 / 3.0,
            Self::Slaney => 1000.0 * libm::exp((mel - 15.0) * libm::log(6.4) / 27.0),
        }
    }

    /// The place of a frequency on the scale.
    fn mel(self, frequency: f64) -> f64 {
        match self {
            Self::Htk => 2595.0 * libm::log10(1.0 + frequency / 700.0),
            Self::Slaney if frequency < 1000.0 => frequency * 3.0 / 200.0,
            Self::Slaney => 15.0 + 27.0 * libm::log(frequency / 1000.0) / libm::log(6.4),
        }
    }
}

/// Triangles between 0 and half the sample rate, at equal distances on the scale, each of area 1 in
/// Hz, as in librosa.
fn mel_bands(input: &SoundInput) -> Vec<Band> {
    let (rate, scale) = (f64::from(input.sample_rate), input.mel_scale);
    let top = scale.mel(rate / 2.0);
    let edge = |i: usize| scale.frequency(top * i as f64 / (input.mel_bands + 1) as f64);
    let band = |i: usize| {
        let [low, centre, high] = [edge(i), edge(i + 1), edge(i + 2)];
        let weight = |k: usize| {
            let frequency = k as f64 * rate / input.n_fft as f64;
            let triangle = ((frequency - low) / (centre - low)).min((high - frequency) / (high - centre)).max(0.0);
            (2.0 / (high - low) * triangle) as f32
        };
        let all: Vec<f32> = (0..=input.n_fft / 2).map(weight).collect();
        let first = all.iter().position(|weight| *weight > 0.0).unwrap_or(0);
        let end = all.iter().rposition(|weight| *weight > 0.0).map_or(first, |last| last + 1);
        Band { first, weights: all[first..end].to_vec() }
    };
    (0..input.mel_bands).map(band).collect()
}

impl Spectrogram {
    /// The spectrogram with these options.
    ///
    /// # Errors
    /// [`Error::Setting`] for an option that is out of range.
    pub fn new(input: SoundInput) -> Result<Self> {
        input.check().map_err(|(field, message)| Error::setting(field, message))?;
        let fft = RealFftPlanner::new().plan_fft_forward(input.n_fft);
        let window = hamming(input.window_length, input.n_fft);
        let tables = Tables { fft, window, bands: mel_bands(&input) };
        Ok(Self { input, tables: tables.into() })
    }

    /// Its options.
    pub fn input(&self) -> &SoundInput {
        &self.input
    }

    /// The first `seconds` of the file at `path`, resampled to the sample rate.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`].
    pub fn read(&self, path: &Path, seconds: f64) -> Result<Vec<f32>> {
        let Sound { samples, rate } = read_sound(path, seconds)?;
        Ok(resampled(samples, rate, self.input.sample_rate))
    }

    /// The spectrogram of samples at the sample rate, `[mel bands, frames]`: the loudest value of
    /// the clip is 1, and those 80 dB below it or more are 0. A silent clip is 0. Samples are cut
    /// or padded with silence to the duration.
    pub fn of(&self, samples: &[f32]) -> Vec<f32> {
        let SoundInput { n_fft, hop, centred, .. } = self.input;
        let Tables { fft, window, bands } = &*self.tables;
        let frames = self.input.frames();
        let samples = &samples[..samples.len().min(self.input.samples())];
        let mut frame = fft.make_input_vec();
        let mut spectrum = fft.make_output_vec();
        let mut scratch = fft.make_scratch_vec();
        let mut values = vec![0.0; bands.len() * frames];
        let before = if centred { n_fft / 2 } else { 0 };
        for t in 0..frames {
            for (i, (place, weight)) in frame.iter_mut().zip(window).enumerate() {
                let sample = (t * hop + i).checked_sub(before).and_then(|i| samples.get(i));
                *place = sample.map_or(0.0, |sample| sample * weight);
            }
            let lengths = "all buffers have the lengths that the transform asks for";
            fft.process_with_scratch(&mut frame, &mut spectrum, &mut scratch).expect(lengths);
            let roots: Vec<f32> = spectrum.iter().map(|Complex { re, im }| (re * re + im * im).sqrt().sqrt()).collect();
            for (band, row) in bands.iter().zip(values.chunks_exact_mut(frames)) {
                row[t] = band.weights.iter().zip(&roots[band.first..]).map(|(weight, root)| weight * root).sum();
            }
        }
        scale(&mut values);
        values
    }

    /// [`Spectrogram::of`] in bytes, 255 for 1.
    pub fn bytes_of(&self, samples: &[f32], place: &mut [u8]) {
        place.iter_mut().zip(self.of(samples)).for_each(|(byte, value)| *byte = (255.0 * value).round() as u8);
    }
}

/// Takes the logarithm, and scales it: the largest value becomes 1, those [`DECADES`] below it or
/// more become 0.
fn scale(values: &mut [f32]) {
    let most = values.iter().copied().fold(0.0, f32::max);
    for value in values {
        let scaled = if *value > 0.0 { 1.0 + libm::log10f(*value / most) / DECADES } else { 0.0 };
        *value = scaled.clamp(0.0, 1.0);
    }
}

/// Samples at the rate `to` instead of `from`, up to the frequencies that both have.
pub(super) fn resampled(samples: Vec<f32>, from: u32, to: u32) -> Vec<f32> {
    if from == to || samples.is_empty() {
        return samples;
    }
    let count = samples.len();
    let valid = "rates are positive, and there is one channel";
    let samples = InterleavedOwned::new_from(samples, 1, count).expect(valid);
    let mut resampler = Fft::<f32>::new(from as usize, to as usize, CHUNK, 1, FixedSync::Both).expect(valid);
    resampler.process_all(&samples, count, None).expect(valid).take_data()
}

impl Decoder for Spectrogram {
    const CACHE: &'static [u8; 16] = b"lerac sounds 1\r\n";
    const CACHE_OF_ANY_VERSION: &'static [u8] = b"lerac sounds ";
    const SORTED: bool = true;
    const ONE: &'static str = "spectrogram";
    const OTHER_CACHE: &'static str = "was created from other files, or with other spectrograms";

    fn bytes(&self) -> usize {
        self.input.image().iter().product()
    }

    fn decode(&self, path: &Path, place: &mut [u8]) -> Result<()> {
        self.bytes_of(&self.read(path, self.input.duration)?, place);
        Ok(())
    }

    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        let SoundInput { sample_rate, duration, n_fft, window_length, hop, mel_bands, mel_scale, centred } = self.input;
        add(&duration.to_le_bytes());
        let numbers =
            [sample_rate as usize, n_fft, window_length, hop, mel_bands, mel_scale as usize, centred as usize];
        numbers.into_iter().for_each(|number| add(&(number as u64).to_le_bytes()));
    }
}
