//! Image files in folders, and the folder layouts of the built-in sets.

use super::annotations::{Face, face_in, image_list_in, names_in, validation_annotations_in, words_in};
use super::folders::AGE;
use super::image_file::{ResizeCrop, read_image};
use crate::data::Meaning;
use crate::data::random::{Stream, generator};
use crate::error::{Error, Result};
use crate::files::{read_at_most, text::from_utf16};
use image::RgbImage;
use rand::seq::SliceRandom;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Extensions of images that are read.
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Extensions of images that are an error. Files with other extensions are ignored.
const UNSUPPORTED: [&str; 12] =
    ["avif", "bmp", "gif", "heic", "jp2", "jxl", "pgm", "ppm", "tif", "tiff", "tga", "webp"];

/// Most bytes that are read from a text file.
const MOST_TEXT_BYTES: u64 = 64 << 20;

/// An image file when its folder was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Entry {
    /// Path relative to the root, with `/` between folders.
    name: String,
    /// Length of the file.
    bytes: u64,
    /// Time of modification in nanoseconds since 1970; 0 if the system does not know it.
    modified: u64,
}

/// Image files in one folder and its subfolders, and the size that images are brought to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    root: Arc<Path>,
    entries: Arc<[Entry]>,
    pub(super) frame: ResizeCrop,
}

