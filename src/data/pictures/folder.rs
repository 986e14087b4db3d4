//! Image files in folders, and how the folders of known sets are laid out.

use super::annotations::{Face, face_in, image_list_in, names_in, validation_annotations_in, words_in};
use super::folders::AGE;
use super::image_file::{ResizeCrop, read_image};
use crate::data::Meaning;
use crate::data::random::{Stream, generator};
use crate::error::{Error, Result};
use crate::files::read_at_most;
use image::RgbImage;
use rand::seq::SliceRandom;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// What is read.
const EXTENSIONS: [&str; 3] = ["jpg", "jpeg", "png"];

/// What is an image too, but not read here; other files are no images and passed over.
const FOREIGN: [&str; 12] = ["avif", "bmp", "gif", "heic", "jp2", "jxl", "pgm", "ppm", "tif", "tiff", "tga", "webp"];

/// Longer than any list of these sets.
const MOST_TEXT_BYTES: u64 = 64 << 20;

/// A file as it lay there when the folder was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Entry {
    /// Below the root, with `/` between folders.
    name: String,
    bytes: u64,
    /// Nanoseconds since 1970, as far as the system knows.
    modified: u64,
}

/// Image files below one folder, and the form that they are brought to.
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

    /// C*H*W.
    pub(super) fn image_bytes(&self) -> usize {
        self.frame.image.iter().product()
    }

    /// An image as it is in its file.
    pub(super) fn read(&self, index: usize) -> Result<RgbImage> {
        read_image(&self.path(index))
    }

    pub(super) fn path(&self, index: usize) -> PathBuf {
        self.root.join(&self.entries[index].name)
    }

    /// Gives `add` names, sizes and form; with `times` the times of modification, too.
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

/// Labelled files of a part of a set.
#[derive(Default)]
pub(in crate::data) struct Part {
    pub entries: Vec<Entry>,
    pub labels: Vec<u16>,
}

/// A set as its folders say: its root, what its labels say, and the files of both parts.
pub(in crate::data) struct Layout {
    pub root: PathBuf,
    pub meaning: Meaning,
    pub train: Part,
    pub test: Part,
}

/// The entries of a directory in the order of their names, those that begin with a dot left out.
fn listed(dir: &Path) -> Result<Vec<(String, fs::Metadata)>> {
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

/// The entry of a file that is an image by its name; none where it is no image at all.
///
/// # Errors
/// [`Error::Format`] for an image of a format that is not read.
fn image_entry(root: &Path, name: String, metadata: &fs::Metadata) -> Result<Option<Entry>> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    if FOREIGN.contains(&extension.as_str()) {
        let message = format!("{extension} images are not read; convert it to PNG or JPEG, or remove it");
        return Err(Error::format(&root.join(name), 0, message));
    }
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = since.map_or(0, |since| since.as_nanos() as u64);
    Ok(EXTENSIONS.contains(&extension.as_str()).then_some(Entry { name, bytes: metadata.len(), modified }))
}

/// The images of the folder `below` of `root` and of those in it, in the order of their names.
fn images_below(root: &Path, below: &str) -> Result<Vec<Entry>> {
    let mut found = vec![];
    for (name, metadata) in listed(&root.join(below))? {
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        match metadata.is_dir() {
            true => found.extend(images_below(root, &name)?),
            false => found.extend(image_entry(root, name, &metadata)?),
        }
    }
    Ok(found)
}

/// The file `name` below `root`, which the file `list` names.
fn named_image(root: &Path, name: String, list: &Path) -> Result<Entry> {
    let path = root.join(&name);
    let metadata = fs::metadata(&path).map_err(|fault| {
        Error::format(list, 0, format!("it names {}, which cannot be read: {fault}", path.display()))
    })?;
    let unread = || Error::format(list, 0, format!("it names {name}, which is no PNG or JPEG by its name"));
    image_entry(root, name.clone(), &metadata)?.ok_or_else(unread)
}

