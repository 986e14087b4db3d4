//! CIFAR-10 and CIFAR-100 in their binary layout: records of one label byte (CIFAR-100: coarse, then fine) and 3,072 bytes, planes
//! R, G, B of 32x32.

use super::{Dataset, Splits};
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

const IMAGE: [usize; 3] = [3, 32, 32];
const PIXELS: usize = 3072;

/// Far above any CIFAR file: what is longer is something else.
const MOST_BYTES: u64 = 1 << 30;

/// Reads `cifar-10-batches-bin`.
///
/// # Errors
/// [`Error::Io`] for a missing file, [`Error::Format`] for a torn record or a label out of range.
pub fn read_cifar10(dir: &Path) -> Result<Splits> {
    let classes = class_names(&dir.join("batches.meta.txt"), 10)?;
    let training: Vec<_> = (1..=5).map(|i| format!("data_batch_{i}.bin")).collect();
    let training: Vec<_> = training.iter().map(String::as_str).collect();
    Ok(Splits {
        train: read_records(dir, &training, 1, classes.clone())?,
        test: read_records(dir, &["test_batch.bin"], 1, classes)?,
    })
}

/// Reads `cifar-100-binary`, with the fine labels.
///
/// # Errors
/// As [`read_cifar10`].
pub fn read_cifar100(dir: &Path) -> Result<Splits> {
    let classes = class_names(&dir.join("fine_label_names.txt"), 100)?;
    Ok(Splits {
        train: read_records(dir, &["train.bin"], 2, classes.clone())?,
        test: read_records(dir, &["test.bin"], 2, classes)?,
    })
}

/// A name per line; where the file is absent, numbers.
fn class_names(path: &Path, count: usize) -> Result<Vec<String>> {
    if !path.exists() {
        return Ok((0..count).map(|i| format!("class {i}")).collect());
    }
    let text = fs::read_to_string(path).map_err(Error::io(path, "read"))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != count {
        let message = format!("expected {count} class names, one per line, found {}", names.len());
        return Err(Error::format(path, text.len() as u64, message));
    }
    Ok(names)
}

fn read_records(dir: &Path, files: &[&str], label_bytes: usize, classes: Vec<String>) -> Result<Dataset> {
    let record = label_bytes + PIXELS;
    let (mut images, mut labels) = (vec![], vec![]);
    for file in files {
        let path = dir.join(file);
        let mut bytes = vec![];
        let reader = File::open(&path).map_err(Error::io(&path, "open"))?;
        reader.take(MOST_BYTES).read_to_end(&mut bytes).map_err(Error::io(&path, "read"))?;
        if bytes.is_empty() || bytes.len() % record != 0 {
            let whole = bytes.len() - bytes.len() % record;
            let message = format!("expected records of {record} bytes, found {} at the end; fetch it again", bytes.len() - whole);
            return Err(Error::format(&path, whole as u64, message));
        }
        for (i, record_bytes) in bytes.chunks_exact(record).enumerate() {
            let label = record_bytes[label_bytes - 1];
            if usize::from(label) >= classes.len() {
                let message = format!("expected a label below {}, found {label}", classes.len());
                return Err(Error::format(&path, (i * record + label_bytes - 1) as u64, message));
            }
            labels.push(label);
            images.extend_from_slice(&record_bytes[label_bytes..]);
        }
    }
    Ok(Dataset { image: IMAGE, classes, images, labels })
}
