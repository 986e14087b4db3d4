//! Text, JSON and TOML out of files, their faults told with the place.

use crate::error::{Error, Result};
use std::path::Path;
#[cfg(feature = "cli")]
use {serde::de::DeserializeOwned, std::collections::BTreeMap, std::ops::Range, toml::Spanned, toml::Value};

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

/// `part` of a file's text as a table, whose keys must be those of `T`, and whose numbers finite: what is not equals nothing, not
/// even itself when it is read again.
#[cfg(feature = "cli")]
pub(crate) fn table<T: DeserializeOwned>(path: &Path, text: &str, part: Range<usize>) -> Result<toml::Table> {
    let bad = |place: usize, message: &str| {
        let offset = part.start + place;
        let line = 1 + text[..offset].matches('\n').count();
        Error::format(path, offset as u64, format!("line {line}: {message}"))
    };
    let refused = |fault: toml::de::Error| bad(fault.span().map_or(0, |span| span.start), fault.message());
    toml::from_str::<T>(&text[part.clone()]).map_err(refused)?;
    let entries: BTreeMap<String, Spanned<Value>> = toml::from_str(&text[part.clone()]).map_err(refused)?;
    if let Some((key, value)) = entries.iter().find(|(_, value)| !is_finite(value.get_ref())) {
        return Err(bad(value.span().start, &format!("{key}: expected a finite number, found {}", value.get_ref())));
    }
    Ok(entries.into_iter().map(|(key, value)| (key, value.into_inner())).collect())
}

/// Whether a value is no number, or one that is finite, with all numbers in it.
#[cfg(feature = "cli")]
pub(crate) fn is_finite(value: &Value) -> bool {
    match value {
        Value::Float(number) => number.is_finite(),
        Value::Array(values) => values.iter().all(is_finite),
        _ => true,
    }
}
