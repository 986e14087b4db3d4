//! What is at a path, in memory or on disk.

use super::memory;
use std::ffi::OsString;
use std::path::Path;
use std::time::UNIX_EPOCH;
use std::{fs, io};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) is_file: bool,
    pub(crate) is_dir: bool,
    /// Length of the file.
    pub(crate) bytes: u64,
    /// Time of modification in nanoseconds since 1970; 0 if it is not known.
    pub(crate) modified: u64,
}

/// What is at `path`.
///
/// # Errors
/// Those of the system, also if nothing is there.
pub(crate) fn info(path: &Path) -> io::Result<Info> {
    if let Some(bytes) = memory::file(path) {
        return Ok(Info { is_file: true, is_dir: false, bytes: bytes.as_ref().len() as u64, modified: 0 });
    }
    if memory::names_in(path).is_some() {
        return Ok(Info { is_file: false, is_dir: true, bytes: 0, modified: 0 });
    }
    let data = fs::metadata(path)?;
    let since = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let modified = since.map_or(0, |since| since.as_nanos() as u64);
    Ok(Info { is_file: data.is_file(), is_dir: data.is_dir(), bytes: data.len(), modified })
}

/// Whether something is at `path`.
pub(crate) fn exists(path: &Path) -> bool {
    info(path).is_ok()
}

/// Whether a regular file is at `path`.
pub(crate) fn is_file(path: &Path) -> bool {
    info(path).is_ok_and(|info| info.is_file)
}

/// Whether a directory is at `path`.
pub(crate) fn is_dir(path: &Path) -> bool {
    info(path).is_ok_and(|info| info.is_dir)
}

/// The names in a directory, in any order.
///
/// # Errors
/// Those of the system.
pub(crate) fn names_in(dir: &Path) -> io::Result<Vec<OsString>> {
    match memory::names_in(dir) {
        Some(names) => Ok(names),
        None => fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{exists, info, is_dir, is_file, names_in};
    use crate::files::{add_file, read_at_most, read_regular};
    use std::path::Path;

    #[test]
    fn files_in_memory_are_found_as_files_on_disk_are() {
        let root = Path::new("files in memory");
        for (name, bytes) in [("b/y", "12"), ("a", "3"), ("b/x", "first"), ("b/x", "4567"), ("b/z/deep", "")] {
            add_file(root.join(name), bytes.into());
        }
        let mut names = names_in(&root.join("b")).unwrap();
        names.sort();
        assert_eq!(names, ["x", "y", "z"]);
        assert_eq!(names_in(root).unwrap(), ["a", "b"]);
        assert!(names_in(&root.join("c")).is_err() && names_in(&root.join("a")).is_err());
        assert!(is_dir(root) && is_dir(&root.join("b/z")) && is_dir(&root.join("./b")) && !is_dir(&root.join("a")));
        assert!(is_file(&root.join("b/z/deep")) && !is_file(root) && !exists(&root.join("b/xx")));
        assert_eq!(info(&root.join("b/x")).unwrap().bytes, 4);
        assert_eq!(read_regular(&root.join("b/x")).unwrap(), b"4567");
        assert!(read_at_most(&root.join("b/x"), 3).unwrap_err().to_string().contains("expected at most 3 bytes"));
        assert!(read_regular(root).unwrap_err().to_string().contains("expected a file, found a directory"));
    }

    #[test]
    fn files_on_disk_are_found_too() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("file"), "123").unwrap();
        let mut names = names_in(dir.path()).unwrap();
        names.sort();
        assert_eq!(names, ["file", "sub"]);
        let found = info(&dir.path().join("file")).unwrap();
        assert!(found.is_file && !found.is_dir && found.bytes == 3 && found.modified > 0);
        assert!(is_dir(&dir.path().join("sub")) && !exists(&dir.path().join("none")));
    }
}
