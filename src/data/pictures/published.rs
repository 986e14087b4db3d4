//! The folder layouts of published sets.

use super::IMAGE_FILES;
use super::folders::AGE;
use crate::data::Meaning;
use crate::data::annotations::{Face, face_in, image_list_in, names_in, validation_annotations_in, words_in};
use crate::data::layout::{Layout, Part, by_class};
use crate::data::listing::{Listing, inside};
use crate::data::random::{Stream, generator};
use crate::error::{Error, Result};
use crate::files::{exists, is_dir};
use rand::seq::SliceRandom;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// A function from the name of a class in `list` to its index in `classes`.
fn class_index<'c>(classes: &'c [String], list: &'c Path) -> impl Fn(&str) -> Result<u16> + use<'c> {
    let numbers: HashMap<&str, u16> = classes.iter().enumerate().map(|(i, name)| (name.as_str(), i as u16)).collect();
    move |class| {
        let unknown = || Error::format(list, 0, format!("the class {class:?} is not one of the set's classes"));
        numbers.get(class).copied().ok_or_else(unknown)
    }
}

/// The files of the unpacked archive `tiny-imagenet-200`. Its validation images are used as test
/// set, since its test images have no labels. They may also be sorted into folders of classes.
///
/// Classes are sorted by identifier, as in torchvision. Their names have the descriptions of
/// `words.txt`, if that file exists.
pub(in crate::data) fn tiny_imagenet(root: &Path, skip_bad: bool) -> Result<Layout> {
    let mut listing = Listing::new(root, &IMAGE_FILES, skip_bad);
    let list = root.join("wnids.txt");
    let mut classes = names_in(&list, &listing.text(&list)?)?;
    classes.sort();
    // The images of a class are in a folder next to a text file.
    let folder_in = |part: &'static str| {
        move |listing: &Listing, class: &str| {
            let images = format!("{part}/{class}/images");
            if is_dir(&listing.path(&images)) { images } else { inside(part, class) }
        }
    };
    let train = by_class(&mut listing, &classes, folder_in("train"))?;
    let annotations = root.join("val/val_annotations.txt");
    let test = match exists(&annotations) || is_dir(&root.join("val/images")) {
        true => annotated(&mut listing, &annotations, &classes)?,
        false => by_class(&mut listing, &classes, folder_in("val"))?,
    };
    let meaning = Meaning::Classes(with_descriptions(&mut listing, &classes)?.into());
    Ok(Layout { listing, meaning, train, validation: Part::default(), test })
}

/// The images of `val/images`, with the classes in the file `list`.
fn annotated(listing: &mut Listing, list: &Path, classes: &[String]) -> Result<Part> {
    let mut annotated = validation_annotations_in(list, &listing.text(list)?)?;
    annotated.sort();
    let index = class_index(classes, list);
    let mut test = Part::default();
    for (image, class) in &annotated {
        let label = index(class)?;
        if let Some(entry) = listing.named_file(&format!("val/images/{image}"), list)? {
            test.push(entry, label);
        }
    }
    let listed: HashSet<&str> = annotated.iter().map(|(image, _)| image.as_str()).collect();
    let existing = listing.files_below("val/images")?;
    let is_listed = |name: &str| listed.contains(name.trim_start_matches("val/images/"));
    match existing.iter().find(|entry| !is_listed(&entry.name)) {
        Some(extra) => Err(Error::format(list, 0, format!("{} is not listed; unpack the archive again", extra.name))),
        None => Ok(test),
    }
}

/// Class identifiers, each followed by its description in `words.txt`, if it has one.
fn with_descriptions(listing: &mut Listing, classes: &[String]) -> Result<Vec<String>> {
    let path = listing.path("words.txt");
    if !exists(&path) {
        return Ok(classes.to_vec());
    }
    let bytes = listing.text(&path)?;
    let descriptions: HashMap<&str, &str> = words_in(&path, &bytes)?.into_iter().collect();
    let name = |class: &String| match descriptions.get(class.as_str()) {
        Some(description) => format!("{class} {description}"),
        None => class.clone(),
    };
    Ok(classes.iter().map(name).collect())
}

/// The files of the unpacked archive `food-101`.
pub(in crate::data) fn food101(root: &Path, skip_bad: bool) -> Result<Layout> {
    let mut listing = Listing::new(root, &IMAGE_FILES, skip_bad);
    let list = root.join("meta/classes.txt");
    let mut classes = names_in(&list, &listing.text(&list)?)?;
    classes.sort();
    let mut part = |list: &str| -> Result<Part> {
        let list = root.join(list);
        let index = class_index(&classes, &list);
        let mut part = Part::default();
        for (class, image) in image_list_in(&list, &listing.text(&list)?)? {
            let label = index(&class)?;
            if let Some(entry) = listing.named_file(&format!("images/{class}/{image}.jpg"), &list)? {
                part.push(entry, label);
            }
        }
        Ok(part)
    };
    let (train, test) = (part("meta/train.txt")?, part("meta/test.txt")?);
    Ok(Layout { listing, meaning: Meaning::Classes(classes.into()), train, validation: Part::default(), test })
}

/// One of this many faces is for the test.
const FACES_PER_TEST: usize = 5;

/// The faces of UTKFace, labelled by gender.
pub(in crate::data) fn utkface_gender(root: &Path, skip_bad: bool) -> Result<Layout> {
    let genders = Meaning::Classes(["male", "female"].map(str::to_owned).into());
    utkface(Listing::new(root, &IMAGE_FILES, skip_bad), genders, |face| face.gender)
}

/// The faces of UTKFace, labelled by age.
pub(in crate::data) fn utkface_age(root: &Path, skip_bad: bool) -> Result<Layout> {
    let [mean, std] = AGE;
    let age = Meaning::Number { unit: "years".to_owned(), mean, std };
    utkface(Listing::new(root, &IMAGE_FILES, skip_bad), age, |face| face.age)
}

/// The faces of UTKFace, with labels from their file names.
///
/// UTKFace has no published test set. The faces are sorted by name and shuffled with a fixed seed;
/// then every fifth is for the test.
fn utkface(mut listing: Listing, meaning: Meaning, label: fn(&Face) -> u8) -> Result<Layout> {
    let mut faces = vec![];
    for entry in listing.files_below("")? {
        let name = entry.name.rsplit('/').next().unwrap_or_default();
        match face_in(&listing.path(&entry.name), name) {
            Ok(face) => faces.push((name.to_owned(), entry, face)),
            Err(fault) => listing.leave_out(&entry.name, fault)?,
        }
    }
    faces.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    faces.shuffle(&mut generator(0, Stream::Test));
    let (mut train, mut test) = (Part::default(), Part::default());
    for (i, (_, entry, face)) in faces.into_iter().enumerate() {
        let part = if i % FACES_PER_TEST == 0 { &mut test } else { &mut train };
        part.push(entry, label(&face).into());
    }
    Ok(Layout { listing, meaning, train, validation: Part::default(), test })
}
