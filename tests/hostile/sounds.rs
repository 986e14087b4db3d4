//! Sound files, and ESC-50's list of clips.

use crate::common::sounds::{Encoding, beep, esc50, tone, wav};
use crate::harness::{FILE, KIB, Limit, SMALL, Subject, run, tokens};
use lerac::data::{SoundOptions, Source, decode_sound};
use std::fs;
use std::path::Path;

/// A byte of a compressed file becomes many samples of four bytes, in a vector that doubles. Tables
/// of codecs and headers take the constant.
const SOUND: Limit = Limit { multiple: 64, constant: 8 * 1024 * KIB };
/// A row becomes a few strings in a list, a map and a set.
const ROWS: Limit = Limit { multiple: 192, constant: 4 * SMALL };

#[test]
fn sound_files() {
    let golden = |ending| fs::read(format!("{}/tests/golden/sounds.{ending}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let seeds = vec![
        wav(Encoding::Signed24, 2, 44_100, &tone(500.0, 44_100, 0.01)),
        wav(Encoding::Float32, 1, 8000, &tone(500.0, 8000, 0.05)),
        beep(700.0),
        golden("flac"),
        golden("ogg"),
        golden("mp3"),
    ];
    let words = ["RIFF", "WAVE", "data", "fmt ", "fLaC", "OggS", "vorbis", "Xing", "LAME", "\0\0\0\0", "\u{7f}"];
    let subject = Subject { name: "sounds", seeds, tokens: tokens(&words), limit: SOUND, file: <[u8]>::to_vec };
    run(
        subject,
        |input| decode_sound(Path::new(FILE), input.to_vec(), 2.0),
        |sound| {
            assert!(!sound.samples.is_empty() && sound.samples.iter().all(|sample| sample.is_finite()));
            assert!(sound.samples.len() <= 2 * sound.rate as usize);
        },
    );
}

#[test]
fn lists_of_clips() {
    let dir = esc50();
    let path = dir.path().join("meta/esc50.csv");
    let whole = fs::read(&path).unwrap();
    let words =
        ["filename", "fold", "target", "category", "low", "1-0-A-3.wav", "\"", ",", "\n", "\u{feff}", "-1", "../"];
    let subject = Subject {
        name: "lists of clips",
        seeds: vec![whole],
        tokens: tokens(&words),
        limit: ROWS,
        file: <[u8]>::to_vec,
    };
    let sound = SoundOptions { hop: Some(4096), ..SoundOptions::default() };
    let source = Source { name: "esc50", dir: Some(dir.path()), sound, ..Source::default() };
    let parse = |input: &[u8]| {
        fs::write(&path, input).unwrap();
        source.open(&mut |_| ()).map_err(|fault| match fault {
            lerac::error::Error::Setting { message, .. } => lerac::error::Error::format(Path::new(FILE), 0, message),
            lerac::error::Error::Format { offset, message, .. } => {
                lerac::error::Error::format(Path::new(FILE), offset, message)
            }
            other => other,
        })
    };
    run(subject, parse, |splits| {
        assert!(!splits.train.is_empty() && !splits.test.is_empty());
        assert!(splits.train.form().classes().len() > 1);
    });
}
