//! Data sets of texts: where their files lie, which columns are read, and what is made of them.

use super::rows::{TextColumns, TextFormat, TextRow, has_label, text_rows_in};
use super::texts::{TextEncoder, Texts};
use super::tokenizer::{TextTokenizer, Tokens};
use crate::cores::in_parallel;
use crate::data::find::DataFiles;
use crate::data::{OpenEvent, Source, Splits};
use crate::error::{Error, Result};
use crate::files::{exists, read_at_most, text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longer than any file of texts that fits into memory together with its tokens.
const MOST_BYTES: u64 = 1 << 32;

/// As many classes as an objective can tell apart.
const MOST_CLASSES: usize = 1 << 16;

/// Longer than any list of names of so many classes.
const MOST_NAME_BYTES: u64 = 1 << 24;

/// Bad rows of a file that are named; the others are counted.
const NAMED: usize = 3;

/// A data set of texts that is known by name.
pub(in crate::data) struct TextSet {
    wanted: DataFiles<'static>,
    /// Columns of the texts in tables.
    tables: &'static [&'static str],
    /// Columns of the texts in lines of JSON.
    objects: &'static [&'static str],
    /// Columns of the label, of which a file has one.
    labels: &'static [&'static str],
    classes: [&'static str; 2],
}

const GLUE: DataFiles<'static> = DataFiles {
    name: "rte",
    archive: Some("RTE"),
    also: &[],
    other_forms: &[("RTE.zip", "is packed; unpack it")],
    files: &["train.tsv", "train.jsonl"],
    how_to_get: "unpack GLUE's or SuperGLUE's archive of it, and name the directory by `data_dir`",
};

pub(in crate::data) static RTE: TextSet = TextSet {
    wanted: GLUE,
    tables: &["sentence1", "sentence2"],
    objects: &["premise", "hypothesis"],
    labels: &["label"],
    classes: ["entailment", "not_entailment"],
};

pub(in crate::data) static QNLI: TextSet = TextSet {
    wanted: DataFiles {
        name: "qnli",
        archive: Some("QNLI"),
        files: &["train.tsv"],
        other_forms: &[("QNLIv2.zip", "is packed; unpack it"), ("QNLI.zip", "is packed; unpack it")],
        ..GLUE
    },
    tables: &["question", "sentence"],
    objects: &["question", "sentence"],
    labels: &["label"],
    classes: ["entailment", "not_entailment"],
};

pub(in crate::data) static BOOLQ: TextSet = TextSet {
    wanted: DataFiles {
        name: "boolq",
        archive: Some("BoolQ"),
        files: &["train.jsonl"],
        also: &[],
        other_forms: &[("BoolQ.zip", "is packed; unpack it")],
        how_to_get: "put train.jsonl and dev.jsonl (SuperGLUE: val.jsonl) in a directory, and name that by `data_dir`",
    },
    tables: &["question", "passage"],
    objects: &["question", "passage"],
    labels: &["label", "answer"],
    classes: ["false", "true"],
};

/// Names of a known set's labelled part that is not for training. Its `test` part has no labels.
const DEVELOPMENT: &[&str] = &["dev", "val"];

/// Names of any set's part that is not for training, the first of which is used that has labels.
const TEST: &[&str] = &["test", "dev", "val", "validation"];

/// What is read of a set.
struct Layout<'l> {
    tables: Vec<&'l str>,
    objects: Vec<&'l str>,
    labels: Vec<&'l str>,
    /// The names of the classes; none where they are those of the training part.
    classes: Option<Vec<String>>,
    tests: &'l [&'l str],
}

impl<'l> Layout<'l> {
    fn of(source: &Source<'l>, set: Option<&TextSet>) -> Result<Self> {
        let options = &source.text;
        options.check()?;
        match set {
            Some(set) => {
                let mut of_pairs = options.given().filter(|option| matches!(*option, "text_columns" | "label_column"));
                let given = of_pairs.next().or(source.class_list.map(|_| "class_list"));
                if let Some(option) = given {
                    let message = format!("{} has columns and classes of its own; leave it out", source.name);
                    return Err(Error::setting(option, message));
                }
                Ok(Self {
                    tables: set.tables.to_vec(),
                    objects: set.objects.to_vec(),
                    labels: set.labels.to_vec(),
                    classes: Some(set.classes.map(str::to_owned).to_vec()),
                    tests: DEVELOPMENT,
                })
            }
            None => {
                if options.columns.is_empty() {
                    let message = format!("{} needs the names of one or two columns of texts", source.name);
                    return Err(Error::setting("text_columns", message));
                }
                let columns: Vec<&str> = options.columns.iter().map(String::as_str).collect();
                Ok(Self {
                    tables: columns.clone(),
                    objects: columns,
                    labels: vec![options.label_column.unwrap_or("label")],
                    classes: source.class_list.map(class_list).transpose()?,
                    tests: TEST,
                })
            }
        }
    }