impl Files {
    pub(super) fn new(root: &Path, entries: Vec<Entry>, frame: ResizeCrop) -> Self {
        Self { root: root.into(), entries: entries.into(), frame }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of a decoded image: C*H*W.
    pub(super) fn image_bytes(&self) -> usize {
        self.frame.image.iter().product()
    }

    /// The decoded image `index` in its original size.
    pub(super) fn read(&self, index: usize) -> Result<RgbImage> {
        read_image(&self.path(index))
    }

    pub(super) fn path(&self, index: usize) -> PathBuf {
        self.root.join(&self.entries[index].name)
    }

    /// Passes the image size and the names and lengths of all files to `add`, with `times` also the
    /// times of modification.
    pub(super) fn fingerprint(&self, add: &mut dyn FnMut(&[u8]), times: bool) {
        let extents = self.frame.image.into_iter().chain([self.frame.shorter]);
        extents.for_each(|extent| add(&(extent as u64).to_le_bytes()));
        for entry in self.entries.iter() {
            add(entry.name.as_bytes());
            add(&[0]);
            add(&entry.bytes.to_le_bytes());
            if times {
                add(&entry.modified.to_le_bytes());
            }
        }
    }
}

/// The training or test files of a set, with their labels.
#[derive(Default)]
pub(in crate::data) struct Part {
    pub entries: Vec<Entry>,
    pub labels: Vec<u16>,
}

/// The files of a set, and the meaning of their labels.
pub(in crate::data) struct Layout {
    pub root: PathBuf,
    pub meaning: Meaning,
    pub train: Part,
    pub test: Part,
}

/// The entries of a directory, sorted by name, without those that begin with a dot.
fn list_directory(dir: &Path) -> Result<Vec<(String, fs::Metadata)>> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).map_err(Error::io(dir, "list"))? {
        let entry = entry.map_err(Error::io(dir, "list"))?;
        let name = entry.file_name().into_string().map_err(|name| {
            let path = dir.join(name);
            Error::setting("data_dir", format!("{} has a name that is not UTF-8; rename it", path.display()))
        })?;
        if !name.starts_with('.') {
            let path = dir.join(&name);
            found.push((name, fs::metadata(&path).map_err(Error::io(&path, "read"))?));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

/// The entry of an image file; `None` if the extension is not that of an image.
///
/// # Errors
/// [`Error::Format`] for an image of an unsupported format.
fn image_entry(root: &Path, name: String, metadata: &fs::Metadata) -> Result<Option<Entry>> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    if UNSUPPORTED.contains(&extension.as_str()) {
        let message = format!("expected PNG or JPEG, found {extension}; convert or remove the file");
        return Err(Error::format(&root.join(name), 0, message));
    }
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = since.map_or(0, |since| since.as_nanos() as u64);
    Ok(EXTENSIONS.contains(&extension.as_str()).then_some(Entry { name, bytes: metadata.len(), modified }))
}

/// The images in the folder `folder` of `root` and its subfolders, sorted by name.
fn images_below(root: &Path, folder: &str) -> Result<Vec<Entry>> {
    let mut found = vec![];
    for (name, metadata) in list_directory(&root.join(folder))? {
        let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        match metadata.is_dir() {
            true => found.extend(images_below(root, &name)?),
            false => found.extend(image_entry(root, name, &metadata)?),
        }
    }
    Ok(found)
}

/// The image `name` in `root`, which is listed in the file `list`.
fn named_image(root: &Path, name: String, list: &Path) -> Result<Entry> {
    let path = root.join(&name);
    let metadata = fs::metadata(&path).map_err(|fault| {
        Error::format(list, 0, format!("cannot read {}, which is listed here: {fault}", path.display()))
    })?;
    let not_an_image = || Error::format(list, 0, format!("expected names of PNG or JPEG files, found {name}"));
    image_entry(root, name.clone(), &metadata)?.ok_or_else(not_an_image)
}

/// The directories in `dir`, sorted by name, which is the order of classes in torchvision's
/// `ImageFolder`.
fn class_folders(dir: &Path) -> Result<Vec<String>> {
    Ok(list_directory(dir)?.into_iter().filter(|(_, metadata)| metadata.is_dir()).map(|(name, _)| name).collect())
}

/// The images of all classes, in the folders `part/CLASS`. A class without images is an error.
fn by_class(root: &Path, part: &str, classes: &[String]) -> Result<Part> {
    let mut found = Part::default();
    for (label, class) in classes.iter().enumerate() {
        let folder = format!("{part}/{class}");
        if !root.join(&folder).is_dir() {
            let path = root.join(folder);
            let message = format!("expected a directory {} for the class {class:?}; create it", path.display());
            return Err(Error::setting("data_dir", message));
        }
        let images = images_below(root, &folder)?;
        if images.is_empty() {
            let path = root.join(folder);
            let message = format!(
                "expected PNG or JPEG images in {}, found none; add images, or remove the class",
                path.display()
            );
            return Err(Error::setting("data_dir", message));
        }
        found.labels.resize(found.labels.len() + images.len(), label as u16);
        found.entries.extend(images);
    }
    Ok(found)
}

fn read_text(path: &Path) -> Result<Vec<u8>> {
    Ok(from_utf16(read_at_most(path, MOST_TEXT_BYTES)?).0)
}

/// A function from the name of a class in `list` to its index in `classes`.
fn class_index<'c>(classes: &'c [String], list: &'c Path) -> impl Fn(&str) -> Result<u16> + use<'c> {
    let numbers: HashMap<&str, u16> = classes.iter().enumerate().map(|(i, name)| (name.as_str(), i as u16)).collect();
    move |class| {
        let unknown = || Error::format(list, 0, format!("the class {class:?} is not one of the set's classes"));
        numbers.get(class).copied().ok_or_else(unknown)
    }
}

/// The files `DIR/train/CLASS/...` and `DIR/test/CLASS/...`, or `DIR/val/CLASS/...` if `test` has
/// no class folders.
///
/// `list` is a file with the name of a class in each line. If it is given, only these classes are
/// used.
pub(in crate::data) fn imagefolder(root: &Path, list: Option<&Path>) -> Result<Layout> {
    let train = root.join("train");
    if !train.is_dir() {
        let message = format!("expected a directory {}; name the directory of train/CLASS/", train.display());
        return Err(Error::setting("data_dir", message));
    }
    let mut classes = class_folders(&train)?;
    if let Some(list) = list {
        let selected = names_in(list, &read_text(list)?)?;
        let existing = classes.iter().collect::<HashSet<_>>();
        if let Some(absent) = selected.iter().find(|name| !existing.contains(name)) {
            let path = train.join(absent);
            let message = format!("expected a directory {} for the class {absent:?}", path.display());
            return Err(Error::format(list, 0, message));
        }
        classes = selected;
        classes.sort();
    }
    let holds_classes = |part: &&str| class_folders(&root.join(part)).is_ok_and(|folders| !folders.is_empty());
    let Some(test) = ["test", "val"].into_iter().find(holds_classes) else {
        let message = format!("expected class folders in {0}/test or {0}/val, found none", root.display());
        return Err(Error::setting("data_dir", message));
    };
    if list.is_none()
        && let Some(extra) = class_folders(&root.join(test))?.iter().find(|name| !classes.contains(name))
    {
        let path = root.join(test).join(extra);
        let message = format!("{} is not a class in {}; remove it or add it there", path.display(), train.display());
        return Err(Error::setting("data_dir", message));
    }
    let (train, test) = (by_class(root, "train", &classes)?, by_class(root, test, &classes)?);
    Ok(Layout { root: root.to_owned(), meaning: Meaning::Classes(classes.into()), train, test })
}

/// The files of the unpacked archive `tiny-imagenet-200`. Its validation images are used as test
/// set, since its test images have no labels.
///
/// Classes are sorted by identifier, as in torchvision. Their names have the descriptions of
/// `words.txt`, if that file exists.
pub(in crate::data) fn tiny_imagenet(root: &Path) -> Result<Layout> {
    let list = root.join("wnids.txt");
    let mut classes = names_in(&list, &read_text(&list)?)?;
    classes.sort();
    let train = by_class(root, "train", &classes)?;
    let list = root.join("val/val_annotations.txt");
    let mut annotated = validation_annotations_in(&list, &read_text(&list)?)?;
    annotated.sort();
    let index = class_index(&classes, &list);
    let mut test = Part::default();
    for (image, class) in &annotated {
        test.entries.push(named_image(root, format!("val/images/{image}"), &list)?);
        test.labels.push(index(class)?);
    }
    let listed: HashSet<&str> = test.entries.iter().map(|entry| entry.name.as_str()).collect();
    let existing = images_below(root, "val/images")?;
    if let Some(extra) = existing.iter().find(|entry| !listed.contains(entry.name.as_str())) {
        return Err(Error::format(&list, 0, format!("{} is not listed; unpack the archive again", extra.name)));
    }
    let meaning = Meaning::Classes(with_descriptions(&root.join("words.txt"), &classes)?.into());
    Ok(Layout { root: root.to_owned(), meaning, train, test })
}

/// Class identifiers, each followed by its description in the file at `path`, if it has one.
fn with_descriptions(path: &Path, classes: &[String]) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok(classes.to_vec());
    }
    let bytes = read_text(path)?;
    let descriptions: HashMap<&str, &str> = words_in(path, &bytes)?.into_iter().collect();
    let name = |class: &String| match descriptions.get(class.as_str()) {
        Some(description) => format!("{class} {description}"),
        None => class.clone(),
    };
    Ok(classes.iter().map(name).collect())
}

