//! Locks between processes: for a file that several processes write, and for the directory of a
//! run.
//!
//! The operating system releases a lock when its process ends, even if it is killed. The lock file
//! is never removed: otherwise a process that waits for the old file and one that creates a new
//! file could both hold the lock.

use super::write::with_suffix;
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// Opens a lock file, or creates it.
fn open(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(Error::io(path, "create"))?;
    match file.metadata().is_ok_and(|data| data.is_file()) {
        true => Ok(file),
        false => Err(Error::format(path, 0, "expected a file, found a pipe or a device; remove it")),
    }
}

/// Whether the lock file at `path` was locked. A file system without locks counts as success.
fn is_acquired(path: &Path, locked: Result<(), TryLockError>) -> Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(fault)) if fault.kind() == ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(fault)) => Err(Error::io(path, "lock")(fault)),
    }
}

/// The exclusive lock of a file: its name with `.lock` is locked while this value exists.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Locks the file at `path`; `None` if another process has locked it.
    ///
    /// # Errors
    /// [`Error::Io`] if the lock file cannot be created; [`Error::Format`] if it is not a regular
    /// file.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        let path = with_suffix(path, ".lock");
        let file = open(&path)?;
        Ok(is_acquired(&path, file.try_lock())?.then_some(Self { _file: file }))
    }

    /// Locks the file at `path`, and waits while another process has locked it.
    ///
    /// # Errors
    /// Those of [`FileLock::try_take`].
    #[cfg(feature = "report")]
    pub(crate) fn wait(path: &Path) -> Result<Self> {
        let path = with_suffix(path, ".lock");
        let file = open(&path)?;
        is_acquired(&path, file.lock().map_err(TryLockError::Error))?;
        Ok(Self { _file: file })
    }
}

#[cfg(feature = "records")]
pub(crate) use directory::DirectoryLock;

#[cfg(feature = "records")]
mod directory {
    use super::{is_acquired, open};
    use crate::error::{Error, Result};
    use same_file::Handle;
    use std::io::{ErrorKind, Read, Seek, Write};
    use std::path::{Path, PathBuf};

    /// The name of the lock file in the directory.
    const NAME: &str = ".lock";

    /// The exclusive lock of a directory: its file `.lock` is locked while this value exists, and
    /// contains the id of this process.
    #[derive(Debug)]
    pub(crate) struct DirectoryLock {
        dir: PathBuf,
        file: Handle,
        /// The id of a process that was killed while it had the lock.
        pub(crate) abandoned_by: Option<u32>,
    }

    impl DirectoryLock {
        /// Locks the existing directory `dir`.
        ///
        /// # Errors
        /// [`Error::Option`] with the id of the process that has the lock; [`Error::Io`] if the
        /// lock file cannot be written; [`Error::Format`] if it is not a regular file.
        pub(crate) fn take(dir: &Path) -> Result<Self> {
            let path = dir.join(NAME);
            let mut file = open(&path)?;
            let acquired = is_acquired(&path, file.try_lock())?;
            let mut text = String::new();
            // If it cannot be read, the message names no process.
            let _ = (&file).take(20).read_to_string(&mut text);
            let owner = text.parse().ok();
            if !acquired {
                let owner = owner.map_or("another process".to_owned(), |owner: u32| format!("process {owner}"));
                let message = format!("in use by {owner}; wait for it, end it, or choose another directory");
                return Err(Error::option(dir.display().to_string(), message));
            }
            let written = file.set_len(0).and_then(|()| file.rewind());
            written.and_then(|()| write!(file, "{}", std::process::id())).map_err(Error::io(&path, "write"))?;
            let file = Handle::from_file(file).map_err(Error::io(&path, "read"))?;
            Ok(Self { dir: dir.to_owned(), file, abandoned_by: owner })
        }

        /// Locks the existing directory `dir` for processes that share it.
        ///
        /// # Errors
        /// Those of [`DirectoryLock::take`].
        #[cfg(feature = "cli")]
        pub(crate) fn share(dir: &Path) -> Result<Self> {
            let path = dir.join(NAME);
            let file = open(&path)?;
            if !is_acquired(&path, file.try_lock_shared())? {
                let message = "in use by a process that does not share it; wait for it, or choose another directory";
                return Err(Error::option(dir.display().to_string(), message));
            }
            let file = Handle::from_file(file).map_err(Error::io(&path, "read"))?;
            Ok(Self { dir: dir.to_owned(), file, abandoned_by: None })
        }