    /// The rows of a part.
    fn read(&self, file: File, skip_bad: bool) -> Result<Part> {
        let File { path, format, bytes } = file;
        let texts = if format == TextFormat::JsonLines { &self.objects } else { &self.tables };
        let columns = TextColumns { texts, labels: &self.labels };
        let mut bad = BadRows { skipped: skip_bad, count: 0, named: vec![] };
        let rows = text_rows_in(&path, &bytes, format, columns, &mut |fault| bad.meet(fault))?;
        Ok(Part { path, rows, bad })
    }

    /// The test part: the first of these files that exists. A file `test` counts only if it has
    /// labels.
    fn test(&self, dir: &Path, news: &mut dyn FnMut(OpenEvent<'_>)) -> Result<File> {
        for part in self.tests {
            let Some(file) = File::find(dir, part)? else { continue };
            if *part != "test" || has_label(&file.bytes, file.format, &self.labels) {
                return Ok(file);
            }
            let (path, label) = (file.path.display(), self.labels[0]);
            news(OpenEvent::Note(&format!("{path} has no column {label:?} and is not read")));
        }
        Err(absent(dir, self.tests))
    }
}

/// A file of texts, read.
struct File {
    path: PathBuf,
    format: TextFormat,
    bytes: Vec<u8>,
}

impl File {
    /// The file of a part in `dir`, if there is one.
    fn find(dir: &Path, part: &str) -> Result<Option<Self>> {
        let files = TextFormat::ENDINGS.iter().map(|(ending, format)| (dir.join(format!("{part}.{ending}")), *format));
        let Some((path, format)) = files.into_iter().find(|(path, _)| exists(path)) else { return Ok(None) };
        let bytes = read_at_most(&path, MOST_BYTES)?;
        Ok(Some(Self { path, format, bytes }))
    }
}

/// The error for a directory without any file of these parts.
fn absent(dir: &Path, parts: &[&str]) -> Error {
    let endings = TextFormat::ENDINGS.map(|(ending, _)| ending);
    let files = parts.iter().flat_map(|part| endings.map(|ending| format!("{part}.{ending}")));
    let files = files.collect::<Vec<_>>().join(", ");
    Error::setting("data_dir", format!("there is none of {files} in {}", dir.display()))
}

/// Names of classes, one a line.
fn class_list(path: &Path) -> Result<Vec<String>> {
    let bytes = read_at_most(path, MOST_NAME_BYTES)?;
    let names = text::utf8(path, &bytes)?.lines().map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    match names.iter().collect::<BTreeSet<_>>().len() {
        0 | 1 => Err(Error::format(path, 0, "expected the names of two classes or more, one a line")),
        different if different < names.len() => Err(Error::format(path, 0, "a name of a class is there twice")),
        _ => Ok(names),
    }
}

/// Rows that cannot be used: the first ends the reading, or all are counted.
struct BadRows {
    skipped: bool,
    count: usize,
    named: Vec<String>,
}

impl BadRows {
    fn meet(&mut self, fault: Error) -> Result<()> {
        if !self.skipped {
            return Err(fault);
        }
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(fault.to_string());
        }
        Ok(())
    }

    fn say(&self, path: &Path, news: &mut dyn FnMut(OpenEvent<'_>)) {
        self.named.iter().for_each(|fault| news(OpenEvent::Note(&format!("left out: {fault}"))));
        if self.count > self.named.len() {
            news(OpenEvent::Note(&format!("{}: {} rows are left out in all", path.display(), self.count)));
        }
    }
}

/// A part as it lies on disk.
struct Part {
    path: PathBuf,
    rows: Vec<TextRow>,
    bad: BadRows,
}

impl Part {
    /// Different labels; as numbers in order, where all are numbers.
    fn labels(&self) -> Vec<String> {
        let different: BTreeSet<&str> = self.rows.iter().map(|row| row.label.as_str()).collect();
        let mut labels: Vec<String> = different.into_iter().map(str::to_owned).collect();
        if labels.iter().all(|label| label.parse::<i64>().is_ok()) {
            labels.sort_by_key(|label| label.parse::<i64>().ok());
        }
        labels
    }

    /// The examples, and what is said of them. Their labels are among those that are `known`.
    fn encoded(
        mut self,
        name: &str,
        encoder: &Arc<TextEncoder>,
        known: &Known<'_>,
        news: &mut dyn FnMut(OpenEvent<'_>),
    ) -> Result<Texts> {
        let mut found: Vec<Result<Tokens, String>> = vec![Ok(Tokens::default()); self.rows.len()];
        in_parallel(self.rows.iter().zip(&mut found), |(row, place)| {
            *place = encoder.tokenizer.tokens(&row.texts);
            Ok::<(), Error>(())
        })?;
        let (mut texts, mut cut) = (Texts::new(name, encoder.clone()), 0);
        for (row, tokens) in self.rows.iter().zip(found) {
            match known.number(&row.label).and_then(|label| Ok((label, tokens?))) {
                Ok((label, tokens)) => {
                    cut += usize::from(tokens.cut);
                    texts.push(&row.texts, label, &tokens);
                }
                Err(message) => self.bad.meet(row.place.fault(&self.path, message))?,
            }
        }
        self.bad.say(&self.path, news);
        if texts.labels().is_empty() {
            return Err(Error::format(&self.path, 0, "expected rows with texts and a label, found none"));
        }
        if cut > 0 {
            let (path, all, length) = (self.path.display(), texts.labels().len(), encoder.length);
            let note = format!(
                "{path}: {cut} of {all} examples are longer than {length} tokens (`max_length`) and are truncated"
            );
            news(OpenEvent::Note(&note));
        }
        Ok(texts)
    }
}

/// The labels that a row may have, with their numbers.
struct Known<'k> {
    numbers: BTreeMap<&'k str, u32>,
    whose: &'static str,
}

impl<'k> Known<'k> {
    fn of(classes: &'k [String], whose: &'static str) -> Self {
        Self { numbers: classes.iter().map(String::as_str).zip(0..).collect(), whose }
    }

