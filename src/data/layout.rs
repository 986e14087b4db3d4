//! The files of a data set with their labels, and how they are read.

use super::Meaning;
use super::listing::{Entry, FileKind, Listing};
use crate::error::{Error, Result};
use crate::files::{is_dir, text::alike};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How the files of a set are decoded: each to the same number of bytes.
pub trait Decoder: Clone + std::fmt::Debug + PartialEq + Send + Sync {
    /// The first bytes of a cache of such files, with the version of its format.
    const CACHE: &'static [u8; 16];

    /// The first bytes of a cache of any version.
    const CACHE_OF_ANY_VERSION: &'static [u8];

    /// Whether a cache holds the files sorted by name, not in the order of the parts.
    const SORTED: bool;

    /// What a file holds, in messages.
    const ONE: &'static str;

    /// Why a whole cache may not be that of these files, in a message after its path.
    const OTHER_CACHE: &'static str;

    /// Bytes of a decoded file.
    fn bytes(&self) -> usize;

    /// Decodes the file at `path` into `place`, which has [`Decoder::bytes`] bytes.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`].
    fn decode(&self, path: &Path, place: &mut [u8]) -> Result<()>;

    /// Passes what the decoded bytes depend on, apart from the file, to `add`.
    fn fingerprint(&self, add: &mut dyn FnMut(&[u8]));
}

/// Files in one folder and its subfolders, and how they are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files<D> {
    root: Arc<Path>,
    entries: Arc<[Entry]>,
    pub(super) decoder: D,
}

impl<D: Decoder> Files<D> {
    pub(super) fn new(root: &Path, entries: Vec<Entry>, decoder: D) -> Self {
        Self { root: root.into(), entries: entries.into(), decoder }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Decodes the file `index` into `place`.
    pub(super) fn read(&self, index: usize, place: &mut [u8]) -> Result<()> {
        self.decoder.decode(&self.path(index), place)
    }

    pub(super) fn path(&self, index: usize) -> PathBuf {
        self.root.join(&self.entries[index].name)
    }

    /// The path of the file `index` relative to the directory of the set.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.entries[index].name
    }

    /// Passes the options of decoding and the names and lengths of all files to `add`, with `times`
    /// also the times of modification.
    pub(super) fn fingerprint(&self, add: &mut dyn FnMut(&[u8]), times: bool) {
        self.decoder.fingerprint(add);
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
pub(super) struct Part {
    pub entries: Vec<Entry>,
    pub labels: Vec<u16>,
}

impl Part {
    pub fn push(&mut self, entry: Entry, label: u16) {
        self.entries.push(entry);
        self.labels.push(label);
    }

    pub fn append(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.labels.extend(other.labels);
    }

    /// Removes the files that are not good.
    pub fn keep(&mut self, good: &[bool]) {
        let mut of_entry = good.iter();
        self.entries.retain(|_| *of_entry.next().expect("one for each"));
        let mut of_label = good.iter();
        self.labels.retain(|_| *of_label.next().expect("one for each"));
    }
}

/// The files of a set, and the meaning of their labels.
pub(super) struct Layout {
    pub listing: Listing,
    pub meaning: Meaning,
    pub train: Part,
    /// Empty if training examples are to be held out.
    pub validation: Part,
    pub test: Part,
}

/// The files of all classes, in the folders `folder(class)`. A class without files is an error.
pub(super) fn by_class(
    listing: &mut Listing,
    classes: &[String],
    folder: impl Fn(&Listing, &str) -> String,
) -> Result<Part> {
    let mut found = Part::default();
    for (label, class) in classes.iter().enumerate() {
        let folder = folder(listing, class);
        let path = listing.path(&folder);
        if !is_dir(&path) {
            let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
            let hint = alike(class, &listing.folders(parent).unwrap_or_default());
            let message = format!("expected a directory {} for the class {class:?}; create it{hint}", path.display());
            return Err(Error::setting("data_dir", message));
        }
        let files = listing.files_below(&folder)?;
        if files.is_empty() {
            let FileKind { many, formats, .. } = listing.kind;
            let message = format!(
                "expected {many} in {}, such as {formats}, found none; add {many}, or remove the class",
                path.display()
            );
            return Err(Error::setting("data_dir", message));
        }
        files.into_iter().for_each(|file| found.push(file, label as u16));
    }
    Ok(found)
}
