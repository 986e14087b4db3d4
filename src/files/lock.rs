//! Locks between processes: of a file that several of them write, and of a directory that one of them fills.
//!
//! The system lets go of a lock when its process ends, however it ends. The lock's own file is never removed: a process that
//! waits for the old file and one that makes a new file could both hold the lock.

use super::write::with_suffix;
use crate::error::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::Path;

/// Opens the file of a lock, or makes it.
fn open(path: &Path) -> Result<File> {
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(Error::io(path, "create"))?;
    match file.metadata().is_ok_and(|data| data.is_file()) {
        true => Ok(file),
        false => Err(Error::format(path, 0, "expected a file, found a pipe or a device; remove it")),
    }
}

/// Whether the lock of the file at `path` was acquired. On a file system without locks it always is.
fn is_acquired(path: &Path, locked: Result<(), TryLockError>) -> Result<bool> {
    match locked {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(fault)) if fault.kind() == ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(fault)) => Err(Error::io(path, "lock")(fault)),
    }
}

/// A file that no other process writes while this lives, if all of them take its lock, which is the file of its name with `.lock`.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock of the file at `path`; none where another has it.
    ///
    /// # Errors
    /// [`Error::Io`] where the lock's file cannot be made; [`Error::Format`] where something else has its name.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        let path = with_suffix(path, ".lock");
        let file = open(&path)?;
        Ok(is_acquired(&path, file.try_lock())?.then_some(Self { _file: file }))
    }

    /// Waits until no other has the lock of the file at `path`, and takes it.
    ///
    /// # Errors
    /// As [`FileLock::try_take`].
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

    /// The file of a directory that its owner locks.
    const NAME: &str = ".lock";

    /// A directory that no other process may write to while this lives.
    #[derive(Debug)]
    pub(crate) struct DirectoryLock {
        dir: PathBuf,
        file: Handle,
        /// The process that had it before and ended without letting go.
        pub(crate) abandoned_by: Option<u32>,
    }

    impl DirectoryLock {
        /// Takes `dir`, which must be there, by its file `.lock`, which names this process.
        ///
        /// # Errors
        /// [`Error::Option`] with the number of the process that has it; [`Error::Io`] where the file cannot be written;
        /// [`Error::Format`] where something else has its name.
        pub(crate) fn take(dir: &Path) -> Result<Self> {
            let path = dir.join(NAME);
            let mut file = open(&path)?;
            let acquired = is_acquired(&path, file.try_lock())?;
            let mut text = String::new();
            // Without a number, the message names no process.
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

        /// Whether the directory is still the one that was taken: not if it was removed or moved, and perhaps made anew by another
        /// process.
        ///
        /// # Errors
        /// [`Error::Option`] naming it where it is not; [`Error::Io`] where that cannot be known.
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
            // Where this fails, the next process says that this one was killed; nothing else depends on it.
            let _ = self.file.as_file().set_len(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FileLock;
    use std::fs;

    #[test]
    fn one_has_the_lock_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.json");
        let lock = FileLock::try_take(&path).unwrap().expect("nobody has it");
        assert!(FileLock::try_take(&path).unwrap().is_none());
        assert!(FileLock::try_take(&dir.path().join("other.json")).unwrap().is_some());
        drop(lock);
        assert!(FileLock::try_take(&path).unwrap().is_some());
        assert!(dir.path().join("file.json.lock").exists() && !path.exists());
    }

    #[test]
    fn what_has_the_name_of_a_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("file.lock")).unwrap();
        let told = FileLock::try_take(&dir.path().join("file")).unwrap_err().to_string();
        assert!(told.contains("file.lock: cannot create"), "{told}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_pipe_of_the_name_of_a_lock_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("file.lock");
        assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
        let told = FileLock::try_take(&dir.path().join("file")).unwrap_err().to_string();
        assert!(told.contains("file.lock, byte 0: expected a file, found a pipe"), "{told}");
    }

    #[test]
    #[cfg(feature = "report")]
    fn those_who_wait_write_one_by_one() {
        use std::sync::Barrier;
        use std::thread;
        const WRITERS: usize = 4;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("count");
        fs::write(&path, "0").unwrap();
        let all_are_here = Barrier::new(WRITERS);
        let count = || {
            all_are_here.wait();
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
            let told = DirectoryLock::take(dir.path()).unwrap_err().to_string();
            assert!(cfg!(windows) || told.contains(&format!("in use by process {};", std::process::id())), "{told}");
            drop(lock);
            assert_eq!(fs::read(dir.path().join(".lock")).unwrap(), b"");
            fs::write(dir.path().join(".lock"), "4711").unwrap();
            assert_eq!(DirectoryLock::take(dir.path()).unwrap().abandoned_by, Some(4711));
        }

        #[test]
        #[cfg(unix)]
        fn a_directory_that_was_replaced_is_told() {
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
