//! Sets in the form of YOLO: a YAML file with paths and names, folders of images, and for each
//! image a text file with a line for each object.

use super::Labelled;
use super::objects::{Counts, Image, MOST_OBJECTS, Object, fractions, without_repeated};
use super::yaml::{YoloDescription, yolo_description_in};
use crate::cores::in_parallel;
use crate::data::Source;
use crate::data::annotations::lines;
use crate::data::listing::{Entry, Listing, inside};
use crate::data::pictures::IMAGE_FILES;
use crate::error::{Error, Result};
use crate::files::{read_at_most, text::from_utf16};
use std::path::{Path, PathBuf};

/// The usual name of the description.
const DESCRIPTION: &str = "data.yaml";

/// Most bytes of a description, and of the labels of an image.
const MOST_BYTES: u64 = 1 << 20;

/// The objects in a file of labels.
type Labels = (Vec<Object>, Counts);

/// A line of a file of labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct YoloLabel {
    /// Index of the class.
    pub class: u16,
    /// Centre x, centre y, width and height, as fractions of the width and height of the image.
    pub values: [f64; 4],
}

/// The images of `yolo`. `data_dir` is the description, or its directory.
pub(in crate::data) fn yolo(source: &Source<'_>) -> Result<Labelled> {
    let path = description_path(source)?;
    let root = path.parent().unwrap_or(Path::new(""));
    let mut listing = Listing::new(root, &IMAGE_FILES, source.skip_bad);
    let (bytes, _) = from_utf16(read_at_most(&path, MOST_BYTES)?);
    let description = yolo_description_in(&path, &bytes)?;
    let base = base(&mut listing, &description);
    let YoloDescription { train, mut val, mut test, names, .. } = description;
    if test.is_empty() {
        test = std::mem::take(&mut val);
    }
    if test.is_empty() {
        return Err(Error::format(&path, 0, "expected the key `test` or `val`, found none"));
    }
    let mut counts = Counts::default();
    let mut images = [vec![], vec![], vec![]];
    for (places, images) in [train, val, test].into_iter().zip(&mut images) {
        for place in places {
            let entries = entries(&mut listing, &path, &base, &place)?;
            images.extend(labelled(&mut listing, entries, names.len(), &mut counts)?);
        }
    }
    let [train, validation, test] = images;
    if !train.is_empty() && train.iter().all(|image| image.objects.is_empty()) {
        let labels = label_path(&listing, &train[0].entry.name);
        let message = format!("found no objects of the training images; expected labels such as {}", labels.display());
        return Err(Error::setting("data_dir", message));
    }
    listing.notes.extend(counts.notes());
    Ok(Labelled { listing, classes: names.into(), train, validation, test })
}

