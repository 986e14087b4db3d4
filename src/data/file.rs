//! Files opened for reading.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Opens a regular file: a pipe would be waited for without end, and a device has none.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for anything but a regular file.
pub(super) fn open_regular(path: &Path) -> Result<File> {
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
