//! Sounds: decoding, spectrograms, layouts, augmentation and bad files. If ESC-50 is absent, its
//! test prints that it is skipped, and passes.

use crate::common::errors::{Fault, assert_error};
use crate::common::files::directory;
use crate::common::sounds::{Encoding, beep, esc50, signal, tone, wav};
use lerac::data::{
    Batch, Draw, Examples, Loader, MelScale, OpenEvent, Sound, SoundAugmentation, SoundInput, SoundOptions, Source,
    Spectrogram, SplitBy, Splits, decode_sound, read_sound,
};
use lerac::error::Result;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

// ---- help ----

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

fn decoded(bytes: Vec<u8>) -> Result<Sound> {
    decode_sound(Path::new("dir/clip.wav"), bytes, 10.0)
}

#[track_caller]
fn refused(bytes: Vec<u8>, names: &[&str]) {
    assert_error(decoded(bytes), Fault::Format("dir/clip.wav", None), names);
}

/// Small spectrograms, as the files of the tests are small.
const SMALL: SoundOptions = SoundOptions {
    sample_rate: Some(8000),
    duration: Some(0.25),
    n_fft: Some(256),
    window_length: Some(256),
    hop: Some(128),
    mel_bands: Some(16),
    mel_scale: None,
    centred: None,
    fold: None,
    split_by: None,
    augmentation: SoundAugmentation { noise: 0.0, time_shift: 0.0, speed: 0, mask_bands: 0, mask_frames: 0 },
};

fn source<'d>(name: &'d str, dir: &'d TempDir) -> Source<'d> {
    Source { name, dir: Some(dir.path()), sound: SMALL, ..Source::default() }
}

fn open_with_notes(source: &Source<'_>) -> (Result<Splits>, Vec<String>) {
    let mut notes = vec![];
    let opened = source.open(&mut |news| {
        if let OpenEvent::Note(note) = news {
            notes.push(note.to_owned());
        }
    });
    (opened, notes)
}

/// The files of a part.
fn files(part: &dyn Examples) -> Vec<String> {
    (0..part.len()).map(|i| part.file_of(i).unwrap()).collect()
}

fn read(part: &dyn Examples, index: usize, draw: Option<Draw>) -> Vec<Vec<u32>> {
    Batch::gather(part, &[index as u32], 1, draw).unwrap().columns
}

// ---- decoding ----

#[test]
fn every_encoding_of_wav_has_the_same_samples() {
    let samples = tone(440.0, 8000, 0.1);
    let encodings =
        [Encoding::Unsigned8, Encoding::Signed16, Encoding::Signed24, Encoding::Signed32, Encoding::Float32];
    for (encoding, tolerance) in encodings.into_iter().zip([1.6e-2, 1e-4, 1e-6, 1e-6, 1e-7]) {
        let Sound { samples: found, rate } = decoded(wav(encoding, 1, 8000, &samples)).unwrap();
        assert_eq!((found.len(), rate), (800, 8000), "{encoding:?}");
        for (found, expected) in found.iter().zip(&samples) {
            assert!((f64::from(*found) - expected).abs() <= tolerance, "{encoding:?}: {found} {expected}");
        }
    }
}

#[test]
fn channels_are_averaged() {
    let both: Vec<f64> = (0..200).flat_map(|i| [f64::from(i) / 250.0, -f64::from(i) / 500.0]).collect();
    let mono = decoded(wav(Encoding::Float32, 2, 16000, &both)).unwrap();
    assert_eq!(mono.samples.len(), 200);
    for (i, sample) in mono.samples.iter().enumerate() {
        approx::assert_abs_diff_eq!(*sample, i as f32 / 1000.0, epsilon = 1e-6);
    }
}

