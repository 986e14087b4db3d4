//! CIFAR-10 for tests of real images.

use super::files::skip;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Unpacks CIFAR-10 from `../shared/data` into the system's temporary directory, once. Returns
/// `None` if it cannot; the reason is printed.
pub fn cifar10_cache() -> Option<PathBuf> {
    let cache = std::env::temp_dir().join("lerac-cifar-10");
    let batches = cache.join("cifar-10-batches-bin");
    if batches.is_dir() {
        return Some(batches);
    }
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cifar-10-binary.tar.xz");
    if !archive.is_file() {
        skip("CIFAR-10", &format!("{} is absent", archive.display()));
        return None;
    }
    let unpacked = TempDir::with_prefix("lerac-cifar-10-").expect("the temporary directory is writable");
    let tar = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(unpacked.path()).status();
    if !tar.as_ref().is_ok_and(|status| status.success()) {
        skip("CIFAR-10", &format!("tar cannot unpack {} ({tar:?})", archive.display()));
        return None;
    }
    // Another process may have unpacked it first. Its copy is kept, and this one is deleted.
    let _ = fs::rename(unpacked.path(), &cache);
    assert!(batches.is_dir(), "{} holds no cifar-10-batches-bin", archive.display());
    Some(batches)
}