    fn number(&self, label: &str) -> Result<u32, String> {
        self.numbers.get(label).copied().ok_or_else(|| {
            let listed = self.numbers.keys().take(LISTED).copied().collect::<Vec<_>>().join(", ");
            let more = if self.numbers.len() > LISTED { ", ..." } else { "" };
            format!("the label {label:.40?} is none of {}: {listed}{more}", self.whose)
        })
    }
}

/// Labels that a message lists, at most.
const LISTED: usize = 8;

/// The encoder of a set, if the options define vocabulary and classes, so that none of its files is
/// needed.
///
/// # Errors
/// [`Error::Setting`] for options that cannot be; those of the files that options name.
pub(in crate::data) fn encoder(source: &Source<'_>, set: Option<&TextSet>) -> Result<Option<Arc<TextEncoder>>> {
    known_encoder(source, &Layout::of(source, set)?)
}

fn known_encoder(source: &Source<'_>, layout: &Layout<'_>) -> Result<Option<Arc<TextEncoder>>> {
    let (Some(classes), Some(vocabulary)) = (&layout.classes, source.text.vocab) else { return Ok(None) };
    let tokenizer = TextTokenizer::read(vocabulary, source.text.length())?;
    Ok(Some(with_classes(tokenizer, classes, source, layout)))
}

fn with_classes(
    tokenizer: TextTokenizer,
    classes: &[String],
    source: &Source<'_>,
    layout: &Layout<'_>,
) -> Arc<TextEncoder> {
    let (length, texts) = (source.text.length(), layout.tables.len());
    Arc::new(TextEncoder { tokenizer, classes: classes.into(), length, texts })
}

/// Opens a set of texts; without a `set` the options name its columns.
///
/// # Errors
/// [`Error::Setting`] for invalid options, or if no file is found; [`Error::Format`] and
/// [`Error::Io`] for files that cannot be used.
pub(in crate::data) fn open(
    source: &Source<'_>,
    set: Option<&TextSet>,
    news: &mut dyn FnMut(OpenEvent<'_>),
) -> Result<Splits> {
    let layout = Layout::of(source, set)?;
    let dir = match set {
        Some(set) => set.wanted.find(source.dir)?,
        None => source.named_dir()?,
    };
    let known = known_encoder(source, &layout)?;
    let train = File::find(&dir, "train")?.ok_or_else(|| absent(&dir, &["train"]))?;
    let train = layout.read(train, source.skip_bad)?;
    let test = layout.test(&dir, news)?;
    let test = layout.read(test, source.skip_bad)?;
    let encoder = match known {
        Some(encoder) => encoder,
        None => {
            let classes = layout.classes.clone().unwrap_or_else(|| train.labels());
            if classes.len() > MOST_CLASSES {
                let message = format!("expected at most {MOST_CLASSES} different labels, found {}", classes.len());
                return Err(Error::format(&train.path, 0, message));
            }
            let tokenizer = match source.text.vocab {
                Some(vocabulary) => TextTokenizer::read(vocabulary, source.text.length())?,
                None => TextTokenizer::of_words(&train.rows, &source.text)?,
            };
            with_classes(tokenizer, &classes, source, &layout)
        }
    };
    let path = train.path.clone();
    let train = train.encoded(source.name, &encoder, &Known::of(&encoder.classes, "the set's"), news)?;
    let learned = learned(&train, &path)?;
    let test = test.encoded(source.name, &encoder, &learned, news)?;
    Ok(Splits { train: Arc::new(train), test: Arc::new(test) })
}

/// The labels of the training part, which must be two or more.
fn learned<'t>(train: &'t Texts, path: &Path) -> Result<Known<'t>> {
    let numbers: BTreeSet<u32> = train.labels().iter().copied().collect();
    let name = |number: u32| train.encoder().classes[number as usize].as_str();
    if let (Some(&only), 1) = (numbers.first(), numbers.len()) {
        let message = format!("every row has the label {:.40?}; expected two or more to tell apart", name(only));
        return Err(Error::format(path, 0, message));
    }
    let numbers = numbers.into_iter().map(|number| (name(number), number)).collect();
    Ok(Known { numbers, whose: "the training part's" })
}