/// The files of the unpacked archive `food-101`.
pub(in crate::data) fn food101(root: &Path) -> Result<Layout> {
    let list = root.join("meta/classes.txt");
    let mut classes = names_in(&list, &read_text(&list)?)?;
    classes.sort();
    let part = |list: &str| -> Result<Part> {
        let list = root.join(list);
        let index = class_index(&classes, &list);
        let mut part = Part::default();
        for (class, image) in image_list_in(&list, &read_text(&list)?)? {
            part.labels.push(index(&class)?);
            part.entries.push(named_image(root, format!("images/{class}/{image}.jpg"), &list)?);
        }
        Ok(part)
    };
    let (train, test) = (part("meta/train.txt")?, part("meta/test.txt")?);
    Ok(Layout { root: root.to_owned(), meaning: Meaning::Classes(classes.into()), train, test })
}

/// One of this many faces is for the test.
const FACES_PER_TEST: usize = 5;

/// Called for a file with an invalid name. It returns an error, or the file is left out.
pub(in crate::data) type OnInvalidName<'m> = dyn FnMut(Error) -> Result<()> + 'm;

/// The faces of UTKFace, labelled by gender.
pub(in crate::data) fn utkface_gender(root: &Path, on_invalid_name: &mut OnInvalidName<'_>) -> Result<Layout> {
    utkface(root, on_invalid_name, Meaning::Classes(["male", "female"].map(str::to_owned).into()), |face| face.gender)
}

/// The faces of UTKFace, labelled by age.
pub(in crate::data) fn utkface_age(root: &Path, on_invalid_name: &mut OnInvalidName<'_>) -> Result<Layout> {
    let [mean, std] = AGE;
    utkface(root, on_invalid_name, Meaning::Number { unit: "years".to_owned(), mean, std }, |face| face.age)
}

/// The faces of UTKFace, with labels from their file names.
///
/// UTKFace has no published test set. The faces are sorted by name and shuffled with a fixed seed;
/// then every fifth is for the test.
fn utkface(
    root: &Path,
    on_invalid_name: &mut OnInvalidName<'_>,
    meaning: Meaning,
    label: fn(&Face) -> u8,
) -> Result<Layout> {
    let mut faces = vec![];
    for entry in images_below(root, "")? {
        let name = entry.name.rsplit('/').next().unwrap_or_default();
        match face_in(&root.join(&entry.name), name) {
            Ok(face) => faces.push((name.to_owned(), entry, face)),
            Err(fault) => on_invalid_name(fault)?,
        }
    }
    faces.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    faces.shuffle(&mut generator(0, Stream::Faces));
    let (mut train, mut test) = (Part::default(), Part::default());
    for (i, (_, entry, face)) in faces.into_iter().enumerate() {
        let part = if i % FACES_PER_TEST == 0 { &mut test } else { &mut train };
        part.entries.push(entry);
        part.labels.push(label(&face).into());
    }
    Ok(Layout { root: root.to_owned(), meaning, train, test })
}
