//! Floor 1: the directory of cached files. It can be deleted at any time.

use std::path::PathBuf;

/// The cache directory: `LERAC_CACHE` if it is set, otherwise `lerac` in the first of
/// `XDG_CACHE_HOME`, `LOCALAPPDATA` and `~/.cache`.
///
/// `None` if `LERAC_CACHE` is empty, or if no variable is set. Nothing is cached then.
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match std::env::var_os("LERAC_CACHE") {
        Some(own) if own.is_empty() => None,
        Some(own) => Some(own.into()),
        None => {
            let system = set("XDG_CACHE_HOME").or_else(|| set("LOCALAPPDATA"));
            system.or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|caches| caches.join("lerac"))
        }
    }
}