#[test]
fn flac_ogg_and_mp3_are_decoded() {
    let expected = signal(16000, 0.25);
    for (ending, worst) in [("flac", 4e-5), ("ogg", 0.12), ("mp3", 0.12)] {
        let path = format!("{GOLDEN}/sounds.{ending}");
        let Sound { samples, rate } = read_sound(Path::new(&path), 1.0).unwrap();
        assert_eq!((samples.len(), rate), (4000, 16000), "{ending}");
        let power = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let error = power(&mut samples.iter().zip(&expected).map(|(a, b)| a - b));
        let relative = error / power(&mut expected.iter().copied());
        assert!(relative <= worst, "{ending}: an error of {relative}");
        let half = read_sound(Path::new(&path), 0.125).unwrap();
        assert_eq!(half.samples, samples[..2000], "{ending}");
    }
}

#[test]
fn bad_files_are_refused_by_name() {
    let whole = beep(440.0);
    refused(vec![], &["an empty file"]);
    refused(b"this is no sound, but a text\n".to_vec(), &["a text"]);
    refused(b"<!doctype html><html></html>".to_vec(), &["a web page"]);
    refused(whole[..whole.len() - 100].to_vec(), &["truncated"]);
    refused(whole[..60].to_vec(), &["truncated"]);
    refused(wav(Encoding::Signed16, 1, 8000, &[]), &["no samples"]);
    refused(wav(Encoding::Signed16, 1, 10, &[0.0; 50]), &["10 Hz"]);
    refused(wav(Encoding::Float32, 1, 8000, &[0.0, f64::NAN]), &["not finite"]);
    refused((0..2000u32).map(|i| (i * i % 251) as u8).collect(), &["WAV, FLAC, Ogg Vorbis or MP3"]);
    for ending in ["flac", "ogg", "mp3"] {
        let bytes = fs::read(format!("{GOLDEN}/sounds.{ending}")).unwrap();
        refused(bytes[..bytes.len() * 2 / 3].to_vec(), &["truncated"]);
    }
}

// ---- spectrograms ----

#[test]
fn spectrograms_are_those_of_librosa() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(&fs::read_to_string(format!("{GOLDEN}/sounds.json")).unwrap()).unwrap();
    assert_eq!(cases.len(), 4);
    for mut case in cases {
        let fields = case.as_object_mut().unwrap();
        let values: Vec<f64> = serde_json::from_value(fields.remove("values").unwrap()).unwrap();
        let frames = fields.remove("frames").unwrap().as_u64().unwrap() as usize;
        let input: SoundInput = serde_json::from_value(case).unwrap();
        assert_eq!(input.frames(), frames, "{input:?}");
        let found = Spectrogram::new(input).unwrap().of(&signal(input.sample_rate, input.duration));
        assert_eq!(found.len(), values.len());
        let worst = found.iter().zip(&values).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(worst <= 1e-4, "{input:?}: {worst}");
    }
}

#[test]
fn clips_are_cut_padded_and_resampled() {
    let input = SMALL.input("audiofolder");
    let spectrogram = Spectrogram::new(input).unwrap();
    let tone_of = |rate, seconds| -> Vec<f32> { tone(1000.0, rate, seconds).iter().map(|s| *s as f32).collect() };
    let whole = spectrogram.of(&tone_of(8000, 0.25));
    assert_eq!(whole, spectrogram.of(&tone_of(8000, 2.0)), "a longer clip is cut");
    let frames = input.frames();
    let short = spectrogram.of(&tone_of(8000, 0.125));
    assert!((0..16).all(|band| short[band * frames + frames - 1] == 0.0), "a shorter clip ends with silence");
    assert!(spectrogram.of(&[]).iter().all(|value| *value == 0.0), "a silent clip");
    // A tone at 96 kHz in a file is the same after resampling.
    let dir = directory(&[("clip.wav", wav(Encoding::Signed24, 1, 96_000, &tone(1000.0, 96_000, 0.25)))]);
    let samples = spectrogram.read(&dir.path().join("clip.wav"), 1.0).unwrap();
    assert_eq!(samples.len(), 2000);
    let (found, expected) = (&samples[200..1800], &tone_of(8000, 0.25)[200..1800]);
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 2e-3, "{worst}");
}