/// The directories in `dir`, in the order of their names, as torchvision's `ImageFolder` numbers classes.
fn class_folders(dir: &Path) -> Result<Vec<String>> {
    Ok(listed(dir)?.into_iter().filter(|(_, metadata)| metadata.is_dir()).map(|(name, _)| name).collect())
}

/// The images of every class, each of which must have some, in the folders of their names in `part`.
fn by_class(root: &Path, part: &str, classes: &[String]) -> Result<Part> {
    let mut found = Part::default();
    for (label, class) in classes.iter().enumerate() {
        let below = format!("{part}/{class}");
        if !root.join(&below).is_dir() {
            let message = format!("there is no {}, which the class {class:?} needs", root.join(below).display());
            return Err(Error::setting("data_dir", message));
        }
        let images = images_below(root, &below)?;
        if images.is_empty() {
            let place = root.join(below);
            let message = format!("{} holds no PNG or JPEG image; fill it, or remove it in all parts", place.display());
            return Err(Error::setting("data_dir", message));
        }
        found.labels.resize(found.labels.len() + images.len(), label as u16);
        found.entries.extend(images);
    }
    Ok(found)
}

fn read_text(path: &Path) -> Result<Vec<u8>> {
    read_at_most(path, MOST_TEXT_BYTES)
}

/// Which of `classes` a class of `list` is.
fn numbered<'c>(classes: &'c [String], list: &'c Path) -> impl Fn(&str) -> Result<u16> + use<'c> {
    let numbers: HashMap<&str, u16> = classes.iter().enumerate().map(|(i, name)| (name.as_str(), i as u16)).collect();
    move |class| {
        let unknown = || Error::format(list, 0, format!("it names the class {class:?}, which is none of the set's"));
        numbers.get(class).copied().ok_or_else(unknown)
    }
}

/// `DIR/train/CLASS/...` and `DIR/test/CLASS/...` or, where that has no class folders, `DIR/val/CLASS/...`. With `list`, a file with
/// the name of a class in each line, those classes alone.
pub(in crate::data) fn imagefolder(root: &Path, list: Option<&Path>) -> Result<Layout> {
    let train = root.join("train");
    if !train.is_dir() {
        let message = format!("imagefolder: there is no {}; name the directory that has train/CLASS/", train.display());
        return Err(Error::setting("data_dir", message));
    }
    let mut classes = class_folders(&train)?;
    if let Some(list) = list {
        let wanted = names_in(list, &read_text(list)?)?;
        let there = classes.iter().collect::<HashSet<_>>();
        if let Some(absent) = wanted.iter().find(|name| !there.contains(name)) {
            let message = format!("it names the class {absent:?}, and there is no {}", train.join(absent).display());
            return Err(Error::format(list, 0, message));
        }
        classes = wanted;
        classes.sort();
    }
    let holds_classes = |part: &&str| class_folders(&root.join(part)).is_ok_and(|folders| !folders.is_empty());
    let Some(test) = ["test", "val"].into_iter().find(holds_classes) else {
        let message = format!("neither {0}/test nor {0}/val holds folders of classes, one is needed", root.display());
        return Err(Error::setting("data_dir", message));
    };
    if list.is_none()
        && let Some(extra) = class_folders(&root.join(test))?.iter().find(|name| !classes.contains(name))
    {
        let place = root.join(test).join(extra);
        let message = format!("{} is no class of {}; remove it or add it there", place.display(), train.display());
        return Err(Error::setting("data_dir", message));
    }
    let (train, test) = (by_class(root, "train", &classes)?, by_class(root, test, &classes)?);
    Ok(Layout { root: root.to_owned(), meaning: Meaning::Classes(classes.into()), train, test })
}

