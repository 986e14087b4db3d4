//! Writes files whole or not at all: to a temporary file in the same directory, which is then
//! renamed.
//!
//! The file is on disk when a function of this module returns. After an error the old file is
//! unchanged, and the temporary file is removed. A symbolic link is kept, and the file that it
//! leads to is replaced. A pipe or a device is written to directly.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Suffix of temporary files.
pub(super) const PART: &str = ".part";

/// Writes `bytes` to a file that has one writer at a time, which the caller ensures. The temporary
/// file always has the same name, so that one that a killed process left is overwritten.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole_by(path, write_bytes(path, bytes))
}

/// [`write_whole`] with the content that `write` writes to the temporary file.
///
/// # Errors
/// [`Error::Io`], and those of `write`.
pub(crate) fn write_whole_by<T>(path: &Path, write: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    replace(path, PART, write)
}

/// Writes `bytes` to a file that other threads or processes may write at the same time. Each has
/// its own temporary file, and the last one to finish replaces the others.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_shared(path: &Path, bytes: &[u8]) -> Result<()> {
    write_shared_by(path, write_bytes(path, bytes))
}

/// [`write_shared`] with the content that `write` writes to the temporary file.
///
/// # Errors
/// [`Error::Io`], and those of `write`.
pub(crate) fn write_shared_by<T>(path: &Path, write: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let suffix = format!(".{}-{}{PART}", process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
    replace(path, &suffix, write)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> impl FnOnce(&mut File) -> Result<()> {
    move |file| file.write_all(bytes).map_err(Error::io(path, "write"))
}

/// Writes to a temporary file, `path` with `suffix`, and renames it to `path`.
fn replace<T>(path: &Path, suffix: &str, write: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    let target = fs::canonicalize(path).unwrap_or(path.to_owned());
    if fs::metadata(&target).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        return write(&mut OpenOptions::new().write(true).open(&target).map_err(Error::io(path, "write"))?);
    }
    let part = with_suffix(&target, suffix);
    let mut file = File::create(&part).map_err(|fault| {
        // If the directory is absent, the error names the file, not the temporary file.
        Error::io(if fault.kind() == ErrorKind::NotFound { path } else { &part }, "create")(fault)
    })?;
    let written = write(&mut file).and_then(|value| {
        let renamed = file.sync_all().and_then(|()| rename(&part, &target));
        renamed.map(|()| value).map_err(Error::io(path, "write"))
    });
    if written.is_err() {
        // If it cannot be removed, the first error is still the one to return.
        let _ = fs::remove_file(&part);
    }
    let value = written?;
    sync_directory(&target)?;
    Ok(value)
}

/// `path` with `suffix` appended to its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Moves a file within a file system, and replaces the target.
///
/// # Errors
/// [`Error::Io`].
#[cfg(feature = "records")]
pub(crate) fn move_file(from: &Path, to: &Path) -> Result<()> {
    rename(from, to).map_err(Error::io(from, "move"))
}

/// Renames a file, and replaces the target. Windows may refuse it while a program has the target
/// open. A reader or a virus scanner soon closes it, so the rename is tried for a second.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    const TRIES: usize = 50;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 1..TRIES {
        match fs::rename(from, to) {
            Err(fault) if is_in_use(&fault) && !to.is_dir() => thread::sleep(PAUSE),
            outcome => return outcome,
        }
    }
    fs::rename(from, to).map_err(|fault| match is_in_use(&fault) {
        true => io::Error::new(fault.kind(), format!("{fault} If another program has the file open, close it there")),
        false => fault,
    })
}

/// Whether Windows refused to replace a file that may be open.
fn is_in_use(fault: &io::Error) -> bool {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    cfg!(windows) && matches!(fault.raw_os_error(), Some(ACCESS_DENIED | SHARING_VIOLATION))
}

/// Syncs the directory of a new file or directory to disk. Does nothing on systems other than Unix.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn sync_directory(path: &Path) -> Result<()> {
    let Some(dir) = path.parent().filter(|_| cfg!(unix)) else { return Ok(()) };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    match File::open(dir).map_err(Error::io(dir, "open"))?.sync_all() {
        // Some file systems cannot sync a directory.
        Err(fault) if matches!(fault.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput) => Ok(()),
        synced => synced.map_err(Error::io(dir, "write")),
    }
}

#[cfg(test)]
mod tests {
    use super::{write_shared, write_shared_by, write_whole, write_whole_by};
    use crate::error::Error;
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    /// The names in a directory.
    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let half = |file: &mut File| {
            file.write_all(b"ne").unwrap();
            Err::<(), _>(Error::option("the second half", "is missing"))
        };
        for outcome in [write_whole_by(&path, half), write_shared_by(&path, half)] {
            assert_eq!(outcome.unwrap_err().to_string(), "the second half: is missing");
            assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"old".to_vec(), vec!["file".to_owned()]));
        }
        assert_eq!(write_whole_by(&path, |file| Ok(file.write(b"new").unwrap())).unwrap(), 3);
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("file.part")).unwrap();
        let message = write_whole(&path, b"new").unwrap_err().to_string();
        assert!(message.contains("file: cannot write: No space left"), "{message}");
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"old".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    fn a_temporary_file_of_a_killed_process_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(dir.path().join("file.part"), "the half of something longer").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    fn several_writers_write_whole_files() {
        const WRITERS: u8 = 4;
        const LENGTH: usize = 100_000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_shared(&path, &[0; LENGTH]).unwrap();
        let ended = AtomicBool::new(false);
        let is_whole = || {
            let bytes = fs::read(&path).unwrap();
            assert!(
                bytes.len() == LENGTH && bytes.iter().all(|&byte| byte == bytes[0]),
                "the file has bytes of several writers"
            );
        };
        thread::scope(|scope| {
            let write = |writer: u8| (0..20).for_each(|_| write_shared(&path, &[writer; LENGTH]).unwrap());
            let writers: Vec<_> = (1..=WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    is_whole();
                    // Wine replaces the file while it is closed only.
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            ended.store(true, Ordering::Relaxed);
            outcomes.into_iter().for_each(|outcome| outcome.expect("writers do not disturb each other"));
        });
        is_whole();
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_directory_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        for outcome in [write_whole(&path, b"new"), write_shared(&path, b"new")] {
            assert!(outcome.unwrap_err().to_string().contains("taken: cannot write"));
            assert_eq!(names(dir.path()), ["taken"]);
        }
        fs::create_dir(dir.path().join("file.part")).unwrap();
        let message = write_whole(&dir.path().join("file"), b"new").unwrap_err().to_string();
        assert!(message.contains("file.part: cannot create"), "{message}");
        assert_eq!(names(dir.path()), ["file.part", "taken"]);
    }

    #[test]
    fn the_error_of_an_absent_directory_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let message = write_whole(&dir.path().join("absent/file"), b"new").unwrap_err().to_string();
        assert!(message.contains("absent/file: cannot create"), "{message}");
    }

    #[test]
    #[cfg(windows)]
    fn the_error_of_an_open_file_explains_it() {
        use std::os::windows::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let open = fs::OpenOptions::new().read(true).share_mode(1).open(&path).unwrap();
        let message = write_whole(&path, b"new").unwrap_err().to_string();
        assert!(message.contains("If another program has the file open, close it there"), "{message}");
        drop(open);
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"old".to_vec(), vec!["file".to_owned()]));
    }
}