#[test]
fn the_sets_have_the_spectrograms_of_the_paper() {
    let usual = SoundOptions::default();
    assert_eq!(usual.input("esc50").image(), [1, 128, 1723]);
    assert_eq!(usual.input("crema-d").image(), [1, 128, 1001]);
    for name in ["esc50", "crema-d"] {
        let input = usual.input(name);
        assert_eq!((input.n_fft, input.window_length, input.mel_scale), (1024, 512, MelScale::Slaney));
    }
}

#[test]
fn options_out_of_range_name_themselves() {
    let refused = |options: SoundOptions, field| {
        assert_error(options.check("esc50"), Fault::Setting(field), &[]);
    };
    let usual = SoundOptions::default();
    refused(SoundOptions { sample_rate: Some(10), ..usual }, "sample_rate");
    refused(SoundOptions { duration: Some(f64::NAN), ..usual }, "duration");
    refused(SoundOptions { duration: Some(0.01), centred: Some(false), ..usual }, "duration");
    refused(SoundOptions { n_fft: Some(8), ..usual }, "n_fft");
    refused(SoundOptions { window_length: Some(1025), ..usual }, "window_length");
    refused(SoundOptions { hop: Some(0), ..usual }, "hop");
    refused(SoundOptions { hop: Some(1), ..usual }, "hop");
    refused(SoundOptions { mel_bands: Some(0), ..usual }, "mel_bands");
    let changed = |augmentation| SoundOptions { augmentation, ..usual };
    let none = SoundAugmentation::default();
    refused(changed(SoundAugmentation { noise: -0.1, ..none }), "noise");
    refused(changed(SoundAugmentation { time_shift: 1.5, ..none }), "time_shift");
    refused(changed(SoundAugmentation { speed: 51, ..none }), "speed");
    refused(changed(SoundAugmentation { mask_bands: 129, ..none }), "mask_bands");
    refused(changed(SoundAugmentation { mask_frames: 1724, ..none }), "mask_frames");
}

// ---- layouts ----

#[test]
fn esc50_has_the_fold_as_test() {
    let dir = esc50();
    for fold in [1, 4] {
        let source = Source { sound: SoundOptions { fold: Some(fold), ..SMALL }, ..source("esc50", &dir) };
        let Splits { train, test } = source.open(&mut |_| ()).unwrap();
        assert_eq!((train.len(), test.len(), train.held_out()), (32, 8, 0));
        let is_of_fold = |file: &String| file.starts_with(&format!("audio/{fold}-"));
        assert!(files(&*test).iter().all(is_of_fold) && !files(&*train).iter().any(is_of_fold));
        assert_eq!(train.form().classes(), ["low", "high"], "in the order of their numbers");
        let low = test.file_of(0).unwrap().ends_with("-3.wav");
        assert_eq!(read(&*test, 0, None)[1], [u32::from(!low)]);
    }
    assert_error(
        Source { sound: SoundOptions { fold: Some(6), ..SMALL }, ..source("esc50", &dir) }.open(&mut |_| ()),
        Fault::Setting("fold"),
        &["1, 2, 3, 4, 5", "6"],
    );
}

#[test]
fn bad_lists_of_esc50_name_the_line() {
    let dir = esc50();
    let path = dir.path().join("meta/esc50.csv");
    let good = fs::read_to_string(&path).unwrap();
    let list = Fault::Format("meta/esc50.csv", None);
    for (from, to, names) in [
        ("target", "goal", &["line 1", "target", "goal"][..]),
        ("1-0-A-3.wav,1,", "1-0-A-3.ogg,1,", &["line 2", "1-0-A-3.ogg"]),
        ("1-1-A-7.wav,1,", "1-1-A-7.wav,one,", &["line 3", "fold", "one"]),
        ("1-1-A-7.wav,1,7,high", "1-1-A-7.wav,1,3,high", &["line 3", "low", "high"]),
        ("1-1-A-7.wav,1,", "../1-1-A-7.wav,1,", &["line 3", "filename"]),
        ("1-1-A-7.wav,1,7", "1-0-A-3.wav,1,7", &["line 3", "twice"]),
        ("1-1-A-7.wav,1,7,high,True,1,A", "1-1-A-7.wav,1", &["line"]),
    ] {
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        assert_error(source("esc50", &dir).open(&mut |_| ()), list, names);
    }
    fs::write(&path, good.lines().next().unwrap()).unwrap();
    assert_error(source("esc50", &dir).open(&mut |_| ()), list, &["two classes"]);
    // An absent clip is left out on request.
    fs::write(&path, good.replacen("1-0-A-3.wav,1,", "1-0-A-3.ogg,1,", 1)).unwrap();
    let (opened, notes) = open_with_notes(&Source { skip_bad: true, ..source("esc50", &dir) });
    let opened = opened.unwrap();
    assert_eq!((opened.train.len(), opened.test.len()), (32, 7));
    assert!(notes.iter().any(|note| note.contains("1-0-A-3.ogg")), "{notes:?}");
}

