//! Opens and reads regular files, in memory and on disk.

use super::memory::{self, Bytes};
use super::{Info, info};
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// An open file.
#[derive(Debug)]
pub(crate) enum OpenFile {
    Memory(Cursor<Bytes>),
    Disk(File),
}

impl OpenFile {
    /// Opens a regular file; see [`open_regular`].
    ///
    /// # Errors
    /// Those of [`open_regular`].
    pub(crate) fn open(path: &Path) -> Result<Self> {
        match memory::file(path) {
            Some(bytes) => Ok(Self::Memory(Cursor::new(bytes))),
            None => open_regular(path).map(Self::Disk),
        }
    }

    /// Length of the file.
    pub(crate) fn length(&self) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => Ok(bytes.get_ref().as_ref().len() as u64),
            Self::Disk(file) => file.metadata().map(|data| data.len()),
        }
    }
}

impl Read for OpenFile {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(place),
            Self::Disk(file) => file.read(place),
        }
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Memory(content) => content.read_to_end(bytes),
            // Reserves the length of the file at once.
            Self::Disk(file) => file.read_to_end(bytes),
        }
    }
}

impl Seek for OpenFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Memory(bytes) => bytes.seek(to),
            Self::Disk(file) => file.seek(to),
        }
    }
}

/// Opens a regular file on disk. Other files are refused: opening a pipe may wait forever, and a
/// device may never end.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] if it is not a regular file.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let Info { is_file, .. } = info(path).map_err(Error::io(path, "open"))?;
    if !is_file {
        let message = "expected a file, found a directory, a pipe or a device; move it or choose another name";
        return Err(Error::format(path, 0, message));
    }
    File::open(path).map_err(Error::io(path, "open"))
}

/// Reads a regular file.
///
/// # Errors
/// Those of [`open_regular`].
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    OpenFile::open(path)?.read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    Ok(bytes)
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// Those of [`open_regular`]; [`Error::Format`] if the file is longer.
pub(crate) fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = OpenFile::open(path)?;
    let length = file.length().map_err(Error::io(path, "read"))?;
    let check = |length: u64| match length > most {
        true => {
            let message = format!("expected at most {most} bytes, found {length}; is it the right file?");
            Err(Error::format(path, most, message))
        }
        false => Ok(()),
    };
    check(length)?;
    let mut bytes = Vec::with_capacity(length as usize);
    // The file may have grown since, and files in /proc have a length of 0.
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    check(bytes.len() as u64)?;
    Ok(bytes)
}

/// Reads a regular file that is compressed by gzip, of at most `most` decompressed bytes.
///
/// # Errors
/// Those of [`open_regular`]; [`Error::Format`] if the data are damaged or longer.
pub(crate) fn gunzipped(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (mut bytes, file) = (vec![], BufReader::new(OpenFile::open(path)?));
    let read = MultiGzDecoder::new(file).take(most + 1).read_to_end(&mut bytes);
    let bad = |message: String| Error::format(path, bytes.len() as u64, message);
    match read {
        Err(fault) => Err(bad(format!("the gzip data are damaged ({fault}); download the file again"))),
        Ok(_) if bytes.len() as u64 > most => Err(bad(format!("expected at most {most} decompressed bytes"))),
        Ok(_) => Ok(bytes),
    }
}

/// Reads a regular file; `None` if it does not exist.
///
/// # Errors
/// Those of [`open_regular`].
pub(crate) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_regular(path) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::{read_at_most, read_if_exists, read_regular};
    use std::fs;

    #[test]
    fn a_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let reads: [fn(&std::path::Path) -> String; 3] = [
            |path| read_regular(path).unwrap_err().to_string(),
            |path| read_at_most(path, 9).unwrap_err().to_string(),
            |path| read_if_exists(path).unwrap_err().to_string(),
        ];
        for read in reads {
            assert!(read(dir.path()).contains("expected a file, found a directory"));
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read_regular(&pipe).unwrap_err().to_string().contains("a pipe or a device"));
    }

    #[test]
    fn a_longer_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for length in 0..=5 {
            fs::write(&path, vec![7; length]).unwrap();
            let read = read_at_most(&path, 3);
            match length {
                0..=3 => assert_eq!(read.unwrap(), vec![7; length]),
                _ => {
                    let message = read.unwrap_err().to_string();
                    assert!(
                        message.contains(&format!("byte 3: expected at most 3 bytes, found {length}")),
                        "{message}"
                    );
                }
            }
        }
    }

    /// The length of files in `/proc` is 0 in their metadata.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_longer_file_of_unknown_length_is_an_error() {
        let path = std::path::Path::new("/proc/self/status");
        assert!(read_at_most(path, 1 << 20).unwrap().starts_with(b"Name:"));
        assert!(read_at_most(path, 3).unwrap_err().to_string().contains("expected at most 3 bytes, found 4"));
    }

    #[test]
    fn only_an_absent_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read_if_exists(&path).unwrap(), None);
        fs::write(&path, "text").unwrap();
        assert_eq!(read_if_exists(&path).unwrap(), Some(b"text".to_vec()));
    }
}
