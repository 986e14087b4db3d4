//! Files written whole or not at all: to a temporary name next to their own, then by renaming.
//!
//! They are on the disk when a function of this file returns. Where a link leads to a file, the link stays; what is no file, such as
//! a pipe, is written to as it is. After an error the file is as it was before, and nothing half-written is left.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the temporary name of a file has after its own.
const PART: &str = ".part";

/// Writes `bytes` to a file that has one writer at a time, since a lock or the program's order sees to it. Its temporary name is
/// always the same: what a process left there that was killed is written over.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole_by(path, put(path, bytes))
}

/// Writes what `write` writes, as [`write_whole`] does.
///
/// # Errors
/// [`Error::Io`], and those of `write`.
pub(crate) fn write_whole_by<T>(path: &Path, write: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    replace(path, PART, write)
}

/// Writes `bytes` to a file that others may write at the same time, in this process or in another. Each writes to a temporary
/// name of its own, and the last one that ends stays.
///
/// # Errors
/// [`Error::Io`].
pub(crate) fn write_shared(path: &Path, bytes: &[u8]) -> Result<()> {
    write_shared_by(path, put(path, bytes))
}

/// Writes what `write` writes, as [`write_shared`] does.
///
/// # Errors
/// [`Error::Io`], and those of `write`.
pub(crate) fn write_shared_by<T>(path: &Path, write: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let suffix = format!(".{}-{}{PART}", process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
    replace(path, &suffix, write)
}

fn put(path: &Path, bytes: &[u8]) -> impl FnOnce(&mut File) -> Result<()> {
    move |file| file.write_all(bytes).map_err(Error::io(path, "write"))
}

/// Writes to the name that has `suffix` after the file's, and renames that.
fn replace<T>(path: &Path, suffix: &str, write: impl FnOnce(&mut File) -> Result<T>) -> Result<T> {
    let target = fs::canonicalize(path).unwrap_or(path.to_owned());
    if fs::metadata(&target).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        return write(&mut OpenOptions::new().write(true).open(&target).map_err(Error::io(path, "write"))?);
    }
    let part = with_suffix(&target, suffix);
    let mut file = File::create(&part).map_err(|fault| {
        // Where the directory is absent, the file's own name says more.
        Error::io(if fault.kind() == ErrorKind::NotFound { path } else { &part }, "create")(fault)
    })?;
    let written = write(&mut file).and_then(|value| {
        let renamed = file.sync_all().and_then(|()| rename(&part, &target));
        renamed.map(|()| value).map_err(Error::io(path, "write"))
    });
    if written.is_err() {
        // If it cannot be removed either, the first error is the one to tell.
        let _ = fs::remove_file(&part);
    }
    let value = written?;
    sync_directory(&target)?;
    Ok(value)
}

/// `path` with `suffix` after its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Renames a file over another. Windows refuses that while a program has the other open.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    const ACCESS_DENIED: i32 = 5;
    const SHARING_VIOLATION: i32 = 32;
    fs::rename(from, to).map_err(|fault| match fault.raw_os_error() {
        Some(ACCESS_DENIED | SHARING_VIOLATION) if cfg!(windows) => {
            io::Error::new(fault.kind(), format!("{fault} If another program has the file open, close it there"))
        }
        _ => fault,
    })
}

/// Puts the directory entry of a new file or folder on the disk; does nothing but on Unix.
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

    /// What lies in a directory.
    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let half = |file: &mut File| {
            file.write_all(b"ne").unwrap();
            Err::<(), _>(Error::option("the second half", "is missing"))
        };
        for told in [write_whole_by(&path, half), write_shared_by(&path, half)] {
            assert_eq!(told.unwrap_err().to_string(), "the second half: is missing");
            assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"old".to_vec(), vec!["file".to_owned()]));
        }
        assert_eq!(write_whole_by(&path, |file| Ok(file.write(b"new").unwrap())).unwrap(), 3);
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_leaves_nothing_half_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join("file.part")).unwrap();
        let told = write_whole(&path, b"new").unwrap_err().to_string();
        assert!(told.contains("file: cannot write: No space left"), "{told}");
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"old".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    fn what_a_killed_process_left_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(dir.path().join("file.part"), "the half of something longer").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"new".to_vec(), vec!["file".to_owned()]));
    }

    #[test]
    fn of_several_writers_each_writes_whole_files() {
        const WRITERS: u8 = 4;
        const LENGTH: usize = 100_000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        write_shared(&path, &[0; LENGTH]).unwrap();
        let ended = AtomicBool::new(false);
        let is_whole = || {
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() == LENGTH && bytes.iter().all(|&byte| byte == bytes[0]), "a file of several writers");
        };
        thread::scope(|scope| {
            let write = |writer: u8| (0..20).for_each(|_| write_shared(&path, &[writer; LENGTH]).unwrap());
            let writers: Vec<_> = (1..=WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    is_whole();
                }
            });
            let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            ended.store(true, Ordering::Relaxed);
            outcomes.into_iter().for_each(|outcome| outcome.expect("no writer is in the way of another"));
        });
        is_whole();
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn a_directory_in_the_way_is_an_error_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        for told in [write_whole(&path, b"new"), write_shared(&path, b"new")] {
            assert!(told.unwrap_err().to_string().contains("taken: cannot write"));
            assert_eq!(names(dir.path()), ["taken"]);
        }
        fs::create_dir(dir.path().join("file.part")).unwrap();
        let told = write_whole(&dir.path().join("file"), b"new").unwrap_err().to_string();
        assert!(told.contains("file.part: cannot create"), "{told}");
        assert_eq!(names(dir.path()), ["file.part", "taken"]);
    }

    #[test]
    fn an_absent_directory_is_told_with_the_files_name() {
        let dir = tempfile::tempdir().unwrap();
        let told = write_whole(&dir.path().join("absent/file"), b"new").unwrap_err().to_string();
        assert!(told.contains("absent/file: cannot create"), "{told}");
    }

    #[test]
    #[cfg(windows)]
    fn a_file_that_is_open_elsewhere_is_told() {
        use std::os::windows::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let open = fs::OpenOptions::new().read(true).share_mode(1).open(&path).unwrap();
        let told = write_whole(&path, b"new").unwrap_err().to_string();
        assert!(told.contains("If another program has the file open, close it there"), "{told}");
        drop(open);
        assert_eq!((fs::read(&path).unwrap(), names(dir.path())), (b"old".to_vec(), vec!["file".to_owned()]));
    }
}