/// Speech under CREMA-D's names: ten actors, each with every emotion twice.
fn speech() -> TempDir {
    let emotions = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"];
    let names = (1001..1011).flat_map(|actor| {
        emotions.iter().flat_map(move |emotion| {
            ["LO", "HI"].map(move |level| format!("AudioWAV/{actor}_DFA_{emotion}_{level}.wav"))
        })
    });
    let files: Vec<_> = names.enumerate().map(|(i, name)| (name, beep(200.0 + 10.0 * i as f64))).collect();
    directory(&files)
}

#[test]
fn crema_d_is_divided_by_speaker_or_by_clip() {
    let dir = speech();
    let actors = |part: &dyn Examples, of: std::ops::Range<usize>| -> BTreeSet<String> {
        files(part)[of].iter().map(|file| file[..4].to_owned()).collect()
    };
    let (opened, notes) = open_with_notes(&source("crema-d", &dir));
    let Splits { train, test } = opened.unwrap();
    assert_eq!((train.len(), test.len(), train.held_out()), (96, 24, 24));
    assert!(notes.iter().any(|note| note.contains("70:15:15") && note.contains("10 speakers")), "{notes:?}");
    let parts = [actors(&*train, 0..72), actors(&*train, 72..96), actors(&*test, 0..24)];
    assert_eq!(parts.each_ref().map(BTreeSet::len), [6, 2, 2]);
    assert_eq!(parts.iter().flatten().collect::<BTreeSet<_>>().len(), 10, "no speaker is in two parts");
    assert_eq!(train.form().classes()[5], "sadness");
    let first = train.file_of(0).unwrap();
    let class = ["ANG", "DIS", "FEA", "HAP", "NEU", "SAD"].iter().position(|emotion| first.contains(emotion));
    assert_eq!(read(&*train, 0, None)[1], [class.unwrap() as u32]);
    let by_clip = SoundOptions { split_by: Some(SplitBy::Clip), ..SMALL };
    let Splits { train, test } = Source { sound: by_clip, ..source("crema-d", &dir) }.open(&mut |_| ()).unwrap();
    assert_eq!((train.len(), test.len(), train.held_out()), (102, 18, 18));
    assert!(actors(&*test, 0..18).len() > 5);
    fs::write(dir.path().join("AudioWAV/1001_DFA_JOY_LO.wav"), beep(100.0)).unwrap();
    let fault = Fault::Format("1001_DFA_JOY_LO.wav", None);
    assert_error(source("crema-d", &dir).open(&mut |_| ()), fault, &["EMOTION"]);
}

#[test]
fn folders_of_classes_are_those_of_imagefolder() {
    let files: Vec<_> = ["train/a/1", "train/a/2", "train/b/1", "test/a/3", "test/b/2"].iter().enumerate().collect();
    let files: Vec<_> = files.iter().map(|(i, name)| (format!("{name}.wav"), beep(300.0 + 50.0 * *i as f64))).collect();
    let dir = directory(&files);
    fs::write(dir.path().join("train/a/3.m4a"), "x").unwrap();
    let (opened, notes) = open_with_notes(&source("audiofolder", &dir));
    let Splits { train, test } = opened.unwrap();
    assert_eq!((train.len(), test.len(), train.form().classes().len()), (3, 2, 2));
    assert!(notes.len() == 1 && notes[0].contains("m4a") && notes[0].contains("convert sounds"), "{notes:?}");
    fs::remove_file(dir.path().join("train/b/1.wav")).unwrap();
    let refused = source("audiofolder", &dir).open(&mut |_| ());
    assert_error(refused, Fault::Setting("data_dir"), &["train/b", "WAV or FLAC"]);
}

