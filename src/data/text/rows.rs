//! Rows of texts with a label, from tables (TSV, CSV) and lines of JSON. Errors name the line.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

/// How the rows of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// Columns between tabs, after a line with their names. Quotation marks have no meaning.
    Tsv,
    /// Columns between commas below a line with their names, quoted as RFC 4180 says.
    Csv,
    /// A JSON object in each line.
    JsonLines,
}

impl TextFormat {
    /// The endings of file names, in the order in which files are looked for.
    pub(super) const ENDINGS: [(&'static str, Self); 3] =
        [("tsv", Self::Tsv), ("csv", Self::Csv), ("jsonl", Self::JsonLines)];

    /// The format of the file at `path`, by its ending.
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        Self::ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
    }
}

/// Which columns are read.
#[derive(Clone, Copy, Debug)]
pub struct TextColumns<'c> {
    /// Those of the texts.
    pub texts: &'c [&'c str],
    /// That of the label: the first of these names that there is.
    pub labels: &'c [&'c str],
}

/// Where a row begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Bytes before it.
    pub offset: u64,
}

impl Place {
    pub(super) fn fault(self, path: &Path, message: impl Display) -> Error {
        Error::format(path, self.offset, format!("line {}: {message}", self.line))
    }
}

/// Texts and their label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRow {
    /// Where it begins in its file.
    pub place: Place,
    /// A text for each column, none of them empty.
    pub texts: Vec<String>,
    /// As it is written; not empty.
    pub label: String,
}

/// What is done about a row that cannot be used: an error ends the reading.
pub type BadRow<'b> = dyn FnMut(Error) -> Result<()> + 'b;

/// What Windows' editors put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The rows of a file that can be used; `bad` receives the error about each other one.
///
/// # Errors
/// [`Error::Format`] with the line for a file without the columns; those of `bad`.
pub fn text_rows_in(
    path: &Path,
    bytes: &[u8],
    format: TextFormat,
    columns: TextColumns<'_>,
    bad: &mut BadRow<'_>,
) -> Result<Vec<TextRow>> {
    let mut rows = vec![];
    let mut add = |place: Place, row: Result<TextRow, String>| match row {
        Ok(row) => {
            rows.push(row);
            Ok(())
        }
        Err(message) => bad(place.fault(path, message)),
    };
    match format {
        TextFormat::Tsv => {
            let mut table = Table::new(path, columns);
            for (place, line) in lines(bytes).filter(|(_, line)| !line.is_empty()) {
                table.take(place, line.split(|&byte| byte == b'\t'), &mut add)?;
            }
            table.whole()?;
        }
        TextFormat::Csv => read_csv(path, bytes, columns, &mut add)?,
        TextFormat::JsonLines => {
            for (place, line) in lines(bytes).filter(|(_, line)| !line.trim_ascii().is_empty()) {
                add(place, row_of_object(place, line, columns))?;
            }
        }
    }
    Ok(rows)
}

/// Whether the first row has one of these columns of labels; true where there is no first row.
pub(super) fn has_label(bytes: &[u8], format: TextFormat, labels: &[&str]) -> bool {
    let first = lines(bytes).map(|(_, line)| line).find(|line| !line.trim_ascii().is_empty());
    let Some(first) = first else { return true };
    let is_label = |name: &[u8]| labels.iter().any(|label| label.as_bytes() == name);
    match format {
        TextFormat::Tsv => first.split(|&byte| byte == b'\t').any(is_label),
        TextFormat::Csv => {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(first);
            let names = reader.byte_records().next();
            names.is_none_or(|names| names.is_ok_and(|names| names.iter().any(is_label)))
        }
        TextFormat::JsonLines => {
            let object = serde_json::from_slice::<Map<String, Value>>(first);
            object.is_ok_and(|object| labels.iter().any(|label| object.contains_key(*label)))
        }
    }
}

/// The lines of a text without their ends, each with its place; a byte order mark is passed over.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (Place, &[u8])> {
    let bare = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let mut offset = (bytes.len() - bare.len()) as u64;
    bare.split_inclusive(|&byte| byte == b'\n').enumerate().map(move |(i, whole)| {
        let place = Place { line: i + 1, offset };
        offset += whole.len() as u64;
        let line = whole.strip_suffix(b"\n").unwrap_or(whole);
        (place, line.strip_suffix(b"\r").unwrap_or(line))
    })
}

type Add<'a> = dyn FnMut(Place, Result<TextRow, String>) -> Result<()> + 'a;

/// A file of rows below a row of names.
struct Table<'t> {
    path: &'t Path,
    columns: TextColumns<'t>,
    /// Once the names are read.
    header: Option<Header>,
}

/// Where the columns are.
struct Header {
    texts: Vec<usize>,
    label: usize,
    width: usize,
}

impl<'t> Table<'t> {
    fn new(path: &'t Path, columns: TextColumns<'t>) -> Self {
        Self { path, columns, header: None }
    }

    /// Takes the names, or a row.
    fn take<'f>(&mut self, place: Place, fields: impl Iterator<Item = &'f [u8]>, add: &mut Add<'_>) -> Result<()> {
        let fields: Vec<&[u8]> = fields.collect();
        match &self.header {
            None => {
                let header = Header::of(&fields, self.columns).map_err(|message| place.fault(self.path, message))?;
                self.header = Some(header);
                Ok(())
            }
            Some(header) => add(place, header.row(place, &fields, self.columns)),
        }
    }

    /// Whether there was anything.
    fn whole(&self) -> Result<()> {
        match self.header {
            Some(_) => Ok(()),
            None => Err(Error::format(self.path, 0, "expected a line with the names of columns, found an empty file")),
        }
    }
}