/// The description that `data_dir` names or contains.
fn description_path(source: &Source<'_>) -> Result<PathBuf> {
    if let Some(file) = source.dir.filter(|path| path.is_file()) {
        return Ok(file.to_owned());
    }
    let dir = source.named_dir()?;
    let usual = dir.join(DESCRIPTION);
    if usual.is_file() {
        return Ok(usual);
    }
    let entries = std::fs::read_dir(&dir).map_err(Error::io(&dir, "list"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let mut found: Vec<PathBuf> = paths.filter(|path| is_yaml(path) && path.is_file()).collect();
    match (found.pop(), found.len()) {
        (Some(only), 0) => Ok(only),
        (found, _) => {
            let count = if found.is_some() { "several" } else { "none" };
            let message = format!("expected {DESCRIPTION} in {}, found {count}; name the file itself", dir.display());
            Err(Error::setting("data_dir", message))
        }
    }
}

/// The folder of the other paths, relative to the description.
fn base(listing: &mut Listing, description: &YoloDescription) -> String {
    let Some(path) = &description.path else { return String::new() };
    if listing.path(path).is_dir() {
        return path.trim_end_matches('/').to_owned();
    }
    let note = format!("there is no `path` {path} in {0}: other paths are taken from {0}", listing.root.display());
    listing.notes.push(note);
    String::new()
}

/// The images at a path of the description: a folder, or a file that lists them.
fn entries(listing: &mut Listing, description: &Path, base: &str, place: &str) -> Result<Vec<Entry>> {
    let place = place.trim_end_matches('/');
    // Some tools write paths from a folder beside the description.
    let candidates = [Some(place), place.strip_prefix("../")].into_iter().flatten().map(|place| joined(base, place));
    let Some(found) = candidates.into_iter().find(|name| listing.path(name).exists()) else {
        let path = listing.path(&joined(base, place));
        let message = format!("expected a folder of images, or a file that lists them, at {}", path.display());
        return Err(Error::format(description, 0, format!("{message}; correct the path {place:?}")));
    };
    if listing.path(&found).is_dir() {
        return listing.files_below(&found);
    }
    let list = listing.path(&found);
    let (bytes, beside) = (listing.text(&list)?, found.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned());
    let mut entries = vec![];
    for line in lines(&list, &bytes)? {
        let name = line.text.trim();
        let name = match name.strip_prefix("./") {
            Some(name) => inside(&beside, name),
            None => joined(base, name),
        };
        let named = listing.named_file(&name, &list).map_err(|fault| match fault {
            Error::Format { message, .. } => line.fault(&list, &message),
            other => other,
        })?;
        entries.extend(named);
    }
    Ok(entries)
}

/// `place` in the folder `base`, unless it is an absolute path.
fn joined(base: &str, place: &str) -> String {
    match Path::new(place).is_absolute() {
        true => place.to_owned(),
        false => inside(base, place.trim_start_matches("./")),
    }
}

/// The file of labels of an image: in `labels` instead of the last folder `images`.
fn label_path(listing: &Listing, image: &str) -> PathBuf {
    let whole = format!("/{image}");
    let swapped = match whole.rsplit_once("/images/") {
        Some((before, after)) => format!("{before}/labels/{after}"),
        None => whole,
    };
    let relative = if image.starts_with('/') { &swapped[1..] } else { swapped.trim_start_matches('/') };
    listing.path(relative).with_extension("txt")
}

/// The images with their labels.
fn labelled(listing: &mut Listing, entries: Vec<Entry>, classes: usize, counts: &mut Counts) -> Result<Vec<Image>> {
    let mut read: Vec<Option<Result<Labels>>> = entries.iter().map(|_| None).collect();
    let paths: Vec<PathBuf> = entries.iter().map(|entry| label_path(listing, &entry.name)).collect();
    in_parallel(paths.iter().zip(&mut read), |(path, place)| {
        *place = Some(objects(path, classes));
        Ok::<(), Error>(())
    })?;
    let mut images = vec![];
    for (entry, read) in entries.into_iter().zip(read.into_iter().flatten()) {
        match read {
            Ok((objects, of_image)) => {
                counts.add(of_image);
                images.push(Image { entry, size: None, objects });
            }
            Err(fault) => listing.leave_out(&entry.name, fault)?,
        }
    }
    Ok(images)
}

/// The objects in a file of labels. Without the file there are none.
fn objects(path: &Path, classes: usize) -> Result<Labels> {
    let mut counts = Counts::default();
    if !path.exists() {
        counts.unlabelled = 1;
        return Ok((vec![], counts));
    }
    let (bytes, _) = from_utf16(read_at_most(path, MOST_BYTES)?);
    let labels = yolo_labels_in(path, &bytes, classes)?;
    let objects = labels.iter().map(|label| {
        let (corners, clipped) = fractions(label.corners(), [1.0; 2]).expect("a label was checked");
        counts.clipped += usize::from(clipped);
        Object { class: label.class, corners, difficult: false }
    });
    let objects = objects.collect();
    Ok((without_repeated(objects, &mut counts), counts))
}

impl YoloLabel {
    fn corners(&self) -> [f64; 4] {
        let [x, y, w, h] = self.values;
        [x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]
    }
}

/// Reads a file of labels, whose classes are below `classes`. `path` is for messages.
///
/// # Errors
/// [`Error::Format`] with the line.
pub fn yolo_labels_in(path: &Path, bytes: &[u8], classes: usize) -> Result<Vec<YoloLabel>> {
    let mut labels = vec![];
    for line in lines(path, bytes)? {
        if labels.len() == MOST_OBJECTS {
            return Err(line.fault(path, &format!("expected at most {MOST_OBJECTS} objects in an image")));
        }
        labels
            .push(label_in(line.text, classes).map_err(|message| line.fault(path, &format!("{message}; correct it")))?);
    }
    Ok(labels)
}

fn label_in(line: &str, classes: usize) -> Result<YoloLabel, String> {
    let fields: Vec<&str> = line.split_whitespace().take(BOX_FIELDS + 1).collect();
    let &[class, ref values @ ..] = &fields[..] else { return Err("expected a label, found nothing".into()) };
    if fields.len() != BOX_FIELDS {
        let what = if fields.len() > BOX_FIELDS { "more fields; outlines are not read" } else { "fewer fields" };
        return Err(format!("expected CLASS X Y WIDTH HEIGHT, found {what}"));
    }
    // Some tools write the class as 0.0.
    let number =
        class.parse().ok().filter(|number: &f64| number.fract() == 0.0 && (0.0..classes as f64).contains(number));
    let class = number.ok_or_else(|| format!("expected a class from 0 to {}, found {class:.40}", classes - 1))? as u16;
    let mut numbers = [0.0; 4];
    for (number, text) in numbers.iter_mut().zip(values) {
        let parsed = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
        *number = parsed.ok_or_else(|| format!("expected fractions of the image, 0 to 1, found {text:.40}"))?;
    }
    let label = YoloLabel { class, values: numbers };
    let found = || numbers.map(|number| number.to_string()).join(" ");
    fractions(label.corners(), [1.0; 2]).map_err(|what| format!("{what}, found {}", found())).map(|_| label)
}

/// Fields of a label.
const BOX_FIELDS: usize = 5;
