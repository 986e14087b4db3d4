//! A file that holds the images of a data set decoded, a byte per value, so that they are decoded once and read as often as wanted.
//!
//! It begins with [`MAGIC`]; then come the good images one after the other, each with its CRC-32 behind it, the indices of the bad ones
//! (all u32, little-endian), and a [`Footer`] that says what it was made from. Images are read by seeking and not mapped into memory: what another program does to the file is then an error here and no
//! signal.

use super::folder::Files;
use crate::cores::in_parallel;
use crate::error::{Error, Result};
use crate::files::{FileLock, open_regular, write_whole_by};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is told while a set is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'n> {
    /// Something that the user should know.
    Note(&'n str),
    /// So many images of all have been decoded, to be checked or kept.
    Decoded {
        /// So many.
        done: usize,
        /// All.
        all: usize,
    },
}

/// How a cache begins, with the version of its form.
const MAGIC: &[u8; 16] = b"lerac images 2\r\n";

/// How a cache of any version begins.
const ANY_VERSION: &[u8] = b"lerac images ";

/// Bytes of the checksum behind an image.
const CHECKSUM: usize = size_of::<u32>();

/// Images that are decoded between two writings, and two words of progress.
const CHUNK: usize = 256;

/// Bad images that are named; the others are counted.
const NAMED: usize = 3;

/// What ends a cache.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
struct Footer {
    /// CRC-32 of names, sizes, times and form of all files.
    files: u32,
    /// Bytes of an image.
    image_bytes: u32,
    /// Images in it.
    good: u32,
    /// Files that hold none.
    bad: u32,
    /// CRC-32 of the indices of the bad ones and the four words before.
    checksum: u32,
}

impl Footer {
    fn new(files: &Files, bad: &[u32]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        files.fingerprint(&mut |bytes| hasher.update(bytes), true);
        let footer = Self {
            files: hasher.finalize(),
            image_bytes: files.image_bytes() as u32,
            good: (files.len() - bad.len()) as u32,
            bad: bad.len() as u32,
            checksum: 0,
        };
        Self { checksum: footer.checksum_with(bad), ..footer }
    }

    fn checksum_with(&self, bad: &[u32]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        [self.files, self.image_bytes, self.good, self.bad]
            .iter()
            .chain(bad)
            .for_each(|word| hasher.update(&word.to_le_bytes()));
        hasher.finalize()
    }

    fn words(&self) -> [u32; 5] {
        [self.files, self.image_bytes, self.good, self.bad, self.checksum]
    }

    /// Length of the whole cache.
    fn total(&self) -> u64 {
        let images = (u64::from(self.image_bytes) + CHECKSUM as u64) * u64::from(self.good);
        MAGIC.len() as u64 + images + 4 * u64::from(self.bad) + size_of::<Self>() as u64
    }
}

/// Images in a cache, from some image on.
#[derive(Clone, Debug)]
pub struct Cached {
    /// What they were decoded from.
    pub(super) files: Files,
    path: Arc<Path>,
    file: Arc<Mutex<File>>,
    first: usize,
}

impl PartialEq for Cached {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, &self.path, self.first) == (&other.files, &other.path, other.first)
    }
}

impl Cached {
    /// Puts the bytes of one image in its place.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Format`] where they are not those that were written.
    pub(super) fn read(&self, index: usize, place: &mut [u8]) -> Result<()> {
        let offset = MAGIC.len() as u64 + ((self.first + index) * (place.len() + CHECKSUM)) as u64;
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
            "the image of {} is not as it was written; delete this cache, and the next run makes it again",
            self.files.path(index).display()
        );
        Err(Error::format(&self.path, offset, message))
    }

    /// The images of `files`, which are those of the cache from the `first` good one on.
    pub(super) fn part(&self, files: Files, first: usize) -> Self {
        Self { files, first, ..self.clone() }
    }
}

/// What a pass over all files has found: where their images are now, and which are bad.
pub(super) struct Checked {
    /// The cache, if there is one.
    pub cache: Option<Cached>,
    /// Indices of bad files.
    pub bad: Vec<u32>,
}

