//! IDX, the format of MNIST and Fashion-MNIST: a big-endian header (magic number, shape), then
//! bytes. The file may be compressed by gzip.

use super::{PictureSplits, Pictures};
use crate::error::{Error, Result};
use crate::files::{OpenFile, is_file};
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Most bytes of the content of a file. A header with more is an error.
const MOST_BYTES: u64 = 4 << 30;

/// Most bytes that a gzip file may decompress to: this number, and [`MOST_DECOMPRESSED_PER_BYTE`]
/// for each byte of the file.
///
/// Photographs are compressed to a half or three quarters of their size, drawings to 1/10 to 1/30,
/// and sorted labels to 1/600, but labels are few. The limit of deflate is 1/1032: without a limit,
/// a file of 4 MB could need 4 GB of memory.
const MOST_DECOMPRESSED: u64 = 16 << 20;

/// See [`MOST_DECOMPRESSED`].
const MOST_DECOMPRESSED_PER_BYTE: u64 = 64;

/// The names of the file of training images; see [`names`].
pub(in crate::data) const FILES: [&str; 5] = [
    "train-images-idx3-ubyte",
    "train-images-idx3-ubyte.gz",
    "train-images.idx3-ubyte",
    "train-images-idx3-ubyte/train-images-idx3-ubyte",
    "train-images.idx3-ubyte/train-images.idx3-ubyte",
];

/// The content of a file, decompressed if it is gzip.
struct Content<'a> {
    path: &'a Path,
    reader: Box<dyn Read + 'a>,
    /// Bytes of the content read so far.
    offset: u64,
    /// Length of the file.
    length: u64,
    /// Most bytes that the content may have.
    most: u64,
}

impl<'a> Content<'a> {
    fn new(path: &'a Path, mut file: impl BufRead + 'a, length: u64) -> Result<Self> {
        let compressed = file.fill_buf().map_err(Error::io(path, "read"))?.starts_with(&GZIP);
        let decompressed = MOST_DECOMPRESSED.saturating_add(MOST_DECOMPRESSED_PER_BYTE.saturating_mul(length));
        let most = if compressed { decompressed.min(MOST_BYTES) } else { MOST_BYTES };
        let reader: Box<dyn Read + 'a> = if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { path, reader, offset: 0, length, most })
    }

    /// The next `most` bytes, or fewer at the end. Memory grows with the bytes read, not with
    /// `most`.
    fn read(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(most.min(self.length) as usize);
        let outcome = self.reader.by_ref().take(most).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        outcome.map_err(|fault| self.explain(fault))?;
        Ok(bytes)
    }

    /// An error of the decompressor is a fault in the file; other errors are those of the system.
    fn explain(&self, fault: std::io::Error) -> Error {
        match fault.kind() {
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                let message = format!("the gzip data are damaged ({fault}); download the file again");
                Error::format(self.path, self.offset, message)
            }
            _ => Error::io(self.path, "read")(fault),
        }
    }
}

/// The D words after the magic number.
fn read_header<const D: usize>(content: &mut Content<'_>, magic: u32, what: &str) -> Result<[u32; D]> {
    let path = content.path;
    let length = 4 * (1 + D);
    let header = content.read(length as u64)?;
    if header.len() < length {
        let message = format!("expected a header of {length} bytes, but the file ends here; download it again");
        return Err(Error::format(path, header.len() as u64, message));
    }
    let word = |i: usize| u32::from_be_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]]);
    if word(0) != magic {
        let message = format!(
            "expected the magic number {magic:#010x} of IDX {what}, found {:#010x}; is it the right file?",
            word(0)
        );
        return Err(Error::format(path, 0, message));
    }
    Ok(std::array::from_fn(|i| word(i + 1)))
}

/// The D extents of the header, and as many bytes as their product.
fn read<const D: usize>(mut content: Content<'_>, magic: u32, what: &str) -> Result<([usize; D], Vec<u8>)> {
    let path = content.path;
    let extents: [u32; D] = read_header(&mut content, magic, what)?;
    let start = content.offset;
    let product = extents.iter().try_fold(1u64, |product, &extent| product.checked_mul(u64::from(extent)));
    let Some(expected) = product.filter(|bytes| (1..=MOST_BYTES).contains(bytes)) else {
        let message =
            format!("expected 1 to {MOST_BYTES} bytes of {what}, the header has {extents:?}; download the file again");
        return Err(Error::format(path, 4, message));
    };
    if expected > content.most {
        let (length, most) = (content.length, content.most);
        let message = format!(
            "expected at most {most} bytes of {what} in {length} bytes of gzip, the header has {extents:?}; download the \
             file again, or unpack it with gunzip"
        );
        return Err(Error::format(path, 4, message));
    }
    let bytes = content.read(expected + 1)?;
    let found = bytes.len() as u64;
    if found != expected {
        let fault = if found < expected { "ends here" } else { "is longer" };
        let message =
            format!("expected {expected} bytes of {what} after the header, but the file {fault}; download it again");
        return Err(Error::format(path, start + found.min(expected), message));
    }
    Ok((extents.map(|extent| extent as usize), bytes))
}

