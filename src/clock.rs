//! Floor 1: the clock. The standard library's `Instant` panics in a browser. This one reads the
//! browser's clock there; elsewhere it is the standard library's.

pub(crate) use web_time::Instant;

/// Seconds since 1970, for files of other programs. Nothing here depends on it.
#[cfg(feature = "report")]
pub(crate) fn seconds_since_1970() -> f64 {
    web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
