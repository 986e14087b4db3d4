//! A directory of the user's own files, a folder for each class.

use super::Meaning;
use super::annotations::names_in;
use super::layout::{Layout, Part, by_class};
#[cfg(feature = "records")]
use super::listing::FileKind;
use super::listing::{Listing, inside};
use super::random::{Stream, generator};
use crate::error::{Error, Result};
use crate::files::text::alike;
use rand::seq::SliceRandom;
use std::path::Path;

/// Words in the names of the folders of training files.
const TRAIN: [&str; 2] = ["train", "training"];
/// Words in the names of the folders of validation files.
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
/// Words in the names of the folders of test files.
const TEST: [&str; 2] = ["test", "testing"];

/// Folders that hold nothing but one folder, at most.
const MOST_WRAPPERS: usize = 3;

/// One of this many files of a class is for the test, if there is no folder of test files.
const FILES_PER_TEST: usize = 5;

/// The files of `listing`: `DIR/train/CLASS/...`, `DIR/test/CLASS/...` and `DIR/val/CLASS/...`.
///
/// Without test files, those of `val` are used for the test. The names of the three folders may
/// have other words, as `seg_train` and `Training_set`. Without these folders, the folders in `DIR`
/// are the classes, and every fifth file of a class is for the test.
///
/// `list` is a file with the name of a class in each line. If it is given, only these classes are
/// used.
pub(super) fn class_folders(mut listing: Listing, list: Option<&Path>) -> Result<Layout> {
    let base = unwrapped(&mut listing, MOST_WRAPPERS)?;
    let folders = listing.folders(&base)?;
    let part = |words: &[&str]| Ok::<_, Error>(folder_of(&folders, words)?.map(|name| inside(&base, name)));
    let (train, validation, test) = (part(&TRAIN)?, part(&VALIDATION)?, part(&TEST)?);
    match train {
        Some(train) => divided(listing, list, [train, validation.unwrap_or_default(), test.unwrap_or_default()]),
        None if validation.is_none() && test.is_none() && !folders.is_empty() => undivided(listing, list, &base),
        None => {
            let (path, train) = (listing.path(&base), listing.path(&inside(&base, "train")));
            let message = format!(
                "expected folders of classes in {}, or in {}; name the directory of CLASS/ or of train/CLASS/",
                path.display(),
                train.display()
            );
            Err(Error::setting("data_dir", message))
        }
    }
}

/// The folders of `root` whose files are read.
#[cfg(feature = "records")]
pub(super) fn folders_read(root: &Path, kind: &'static FileKind) -> Vec<std::path::PathBuf> {
    let mut listing = Listing::new(root, kind, true);
    let base = unwrapped(&mut listing, MOST_WRAPPERS).unwrap_or_default();
    let folders = listing.folders(&base).unwrap_or_default();
    let parts = [&TRAIN[..], &VALIDATION, &TEST].map(|words| folder_of(&folders, words).ok().flatten());
    let parts: Vec<&String> = parts.into_iter().flatten().collect();
    let read = if parts.is_empty() { folders.iter().collect() } else { parts };
    read.into_iter().map(|name| root.join(inside(&base, name))).collect()
}

/// The folder below the root that is not alone in its folder. Archives are often packed in one.
fn unwrapped(listing: &mut Listing, most: usize) -> Result<String> {
    let mut base = String::new();
    let is_part = |name: &str| {
        [&TRAIN[..], &VALIDATION, &TEST].iter().any(|words| !matches!(folder_of(&[name.to_owned()], words), Ok(None)))
    };
    for _ in 0..most {
        match &listing.folders(&base)?[..] {
            [only] if !is_part(only) && listing.has_folders(&inside(&base, only)) => base = inside(&base, only),
            _ => break,
        }
    }
    Ok(base)
}

/// The folder that is called by one of `words`, or the only one with such a word in its name.
fn folder_of<'f>(folders: &'f [String], words: &[&str]) -> Result<Option<&'f String>> {
    if let Some(exact) = words.iter().find_map(|word| folders.iter().find(|name| name == word)) {
        return Ok(Some(exact));
    }
    let is_word = |part: &str| words.contains(&part.to_ascii_lowercase().as_str());
    let has_word = |name: &&String| name.split(|c: char| !c.is_ascii_alphanumeric()).any(is_word);
    match folders.iter().filter(has_word).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        [first, second, ..] => {
            let message = format!("both {first} and {second} may be for {0}; call one of them {0}", words[0]);
            Err(Error::setting("data_dir", message))
        }
    }
}

/// `folder`, or its only folder if the classes are in that one.
fn folder_of_classes(listing: &mut Listing, folder: String) -> Result<String> {
    let inner = match &listing.folders(&folder)?[..] {
        [only] => inside(&folder, only),
        _ => return Ok(folder),
    };
    Ok(if listing.has_folders(&inner) { inner } else { folder })
}

