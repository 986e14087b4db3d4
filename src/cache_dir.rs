//! Floor 1: the directory for files that only save time. Whoever deletes it loses nothing else.

use std::path::PathBuf;

/// `LERAC_CACHE`, else `lerac` in `XDG_CACHE_HOME`, `LOCALAPPDATA` or `~/.cache`, the first that is set. None where there is none of
/// these, or where `LERAC_CACHE` is empty: then nothing is kept.
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