#[test]
#[cfg(unix)]
fn names_that_are_not_utf8_are_refused_or_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let dir = directory(&[("train/a/1.wav", beep(300.0)), ("train/b/1.wav", beep(400.0))]);
    for part in ["test/a/1.wav", "test/b/1.wav"] {
        fs::create_dir_all(dir.path().join(part).parent().unwrap()).unwrap();
        fs::write(dir.path().join(part), beep(500.0)).unwrap();
    }
    let bad = dir.path().join("train/a").join(std::ffi::OsStr::from_bytes(b"\xff.wav"));
    fs::write(bad, beep(300.0)).unwrap();
    let refused = source("audiofolder", &dir).open(&mut |_| ());
    assert_error(refused, Fault::Setting("data_dir"), &["UTF-8", "skip_bad"]);
    let opened = Source { skip_bad: true, ..source("audiofolder", &dir) }.open(&mut |_| ()).unwrap();
    assert_eq!(opened.train.len(), 2);
}

#[test]
fn options_of_other_sets_are_refused() {
    let dir = esc50();
    let refused = |source: Source<'_>, field, names: &[&str]| {
        assert_error(source.open(&mut |_| ()), Fault::Setting(field), names);
    };
    let split_by = SoundOptions { split_by: Some(SplitBy::Clip), ..SMALL };
    refused(Source { sound: split_by, ..source("esc50", &dir) }, "split_by", &["crema-d", "esc50"]);
    refused(Source { image_size: Some(8), ..source("esc50", &dir) }, "image_size", &["image files"]);
    let fold = SoundOptions { fold: Some(2), ..SMALL };
    refused(Source { sound: fold, ..source("audiofolder", &dir) }, "fold", &["esc50"]);
    refused(Source { name: "shapes", dir: None, ..source("", &dir) }, "sample_rate", &["sounds", "shapes"]);
    let list = dir.path().join("meta/esc50.csv");
    refused(Source { class_list: Some(&list), ..source("esc50", &dir) }, "class_list", &["audiofolder"]);
}

// ---- caches and bad files ----

#[test]
fn a_cache_serves_every_fold() {
    let (dir, away) = (esc50(), TempDir::new().unwrap());
    let cache = away.path().join("sounds.cache");
    for fold in 1..=5 {
        let sound = SoundOptions { fold: Some(fold), ..SMALL };
        let plain = Source { sound, ..source("esc50", &dir) };
        let mut decoded = 0;
        let cached = Source { cache: Some(&cache), ..plain };
        let cached =
            cached.open(&mut |news| decoded += usize::from(matches!(news, OpenEvent::Decoded { .. }))).unwrap();
        assert_eq!(decoded > 0, fold == 1, "fold {fold}");
        let plain = plain.open(&mut |_| ()).unwrap();
        assert_eq!(plain.fingerprint(), cached.fingerprint());
        for (plain, cached) in [(&plain.train, &cached.train), (&plain.test, &cached.test)] {
            for i in 0..plain.len() {
                assert_eq!(read(&**plain, i, None), read(&**cached, i, None), "fold {fold}, clip {i}");
            }
        }
    }
    let other = Source { sound: SoundOptions { hop: Some(64), ..SMALL }, cache: Some(&cache), ..source("esc50", &dir) };
    let (opened, notes) = open_with_notes(&other);
    assert!(opened.is_ok() && notes.iter().any(|note| note.contains("other spectrograms")), "{notes:?}");
}

