//! Text and JSON out of files, their faults told with the place.

use crate::error::{Error, Result};
use std::path::Path;

/// The text of a file's bytes.
pub(crate) fn utf8<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str> {
    std::str::from_utf8(bytes).map_err(|fault| {
        let at = fault.valid_up_to();
        Error::format(path, at as u64, format!("expected text in UTF-8, found byte {:#04x}", bytes[at]))
    })
}

/// Where in `bytes` the fault lies that was found in them.
pub(crate) fn place_in_json(bytes: &[u8], fault: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').take(fault.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + fault.column().saturating_sub(1)).min(bytes.len())
}
