//! Regular files opened and read.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Opens a regular file: a pipe would be waited for without end, and a device has none.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for anything but a regular file.
pub(crate) fn open_regular(path: &Path) -> Result<File> {
    let metadata = fs::metadata(path).map_err(Error::io(path, "open"))?;
    if !metadata.is_file() {
        let message = "expected a file, found a directory, a pipe or a device; move it away, or name another";
        return Err(Error::format(path, 0, message));
    }
    File::open(path).map_err(Error::io(path, "open"))
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open_regular`].
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    open_regular(path)?.read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    Ok(bytes)
}

/// The bytes of a regular file that is no longer than `most` bytes. A longer one is not read.
///
/// # Errors
/// As [`open_regular`], and [`Error::Format`] for a longer file.
pub(crate) fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let length = file.metadata().map_err(Error::io(path, "read"))?.len();
    let within = |length: u64| match length > most {
        true => {
            let message = format!("expected at most {most} bytes, found {length}; is it the right file?");
            Err(Error::format(path, most, message))
        }
        false => Ok(()),
    };
    within(length)?;
    let mut bytes = Vec::with_capacity(length as usize);
    // It may have grown since, and some files do not tell their length.
    file.take(most + 1).read_to_end(&mut bytes).map_err(Error::io(path, "read"))?;
    within(bytes.len() as u64)?;
    Ok(bytes)
}

/// The bytes of a regular file; none where there is no file.
///
/// # Errors
/// As [`open_regular`].
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match read_regular(path) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::{read_at_most, read_if_there, read_regular};
    use std::fs;

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let reads: [fn(&std::path::Path) -> String; 3] = [
            |path| read_regular(path).unwrap_err().to_string(),
            |path| read_at_most(path, 9).unwrap_err().to_string(),
            |path| read_if_there(path).unwrap_err().to_string(),
        ];
        for read in reads {
            assert!(read(dir.path()).contains("expected a file, found a directory"));
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(read_regular(&pipe).unwrap_err().to_string().contains("a pipe or a device"));
    }

    #[test]
    fn a_limit_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for length in 0..=5 {
            fs::write(&path, vec![7; length]).unwrap();
            let read = read_at_most(&path, 3);
            match length {
                0..=3 => assert_eq!(read.unwrap(), vec![7; length]),
                _ => {
                    let told = read.unwrap_err().to_string();
                    assert!(told.contains(&format!("byte 3: expected at most 3 bytes, found {length}")), "{told}");
                }
            }
        }
    }

    /// Files of `/proc` say that they are empty.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_limit_is_kept_where_no_length_is_told() {
        let path = std::path::Path::new("/proc/self/status");
        assert!(read_at_most(path, 1 << 20).unwrap().starts_with(b"Name:"));
        assert!(read_at_most(path, 3).unwrap_err().to_string().contains("expected at most 3 bytes, found 4"));
    }

    #[test]
    fn only_an_absent_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(read_if_there(&path).unwrap(), None);
        fs::write(&path, "text").unwrap();
        assert_eq!(read_if_there(&path).unwrap(), Some(b"text".to_vec()));
    }
}
