//! The options of sounds: how clips become spectrograms, how a set is divided, and augmentation.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The scale of mel bands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum MelScale {
    /// Slaney's: linear below 1 kHz, then logarithmic; librosa's default.
    #[default]
    Slaney,
    /// 2595 log10(1 + f / 700), as in HTK.
    Htk,
}

/// What the parts of `crema-d` do not share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// Speakers: all clips of an actor are in one part.
    #[default]
    Speaker,
    /// Clips, at random: the actors are in all parts.
    Clip,
}

/// Random changes of training clips. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoundAugmentation {
    /// Add noise: its standard deviation is at most this fraction of the clip's root mean square.
    pub noise: f32,
    /// Shift in time by up to this fraction of the duration each way. The gap is silent.
    pub time_shift: f32,
    /// Play up to this many percent faster or slower, which changes the pitch as well.
    pub speed: u8,
    /// SpecAugment: two masks of up to this many mel bands.
    pub mask_bands: u16,
    /// SpecAugment: two masks of up to this many frames.
    pub mask_frames: u16,
}

/// How clips are read. An option that is `None` has the default of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoundOptions {
    /// Hz that clips are resampled to.
    pub sample_rate: Option<u32>,
    /// Seconds that clips are cut or padded to.
    pub duration: Option<f64>,
    /// Samples of the Fourier transform of a frame.
    pub n_fft: Option<usize>,
    /// Samples of the Hamming window.
    pub window_length: Option<usize>,
    /// Samples from one frame to the next.
    pub hop: Option<usize>,
    /// Number of mel bands.
    pub mel_bands: Option<usize>,
    /// The scale of mel bands.
    pub mel_scale: Option<MelScale>,
    /// Whether the first frame is centred at the first sample.
    pub centred: Option<bool>,
    /// `esc50`: the fold for the test, from 1.
    pub fold: Option<u32>,
    /// `crema-d`: what the parts do not share.
    pub split_by: Option<SplitBy>,
    /// Augmentation of training clips.
    pub augmentation: SoundAugmentation,
}

/// The spectrogram that a model reads: stored with its weights, so that it reads others in the same
/// way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SoundInput {
    /// Hz.
    pub sample_rate: u32,
    /// Seconds.
    pub duration: f64,
    /// Samples of the Fourier transform of a frame.
    pub n_fft: usize,
    /// Samples of the Hamming window, which is in the middle of the frame.
    pub window_length: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// Number of mel bands.
    pub mel_bands: usize,
    /// The scale of mel bands.
    pub mel_scale: MelScale,
    /// Whether the first frame is centred at the first sample, with silence before it.
    pub centred: bool,
}

/// The largest spectrogram, in values.
const MOST_VALUES: usize = 1 << 24;

/// Sample rates that are read and resampled to, Hz.
pub(super) const RATES: std::ops::RangeInclusive<u32> = 1000..=384_000;

impl SoundOptions {
    /// The spectrogram of the set `name` under these options. Rate and duration are those of
    /// ESC-50's files, and of CREMA-D's as the LeRaC paper cuts them; the paper's hop is 128 for
    /// the former and 64 for the latter.
    pub fn input(&self, name: &str) -> SoundInput {
        let (rate, duration, hop) = match name {
            "esc50" => (44_100, 5.0, 128),
            "crema-d" => (16_000, 4.0, 64),
            _ => (16_000, 4.0, 128),
        };
        SoundInput {
            sample_rate: self.sample_rate.unwrap_or(rate),
            duration: self.duration.unwrap_or(duration),
            n_fft: self.n_fft.unwrap_or(1024),
            window_length: self.window_length.unwrap_or(512),
            hop: self.hop.unwrap_or(hop),
            mel_bands: self.mel_bands.unwrap_or(128),
            mel_scale: self.mel_scale.unwrap_or_default(),
            centred: self.centred.unwrap_or(true),
        }
    }

