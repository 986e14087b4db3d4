//! Reads sound files: WAV, FLAC, Ogg Vorbis and MP3, mixed down to one channel.

use super::options::RATES;
use crate::error::{Error, Result};
use crate::files::read_at_most;
use std::fmt::Display;
use std::io::{Cursor, ErrorKind};
use std::path::Path;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error as Fault;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::io::MediaSourceStream;

/// Most bytes of a sound file.
const MOST_BYTES: u64 = 256 << 20;

/// Most channels of a sound file.
const MOST_CHANNELS: usize = 64;

/// A sound of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Sound {
    /// From -1 to 1.
    pub samples: Vec<f32>,
    /// Hz.
    pub rate: u32,
}

/// Decodes the first `seconds` of a sound file.
///
/// # Errors
/// [`Error::Io`]; those of [`decode_sound`].
pub fn read_sound(path: &Path, seconds: f64) -> Result<Sound> {
    decode_sound(path, read_at_most(path, MOST_BYTES)?, seconds)
}

/// [`read_sound`] from the bytes of a WAV, FLAC, Ogg Vorbis or MP3 file, whatever its name. The
/// channels are averaged. `path` is for messages.
///
/// # Errors
/// [`Error::Format`] for another format, truncated or damaged data, no samples, and numbers that
/// are not finite.
pub fn decode_sound(path: &Path, bytes: Vec<u8>, seconds: f64) -> Result<Sound> {
    let other = other_content(&bytes);
    let is_cut = ends_early(&bytes);
    let bad = |fault: &dyn Display| {
        let fault = other.map_or_else(|| fault.to_string(), |found| format!("found {found}"));
        let message =
            format!("expected a sound in WAV, FLAC, Ogg Vorbis or MP3: {fault}; download or convert it again");
        Error::format(path, 0, message)
    };
    if other.is_some() {
        return Err(bad(&""));
    }
    let cut = || Error::format(path, 0, "the sound is truncated: its end is missing; download it again");
    if is_cut {
        return Err(cut());
    }
    let stream = MediaSourceStream::new(Box::new(Cursor::new(bytes)), Default::default());
    let probed = symphonia::default::get_probe().probe(&Hint::new(), stream, Default::default(), Default::default());
    let mut format = probed.map_err(|fault| bad(&fault))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| bad(&"found no sound"))?.clone();
    let mut decoder = decoder_of(&track).map_err(|fault| bad(&fault))?;
    let (sound, ended) = decoded(&mut *format, &mut *decoder, track.id, seconds).map_err(|fault| match fault {
        Fault::IoError(fault) if fault.kind() == ErrorKind::UnexpectedEof => cut(),
        fault => bad(&fault),
    })?;
    // The number of an MP3 file without a count of frames is an estimate.
    let counts = track.delay.is_some() || format.format_info().short_name != "mp3";
    let expected = track.num_frames.filter(|_| counts && ended).unwrap_or(0);
    match () {
        () if (sound.samples.len() as u64) < expected => Err(cut()),
        () if sound.samples.is_empty() => Err(bad(&"it has no samples")),
        () if !RATES.contains(&sound.rate) => {
            Err(bad(&format!("its sample rate is {} Hz, {} to {} are read", sound.rate, RATES.start(), RATES.end())))
        }
        () if sound.samples.iter().any(|sample| !sample.is_finite()) => Err(bad(&"it has samples that are not finite")),
        () => Ok(sound),
    }
}

fn decoder_of(track: &Track) -> Result<Box<dyn AudioDecoder>, Fault> {
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters = parameters.ok_or(Fault::Unsupported("the format of its sound"))?;
    symphonia::default::get_codecs().make_audio_decoder(parameters, &Default::default())
}

/// The samples of a track up to `seconds`, and whether its end was reached.
fn decoded(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track: u32,
    seconds: f64,
) -> Result<(Sound, bool), Fault> {
    let mut sound = Sound { samples: vec![], rate: 0 };
    let mut interleaved: Vec<f32> = vec![];
    while let Some(packet) = format.next_packet()? {
        if packet.track_id != track {
            continue;
        }
        let buffer = decoder.decode(&packet)?;
        let (channels, rate) = (buffer.spec().channels().count(), buffer.spec().rate());
        if !(1..=MOST_CHANNELS).contains(&channels) {
            return Err(Fault::Unsupported("the number of its channels"));
        }
        if sound.rate != rate && !sound.samples.is_empty() {
            return Err(Fault::DecodeError("its sample rate changes"));
        }
        sound.rate = rate;
        buffer.copy_to_vec_interleaved(&mut interleaved);
        let mono = interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32);
        sound.samples.extend(mono);
        let most = (seconds * f64::from(rate)).ceil() as usize;
        if sound.samples.len() > most {
            sound.samples.truncate(most);
            return Ok((sound, false));
        }
    }
    Ok((sound, true))
}

/// What is often found in place of a sound.
fn other_content(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [] => Some("an empty file"),
        _ if bytes.trim_ascii_start().starts_with(b"<") => Some("a web page or another text in XML"),
        _ if bytes.starts_with(b"version https://git-lfs") => {
            Some("a pointer of Git LFS: `git lfs pull` fetches files")
        }
        _ if bytes.get(4..8) == Some(b"ftyp") => Some("MPEG-4, which is not read"),
        _ if bytes.starts_with(b"OggS") && bytes.get(28..36) == Some(b"OpusHead") => Some("Opus, which is not read"),
        _ if bytes.iter().take(512).all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')) => Some("a text"),
        _ => None,
    }
}

/// Whether the end of a WAV or Ogg file is missing: data that its header counts, or the last page.
fn ends_early(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"OggS") {
        let last = bytes.windows(4).rposition(|word| word == b"OggS").unwrap_or(0);
        return bytes.get(last + 5).is_none_or(|flags| flags & 4 == 0);
    }
    if !bytes.starts_with(b"RIFF") {
        return false;
    }
    let mut at = 12;
    while let Some(header) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if header.starts_with(b"data") {
            // Programs that write to a pipe leave 0 or the largest number.
            return length < u32::MAX as usize - 64 && at + 8 + length > bytes.len();
        }
        at = at.saturating_add(8 + length + length % 2);
    }
    false
}
