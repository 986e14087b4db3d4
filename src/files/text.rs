//! Text and JSON in files: errors with the position of the fault.

use crate::error::{Error, Result};
use std::path::Path;

/// The bytes of the file at `path` as text.
pub(crate) fn utf8<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str> {
    std::str::from_utf8(bytes).map_err(|fault| {
        let at = fault.valid_up_to();
        Error::format(path, at as u64, format!("expected text in UTF-8, found byte {:#04x}", bytes[at]))
    })
}

/// The byte offset of a JSON fault in `bytes`.
pub(crate) fn offset_in_json(bytes: &[u8], fault: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').take(fault.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + fault.column().saturating_sub(1)).min(bytes.len())
}
