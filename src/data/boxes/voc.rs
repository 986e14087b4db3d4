//! The layout of PASCAL VOC: `VOC2007/{JPEGImages,Annotations,ImageSets/Main}`, and the same for
//! other years.

use super::annotation::{VocAnnotation, voc_annotation_in};
use super::objects::{Counts, Image, Object, fractions, without_repeated};
use super::{Difficult, Labelled, VocTrain, VocYears};
use crate::cores::in_parallel;
use crate::data::Source;
use crate::data::annotations::{image_names_in, names_in};
use crate::data::listing::{Entry, Listing, inside};
use crate::data::pictures::IMAGE_FILES;
use crate::error::{Error, Result};
use crate::files::{read_at_most, text::from_utf16};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The classes of PASCAL VOC.
const CLASSES: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// Where the lists of a year are.
const LISTS: &str = "ImageSets/Main";

/// Most bytes of an annotation.
const MOST_BYTES: u64 = 16 << 20;

/// A year of the set.
struct Year {
    /// Its folder; empty if it is the directory of the set.
    folder: String,
    /// Its images by their names without ending.
    images: HashMap<String, Entry>,
}

/// An image of a list with its annotation.
struct Annotated {
    entry: Entry,
    path: PathBuf,
    annotation: VocAnnotation,
}

/// The images of `voc`.
pub(in crate::data) fn voc(source: &Source<'_>, root: &Path) -> Result<Labelled> {
    let mut listing = Listing::new(root, &IMAGE_FILES, source.skip_bad);
    let years = years(&mut listing, source)?;
    let has_test = years.iter().any(|year| year.list(&listing, "test").is_file());
    let trainval = source.boxes.voc_train == Some(VocTrain::Trainval);
    let parts = match (trainval, has_test) {
        (true, true) => ["trainval", "", "test"],
        (false, true) => ["train", "val", "test"],
        (false, false) => ["train", "", "val"],
        (true, false) => {
            let path = years[0].list(&listing, "test");
            let message = format!("trainval includes val, so it needs a test part; expected {}", path.display());
            return Err(Error::setting("voc_train", message));
        }
    };
    let mut found = [vec![], vec![], vec![]];
    for (part, found) in parts.into_iter().zip(&mut found) {
        for year in years.iter().filter(|_| !part.is_empty()) {
            found.extend(year.annotated(&mut listing, part)?);
        }
    }
    let classes = classes(&mut listing, source.class_list, &found)?;
    let mut reading =
        Reading { difficult: source.boxes.difficult.unwrap_or_default(), classes, counts: Counts::default() };
    let mut images = [vec![], vec![], vec![]];
    for (found, images) in found.into_iter().zip(&mut images) {
        for annotated in found {
            match reading.image(&annotated) {
                Ok(image) => images.push(image),
                Err(fault) => listing.leave_out(&annotated.entry.name, fault)?,
            }
        }
    }
    let [train, validation, test] = images;
    let note = note(&listing, &years, parts);
    listing.notes.push(note);
    listing.notes.extend(reading.counts.notes());
    Ok(Labelled { listing, classes: reading.classes.into(), train, validation, test })
}

/// What is read for which part.
fn note(listing: &Listing, years: &[Year], [train, validation, test]: [&str; 3]) -> String {
    let folders = years.iter().map(|year| year.shown(listing)).collect::<Vec<_>>().join(" and ");
    let validation = if validation.is_empty() { String::new() } else { format!("{validation} for validation, ") };
    format!("{folders}: {train} for training, {validation}{test} for the test (`voc_years`, `voc_train`)")
}

/// The years that the options name, or all that are there.
fn years(listing: &mut Listing, source: &Source<'_>) -> Result<Vec<Year>> {
    let wanted: &[&str] = match source.boxes.voc_years {
        Some(VocYears::Of2007) => &["VOC2007"],
        Some(VocYears::Of2012) => &["VOC2012"],
        Some(VocYears::Both) | None => &["VOC2007", "VOC2012"],
    };
    let itself = listing.path(LISTS).is_dir();
    let name = listing.root.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let is_there = |folder: &&&str| if itself { **folder == name } else { listing.path(folder).join(LISTS).is_dir() };
    let present: Vec<&str> = wanted.iter().filter(is_there).copied().collect();
    let folders = match (source.boxes.voc_years, itself) {
        (None, true) => vec![String::new()],
        (Some(_), _) if present.len() < wanted.len() => {
            let absent = wanted.iter().find(|folder| !present.contains(folder)).expect("one is absent");
            let message = format!("expected the folder {absent} in {}, found none", listing.root.display());
            return Err(Error::setting("voc_years", message));
        }
        (Some(_), true) => vec![String::new()],
        _ => present.into_iter().map(str::to_owned).collect(),
    };
    folders.into_iter().map(|folder| Year::new(listing, folder)).collect()
}

