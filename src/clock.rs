//! Floor 1: the clock. The standard library's `Instant` panics in a browser. This one reads the
//! browser's clock there; elsewhere it is the standard library's.

pub(crate) use web_time::Instant;