/// Opens the content of a file.
fn open(path: &Path) -> Result<Content<'_>> {
    let file = OpenFile::open(path)?;
    let length = file.length().map_err(Error::io(path, "read"))?;
    Content::new(path, BufReader::new(file), length)
}

/// Reads N images of HxW, a byte per pixel. Returns `[N, H, W]` and the bytes.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for a wrong magic number, an invalid shape, damaged gzip data,
/// or a file that is too short or too long.
pub fn read_images(path: &Path) -> Result<([usize; 3], Vec<u8>)> {
    images_of(open(path)?)
}

/// [`read_images`] from the content of a file of `length` bytes. `path` is for messages.
///
/// Needs 128 KiB of memory and the length of a plain file. For a compressed file it needs at most
/// three times 16 MiB + 64 times its length, whatever the file contains.
///
/// # Errors
/// Those of [`read_images`].
pub fn images_in(path: &Path, content: impl BufRead, length: u64) -> Result<([usize; 3], Vec<u8>)> {
    images_of(Content::new(path, content, length)?)
}

fn images_of(content: Content<'_>) -> Result<([usize; 3], Vec<u8>)> {
    read(content, IMAGES, "images")
}

/// Reads N labels, each below `classes`.
///
/// # Errors
/// Those of [`read_images`]; [`Error::Format`] for a label out of range.
pub fn read_labels(path: &Path, classes: usize) -> Result<Vec<u8>> {
    labels_of(open(path)?, classes)
}

/// [`read_labels`] from the content of a file of `length` bytes. `path` is for messages. Needs as
/// much memory as [`images_in`].
///
/// # Errors
/// Those of [`read_labels`].
pub fn labels_in(path: &Path, content: impl BufRead, length: u64, classes: usize) -> Result<Vec<u8>> {
    labels_of(Content::new(path, content, length)?, classes)
}

fn labels_of(content: Content<'_>, classes: usize) -> Result<Vec<u8>> {
    let path = content.path;
    let ([_], labels) = read(content, LABELS, "labels")?;
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(labels),
        Some(at) => {
            let message = format!("expected a label below {classes}, found {}", labels[at]);
            Err(Error::format(path, 8 + at as u64, message))
        }
    }
}

/// Reads the four files of a set in `dir`.
pub(in crate::data) fn read_set(name: &str, dir: &Path, classes: &[String]) -> Result<PictureSplits> {
    let splits =
        PictureSplits { train: read_part(name, dir, "train", classes)?, test: read_part(name, dir, "t10k", classes)? };
    let [train, test] = [splits.train.image, splits.test.image];
    if train != test {
        let message =
            format!("expected images of the training shape {train:?}, found {test:?}; are both files from {name}?");
        return Err(Error::format(&file(dir, "t10k-images-idx3-ubyte"), 8, message));
    }
    Ok(splits)
}

/// Reads a file of images and its file of labels.
fn read_part(name: &str, dir: &Path, prefix: &str, classes: &[String]) -> Result<Pictures> {
    let images = file(dir, &format!("{prefix}-images-idx3-ubyte"));
    let labels = file(dir, &format!("{prefix}-labels-idx1-ubyte"));
    dataset_of(name, open(&images)?, open(&labels)?, classes)
}

/// Reads the contents of a file of images and its file of labels.
fn dataset_of(name: &str, images: Content<'_>, labels: Content<'_>, classes: &[String]) -> Result<Pictures> {
    let (of_images, of_labels) = (images.path, labels.path);
    let ([n, h, w], bytes) = images_of(images)?;
    let values = labels_of(labels, classes.len())?;
    if values.len() != n {
        let message = format!("expected {n} labels for the images of {}, found {}", of_images.display(), values.len());
        return Err(Error::format(of_labels, 4, message));
    }
    Ok(Pictures::new(name, [1, h, w], classes.to_vec(), bytes, values))
}

/// The first of the [`names`] of a file that exists, otherwise the compressed file.
fn file(dir: &Path, stem: &str) -> PathBuf {
    let existing = names(stem).map(|name| dir.join(name)).into_iter().find(|path| is_file(path));
    existing.unwrap_or_else(|| dir.join(format!("{stem}.gz")))
}

/// The names under which a file is found: as published, with a dot in place of the second hyphen,
/// and in a folder of its own name.
fn names(stem: &str) -> [String; 5] {
    let dotted = stem.replace("-idx", ".idx");
    [stem.to_owned(), format!("{stem}.gz"), dotted.clone(), format!("{stem}/{stem}"), format!("{dotted}/{dotted}")]
}
