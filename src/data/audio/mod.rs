//! Sounds: clips with a class, which models read as spectrograms.

#[cfg(feature = "audio")]
mod decode;
mod options;
#[cfg(feature = "audio")]
mod sets;
#[cfg(feature = "audio")]
mod sounds;
#[cfg(feature = "audio")]
mod spectrogram;
#[cfg(feature = "audio")]
mod vary;

pub use options::{MelScale, SoundAugmentation, SoundInput, SoundOptions, SplitBy};
#[cfg(feature = "audio")]
pub(super) use sets::{SOUND_FILES, audiofolder, crema_d, esc50};
#[cfg(feature = "audio")]
pub use {
    decode::{Sound, decode_sound, read_sound},
    sounds::{SoundSplits, Sounds},
    spectrogram::Spectrogram,
};
