//! The layouts of data sets of sounds.

use super::SplitBy;
use crate::data::class_folders::class_folders;
use crate::data::layout::{Layout, Part};
use crate::data::listing::{FileKind, Listing};
use crate::data::random::{Stream, generator};
use crate::data::{Meaning, Source};
use crate::error::{Error, Result};
use crate::files::is_dir;
use csv::StringRecord;
use rand::seq::SliceRandom;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Files of sounds.
pub(in crate::data) static SOUND_FILES: FileKind = FileKind {
    many: "sounds",
    endings: &["flac", "mp3", "oga", "ogg", "wav", "wave"],
    unreadable: &["aac", "aif", "aiff", "m4a", "mp4", "opus", "wma"],
    formats: "WAV or FLAC",
};

/// ESC-50's list of clips, in its directory.
const LIST: &str = "meta/esc50.csv";

/// The columns of the list that are read.
const COLUMNS: [&str; 4] = ["filename", "fold", "target", "category"];

/// A clip of ESC-50's list.
struct Clip {
    file: String,
    fold: u32,
    target: u32,
    line: u64,
    offset: u64,
}

/// The clips of `audiofolder`: folders of classes.
pub(in crate::data) fn audiofolder(source: &Source<'_>) -> Result<Layout> {
    let listing = Listing::new(&source.named_dir()?, &SOUND_FILES, source.skip_bad);
    class_folders(listing, source.class_list)
}

/// The clips of ESC-50. The fold `fold`, by default 1, is the test part, and all others are for
/// training. The classes are those of the list, in the order of their numbers.
pub(in crate::data) fn esc50(source: &Source<'_>, root: &Path) -> Result<Layout> {
    let mut listing = Listing::new(root, &SOUND_FILES, source.skip_bad);
    let path = root.join(LIST);
    let bytes = listing.text(&path)?;
    let (clips, classes) = clips_in(&path, &bytes)?;
    let fold = source.sound.fold.unwrap_or(1);
    let folds: BTreeSet<u32> = clips.iter().map(|clip| clip.fold).collect();
    if !folds.contains(&fold) {
        let known = folds.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let message = format!("expected one of the folds in {}, {known}; found {fold}", path.display());
        return Err(Error::setting("fold", message));
    }
    let (mut train, mut test) = (Part::default(), Part::default());
    for clip in &clips {
        let name = format!("audio/{}", clip.file);
        let found = listing.named_file(&name, &path).map_err(|fault| at_line(fault, &path, clip))?;
        let Some(entry) = found else { continue };
        let label = classes.keys().position(|target| *target == clip.target).expect("a class of the list");
        let part = if clip.fold == fold { &mut test } else { &mut train };
        part.push(entry, label as u16);
    }
    let meaning = Meaning::Classes(classes.into_values().collect());
    Ok(Layout { listing, meaning, train, validation: Part::default(), test })
}

/// Adds the place in the list to the error about a clip.
fn at_line(fault: Error, list: &Path, clip: &Clip) -> Error {
    match fault {
        Error::Format { message, .. } => Error::format(list, clip.offset, format!("line {}: {message}", clip.line)),
        other => other,
    }
}

/// The clips in the bytes of ESC-50's list, and the names of the classes by their numbers.
fn clips_in(path: &Path, bytes: &[u8]) -> Result<(Vec<Clip>, BTreeMap<u32, String>)> {
    let mut reader = csv::Reader::from_reader(bytes);
    let unreadable =
        |fault: csv::Error| Error::format(path, fault.position().map_or(0, |at| at.byte()), fault.to_string());
    let headers = reader.headers().map_err(unreadable)?.clone();
    let place = |name: &str| {
        let found = headers.iter().position(|header| header.trim_start_matches('\u{feff}').trim() == name);
        let known = headers.iter().collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| Error::format(path, 0, format!("line 1: expected the column {name:?}, found {known:.200}")))
    };
    let places = [place(COLUMNS[0])?, place(COLUMNS[1])?, place(COLUMNS[2])?, place(COLUMNS[3])?];
    let (mut clips, mut classes, mut seen) = (vec![], BTreeMap::new(), BTreeSet::new());
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let at = record.position().expect("a record that was read has a position");
        let bad = |message: String| Error::format(path, at.byte(), format!("line {}: {message}", at.line()));
        let (clip, category) = clip_of(&record, places).map_err(bad)?;
        if !seen.insert(clip.file.clone()) {
            return Err(bad(format!("{:?} occurs twice", clip.file)));
        }
        let known = classes.entry(clip.target).or_insert_with(|| category.clone());
        if *known != category {
            return Err(bad(format!("the class {} is {known:?} above, and {category:?} here", clip.target)));
        }
        clips.push(clip);
    }
    match classes.len() {
        0 | 1 => Err(Error::format(path, 0, format!("expected clips of two classes or more, found {}", classes.len()))),
        _ => Ok((clips, classes)),
    }
}

