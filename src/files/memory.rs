//! Files in memory, for programs without a file system, such as a page in a browser. They are found
//! by their paths, before files on disk.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The bytes of a file. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Bytes(Arc<Vec<u8>>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

type Files = BTreeMap<PathBuf, Bytes>;

static FILES: RwLock<Files> = RwLock::new(BTreeMap::new());

fn files() -> RwLockReadGuard<'static, Files> {
    FILES.read().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a file in memory. Data sets find it by its path, as they find a file on disk.
///
/// An earlier file of this path is replaced. The folders above it exist from now on.
///
/// ```
/// use lerac::data::{add_file, read_labels};
/// use std::path::Path;
///
/// add_file("given/labels", vec![0, 0, 8, 1, 0, 0, 0, 2, 7, 3]);
/// assert_eq!(read_labels(Path::new("given/labels"), 10)?, [7, 3]);
/// # Ok::<(), lerac::error::Error>(())
/// ```
pub fn add_file(path: impl Into<PathBuf>, bytes: Vec<u8>) {
    FILES.write().unwrap_or_else(PoisonError::into_inner).insert(path.into(), Bytes(bytes.into()));
}

/// The file at `path`.
pub(super) fn file(path: &Path) -> Option<Bytes> {
    files().get(path).cloned()
}

/// The names in a folder, each once; `None` if no file is below it.
pub(super) fn names_in(dir: &Path) -> Option<Vec<OsString>> {
    let files = files();
    let below = files.range(dir.to_owned()..).map_while(|(path, _)| path.strip_prefix(dir).ok());
    let mut names: Vec<OsString> = below.filter_map(|rest| Some(rest.iter().next()?.to_owned())).collect();
    names.dedup();
    (!names.is_empty()).then_some(names)
}
