//! One process at a time in a directory.

use crate::error::{Error, Result};
use same_file::Handle;
use std::fs::{OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The file of a directory that its owner locks.
const NAME: &str = ".lock";

/// A directory that no other process may write to while this lives. The system lets go of it when the process ends, however it ends;
/// the file stays, since to remove it would part those who wait for it from those who come later.
#[derive(Debug)]
pub struct Lock {
    dir: PathBuf,
    file: Handle,
    /// The process that had it before and ended without letting go.
    pub abandoned_by: Option<u32>,
}

impl Lock {
    /// Takes `dir`, which must be there, by its file `.lock`, which names this process.
    ///
    /// # Errors
    /// [`Error::Option`] with the number of the process that has it; [`Error::Io`] where the file cannot be written.
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(Error::io(&path, "create"))?;
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            return Err(Error::format(&path, 0, "expected a file, found a pipe or a device; remove it"));
        }
        let locked = file.try_lock();
        let mut text = String::new();
        // Where there is no number in it, what follows goes without.
        let _ = (&file).take(20).read_to_string(&mut text);
        let owner = text.parse().ok();
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let owner = owner.map_or("another process".to_owned(), |owner: u32| format!("process {owner}"));
                let message = format!("in use by {owner}; wait for it, end it, or choose another directory");
                return Err(Error::option(dir.display().to_string(), message));
            }
            // Some file systems have no locks.
            Err(TryLockError::Error(fault)) if fault.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(Error::Io { path, action: "lock", source }),
        }
        let written = file.set_len(0).and_then(|()| file.rewind());
        written.and_then(|()| write!(file, "{}", std::process::id())).map_err(Error::io(&path, "write"))?;
        let file = Handle::from_file(file).map_err(Error::io(&path, "read"))?;
        Ok(Self { dir: dir.to_owned(), file, abandoned_by: owner })
    }

    /// Whether the directory is still the one that was taken: not if it was removed or moved, and perhaps made anew by another process.
    ///
    /// # Errors
    /// [`Error::Option`] naming it where it is not; [`Error::Io`] where that cannot be known.
    pub fn check(&self) -> Result<()> {
        let path = self.dir.join(NAME);
        match Handle::from_path(&path) {
            Ok(file) if file == self.file => Ok(()),
            Err(fault) if !matches!(fault.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(Error::io(&path, "read")(fault))
            }
            _ => Err(Error::option(
                self.dir.display().to_string(),
                "was removed or moved while this process wrote to it; no more is written",
            )),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A name that stays behind makes the next process say too much, no more.
        let _ = self.file.as_file().set_len(0);
    }
}