#[test]
fn bad_clips_are_left_out_on_request() {
    let dir = esc50();
    fs::write(dir.path().join("audio/2-0-A-3.wav"), "a text").unwrap();
    fs::write(dir.path().join("audio/1-1-A-7.wav"), &beep(500.0)[..200]).unwrap();
    let Splits { train, .. } = source("esc50", &dir).open(&mut |_| ()).unwrap();
    let all: Vec<u32> = (0..train.len() as u32).collect();
    let fault = Fault::Format("audio/2-0-A-3.wav", None);
    assert_error(Batch::gather(&*train, &all, all.len(), None), fault, &["a text", "skip_bad"]);
    let cache = dir.path().join("cache");
    for cache in [None, Some(&*cache), Some(&*cache)] {
        let (opened, notes) = open_with_notes(&Source { skip_bad: true, cache, ..source("esc50", &dir) });
        let Splits { train, test } = opened.unwrap();
        assert_eq!((train.len(), test.len()), (31, 7));
        assert!(notes.iter().any(|note| note.contains("2 bad files")), "{notes:?}");
        let (name, table) = &train.companions()[0];
        let table = String::from_utf8(table.clone()).unwrap();
        assert!(*name == "skipped.csv" && table.contains("1-1-A-7.wav") && table.contains("2-0-A-3.wav"), "{table}");
        Batch::gather(&*train, &all[..31], 31, None).unwrap();
        Batch::gather(&*test, &all[..7], 7, None).unwrap();
    }
}

// ---- augmentation ----

#[test]
fn augmentation_is_a_function_of_seed_epoch_and_index() {
    let dir = esc50();
    let none = SoundAugmentation::default();
    let kinds = [
        SoundAugmentation { noise: 0.5, ..none },
        SoundAugmentation { time_shift: 0.5, ..none },
        SoundAugmentation { speed: 20, ..none },
        SoundAugmentation { mask_bands: 8, ..none },
        SoundAugmentation { mask_frames: 8, ..none },
    ];
    let open = |augmentation| {
        let sound = SoundOptions { augmentation, ..SMALL };
        Source { sound, ..source("esc50", &dir) }.open(&mut |_| ()).unwrap()
    };
    let plain = open(none);
    let draw = Draw { seed: 3, epoch: 2 };
    for augmentation in kinds {
        let Splits { train, test } = open(augmentation);
        let all: Vec<_> = (0..8).map(|i| read(&*train, i, Some(draw))).collect();
        let again: Vec<_> = (0..8).rev().map(|i| read(&*train, i, Some(draw))).collect();
        assert!(all.iter().eq(again.iter().rev()), "{augmentation:?}");
        let differs = |other: Draw| (0..8).filter(|i| all[*i] != read(&*train, *i, Some(other))).count();
        assert!(differs(Draw { epoch: 3, ..draw }) >= 6 && differs(Draw { seed: 4, ..draw }) >= 6, "{augmentation:?}");
        let changed = (0..8).filter(|i| all[*i] != read(&*plain.train, *i, None)).count();
        assert!(changed >= 6, "{augmentation:?}: {changed} of 8");
        assert_eq!(read(&*train, 0, None), read(&*plain.train, 0, None), "only in training");
        assert_eq!(read(&*test, 0, Some(draw)), read(&*plain.test, 0, None), "the test part");
    }
}

