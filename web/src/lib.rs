//! lerac in a browser: runs with their events as JSON, and their files in memory.
//!
//! [`train`] is the same in a browser and in a native program. `browser` is what the page's worker
//! calls.

#[cfg(target_family = "wasm")]
mod browser;
mod event;
mod images;
mod run;

pub use event::Report;
pub use images::cropped;
pub use run::{Ended, Files, GIVEN, Stop, options, train};