impl Header {
    fn of(names: &[&[u8]], columns: TextColumns<'_>) -> Result<Self, String> {
        let names: Vec<Cow<'_, str>> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
        let place = |wanted: &str| {
            let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted);
            match (found.next(), found.next()) {
                (Some(_), Some(_)) => Err(format!("the column {wanted:?} is there twice")),
                (Some((place, _)), None) => Ok(Some(place)),
                (None, _) => Ok(None),
            }
        };
        let absent = |wanted: &str| absent(wanted, names.iter().map(|name| name.as_ref()));
        let texts: Result<Vec<usize>, String> =
            columns.texts.iter().map(|name| place(name)?.ok_or_else(|| absent(name))).collect();
        let label = columns.labels.iter().find_map(|name| place(name).transpose());
        let label = label.unwrap_or_else(|| Err(absent(columns.labels[0])))?;
        Ok(Self { texts: texts?, label, width: names.len() })
    }

    fn row(&self, place: Place, fields: &[&[u8]], columns: TextColumns<'_>) -> Result<TextRow, String> {
        if fields.len() != self.width {
            return Err(format!("expected {} columns as in the first line, found {}", self.width, fields.len()));
        }
        let field = |at: usize| match std::str::from_utf8(fields[at]) {
            Ok(text) => Ok(text),
            Err(fault) => Err(not_utf8(fields[at], &fault)),
        };
        let texts = self.texts.iter().zip(columns.texts).map(|(&at, name)| filled(name, field(at)?));
        let texts = texts.collect::<Result<_, _>>()?;
        let label = filled(columns.labels[0], field(self.label)?.trim())?;
        Ok(TextRow { place, texts, label })
    }
}

fn not_utf8(bytes: &[u8], fault: &std::str::Utf8Error) -> String {
    format!("expected text in UTF-8, found byte {:#04x}", bytes[fault.valid_up_to()])
}

/// What is in a column, where there is anything.
fn filled(name: &str, text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err(format!("the column {name:?} is empty")),
        false => Ok(text.to_owned()),
    }
}

/// Names that a message lists, at most.
const LISTED: usize = 12;

fn absent<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> String {
    let mut listed: Vec<String> = names.take(LISTED + 1).map(|name| format!("{name:.40?}")).collect();
    if listed.len() > LISTED {
        listed[LISTED] = "...".into();
    }
    format!("there is no column {wanted:?}, only {}; is it the right file?", listed.join(", "))
}

/// The rows of a file with commas.
fn read_csv(path: &Path, bytes: &[u8], columns: TextColumns<'_>, add: &mut Add<'_>) -> Result<()> {
    let bare = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let before = (bytes.len() - bare.len()) as u64;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bare);
    let (mut table, mut record) = (Table::new(path, columns), csv::ByteRecord::new());
    loop {
        let (line, start) = (reader.position().line() as usize, reader.position().byte() as usize);
        if !reader.read_byte_record(&mut record).expect("memory can be read, and rows may be of any length") {
            return table.whole();
        }
        // Empty lines, and the second half of a line's end, are read with the row after them.
        let ends = bare[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let (skipped, lines) = ends.fold((0, 0), |(all, lines), &byte| (all + 1, lines + usize::from(byte == b'\n')));
        let place = Place { line: line + lines, offset: before + (start + skipped) as u64 };
        let end = reader.position().byte() as usize;
        if end == bare.len() && is_unclosed(&bare[start + skipped..]) {
            return Err(place.fault(path, "a quotation mark of this row is not closed"));
        }
        table.take(place, record.iter(), add)?;
    }
}

/// Whether the last field of the file's last row opens a quotation mark and does not close it.
fn is_unclosed(row: &[u8]) -> bool {
    let (mut quoted, mut begins, mut bytes) = (false, true, row.iter().peekable());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' if quoted => quoted = bytes.next_if(|next| **next == b'"').is_some(),
            b'"' => quoted = begins,
            _ => {}
        }
        begins = !quoted && *byte == b',';
    }
    quoted
}

/// The row of a line of JSON.
fn row_of_object(place: Place, line: &[u8], columns: TextColumns<'_>) -> Result<TextRow, String> {
    let text = std::str::from_utf8(line).map_err(|fault| not_utf8(line, &fault))?;
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|fault| format!("expected an object in JSON: {}", reason(&fault)))?;
    let value = |name: &str| object.get(name).filter(|value| !value.is_null());
    let absent = |name: &str| absent(name, object.keys().map(String::as_str));
    let text = |name: &&str| match value(name) {
        Some(Value::String(text)) => filled(name, text),
        Some(_) => Err(format!("expected a text in the column {name:?}, found something else")),
        None => Err(absent(name)),
    };
    let texts = columns.texts.iter().map(text).collect::<Result<_, _>>()?;
    let label = columns.labels.iter().find_map(|name| Some((name, value(name)?)));
    let (name, label) = label.ok_or_else(|| absent(columns.labels[0]))?;
    let label = match label {
        Value::String(label) => filled(name, label.trim())?,
        Value::Bool(label) => label.to_string(),
        Value::Number(label) if label.is_i64() || label.is_u64() => label.to_string(),
        _ => return Err(format!("expected a text, a whole number, true or false in the column {name:?}")),
    };
    Ok(TextRow { place, texts, label })
}

/// What is wrong with a line of JSON, with the column alone: it has a place of its own.
fn reason(fault: &serde_json::Error) -> String {
    let message = fault.to_string();
    let cause = message.rsplit_once(" at line ").map_or(message.as_str(), |(cause, _)| cause);
    format!("{cause}, column {}", fault.column())
}
