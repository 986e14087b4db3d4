//! The cache of a data set: a file with its decoded files, such as images, a byte per value.
//!
//! The file has four parts. All numbers are u32, little-endian.
//! 1. [`Decoder::CACHE`].
//! 2. The decoded good files, each followed by its CRC-32.
//! 3. The indices of the bad files.
//! 4. A [`Footer`], which identifies the files.
//!
//! It is read by seeking. The file is not mapped into memory: there, a change by another
//! program could end this one with a signal.

use super::layout::{Decoder, Files, advise};
use super::listing::Skipped;
use crate::cores::in_parallel;
use crate::error::{Error, Result};
use crate::files::{FileLock, open_regular, write_whole_by};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// An event while a data set is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenEvent<'n> {
    /// Something that the user should know.
    Note(&'n str),
    /// Progress of decoding all files.
    Decoded {
        /// Files decoded so far.
        done: usize,
        /// Number of files.
        all: usize,
    },
}

/// Bytes of [`Decoder::CACHE`].
const MAGIC_BYTES: u64 = 16;

/// Bytes of the checksum after a decoded file.
const CHECKSUM: usize = size_of::<u32>();

/// Files that are decoded before they are written and progress is reported.
const CHUNK: usize = 256;

/// The last bytes of a cache.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
struct Footer {
    /// CRC-32 of the names, sizes and times of all files, and of the options of decoding.
    files: u32,
    /// Bytes of a decoded file.
    decoded_bytes: u32,
    /// Number of decoded files in the cache.
    good: u32,
    /// Number of bad files.
    bad: u32,
    /// CRC-32 of the other words of the footer and the indices of the bad files.
    checksum: u32,
}

impl Footer {
    fn new(files: &Files<impl Decoder>, bad: &[u32]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        files.fingerprint(&mut |bytes| hasher.update(bytes), true);
        let footer = Self {
            files: hasher.finalize(),
            decoded_bytes: files.decoder.bytes() as u32,
            good: (files.len() - bad.len()) as u32,
            bad: bad.len() as u32,
            checksum: 0,
        };
        Self { checksum: footer.checksum_with(bad), ..footer }
    }

    fn checksum_with(&self, bad: &[u32]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        [self.files, self.decoded_bytes, self.good, self.bad]
            .iter()
            .chain(bad)
            .for_each(|word| hasher.update(&word.to_le_bytes()));
        hasher.finalize()
    }

    fn words(&self) -> [u32; 5] {
        [self.files, self.decoded_bytes, self.good, self.bad, self.checksum]
    }

    /// Length of the whole cache.
    fn total(&self) -> u64 {
        let decoded = (u64::from(self.decoded_bytes) + CHECKSUM as u64) * u64::from(self.good);
        MAGIC_BYTES + decoded + 4 * u64::from(self.bad) + size_of::<Self>() as u64
    }
}

/// Files whose decoded bytes are in a cache.
#[derive(Clone, Debug)]
pub struct Cached<D> {
    /// The files themselves.
    pub(super) files: Files<D>,
    path: Arc<Path>,
    file: Arc<Mutex<File>>,
    /// Position of each file in the cache.
    places: Arc<[u32]>,
}

impl<D: PartialEq> PartialEq for Cached<D> {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, &self.path, &self.places) == (&other.files, &other.path, &other.places)
    }
}

impl<D: Decoder> Cached<D> {
    /// Reads the decoded bytes of the file `index` into `place`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if the checksum is wrong.
    pub(super) fn read(&self, index: usize, place: &mut [u8]) -> Result<()> {
        let offset = MAGIC_BYTES + u64::from(self.places[index]) * (place.len() + CHECKSUM) as u64;
        let mut checksum = [0; CHECKSUM];
        let mut file = self.file.lock().expect("reading does not panic");
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(place));
        let read = read.and_then(|()| file.read_exact(&mut checksum));
        drop(file);
        read.map_err(Error::io(&self.path, "read"))?;
        if crc32fast::hash(place) == u32::from_le_bytes(checksum) {
            return Ok(());
        }
        let message = format!(
            "the {} of {} is damaged; delete this cache, the next run creates it again",
            D::ONE,
            self.files.path(index).display()
        );
        Err(Error::format(&self.path, offset, message))
    }

    /// Those of `files`, which are at these positions of the cache.
    pub(super) fn part(&self, files: Files<D>, places: &[u32]) -> Self {
        Self { files, places: places.into(), ..self.clone() }
    }
}

