//! CIFAR-10 and CIFAR-100 in their binary format. A record has a label byte (in CIFAR-100 two:
//! coarse, then fine) and 3,072 bytes of pixels: 32x32 red, then green, then blue.

use super::{PictureSplits, Pictures};
use crate::error::{Error, Result};
use crate::files::{exists, gunzipped, read_at_most, text};
use std::path::{Path, PathBuf};

const IMAGE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3072;

/// Most records that are read from a file: twice those of the largest file of either set.
const MOST_RECORDS: usize = 100_000;

/// Most bytes that are read from a list of class names.
const MOST_NAME_BYTES: u64 = 1 << 16;

/// Reads `cifar-10-batches-bin`. Its files may be compressed by gzip.
///
/// # Errors
/// [`Error::Io`] for a missing file, [`Error::Format`] for an incomplete record or a label out of
/// range.
pub fn read_cifar10(dir: &Path) -> Result<PictureSplits> {
    let classes = class_names(&dir.join("batches.meta.txt"), 10)?;
    let training: Vec<_> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
    let training: Vec<_> = training.iter().map(String::as_str).collect();
    let read = |files: &[&str]| read_files("cifar10", dir, files, CIFAR10, &classes);
    Ok(PictureSplits { train: read(&training)?, test: read(&["test_batch.bin"])? })
}

/// Reads `cifar-100-binary`, with the fine labels: 100 classes.
///
/// # Errors
/// Those of [`read_cifar10`].
pub fn read_cifar100(dir: &Path) -> Result<PictureSplits> {
    let classes = class_names(&dir.join("fine_label_names.txt"), 100)?;
    let read = |files: &[&str]| read_files("cifar100", dir, files, FINE, &classes);
    Ok(PictureSplits { train: read(&["train.bin"])?, test: read(&["test.bin"])? })
}

/// Reads `cifar-100-binary`, with the coarse labels: 20 classes.
///
/// # Errors
/// Those of [`read_cifar10`].
pub fn read_cifar100_coarse(dir: &Path) -> Result<PictureSplits> {
    let classes = class_names(&dir.join("coarse_label_names.txt"), 20)?;
    let read = |files: &[&str]| read_files("cifar100-coarse", dir, files, COARSE, &classes);
    Ok(PictureSplits { train: read(&["train.bin"])?, test: read(&["test.bin"])? })
}

/// The class names in a file. If it is absent, classes are named by their index.
fn class_names(path: &Path, count: usize) -> Result<Vec<String>> {
    match exists(path) {
        true => class_names_in(path, &read_at_most(path, MOST_NAME_BYTES)?, count),
        false => Ok((0..count).map(|i| format!("class {i}")).collect()),
    }
}

/// The class names in the bytes of a file, one per line.
fn class_names_in(path: &Path, bytes: &[u8], count: usize) -> Result<Vec<String>> {
    let lines = text::utf8(path, bytes)?.lines();
    let names: Vec<String> = lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != count {
        let message = format!("expected {count} class names, one per line, found {}", names.len());
        return Err(Error::format(path, bytes.len() as u64, message));
    }
    Ok(names)
}

/// The labels of a record.
#[derive(Clone, Copy)]
struct Labels {
    /// Label bytes of a record.
    bytes: usize,
    /// Index of the label byte that is used.
    place: usize,
}

const CIFAR10: Labels = Labels { bytes: 1, place: 0 };
const COARSE: Labels = Labels { bytes: 2, place: 0 };
const FINE: Labels = Labels { bytes: 2, place: 1 };

/// The images of several files, one after the other.
fn read_files(name: &str, dir: &Path, files: &[&str], labels: Labels, classes: &[String]) -> Result<Pictures> {
    let most = (MOST_RECORDS * (labels.bytes + PIXELS)) as u64;
    let contents = files.iter().map(|file| dir.join(file)).map(|path| {
        let compressed = path.with_extension("bin.gz");
        match !exists(&path) && exists(&compressed) {
            true => gunzipped(&compressed, most).map(|bytes| (compressed, bytes)),
            false => read_at_most(&path, most).map(|bytes| (path, bytes)),
        }
    });
    dataset_in(name, contents, labels, classes)
}

/// The images in the contents of several files, one after the other. Paths are for messages.
fn dataset_in(
    name: &str,
    contents: impl Iterator<Item = Result<(PathBuf, Vec<u8>)>>,
    labels: Labels,
    classes: &[String],
) -> Result<Pictures> {
    let mut records = Records::default();
    for content in contents {
        let (path, bytes) = content?;
        records.append(&path, &bytes, labels, classes.len())?;
    }
    Ok(Pictures::new(name, IMAGE, classes.to_vec(), records.images, records.labels))
}

/// Images, and a label for each.
#[derive(Default)]
struct Records {
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Records {
    /// Appends the records of a file. Records must be complete, and labels in range.
    fn append(&mut self, path: &Path, bytes: &[u8], kind: Labels, classes: usize) -> Result<()> {
        let record = kind.bytes + PIXELS;
        let rest = bytes.len() % record;
        if bytes.is_empty() || rest != 0 {
            let message =
                format!("expected records of {record} bytes, found {rest} bytes at the end; download the file again");
            return Err(Error::format(path, (bytes.len() - rest) as u64, message));
        }
        self.images.reserve_exact(bytes.len() / record * PIXELS);
        self.labels.reserve_exact(bytes.len() / record);
        for (i, record) in bytes.chunks_exact(record).enumerate() {
            let label = record[kind.place];
            if usize::from(label) >= classes {
                let message = format!("expected a label below {classes}, found {label}; download the file again");
                return Err(Error::format(path, (i * record.len() + kind.place) as u64, message));
            }
            self.labels.push(label);
            self.images.extend_from_slice(&record[kind.bytes..]);
        }
        Ok(())
    }
}

/// Images and labels in the bytes of a file of CIFAR-10. `path` is for messages. Allocates as much
/// memory as `bytes` has.
///
/// # Errors
/// [`Error::Format`] for an incomplete record or a label out of range.
pub fn cifar10_records(path: &Path, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    records(path, bytes, CIFAR10, 10)
}

/// Images and fine labels in the bytes of a file of CIFAR-100. `path` is for messages. Allocates as
/// much memory as `bytes` has.
///
/// # Errors
/// Those of [`cifar10_records`].
pub fn cifar100_records(path: &Path, bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>)> {
    records(path, bytes, FINE, 100)
}

fn records(path: &Path, bytes: &[u8], labels: Labels, classes: usize) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut records = Records::default();
    records.append(path, bytes, labels, classes)?;
    Ok((records.images, records.labels))
}