/// `tiny-imagenet-200` as it is unpacked; its validation images are the test set, since those of its own have no labels. Classes are
/// in the order of their identifiers, as torchvision numbers them, and named by `words.txt` where it is there.
pub(in crate::data) fn tiny_imagenet(root: &Path) -> Result<Layout> {
    let list = root.join("wnids.txt");
    let mut classes = names_in(&list, &read_text(&list)?)?;
    classes.sort();
    let train = by_class(root, "train", &classes)?;
    let list = root.join("val/val_annotations.txt");
    let mut annotated = validation_annotations_in(&list, &read_text(&list)?)?;
    annotated.sort();
    let number = numbered(&classes, &list);
    let mut test = Part::default();
    for (image, class) in &annotated {
        test.entries.push(named_image(root, format!("val/images/{image}"), &list)?);
        test.labels.push(number(class)?);
    }
    let named: HashSet<&str> = test.entries.iter().map(|entry| entry.name.as_str()).collect();
    let there = images_below(root, "val/images")?;
    if let Some(extra) = there.iter().find(|entry| !named.contains(entry.name.as_str())) {
        return Err(Error::format(&list, 0, format!("it says nothing of {}; unpack the archive again", extra.name)));
    }
    let meaning = Meaning::Classes(in_words(&root.join("words.txt"), &classes)?.into());
    Ok(Layout { root: root.to_owned(), meaning, train, test })
}

/// Identifiers of classes with their words behind them, as far as the file is there and has them.
fn in_words(path: &Path, classes: &[String]) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok(classes.to_vec());
    }
    let bytes = read_text(path)?;
    let words: HashMap<&str, &str> = words_in(path, &bytes)?.into_iter().collect();
    let named = |class: &String| match words.get(class.as_str()) {
        Some(words) => format!("{class} {words}"),
        None => class.clone(),
    };
    Ok(classes.iter().map(named).collect())
}

/// `food-101` as it is unpacked.
pub(in crate::data) fn food101(root: &Path) -> Result<Layout> {
    let list = root.join("meta/classes.txt");
    let mut classes = names_in(&list, &read_text(&list)?)?;
    classes.sort();
    let part = |list: &str| -> Result<Part> {
        let list = root.join(list);
        let number = numbered(&classes, &list);
        let mut part = Part::default();
        for (class, image) in image_list_in(&list, &read_text(&list)?)? {
            part.labels.push(number(&class)?);
            part.entries.push(named_image(root, format!("images/{class}/{image}.jpg"), &list)?);
        }
        Ok(part)
    };
    let (train, test) = (part("meta/train.txt")?, part("meta/test.txt")?);
    Ok(Layout { root: root.to_owned(), meaning: Meaning::Classes(classes.into()), train, test })
}

/// Of how many faces one is for the test.
const FACES_PER_TEST: usize = 5;

/// What becomes of a file whose name says nothing: it is left out, or an error.
pub(in crate::data) type Misnamed<'m> = dyn FnMut(Error) -> Result<()> + 'm;

/// Faces of UTKFace with their gender.
pub(in crate::data) fn utkface_gender(root: &Path, misnamed: &mut Misnamed<'_>) -> Result<Layout> {
    utkface(root, misnamed, Meaning::Classes(["male", "female"].map(str::to_owned).into()), |face| face.gender)
}

/// Faces of UTKFace with their age.
pub(in crate::data) fn utkface_age(root: &Path, misnamed: &mut Misnamed<'_>) -> Result<Layout> {
    let [mean, std] = AGE;
    utkface(root, misnamed, Meaning::Number { unit: "years".to_owned(), mean, std }, |face| face.age)
}

/// Faces of UTKFace, labelled by what their names say. The set has no division of its own: in the order of their names, shuffled once
/// and for all, every fifth is for the test.
fn utkface(root: &Path, misnamed: &mut Misnamed<'_>, meaning: Meaning, label: fn(&Face) -> u8) -> Result<Layout> {
    let mut faces = vec![];
    for entry in images_below(root, "")? {
        let name = entry.name.rsplit('/').next().unwrap_or_default();
        match face_in(&root.join(&entry.name), name) {
            Ok(face) => faces.push((name.to_owned(), entry, face)),
            Err(fault) => misnamed(fault)?,
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