/// The classes: all folders in `folder`, or those of `list`. There must be two or more.
fn classes_in(listing: &mut Listing, list: Option<&Path>, folder: &str) -> Result<Vec<String>> {
    let found = listing.folders(folder)?;
    let path = listing.path(folder);
    let classes = match list {
        None => found,
        Some(list) => {
            let mut selected = names_in(list, &listing.text(list)?)?;
            if let Some(absent) = selected.iter().find(|name| !found.contains(name)) {
                let (path, hint) = (path.join(absent), alike(absent, &found));
                let message = format!("expected a directory {} for the class {absent:?}{hint}", path.display());
                return Err(Error::format(list, 0, message));
            }
            selected.sort();
            selected
        }
    };
    match &classes[..] {
        [_, _, ..] => Ok(classes),
        [only] => {
            let field = if list.is_some() { "class_list" } else { "data_dir" };
            let message = format!("expected two classes or more, found only {only:?} in {}", path.display());
            Err(Error::setting(field, message))
        }
        [] => Err(Error::setting("data_dir", format!("expected folders of classes in {}, found none", path.display()))),
    }
}

/// The layout with folders for training, validation and test. The names of the last two are empty
/// if there are none.
fn divided(mut listing: Listing, list: Option<&Path>, [train, validation, test]: [String; 3]) -> Result<Layout> {
    let train = folder_of_classes(&mut listing, train)?;
    let classes = classes_in(&mut listing, list, &train)?;
    let [mut validation, mut test] = [validation, test].map(|folder| match folder.is_empty() {
        true => None,
        false => folder_of_classes(&mut listing, folder).ok().filter(|folder| listing.has_folders(folder)),
    });
    if test.is_none() {
        test = validation.take();
    }
    let Some(test) = test else {
        let (root, train) = (listing.root.display(), listing.path(&train));
        let message = format!(
            "expected class folders in {root}/test or {root}/val, found none; with {} as `data_dir` a fifth of its {} \
             is the test set",
            train.display(),
            listing.kind.many
        );
        return Err(Error::setting("data_dir", message));
    };
    let mut read = |folder: &str| {
        if list.is_none() {
            check_known(&mut listing, folder, (&train, &classes))?;
        }
        by_class(&mut listing, &classes, |_, class| inside(folder, class))
    };
    let of_train = read(&train)?;
    let of_validation = validation.as_deref().map_or_else(|| Ok(Part::default()), &mut read)?;
    let of_test = read(&test)?;
    if let Some(folder) = &validation {
        let path = listing.path(folder);
        let (path, count, many) = (path.display(), of_validation.entries.len(), listing.kind.many);
        listing.notes.push(format!(
            "the {count} {many} in {path} are for validation; `validation` 0 leaves them out, and other numbers do not matter"
        ));
    }
    let meaning = Meaning::Classes(classes.into());
    Ok(Layout { listing, meaning, train: of_train, validation: of_validation, test: of_test })
}

/// Refuses a folder in `folder` that is no class of the folder `train`.
fn check_known(listing: &mut Listing, folder: &str, (train, classes): (&str, &[String])) -> Result<()> {
    let found = listing.folders(folder)?;
    let Some(extra) = found.iter().find(|name| !classes.contains(name)) else { return Ok(()) };
    let (path, train) = (listing.path(folder).join(extra), listing.path(train));
    let message = format!(
        "{} is not a class in {}; remove it or add it there{}",
        path.display(),
        train.display(),
        alike(extra, classes)
    );
    Err(Error::setting("data_dir", message))
}

/// The layout of classes only: some files of each class are for the test, the same in every run.
fn undivided(mut listing: Listing, list: Option<&Path>, base: &str) -> Result<Layout> {
    let base = folder_of_classes(&mut listing, base.to_owned())?;
    let classes = classes_in(&mut listing, list, &base)?;
    let mut has_files = classes.iter().map(|class| listing.has_files(&inside(&base, class)));
    if !has_files.any(|has| has.unwrap_or(true)) {
        let (path, many) = (listing.path(&base), listing.kind.many);
        let message = format!(
            "the folders in {} have no {many}, only folders, so they are not taken for classes; name one of them, or the \
             directory of train/CLASS/",
            path.display()
        );
        return Err(Error::setting("data_dir", message));
    }
    drop(has_files);
    let all = by_class(&mut listing, &classes, |_, class| inside(&base, class))?;
    let mut for_test = vec![false; all.entries.len()];
    let mut rng = generator(0, Stream::Test);
    for label in 0..classes.len() {
        let mut of_class: Vec<usize> = (0..for_test.len()).filter(|&i| usize::from(all.labels[i]) == label).collect();
        of_class.shuffle(&mut rng);
        of_class.iter().skip(1).step_by(FILES_PER_TEST).for_each(|&i| for_test[i] = true);
    }
    let (mut train, mut test) = (Part::default(), Part::default());
    for ((entry, label), for_test) in all.entries.into_iter().zip(all.labels).zip(for_test) {
        let part = if for_test { &mut test } else { &mut train };
        part.push(entry, label);
    }
    listing.notes.push(format!(
        "{} has no train and test folders: its {} folders are the classes, and a fifth of the {} of each is the test set",
        listing.path(&base).display(),
        classes.len(),
        listing.kind.many
    ));
    Ok(Layout { listing, meaning: Meaning::Classes(classes.into()), train, validation: Part::default(), test })
}
