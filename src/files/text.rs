//! Text and JSON in files: errors with the position of the fault.

use crate::error::{Error, Result};
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// The byte order mark of UTF-8, which some editors put in front of a text.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a text file as UTF-8: UTF-16 with a byte order mark is converted. Whether it was is
/// the second result. Other bytes are returned as they are.
pub(crate) fn from_utf16(bytes: Vec<u8>) -> (Vec<u8>, bool) {
    let word: fn([u8; 2]) -> u16 = match bytes.get(..2) {
        Some([0xff, 0xfe]) => u16::from_le_bytes,
        Some([0xfe, 0xff]) => u16::from_be_bytes,
        _ => return (bytes, false),
    };
    let words = bytes[2..].chunks(2).map(|pair| word([pair[0], pair.get(1).copied().unwrap_or(0)]));
    match char::decode_utf16(words).collect::<std::result::Result<String, _>>() {
        Ok(text) => (text.into_bytes(), true),
        Err(_) => (bytes, false),
    }
}

/// The bytes of the file at `path` as text, without the byte order mark of UTF-8.
pub(crate) fn utf8<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str> {
    let bytes = bytes.strip_prefix(MARK).unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|fault| {
        let at = fault.valid_up_to();
        Error::format(path, at as u64, format!("expected text in UTF-8, found byte {:#04x}", bytes[at]))
    })
}

/// A hint that another name looks like `name` but has other characters, such as ä as one character
/// or as two; empty if there is none.
pub(crate) fn alike(name: &str, others: &[String]) -> String {
    let Some(other) = others.iter().find(|other| *other != name && other.nfc().eq(name.nfc())) else {
        return String::new();
    };
    let [name, other] = [name, other].map(|name| name.chars().flat_map(char::escape_default).collect::<String>());
    format!("; the name \"{other}\" looks alike, but it has other characters than \"{name}\": rename one")
}

/// The known name that `name` is most likely meant to be, as a question: letters and digits of one
/// are part of the other. Empty if there is none.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> String {
    let plain = |name: &str| -> String { name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
    let given = plain(name);
    let alike = |known: &&str| !given.is_empty() && (given.contains(&plain(known)) || plain(known).contains(&given));
    let nearest = known.filter(alike).min_by_key(|known| plain(known).len().abs_diff(given.len()));
    nearest.map_or(String::new(), |known| format!("; did you mean {known}?"))
}

/// The byte offset of a JSON fault in `bytes`.
pub(crate) fn offset_in_json(bytes: &[u8], fault: &serde_json::Error) -> usize {
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').take(fault.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    (before + fault.column().saturating_sub(1)).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{from_utf16, utf8};
    use std::path::Path;

    #[test]
    fn marks_are_no_part_of_a_text() {
        let path = Path::new("list.txt");
        assert_eq!(utf8(path, b"\xef\xbb\xbfcat\n").unwrap(), "cat\n");
        assert_eq!(utf8(path, b"").unwrap(), "");
        let message = utf8(path, b"c\xe4t").unwrap_err().to_string();
        assert!(message.contains("list.txt, byte 1: ") && message.contains("0xe4"), "{message}");
    }

    #[test]
    fn utf16_of_both_orders_is_converted() {
        let text = "cat\r\nK\u{e4}se \u{1f9c0}\n";
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            let bytes: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(to_bytes).collect();
            assert_eq!(from_utf16(bytes), (text.as_bytes().to_vec(), true));
        }
        for other in [&b"cat"[..], b"", b"\xff", b"\xff\xfe\x00\xd8", b"\xff\xfea"] {
            let (bytes, converted) = from_utf16(other.to_vec());
            assert!(!converted && bytes == other || other == b"\xff\xfea" && bytes == b"a", "{other:?}");
        }
    }
}