        /// Whether `dir` was ever locked: the lock file stays.
        pub(crate) fn was_taken(dir: &Path) -> bool {
            dir.join(NAME).exists()
        }

        /// Checks that the path still leads to the locked directory. It does not if the directory
        /// was removed or moved, even if another process has created it again.
        ///
        /// # Errors
        /// [`Error::Option`] if it is another directory; [`Error::Io`] if the lock file cannot be
        /// read.
        pub(crate) fn check(&self) -> Result<()> {
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

    impl Drop for DirectoryLock {
        fn drop(&mut self) {
            // If this fails, the next process reports that this one was killed. Nothing else
            // depends on it.
            let _ = self.file.as_file().set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FileLock;
    #[cfg(target_os = "linux")]
    use crate::error::Error;
    use std::fs;

    #[test]
    fn a_file_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        let lock = FileLock::try_take(&path).unwrap().expect("it is not locked");
        assert!(FileLock::try_take(&path).unwrap().is_none());
        assert!(FileLock::try_take(&dir.path().join("other.json")).unwrap().is_some());
        drop(lock);
        // A process that another test starts at this moment has a copy of the lock until it runs.
        let is_free = |_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            FileLock::try_take(&path).unwrap().is_some()
        };
        assert!((0..1000).any(is_free));
        assert!(dir.path().join("file.json.lock").exists() && !path.exists());
    }

    #[test]
    fn a_directory_with_the_name_of_a_lock_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("file.lock")).unwrap();
        let message = FileLock::try_take(&dir.path().join("file")).unwrap_err().to_string();
        assert!(message.contains("file.lock: cannot create"), "{message}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_pipe_with_the_name_of_a_lock_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("file.lock");
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        let error = FileLock::try_take(&dir.path().join("file")).unwrap_err();
        assert!(matches!(&error, Error::Format { path, .. } if path.ends_with("file.lock")), "{error}");
    }

    #[test]
    #[cfg(feature = "report")]
    fn waiting_writers_write_one_after_the_other() {
        use std::sync::Barrier;
        use std::thread;
        const WRITERS: usize = 4;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("count");
        fs::write(&path, "0").unwrap();
        let start = Barrier::new(WRITERS);
        let count = || {
            start.wait();
            for _ in 0..50 {
                let _lock = FileLock::wait(&path).unwrap();
                let counted: usize = fs::read_to_string(&path).unwrap().parse().unwrap();
                fs::write(&path, (counted + 1).to_string()).unwrap();
            }
        };
        thread::scope(|scope| (0..WRITERS).for_each(|_| drop(scope.spawn(count))));
        assert_eq!(fs::read_to_string(&path).unwrap(), (50 * WRITERS).to_string());
    }

    #[cfg(feature = "records")]
    mod directories {
        use super::super::DirectoryLock;
        use std::fs;

        #[test]
        fn a_directory_has_one_owner() {
            let dir = tempfile::tempdir().unwrap();
            let lock = DirectoryLock::take(dir.path()).unwrap();
            assert_eq!(lock.abandoned_by, None);
            let message = DirectoryLock::take(dir.path()).unwrap_err().to_string();
            assert!(cfg!(windows) || message.contains(&format!("process {};", std::process::id())), "{message}");
            drop(lock);
            assert_eq!(fs::read(dir.path().join(".lock")).unwrap(), b"");
            fs::write(dir.path().join(".lock"), "4711").unwrap();
            assert_eq!(DirectoryLock::take(dir.path()).unwrap().abandoned_by, Some(4711));
        }

        #[test]
        #[cfg(unix)]
        fn a_replaced_directory_is_an_error() {
            let dir = tempfile::tempdir().unwrap();
            let run = dir.path().join("run");
            fs::create_dir(&run).unwrap();
            let lock = DirectoryLock::take(&run).unwrap();
            lock.check().unwrap();
            fs::rename(&run, dir.path().join("moved")).unwrap();
            assert!(lock.check().unwrap_err().to_string().contains("run: was removed or moved"));
            fs::create_dir(&run).unwrap();
            fs::write(run.join(".lock"), "").unwrap();
            assert!(lock.check().unwrap_err().to_string().contains("run: was removed or moved"));
        }
    }
}