    /// The options that are given.
    pub(in crate::data) fn given(&self) -> impl Iterator<Item = &'static str> {
        let changes = self.augmentation;
        let given = [
            ("sample_rate", self.sample_rate.is_some()),
            ("duration", self.duration.is_some()),
            ("n_fft", self.n_fft.is_some()),
            ("window_length", self.window_length.is_some()),
            ("hop", self.hop.is_some()),
            ("mel_bands", self.mel_bands.is_some()),
            ("mel_scale", self.mel_scale.is_some()),
            ("centred", self.centred.is_some()),
            ("fold", self.fold.is_some()),
            ("split_by", self.split_by.is_some()),
            ("noise", changes.noise != 0.0),
            ("time_shift", changes.time_shift != 0.0),
            ("speed", changes.speed != 0),
            ("mask_bands", changes.mask_bands != 0),
            ("mask_frames", changes.mask_frames != 0),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(field, _)| field)
    }

    /// Checks every option that can be checked without files, for the set `name`.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, what was expected and what was found.
    pub fn check(&self, name: &str) -> Result<()> {
        let input = self.input(name);
        input.check().map_err(|(field, message)| Error::setting(field, message))?;
        let SoundAugmentation { noise, time_shift, speed, mask_bands, mask_frames } = self.augmentation;
        let require = |field, holds: bool, expected: &str, found: String| match holds {
            true => Ok(()),
            false => Err(Error::setting(field, format!("expected {expected}, found {found}"))),
        };
        require("noise", (0.0..=1.0).contains(&noise), "0 to 1", noise.to_string())?;
        require("time_shift", (0.0..=1.0).contains(&time_shift), "0 to 1", time_shift.to_string())?;
        require("speed", speed <= 50, "at most 50 percent", speed.to_string())?;
        let (bands, frames) = (input.mel_bands, input.frames());
        let most = format!("at most the {bands} bands of a spectrogram");
        require("mask_bands", usize::from(mask_bands) <= bands, &most, mask_bands.to_string())?;
        let most = format!("at most the {frames} frames of a spectrogram");
        require("mask_frames", usize::from(mask_frames) <= frames, &most, mask_frames.to_string())
    }
}

impl SoundInput {
    /// Samples of a clip.
    pub fn samples(&self) -> usize {
        (self.duration * f64::from(self.sample_rate)).round() as usize
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        match self.centred {
            true => 1 + self.samples() / self.hop,
            false => 1 + self.samples().saturating_sub(self.n_fft) / self.hop,
        }
    }

    /// C, H, W of the spectrogram: 1, mel bands, frames.
    pub fn image(&self) -> [usize; 3] {
        [1, self.mel_bands, self.frames()]
    }

    /// Checks all values.
    ///
    /// # Errors
    /// The field at fault, and what was expected.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let require = |field, holds: bool, expected: String, found: String| match holds {
            true => Ok(()),
            false => Err((field, format!("expected {expected}, found {found}"))),
        };
        let (rate, seconds, n_fft) = (self.sample_rate, self.duration, self.n_fft);
        require(
            "sample_rate",
            RATES.contains(&rate),
            format!("{} to {} Hz", RATES.start(), RATES.end()),
            rate.to_string(),
        )?;
        let fits = (0.01..=600.0).contains(&seconds);
        require("duration", fits, "0.01 to 600 seconds".into(), seconds.to_string())?;
        require("n_fft", (16..=1 << 16).contains(&n_fft), "16 to 65536 samples".into(), n_fft.to_string())?;
        let window = self.window_length;
        let expected = format!("2 to {n_fft} samples (`n_fft`)");
        require("window_length", (2..=n_fft).contains(&window), expected, window.to_string())?;
        require("hop", (1..=1 << 16).contains(&self.hop), "1 to 65536 samples".into(), self.hop.to_string())?;
        let bands = self.mel_bands;
        require("mel_bands", (1..=1024).contains(&bands), "1 to 1024".into(), bands.to_string())?;
        let expected = format!("at least one frame of {n_fft} samples (`n_fft`) where frames are not centred");
        let long_enough = self.centred || self.samples() >= n_fft;
        require("duration", long_enough, expected, format!("{} samples", self.samples()))?;
        let values = bands.saturating_mul(self.frames());
        let expected = format!("at most {MOST_VALUES} values in a spectrogram; a larger one makes fewer frames");
        require("hop", values <= MOST_VALUES, expected, format!("{bands} bands x {} frames", self.frames()))
    }
}
