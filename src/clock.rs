//! Floor 1: the one clock. The standard library's `Instant` panics in a browser; this one asks the browser there, and elsewhere it is
//! the same.

pub(crate) use web_time::Instant;