/// Decodes every file, and keeps the images in `cache` if that is named; one that was made from the same files is used as it is.
///
/// # Errors
/// The first bad image unless `skip_bad`; [`Error::Io`] where the cache cannot be written; [`Error::Setting`] where its name is that
/// of another file, or another process writes it.
pub(super) fn check(
    files: &Files,
    cache: Option<&Path>,
    skip_bad: bool,
    news: &mut dyn FnMut(News<'_>),
) -> Result<Checked> {
    let Some(path) = cache else {
        let bad = decode_all(files, skip_bad, news, |_| Ok(()))?;
        return Ok(Checked { cache: None, bad });
    };
    let mut found = existing(files, path)?;
    let mut lock = None;
    if !found.serves(skip_bad) {
        lock = Some(lock_of(path)?);
        // Another process may have made it before the lock was had.
        found = existing(files, path)?;
    }
    let (file, bad) = match found {
        Existing::Good(file, bad) if bad.is_empty() => (file, bad),
        Existing::Good(file, bad) if skip_bad => {
            news(News::Note(&format!("{} leaves {} bad images out", path.display(), bad.len())));
            (file, bad)
        }
        Existing::Good(..) => {
            news(News::Note(&format!("{} was made with `skip_bad`; it is made again", path.display())));
            write(files, path, skip_bad, news)?
        }
        Existing::Absent => write(files, path, skip_bad, news)?,
        Existing::Other(why) => {
            news(News::Note(&format!("{} {why}; it is made again", path.display())));
            write(files, path, skip_bad, news)?
        }
    };
    drop(lock);
    let cached = Cached { files: files.clone(), path: path.into(), file: Arc::new(Mutex::new(file)), first: 0 };
    Ok(Checked { cache: Some(cached), bad })
}

/// What lies at the cache's path.
enum Existing {
    /// The cache of these files, but for these of them.
    Good(File, Vec<u32>),
    Absent,
    /// A cache that cannot be used, and why.
    Other(&'static str),
}

impl Existing {
    /// Whether it is used as it is.
    fn serves(&self, skip_bad: bool) -> bool {
        matches!(self, Self::Good(_, bad) if bad.is_empty() || skip_bad)
    }
}

fn existing(files: &Files, path: &Path) -> Result<Existing> {
    if fs::metadata(path).is_err_and(|fault| fault.kind() == ErrorKind::NotFound) {
        return Ok(Existing::Absent);
    }
    let mut file = open_regular(path)?;
    let mut length = file.metadata().map_err(Error::io(path, "read"))?.len();
    let mut bytes = vec![];
    Read::take(&mut file, MAGIC.len() as u64).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    if length > 0 && bytes != MAGIC {
        if bytes.starts_with(ANY_VERSION) {
            return Ok(Existing::Other("is of another version of lerac"));
        }
        let message = format!("{} is there already and is no cache; choose another name", path.display());
        return Err(Error::setting("cache", message));
    }
    // From the end: the footer, then the indices before it.
    let mut from_end = |count: usize| -> Result<Option<Vec<u32>>> {
        let Some(start) = length.checked_sub(4 * count as u64) else { return Ok(None) };
        let mut bytes = vec![0; 4 * count];
        let read = file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(&mut bytes));
        read.map_err(Error::io(path, "read"))?;
        length = start;
        Ok(Some(bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect()))
    };
    let torn = Existing::Other("is not whole");
    let Some(words) = from_end(5)? else { return Ok(torn) };
    let found = Footer { files: words[0], image_bytes: words[1], good: words[2], bad: words[3], checksum: words[4] };
    if found.bad as usize > files.len() {
        return Ok(torn);
    }
    let Some(bad) = from_end(found.bad as usize)? else { return Ok(torn) };
    let whole = length + 4 * bad.len() as u64 + size_of::<Footer>() as u64 == found.total();
    let whole = whole && bad.is_sorted_by(|a, b| a < b) && bad.last().is_none_or(|&last| (last as usize) < files.len());
    Ok(match whole && found.checksum == found.checksum_with(&bad) {
        false => torn,
        true if found == Footer::new(files, &bad) => Existing::Good(file, bad),
        true => Existing::Other("was made from other files, or in another size"),
    })
}

/// Keeps every other process from making the cache at `path` while what it gives lives.
fn lock_of(path: &Path) -> Result<FileLock> {
    let taken = || Error::setting("cache", format!("another process writes {}; wait for it", path.display()));
    FileLock::try_take(path)?.ok_or_else(taken)
}

/// Makes the cache, whose lock the caller holds, and returns it with which files are bad.
fn write(files: &Files, path: &Path, skip_bad: bool, news: &mut dyn FnMut(News<'_>)) -> Result<(File, Vec<u32>)> {
    let bad = write_whole_by(path, |file| {
        let mut writer = BufWriter::new(file);
        let mut put = |bytes: &[u8]| writer.write_all(bytes).map_err(Error::io(path, "write"));
        put(MAGIC)?;
        let bad = decode_all(files, skip_bad, news, |image| {
            put(image)?;
            put(&crc32fast::hash(image).to_le_bytes())
        })?;
        let footer = Footer::new(files, &bad);
        bad.iter().chain(&footer.words()).try_for_each(|word| put(&word.to_le_bytes()))?;
        writer.flush().map_err(Error::io(path, "write"))?;
        Ok(bad)
    })?;
    Ok((open_regular(path)?, bad))
}

/// Decodes every file in turn, shows `see` the good images, and returns which files hold none.
fn decode_all(
    files: &Files,
    skip_bad: bool,
    news: &mut dyn FnMut(News<'_>),
    mut see: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Vec<u32>> {
    let (all, bytes) = (files.len(), files.image_bytes());
    let mut faults: Vec<(u32, Error)> = vec![];
    let mut pixels = vec![0; CHUNK.min(all) * bytes];
    for start in (0..all).step_by(CHUNK) {
        let here = start..all.min(start + CHUNK);
        let found = Mutex::new(vec![]);
        in_parallel(here.clone().zip(pixels.chunks_exact_mut(bytes)), |(i, place)| {
            match files.read(i) {
                Ok(image) => place.copy_from_slice(&files.frame.fit(&image)),
                Err(error) if skip_bad => found.lock().expect("keeping a fault does not panic").push((i as u32, error)),
                Err(error) => return Err(error),
            }
            Ok(())
        })?;
        let mut found = found.into_inner().expect("keeping a fault does not panic");
        found.sort_by_key(|(i, _)| *i);
        for (i, place) in here.clone().zip(pixels.chunks_exact(bytes)) {
            if !found.iter().any(|(bad, _)| *bad as usize == i) {
                see(place)?;
            }
        }
        faults.extend(found);
        news(News::Decoded { done: here.end, all });
    }
    if !faults.is_empty() {
        let named: Vec<String> = faults.iter().take(NAMED).map(|(_, error)| error.to_string()).collect();
        let more = if faults.len() > NAMED { "; ..." } else { "" };
        news(News::Note(&format!("{} of {all} images are bad and left out: {}{more}", faults.len(), named.join("; "))));
    }
    Ok(faults.into_iter().map(|(i, _)| i).collect())
}