/// The result of [`check`].
pub(super) struct Checked<D> {
    /// The cache, if one was requested.
    pub cache: Option<Cached<D>>,
    /// The indices of bad files, each with the reason.
    pub bad: Vec<(u32, Skipped)>,
}

/// Decodes every file, and writes the results to `cache` if it is given. An existing cache of the
/// same files is used instead.
///
/// # Errors
/// The error of the first bad file unless `skip_bad`; [`Error::Io`] if the cache cannot be
/// written; [`Error::Setting`] if `cache` is another file, or another process is writing it.
pub(super) fn check<D: Decoder>(
    files: &Files<D>,
    cache: Option<&Path>,
    skip_bad: bool,
    report: &mut dyn FnMut(OpenEvent<'_>),
) -> Result<Checked<D>> {
    let Some(path) = cache else {
        let bad = decode_all(files, skip_bad, report, |_| Ok(()))?;
        return Ok(Checked { cache: None, bad });
    };
    let mut found = open_existing(files, path)?;
    let mut lock = None;
    if !found.is_usable(skip_bad) {
        lock = Some(lock_cache(path)?);
        // Another process may have written it before the lock was acquired.
        found = open_existing(files, path)?;
    }
    let (file, bad) = match found {
        Existing::Good(file, bad) if bad.is_empty() || skip_bad => (file, marked(files, bad, path)),
        Existing::Good(open, _) => {
            // Windows may refuse to replace an open file.
            drop(open);
            report(OpenEvent::Note(&format!("{} was created with `skip_bad`; it is created again", path.display())));
            write(files, path, skip_bad, report)?
        }
        Existing::Absent => write(files, path, skip_bad, report)?,
        Existing::Unusable(why) => {
            report(OpenEvent::Note(&format!("{} {why}; it is created again", path.display())));
            write(files, path, skip_bad, report)?
        }
    };
    drop(lock);
    let cached =
        Cached { files: files.clone(), path: path.into(), file: Arc::new(Mutex::new(file)), places: [].into() };
    Ok(Checked { cache: Some(cached), bad })
}

/// The bad files with these indices, which the cache at `path` does not have.
fn marked(files: &Files<impl Decoder>, bad: Vec<u32>, path: &Path) -> Vec<(u32, Skipped)> {
    let reason = format!("was bad when {} was created", path.display());
    let skipped = |i: u32| Skipped { file: files.name(i as usize).to_owned(), reason: reason.clone() };
    bad.into_iter().map(|i| (i, skipped(i))).collect()
}

/// The file at the path of the cache.
enum Existing {
    /// The cache of the same files, and the indices of the bad files.
    Good(File, Vec<u32>),
    Absent,
    /// A cache that cannot be used, and the reason.
    Unusable(&'static str),
}

impl Existing {
    /// Whether the file can be used, and is not written again.
    fn is_usable(&self, skip_bad: bool) -> bool {
        matches!(self, Self::Good(_, bad) if bad.is_empty() || skip_bad)
    }
}

fn open_existing<D: Decoder>(files: &Files<D>, path: &Path) -> Result<Existing> {
    if fs::metadata(path).is_err_and(|fault| fault.kind() == ErrorKind::NotFound) {
        return Ok(Existing::Absent);
    }
    let mut file = open_regular(path)?;
    let mut length = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut bytes = vec![];
    Read::take(&mut file, MAGIC_BYTES).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    if length > 0 && bytes != D::CACHE {
        if bytes.starts_with(D::CACHE_OF_ANY_VERSION) {
            return Ok(Existing::Unusable("is from another version of lerac"));
        }
        let message = format!("{} exists and is not a cache; choose another name", path.display());
        return Err(Error::setting("cache", message));
    }
    // Reads backwards from the end: the footer, then the indices of bad files.
    let mut from_end = |count: usize| -> Result<Option<Vec<u32>>> {
        let Some(start) = length.checked_sub(4 * count as u64) else { return Ok(None) };
        let mut bytes = vec![0; 4 * count];
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(Error::io(path, "read"))?;
        length = start;
        Ok(Some(bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()))
    };
    let incomplete = Existing::Unusable("is incomplete");
    let Some(words) = from_end(5)? else { return Ok(incomplete) };
    let found = Footer { files: words[0], decoded_bytes: words[1], good: words[2], bad: words[3], checksum: words[4] };
    if found.bad as usize > files.len() {
        return Ok(incomplete);
    }
    let Some(bad) = from_end(found.bad as usize)? else { return Ok(incomplete) };
    let whole = length + 4 * bad.len() as u64 + size_of::<Footer>() as u64 == found.total();
    let whole = whole && bad.is_sorted_by(|a, b| a < b) && bad.last().is_none_or(|&last| (last as usize) < files.len());
    Ok(match whole && found.checksum == found.checksum_with(&bad) {
        false => incomplete,
        true if found == Footer::new(files, &bad) => Existing::Good(file, bad),
        true => Existing::Unusable(D::OTHER_CACHE),
    })
}

/// Locks the cache at `path` against other processes.
fn lock_cache(path: &Path) -> Result<FileLock> {
    let taken =
        || Error::setting("cache", format!("another process is writing {}; wait until it ends", path.display()));
    FileLock::try_take(path)?.ok_or_else(taken)
}

/// Writes the cache, whose lock the caller holds. Returns it with the indices of bad files.
fn write<D: Decoder>(
    files: &Files<D>,
    path: &Path,
    skip_bad: bool,
    report: &mut dyn FnMut(OpenEvent<'_>),
) -> Result<(File, Vec<(u32, Skipped)>)> {
    let bad = write_whole_by(path, |file| {
        let mut writer = BufWriter::new(file);
        let mut append = |bytes: &[u8]| writer.write_all(bytes).map_err(Error::io(path, "write"));
        append(D::CACHE)?;
        let bad = decode_all(files, skip_bad, report, |decoded| {
            append(decoded)?;
            append(&crc32fast::hash(decoded).to_le_bytes())
        })?;
        let indices: Vec<u32> = bad.iter().map(|(i, _)| *i).collect();
        let footer = Footer::new(files, &indices);
        indices.iter().chain(&footer.words()).try_for_each(|word| append(&word.to_le_bytes()))?;
        writer.flush().map_err(Error::io(path, "write"))?;
        Ok(bad)
    })?;
    Ok((open_regular(path)?, bad))
}

/// Decodes all files, calls `visit` with the bytes of each good one in order, and returns the bad
/// files with their indices.
fn decode_all(
    files: &Files<impl Decoder>,
    skip_bad: bool,
    report: &mut dyn FnMut(OpenEvent<'_>),
    mut visit: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Vec<(u32, Skipped)>> {
    let (all, bytes) = (files.len(), files.decoder.bytes());
    let mut bad = vec![];
    let mut decoded = vec![0; CHUNK.min(all) * bytes];
    for start in (0..all).step_by(CHUNK) {
        let chunk = start..all.min(start + CHUNK);
        let found = Mutex::new(vec![]);
        in_parallel(chunk.clone().zip(decoded.chunks_exact_mut(bytes)), |(i, place)| {
            match files.read(i, place) {
                Ok(()) => {}
                Err(error) if skip_bad => {
                    let skipped = Skipped::new(files.name(i), &error);
                    found.lock().expect("keeping a fault does not panic").push((i as u32, skipped));
                }
                Err(error) => return Err(advise(error)),
            }
            Ok(())
        })?;
        let mut found = found.into_inner().expect("keeping a fault does not panic");
        found.sort_by_key(|(i, _)| *i);
        for (i, place) in chunk.clone().zip(decoded.chunks_exact(bytes)) {
            if !found.iter().any(|(index, _)| *index as usize == i) {
                visit(place)?;
            }
        }
        bad.extend(found);
        report(OpenEvent::Decoded { done: chunk.end, all });
    }
    Ok(bad)
}