#[test]
fn augmentation_does_what_it_says() {
    let dir = esc50();
    let none = SoundAugmentation::default();
    let clip = |augmentation, epoch| -> Vec<u8> {
        let sound = SoundOptions { augmentation, ..SMALL };
        let train = Source { sound, ..source("esc50", &dir) }.open(&mut |_| ()).unwrap().train;
        bytemuck::cast_slice(&read(&*train, 0, Some(Draw { seed: 1, epoch }))[0]).to_vec()
    };
    let frames = SMALL.input("esc50").frames();
    let plain = clip(none, 0);
    let bands = &plain[..16 * frames];
    // Masks are rectangles of the mean; everything else stays.
    let mean = (bands.iter().map(|byte| u64::from(*byte)).sum::<u64>() / bands.len() as u64) as u8;
    for epoch in 0..20 {
        let masked = clip(SoundAugmentation { mask_bands: 5, ..none }, epoch);
        let changed: Vec<usize> =
            (0..16).filter(|b| masked[b * frames..][..frames] != plain[b * frames..][..frames]).collect();
        assert!(changed.len() <= 10, "two masks of five bands: {changed:?}");
        assert!(changed.iter().all(|b| masked[b * frames..][..frames].iter().all(|byte| *byte == mean)));
        let masked = clip(SoundAugmentation { mask_frames: 4, ..none }, epoch);
        let column = |bytes: &[u8], t: usize| -> Vec<u8> { (0..16).map(|b| bytes[b * frames + t]).collect() };
        let changed: Vec<usize> = (0..frames).filter(|t| column(&masked, *t) != column(&plain, *t)).collect();
        assert!(changed.len() <= 8 && changed.iter().all(|t| column(&masked, *t).iter().all(|byte| *byte == mean)));
    }
    // A shifted clip has silence at one end.
    let shifted = (0..20).map(|epoch| clip(SoundAugmentation { time_shift: 1.0, ..none }, epoch));
    let ends = |bytes: &Vec<u8>| [0, frames - 1].map(|t| (0..16).all(|band| bytes[band * frames + t] == 0));
    let ends: Vec<_> = shifted.map(|bytes| ends(&bytes)).collect();
    assert!(ends.iter().any(|ends| ends[0]) && ends.iter().any(|ends| ends[1]), "{ends:?}");
    // Noise raises the bands between the tone and the floor; speed moves the loudest band.
    let level = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    assert!(level(&clip(SoundAugmentation { noise: 1.0, ..none }, 3)) > level(&plain));
    let loudest = |bytes: &[u8]| {
        let sum = |band: &usize| bytes[band * frames..][..frames].iter().map(|byte| u32::from(*byte)).sum::<u32>();
        (0..16).max_by_key(sum).unwrap()
    };
    let moved: BTreeSet<usize> =
        (0..20).map(|epoch| loudest(&clip(SoundAugmentation { speed: 50, ..none }, epoch))).collect();
    assert!(moved.len() > 1, "{moved:?}");
}

#[test]
fn training_batches_are_the_same_from_any_step() {
    let dir = esc50();
    let augmentation = SoundAugmentation { noise: 0.1, time_shift: 0.2, speed: 5, mask_bands: 4, mask_frames: 4 };
    let sound = SoundOptions { augmentation, ..SMALL };
    let train = Source { sound, ..source("esc50", &dir) }.open(&mut |_| ()).unwrap().train;
    let batches = |step| Loader::training(train.clone(), (0..32).collect(), 8, 5, step).map(Result::unwrap);
    let all: Vec<Batch> = batches(0).take(9).collect();
    assert!(all[5..].iter().cloned().eq(batches(5).take(4)));
}

// ---- the real set ----

#[test]
fn the_published_clips_are_read() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/ESC-50");
    if !dir.join("meta/esc50.csv").is_file() {
        let required = std::env::var("REQUIRE_DATA").is_ok_and(|value| value == "1");
        assert!(!required, "ESC-50 is absent, and REQUIRE_DATA=1 is set");
        println!("SKIP: ESC-50 is absent");
        return;
    }
    let sound = SoundOptions { fold: Some(3), hop: Some(1024), ..SoundOptions::default() };
    let source = Source { name: "esc50", dir: Some(&dir), sound, ..Source::default() };
    let Splits { train, test } = source.open(&mut |_| ()).unwrap();
    assert!(train.len() == 4 * test.len() && train.form().classes().len() >= 10);
    assert!(train.form().classes().contains(&"dog".to_owned()));
    let all: Vec<u32> = (0..test.len().min(80) as u32).collect();
    let batch = Batch::gather(&*test, &all, all.len(), None).unwrap();
    let bytes: &[u8] = bytemuck::cast_slice(&batch.columns[0]);
    assert!(bytes.contains(&255) && bytes.contains(&0));
}