/// The names of the classes: those of `list`, VOC's if there are no others, or all that are found.
fn classes(listing: &mut Listing, list: Option<&Path>, found: &[Vec<Annotated>; 3]) -> Result<Vec<String>> {
    if let Some(list) = list {
        return names_in(list, &listing.text(list)?);
    }
    let objects = found.iter().flatten().flat_map(|annotated| &annotated.annotation.objects);
    let names: BTreeSet<&str> = objects.map(|object| object.name.as_str()).collect();
    if names.is_empty() {
        let message = format!("expected objects in the annotations in {}, found none", listing.root.display());
        return Err(Error::setting("data_dir", message));
    }
    Ok(match names.iter().all(|name| CLASSES.contains(name)) {
        true => CLASSES.map(str::to_owned).to_vec(),
        false => names.into_iter().map(str::to_owned).collect(),
    })
}

impl Year {
    fn new(listing: &mut Listing, folder: String) -> Result<Self> {
        let files = listing.files_below(&inside(&folder, "JPEGImages"))?;
        let stem = |name: &str| {
            let file = name.rsplit('/').next().unwrap_or_default();
            file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned()
        };
        let images = files.into_iter().map(|entry| (stem(&entry.name), entry)).collect();
        Ok(Self { folder, images })
    }

    fn list(&self, listing: &Listing, part: &str) -> PathBuf {
        listing.path(&self.folder).join(LISTS).join(format!("{part}.txt"))
    }

    fn shown(&self, listing: &Listing) -> String {
        if self.folder.is_empty() { listing.root.display().to_string() } else { self.folder.clone() }
    }

    /// The names in the list of a part; none if the year has no such list. Without the list
    /// `trainval`, it is `train` and `val`.
    fn names(&self, listing: &mut Listing, part: &str) -> Result<Vec<String>> {
        let path = self.list(listing, part);
        match part {
            _ if path.is_file() => image_names_in(&path, &listing.text(&path)?),
            "trainval" => {
                let mut seen = HashSet::new();
                let both = [self.names(listing, "train")?, self.names(listing, "val")?].concat();
                Ok(both.into_iter().filter(|name| seen.insert(name.clone())).collect())
            }
            _ => Ok(vec![]),
        }
    }

    /// The images of a part with their annotations.
    fn annotated(&self, listing: &mut Listing, part: &str) -> Result<Vec<Annotated>> {
        let mut listed = vec![];
        for name in self.names(listing, part)? {
            let path = listing.path(&self.folder).join("Annotations").join(format!("{name}.xml"));
            match self.images.get(&name) {
                Some(entry) => listed.push((entry.clone(), path)),
                None => {
                    let image = inside(&self.folder, &format!("JPEGImages/{name}.jpg"));
                    let what = if path.is_file() {
                        "has an annotation, but there is no such image; add it"
                    } else {
                        "is absent; add it"
                    };
                    let list = self.list(listing, part);
                    let message = format!("{}, which {} lists, {what}", listing.path(&image).display(), list.display());
                    listing.leave_out(&image, Error::setting("data_dir", message))?;
                }
            }
        }
        let mut read: Vec<Option<Result<VocAnnotation>>> = listed.iter().map(|_| None).collect();
        let places = listed.iter().zip(&mut read);
        in_parallel(places, |((_, path), place)| {
            *place = Some(annotation(path));
            Ok::<(), Error>(())
        })?;
        let mut found = vec![];
        for ((entry, path), annotation) in listed.into_iter().zip(read.into_iter().flatten()) {
            match annotation {
                Ok(annotation) => found.push(Annotated { entry, path, annotation }),
                Err(fault) => listing.leave_out(&entry.name, fault)?,
            }
        }
        Ok(found)
    }
}

fn annotation(path: &Path) -> Result<VocAnnotation> {
    let (bytes, _) = from_utf16(read_at_most(path, MOST_BYTES)?);
    voc_annotation_in(path, &bytes)
}

/// How annotations become objects.
struct Reading {
    difficult: Difficult,
    classes: Vec<String>,
    counts: Counts,
}

impl Reading {
    /// The image with its objects. Coordinates are converted as YOLOv5 does: the centre is
    /// (min + max) / 2 - 1, and the size is max - min.
    fn image(&mut self, annotated: &Annotated) -> Result<Image> {
        let Annotated { entry, path, annotation } = annotated;
        let size = annotation.size.map(f64::from);
        let (mut objects, mut counts) = (vec![], Counts::default());
        for (number, object) in (1..).zip(&annotation.objects) {
            let Some(class) = self.classes.iter().position(|name| *name == object.name) else {
                let known = self.classes.join(", ");
                return Err(object.fault(
                    path,
                    number,
                    &format!("expected one of the classes {known:.200}; add it to the list"),
                ));
            };
            let [left, top, right, bottom] = object.corners;
            let (corners, clipped) = fractions(object.corners.map(|value| value - 1.0), size).map_err(|what| {
                let found = format!("found xmin {left}, ymin {top}, xmax {right}, ymax {bottom}");
                object.fault(path, number, &format!("{what}, {found}; correct it"))
            })?;
            let leave_out = object.difficult && self.difficult == Difficult::Drop;
            counts.clipped += usize::from(clipped && !leave_out);
            counts.difficult += usize::from(leave_out);
            if !leave_out {
                objects.push(Object { class: class as u16, corners, difficult: object.difficult });
            }
        }
        let objects = without_repeated(objects, &mut counts);
        self.counts.add(counts);
        Ok(Image { entry: entry.clone(), size: Some(annotation.size), objects })
    }
}
