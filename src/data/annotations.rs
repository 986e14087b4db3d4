//! Reads the text files and file names of data sets. Errors give the line.

use crate::error::{Error, Result};
use crate::files::text;
use std::collections::HashSet;
use std::path::Path;

/// The lines of a text that are not empty.
pub(super) fn lines<'b>(path: &Path, bytes: &'b [u8]) -> Result<impl Iterator<Item = Line<'b>>> {
    let text = text::utf8(path, bytes)?;
    let mut offset = (bytes.len() - text.len()) as u64;
    let lines = text.split_inclusive('\n').enumerate().map(move |(i, whole)| {
        let line = Line { number: i + 1, offset, text: whole.trim_end_matches(['\n', '\r']) };
        offset += whole.len() as u64;
        line
    });
    Ok(lines.filter(|line| !line.text.trim().is_empty()))
}

/// A line of a file.
pub(super) struct Line<'b> {
    /// From 1.
    pub number: usize,
    /// In bytes.
    offset: u64,
    pub text: &'b str,
}

impl Line<'_> {
    pub fn fault(&self, path: &Path, message: &str) -> Error {
        Error::format(path, self.offset, format!("line {}: {message}", self.number))
    }
}

/// Whether `name` is a plain file name, which cannot lead out of its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0', ':'])
}

/// Names of directories, one in each line, in the order of the file.
///
/// # Errors
/// [`Error::Format`] with the line.
pub fn names_in(path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let (mut names, mut seen) = (vec![], HashSet::new());
    for line in lines(path, bytes)? {
        let name = line.text.trim();
        if !is_plain(name) {
            return Err(line.fault(path, &format!("expected the name of a directory, found {name:?}")));
        }
        if !seen.insert(name) {
            return Err(line.fault(path, &format!("{name:?} occurs twice; remove one of the lines")));
        }
        names.push(name.to_owned());
    }
    match names.is_empty() {
        true => Err(Error::format(path, 0, "expected the name of a class in each line, found none")),
        false => Ok(names),
    }
}

/// Names of images without their endings, one in each line, in the order of the file.
///
/// # Errors
/// [`Error::Format`] with the line.
pub fn image_names_in(path: &Path, bytes: &[u8]) -> Result<Vec<String>> {
    let (mut names, mut seen) = (vec![], HashSet::new());
    for line in lines(path, bytes)? {
        let name = line.text.trim();
        if !is_plain(name) || name.contains(char::is_whitespace) {
            let message = format!("expected the name of an image without its ending, found {:?}", line.text);
            return Err(line.fault(path, &message));
        }
        if !seen.insert(name) {
            return Err(line.fault(path, &format!("{name:?} occurs twice; remove one of the lines")));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Image and class of each line of Tiny ImageNet's `val_annotations.txt`. Fields are separated by
/// tabs: image, class, and a bounding box, which is ignored. An image that occurs twice is an
/// error.
///
/// # Errors
/// [`Error::Format`] with the line.
pub fn validation_annotations_in(path: &Path, bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let (mut pairs, mut seen) = (vec![], HashSet::new());
    for line in lines(path, bytes)? {
        let mut fields = line.text.split('\t').map(str::trim);
        let pair = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if !is_plain(pair.0) || !is_plain(pair.1) {
            return Err(line.fault(path, &format!("expected IMAGE, a tab and CLASS, found {:?}", line.text)));
        }
        if !seen.insert(pair.0) {
            return Err(line.fault(path, &format!("{:?} occurs twice", pair.0)));
        }
        pairs.push((pair.0.to_owned(), pair.1.to_owned()));
    }
    Ok(pairs)
}

/// Class and image of each line `CLASS/IMAGE` of Food-101's `train.txt` and `test.txt`. Images have
/// no extension there.
///
/// # Errors
/// [`Error::Format`] with the line.
pub fn image_list_in(path: &Path, bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let (mut pairs, mut seen) = (vec![], HashSet::new());
    for line in lines(path, bytes)? {
        let text = line.text.trim();
        let pair = text.split_once('/').filter(|(class, image)| is_plain(class) && is_plain(image));
        let Some((class, image)) = pair else {
            return Err(line.fault(path, &format!("expected CLASS/IMAGE, found {text:?}")));
        };
        if !seen.insert(text) {
            return Err(line.fault(path, &format!("{text:?} occurs twice")));
        }
        pairs.push((class.to_owned(), image.to_owned()));
    }
    Ok(pairs)
}

/// The descriptions of ImageNet's classes in `words.txt`. Each line has a class, a tab and a
/// description.
///
/// # Errors
/// [`Error::Format`] with the line.
pub fn words_in<'b>(path: &Path, bytes: &'b [u8]) -> Result<Vec<(&'b str, &'b str)>> {
    let pair = |line: Line<'b>| {
        let expected =
            || line.fault(path, &format!("expected CLASS, a tab and its description, found {:?}", line.text));
        line.text.split_once('\t').map(|(class, words)| (class.trim(), words.trim())).ok_or_else(expected)
    };
    lines(path, bytes)?.map(pair).collect()
}

/// The labels in the name of a file of UTKFace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Face {
    /// Years, 0 to 116.
    pub age: u8,
    /// 0 male, 1 female.
    pub gender: u8,
}

/// Reads the labels in `[age]_[gender]_[race]_[date].jpg` or `.jpg.chip.jpg`. The race is not read:
/// a few files of the set have none.
///
/// # Errors
/// [`Error::Format`] for any other name. `path` is the file, for the message.
pub fn face_in(path: &Path, name: &str) -> Result<Face> {
    let mut fields = name.split('_');
    let mut number = |most: u8| {
        let digits = fields.next().filter(|field| field.bytes().all(|byte| byte.is_ascii_digit()));
        digits.and_then(|field| field.parse::<u8>().ok()).filter(|&value| value <= most)
    };
    match (number(116), number(1)) {
        (Some(age), Some(gender)) if name.matches('_').count() >= 2 => Ok(Face { age, gender }),
        _ => {
            let message = "expected a name AGE_GENDER_RACE_DATE.jpg with age 0 to 116 and gender 0 or 1; rename or remove the file";
            Err(Error::format(path, 0, message))
        }
    }
}
