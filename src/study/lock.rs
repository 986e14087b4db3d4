//! One process at a time in a directory.

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

/// A directory that no other process may write to while this lives. The system lets go of it when the process ends, however it ends;
/// the file stays, since to remove it would part those who wait for it from those who come later.
#[derive(Debug)]
pub struct Lock {
    file: File,
    /// The process that had it before and ended without letting go.
    pub abandoned_by: Option<String>,
}

impl Lock {
    /// Takes `dir`, which must be there, by its file `.lock`, which names this process.
    ///
    /// # Errors
    /// [`Error::Option`] with the number of the process that has it; [`Error::Io`] where the file cannot be written.
    pub fn take(dir: &Path) -> Result<Self> {
        let path = dir.join(".lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(Error::io(&path, "create"))?;
        let locked = file.try_lock();
        let mut owner = String::new();
        // Where it cannot be read, what follows goes without the number.
        let _ = file.read_to_string(&mut owner);
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("in use by process {owner}; wait for it, end it, or choose another directory");
                return Err(Error::option(dir.display().to_string(), message));
            }
            // Some file systems have no locks.
            Err(TryLockError::Error(fault)) if fault.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(source)) => return Err(Error::Io { path, action: "lock", source }),
        }
        let written = file.set_len(0).and_then(|()| file.rewind());
        written.and_then(|()| write!(file, "{}", std::process::id())).map_err(Error::io(&path, "write"))?;
        Ok(Self { file, abandoned_by: (!owner.is_empty()).then_some(owner) })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A name that stays behind makes the next process say too much, no more.
        let _ = self.file.set_len(0);
    }
}
