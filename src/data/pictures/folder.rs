//! The image files of a data set with their labels.

use super::image_file::{ResizeCrop, read_image};
use super::listing::{Entry, Listing};
use crate::data::Meaning;
use crate::error::{Error, Result};
use crate::files::text::alike;
use image::RgbImage;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

    /// The path of the file `index` relative to the directory of the set.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.entries[index].name
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

/// Adds to the error about a bad file how to train without it.
pub(super) fn advise(fault: Error) -> Error {
    let or = ", or leave it out with `skip_bad`";
    match fault {
        Error::Io { path, action, source } => Error::setting(
            "data_dir",
            format!("{}: cannot {action}: {source}; repair or remove it{or}", path.display()),
        ),
        Error::Setting { field, message } => Error::setting(field, format!("{message}{or}")),
        Error::Format { path, offset, message } => Error::format(&path, offset, format!("{message}{or}")),
        other => other,
    }
}

/// The training, validation or test files of a set, with their labels.
#[derive(Default)]
pub(in crate::data) struct Part {
    pub entries: Vec<Entry>,
    pub labels: Vec<u16>,
}

impl Part {
    pub(super) fn push(&mut self, entry: Entry, label: u16) {
        self.entries.push(entry);
        self.labels.push(label);
    }

    pub(super) fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.labels.extend(other.labels);
    }

    /// Removes the files that are not good.
    pub(super) fn keep(&mut self, good: &[bool]) {
        let mut of_entry = good.iter();
        self.entries.retain(|_| *of_entry.next().expect("one for each"));
        let mut of_label = good.iter();
        self.labels.retain(|_| *of_label.next().expect("one for each"));
    }
}

/// The files of a set, and the meaning of their labels.
pub(in crate::data) struct Layout {
    pub listing: Listing,
    pub meaning: Meaning,
    pub train: Part,
    /// Empty if training examples are to be held out.
    pub validation: Part,
    pub test: Part,
}

/// The images of all classes, in the folders `folder(class)`. A class without images is an error.
pub(super) fn by_class(
    listing: &mut Listing,
    classes: &[String],
    folder: impl Fn(&Listing, &str) -> String,
) -> Result<Part> {
    let mut found = Part::default();
    for (label, class) in classes.iter().enumerate() {
        let folder = folder(listing, class);
        let path = listing.path(&folder);
        if !path.is_dir() {
            let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            let hint = alike(class, &listing.folders(parent).unwrap_or_default());
            let message = format!("expected a directory {} for the class {class:?}; create it{hint}", path.display());
            return Err(Error::setting("data_dir", message));
        }
        let images = listing.images_below(&folder)?;
        if images.is_empty() {
            let message = format!(
                "expected images in {}, such as PNG or JPEG, found none; add images, or remove the class",
                path.display()
            );
            return Err(Error::setting("data_dir", message));
        }
        images.into_iter().for_each(|image| found.push(image, label as u16));
    }
    Ok(found)
}
