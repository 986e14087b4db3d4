//! IDX, the format of MNIST and Fashion-MNIST: big-endian header (magic, count, extents), then bytes; plain or gzip.

use super::{PictureSplits, Pictures};
use crate::error::{Error, Result};
use crate::files::open_regular;
use flate2::bufread::MultiGzDecoder;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// No image set that fits this format is larger; a header that claims more is wrong.
const MOST_BYTES: u64 = 4 << 30;

/// What gzip may unfold to: this much, and so much a byte of it. Photographs take a half or a quarter less than their pixels,
/// drawings a tenth to a thirtieth, labels in order a six-hundredth, but those are few; deflate itself ends at a 1,032nd, with
/// which 4 MB of nothing ask for 4 GB of memory.
const MOST_UNFOLDED: u64 = 16 << 20;
const MOST_UNFOLDED_PER_BYTE: u64 = 64;

/// The names of the file of training images; the other three are formed alike.
pub(in crate::data) const FILES: [&str; 2] = ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"];

/// A file's content, decompressed where it begins as gzip does.
struct Content<'a> {
    path: &'a Path,
    reader: Box<dyn Read + 'a>,
    offset: u64,
    /// The file's length.
    length: u64,
    /// What its content may come to.
    most: u64,
}

impl<'a> Content<'a> {
    fn new(path: &'a Path, mut file: impl BufRead + 'a, length: u64) -> Result<Self> {
        let compressed = file.fill_buf().map_err(Error::io(path, "read"))?.starts_with(&GZIP);
        let unfolded = MOST_UNFOLDED.saturating_add(MOST_UNFOLDED_PER_BYTE.saturating_mul(length));
        let most = if compressed { unfolded.min(MOST_BYTES) } else { MOST_BYTES };
        let reader: Box<dyn Read + 'a> = if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { path, reader, offset: 0, length, most })
    }

    /// The next `most` bytes, or what is left. Memory grows with what is there, not with `most`.
    fn read(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(most.min(self.length) as usize);
        let outcome = self.reader.by_ref().take(most).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        outcome.map_err(|fault| self.explain(fault))?;
        Ok(bytes)
    }

    /// Damage that the decompressor met is a fault of the file; all else is the system's.
    fn explain(&self, fault: std::io::Error) -> Error {
        match fault.kind() {
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                let message = format!("expected intact gzip data, found damage ({fault}); fetch it again");
                Error::format(self.path, self.offset, message)
            }
            _ => Error::io(self.path, "read")(fault),
        }
    }
}

/// The D words that follow the magic.
fn read_header<const D: usize>(content: &mut Content<'_>, magic: u32, what: &str) -> Result<[u32; D]> {
    let path = content.path;
    let length = 4 * (1 + D);
    let header = content.read(length as u64)?;
    if header.len() < length {
        let message = format!("expected a header of {length} bytes, the file ends here; fetch it again");
        return Err(Error::format(path, header.len() as u64, message));
    }
    let word = |i: usize| u32::from_be_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]]);
    if word(0) != magic {
        let message =
            format!("expected magic {magic:#010x} of IDX {what}, found {:#010x}; is it the right file?", word(0));
        return Err(Error::format(path, 0, message));
    }
    Ok(std::array::from_fn(|i| word(i + 1)))
}

/// D extents, and as many bytes as their product.
fn read<const D: usize>(mut content: Content<'_>, magic: u32, what: &str) -> Result<([usize; D], Vec<u8>)> {
    let path = content.path;
    let extents: [u32; D] = read_header(&mut content, magic, what)?;
    let start = content.offset;
    let product = extents.iter().try_fold(1u64, |product, &extent| product.checked_mul(u64::from(extent)));
    let Some(expected) = product.filter(|bytes| (1..=MOST_BYTES).contains(bytes)) else {
        let message =
            format!("expected 1 to {MOST_BYTES} bytes of {what}, the header says {extents:?}; fetch it again");
        return Err(Error::format(path, 4, message));
    };
    if expected > content.most {
        let (length, most) = (content.length, content.most);
        let message = format!(
            "expected at most {most} bytes of {what} in {length} bytes of gzip, the header says {extents:?}; fetch it again, or if \
             it is right, unpack it with gunzip"
        );
        return Err(Error::format(path, 4, message));
    }
    let bytes = content.read(expected + 1)?;
    let found = bytes.len() as u64;
    if found != expected {
        let fault = if found < expected { "the file ends here" } else { "the file goes on" };
        let message = format!("expected {expected} bytes of {what} after the header, but {fault}; fetch it again");
        return Err(Error::format(path, start + found.min(expected), message));
    }
    Ok((extents.map(|extent| extent as usize), bytes))
}

