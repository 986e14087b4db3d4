//! IDX, the format of MNIST and Fashion-MNIST: big-endian header (magic, count, extents), then bytes; plain or gzip.

use super::Dataset;
use crate::error::{Error, Result};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

const IMAGES: u32 = 0x0000_0803;
const LABELS: u32 = 0x0000_0801;

/// No image set that fits this format is larger; a header that claims more is wrong.
const MOST_BYTES: u64 = 4 << 30;

/// The file's content, decompressed where it begins with gzip's magic bytes.
fn open(path: &Path) -> Result<Box<dyn Read>> {
    let open = || File::open(path).map_err(Error::io(path, "open"));
    let mut magic = Vec::new();
    open()?.take(2).read_to_end(&mut magic).map_err(Error::io(path, "read"))?;
    let file = BufReader::new(open()?);
    Ok(if magic == [0x1f, 0x8b] { Box::new(GzDecoder::new(file)) } else { Box::new(file) })
}

struct Idx {
    extents: Vec<usize>,
    bytes: Vec<u8>,
}

fn read(path: &Path, magic: u32, what: &str) -> Result<Idx> {
    let mut reader = open(path)?;
    let dimensions = (magic & 0xff) as usize;
    let mut header = Vec::new();
    let header_bytes = 4 * (1 + dimensions);
    reader.by_ref().take(header_bytes as u64).read_to_end(&mut header).map_err(Error::io(path, "read"))?;
    if header.len() < header_bytes {
        let message = format!("expected a header of {header_bytes} bytes, the file ends here; fetch it again");
        return Err(Error::format(path, header.len() as u64, message));
    }
    let words: Vec<u32> =
        header.chunks_exact(4).map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]])).collect();
    if words[0] != magic {
        let message = format!("expected magic {magic:#010x} of IDX {what}, found {:#010x}; is it the right file?", words[0]);
        return Err(Error::format(path, 0, message));
    }
    let product = words[1..].iter().try_fold(1u64, |product, &extent| product.checked_mul(u64::from(extent)));
    let expected = match product {
        Some(bytes) if (1..=MOST_BYTES).contains(&bytes) => bytes,
        _ => {
            let message = format!("expected 1 to {MOST_BYTES} bytes of {what}, the header says {:?}", &words[1..]);
            return Err(Error::format(path, 4, message));
        }
    };
    let mut bytes = Vec::new();
    reader.by_ref().take(expected + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    let found = bytes.len() as u64;
    if found != expected {
        let fault = if found < expected { "the file ends here" } else { "the file goes on" };
        let message = format!("expected {expected} bytes of {what} after the header, but {fault}; fetch it again");
        return Err(Error::format(path, header_bytes as u64 + found.min(expected), message));
    }
    Ok(Idx { extents: words[1..].iter().map(|&extent| extent as usize).collect(), bytes })
}

/// Images [N,H,W], a byte per pixel: (extents, bytes).
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for a wrong magic, impossible extents, or a file too short or too long.
pub fn read_images(path: &Path) -> Result<([usize; 3], Vec<u8>)> {
    let idx = read(path, IMAGES, "images")?;
    Ok(([idx.extents[0], idx.extents[1], idx.extents[2]], idx.bytes))
}

/// Labels [N], each below `classes`.
///
/// # Errors
/// As [`read_images`], and [`Error::Format`] for a label out of range.
pub fn read_labels(path: &Path, classes: usize) -> Result<Vec<u8>> {
    let labels = read(path, LABELS, "labels")?.bytes;
    match labels.iter().position(|&label| usize::from(label) >= classes) {
        None => Ok(labels),
        Some(at) => {
            let message = format!("expected a label below {classes}, found {}", labels[at]);
            Err(Error::format(path, 8 + at as u64, message))
        }
    }
}

/// A file of images with its file of labels.
pub(super) fn read_pair(images: &Path, labels: &Path, classes: Vec<String>) -> Result<Dataset> {
    let ([n, h, w], bytes) = read_images(images)?;
    let values = read_labels(labels, classes.len())?;
    if values.len() != n {
        let message = format!("expected {n} labels, as many as {} has images, found {}", images.display(), values.len());
        return Err(Error::format(labels, 4, message));
    }
    Ok(Dataset { image: [1, h, w], classes, images: bytes, labels: values })
}