/// The clip of a row, and the name of its class.
fn clip_of(record: &StringRecord, places: [usize; 4]) -> Result<(Clip, String), String> {
    let [file, fold, target, category] = places.map(|place| record.get(place).unwrap_or_default().trim());
    if file.is_empty() || file.starts_with('.') || file.contains(['/', '\\', '\0', ':']) {
        return Err(format!("expected the name of a file in `filename`, found {file:?}"));
    }
    let number = |name: &str, text: &str| {
        text.parse::<u32>().map_err(|_| format!("expected a whole number in `{name}`, found {text:?}"))
    };
    if category.is_empty() {
        return Err("expected the name of a class in `category`, found nothing".to_owned());
    }
    let at = record.position().expect("a record that was read has a position");
    let (fold, target) = (number("fold", fold)?, number("target", target)?);
    Ok((Clip { file: file.to_owned(), fold, target, line: at.line(), offset: at.byte() }, category.to_owned()))
}

/// The emotions in the names of CREMA-D's files, in the order of the classes.
const EMOTIONS: [(&str, &str); 6] = [
    ("ANG", "anger"),
    ("DIS", "disgust"),
    ("FEA", "fear"),
    ("HAP", "happiness"),
    ("NEU", "neutral"),
    ("SAD", "sadness"),
];

/// Hundredths of the clips or speakers that are for validation, and for the test.
const HELD_OUT: usize = 15;

/// Actor and class in the name `ACTOR_SENTENCE_EMOTION_LEVEL.wav` of a file of CREMA-D.
fn speech_in(name: &str) -> Option<(String, u16)> {
    let (stem, _) = name.rsplit_once('.')?;
    let [actor, _, emotion, _] = stem.split('_').collect::<Vec<_>>()[..] else { return None };
    let is_actor = !actor.is_empty() && actor.bytes().all(|byte| byte.is_ascii_digit());
    let class = EMOTIONS.iter().position(|(short, _)| *short == emotion)?;
    is_actor.then(|| (actor.to_owned(), class as u16))
}

/// The clips of CREMA-D, 70 % for training, 15 % for validation and 15 % for the test, by speaker
/// or by clip. The paper does not say which; the division is the same in every run.
pub(in crate::data) fn crema_d(source: &Source<'_>) -> Result<Layout> {
    let root = source.named_dir()?;
    let inner = ["AudioWAV", "CREMA-D/AudioWAV"].map(|folder| root.join(folder));
    let root = inner.into_iter().find(|dir| is_dir(dir)).unwrap_or(root);
    let mut listing = Listing::new(&root, &SOUND_FILES, source.skip_bad);
    let mut found = vec![];
    for entry in listing.files_below("")? {
        match speech_in(entry.name.rsplit('/').next().unwrap_or_default()) {
            Some((actor, class)) => found.push((actor, class, entry)),
            None => {
                let message = "expected a name ACTOR_SENTENCE_EMOTION_LEVEL.wav with the emotion ANG, DIS, FEA, HAP, NEU \
                               or SAD; rename or remove the file";
                listing.leave_out(&entry.name, Error::format(&listing.path(&entry.name), 0, message))?;
            }
        }
    }
    let split_by = source.sound.split_by.unwrap_or_default();
    let groups: BTreeSet<&String> = match split_by {
        SplitBy::Speaker => found.iter().map(|(actor, ..)| actor).collect(),
        SplitBy::Clip => found.iter().map(|(.., entry)| &entry.name).collect(),
    };
    let (part_of, count) = (divided(&groups), groups.len());
    let mut parts = [Part::default(), Part::default(), Part::default()];
    for (actor, class, entry) in &found {
        let group = if split_by == SplitBy::Speaker { actor } else { &entry.name };
        parts[part_of[group]].push(entry.clone(), *class);
    }
    let [test, validation, train] = parts;
    let by = if split_by == SplitBy::Speaker { "speakers" } else { "clips" };
    let [a, b, c] = [&train, &validation, &test].map(|part| part.entries.len());
    listing.notes.push(format!(
        "the {count} {by} are divided 70:15:15 (`split_by`): {a} clips for training, {b} for validation, {c} for the test; \
         `validation` 0 leaves the second part out, and other numbers do not matter"
    ));
    let names = EMOTIONS.map(|(_, name)| name.to_owned());
    Ok(Layout { listing, meaning: Meaning::Classes(names.into()), train, validation, test })
}

/// The part of each group: 0 for the test, 1 for validation, 2 for training.
fn divided<'g>(groups: &BTreeSet<&'g String>) -> BTreeMap<&'g String, usize> {
    let mut shuffled: Vec<&String> = groups.iter().copied().collect();
    shuffled.shuffle(&mut generator(0, Stream::Test));
    let held_out = (shuffled.len() * HELD_OUT).div_ceil(100);
    shuffled.into_iter().enumerate().map(|(i, group)| (group, (i / held_out).min(2))).collect()
}