/// The content of a file.
fn open(path: &Path) -> Result<Content<'_>> {
    let file = open_regular(path)?;
    let length = file.metadata().map_err(Error::io(path, "read"))?.len();
    Content::new(path, BufReader::new(file), length)
}

/// N images of HxW, a byte per pixel: (extents, bytes).
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for a wrong magic, impossible extents, damaged gzip, or a file too short or too long.
pub fn read_images(path: &Path) -> Result<([usize; 3], Vec<u8>)> {
    images_of(open(path)?)
}

/// The same from the content of a file of `length` bytes; `path` is for messages.
///
/// Beyond 128 KiB it takes memory for the bytes of a plain file once; of a compressed one three times 64 times its length and 16 MiB,
/// whatever its header says and however far it unfolds.
///
/// # Errors
/// As [`read_images`].
pub fn images_in(path: &Path, content: impl BufRead, length: u64) -> Result<([usize; 3], Vec<u8>)> {
    images_of(Content::new(path, content, length)?)
}

fn images_of(content: Content<'_>) -> Result<([usize; 3], Vec<u8>)> {
    read(content, IMAGES, "images")
}

/// N labels, each below `classes`.
///
/// # Errors
/// As [`read_images`], and [`Error::Format`] for a label out of range.
pub fn read_labels(path: &Path, classes: usize) -> Result<Vec<u8>> {
    labels_of(open(path)?, classes)
}

/// The same from the content of a file of `length` bytes, in as much memory as [`images_in`]; `path` is for messages.
///
/// # Errors
/// As [`read_labels`].
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

/// The four files of a set in `dir`.
pub(in crate::data) fn read_set(name: &str, dir: &Path, classes: &[String]) -> Result<PictureSplits> {
    let splits =
        PictureSplits { train: read_part(name, dir, "train", classes)?, test: read_part(name, dir, "t10k", classes)? };
    let [train, test] = [splits.train.image, splits.test.image];
    if train != test {
        let message =
            format!("expected images of {train:?} (C, H, W) as in training, found {test:?}; are both of {name}?");
        return Err(Error::format(&file(dir, "t10k-images-idx3-ubyte"), 8, message));
    }
    Ok(splits)
}

/// A file of images with its file of labels.
fn read_part(name: &str, dir: &Path, prefix: &str, classes: &[String]) -> Result<Pictures> {
    let images = file(dir, &format!("{prefix}-images-idx3-ubyte"));
    let labels = file(dir, &format!("{prefix}-labels-idx1-ubyte"));
    dataset_of(name, open(&images)?, open(&labels)?, classes)
}

/// The content of a file of images with that of its file of labels.
fn dataset_of(name: &str, images: Content<'_>, labels: Content<'_>, classes: &[String]) -> Result<Pictures> {
    let (of_images, of_labels) = (images.path, labels.path);
    let ([n, h, w], bytes) = images_of(images)?;
    let values = labels_of(labels, classes.len())?;
    if values.len() != n {
        let message =
            format!("expected {n} labels, as many as {} has images, found {}", of_images.display(), values.len());
        return Err(Error::format(of_labels, 4, message));
    }
    Ok(Pictures::new(name, [1, h, w], classes.to_vec(), bytes, values))
}

/// The file as it is published, or unpacked.
fn file(dir: &Path, stem: &str) -> PathBuf {
    let plain = dir.join(stem);
    if plain.exists() { plain } else { dir.join(format!("{stem}.gz")) }
}
