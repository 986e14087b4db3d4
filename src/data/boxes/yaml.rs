//! Reads the YAML file that describes a set of boxes for YOLO: paths and the names of classes.

use crate::error::{Error, Result};
use crate::files::text;
use saphyr_parser::{Event, Parser, Span};
use std::collections::BTreeMap;
use std::path::Path;

/// The description of a set in the form of YOLO.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct YoloDescription {
    /// The directory of the other paths, relative to that of the description.
    pub path: Option<String>,
    /// Folders of training images, or files that list them.
    pub train: Vec<String>,
    /// Those of validation images.
    pub val: Vec<String>,
    /// Those of test images.
    pub test: Vec<String>,
    /// The names of the classes.
    pub names: Vec<String>,
}

/// A value of the description.
enum Value {
    Text(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
    /// Anything else, which no key that is read may have.
    Other,
}

/// The events of a file.
struct Events<'t> {
    parser: Parser<'t, saphyr_parser::StrInput<'t>>,
    path: &'t Path,
    text: &'t str,
    /// Bytes before the text.
    skipped: usize,
    /// Where the last event is.
    last: Span,
}

/// Reads a description from the bytes of its file. `path` is for messages. Other keys are ignored.
///
/// # Errors
/// [`Error::Format`] for a file that is not YAML, or without `train` or `names`.
pub fn yolo_description_in(path: &Path, bytes: &[u8]) -> Result<YoloDescription> {
    let text = text::utf8(path, bytes)?;
    let skipped = bytes.len() - text.len();
    let mut events = Events { parser: Parser::new_from_str(text), path, text, skipped, last: Span::default() };
    let (mut description, mut classes) = (YoloDescription::default(), None);
    events.begin()?;
    while let Some(key) = events.key()? {
        let at = events.last;
        let value = events.value()?;
        let fault = |what: &str| events.fault(at, &format!("`{key}`: expected {what}"));
        let paths = |value| match value {
            Value::Text(path) => Ok(vec![path]),
            Value::List(paths) => Ok(paths),
            _ => Err(fault("a path, or a list of paths")),
        };
        match key.as_str() {
            "path" => match value {
                Value::Text(path) => description.path = Some(path).filter(|path| !path.is_empty()),
                _ => return Err(fault("a path")),
            },
            "train" => description.train = paths(value)?,
            "val" | "valid" | "validation" => description.val = paths(value)?,
            "test" => description.test = paths(value)?,
            "names" => {
                description.names = names(value).ok_or_else(|| fault("a list of names, or 0: NAME and so on"))?
            }
            "nc" => match value {
                Value::Text(count) => classes = Some(count.parse().map_err(|_| fault("the number of classes"))?),
                _ => return Err(fault("the number of classes")),
            },
            _ => {}
        }
    }
    let missing = |key: &str| Error::format(path, 0, format!("expected the key `{key}`, found none"));
    let YoloDescription { train, val, test, names, .. } = &mut description;
    [train, val, test].into_iter().for_each(|paths| paths.retain(|path| !path.is_empty()));
    let count: usize = classes.unwrap_or(names.len());
    match (description.train.is_empty(), description.names.len()) {
        (true, _) => Err(missing("train")),
        (_, 0) => Err(missing("names")),
        (_, found) if found != count => {
            Err(Error::format(path, 0, format!("`nc` is {count}, but there are {found} names; correct one of them")))
        }
        _ => Ok(description),
    }
}

/// The names of the classes in their order; `None` for another value.
fn names(value: Value) -> Option<Vec<String>> {
    match value {
        Value::List(names) => Some(names),
        Value::Map(by_number) => {
            let numbered = by_number.into_iter().map(|(number, name)| Some((number.parse::<usize>().ok()?, name)));
            let numbered: BTreeMap<usize, String> = numbered.collect::<Option<_>>()?;
            let follow = numbered.keys().enumerate().all(|(i, number)| i == *number);
            follow.then(|| numbered.into_values().collect())
        }
        _ => None,
    }
}

impl<'t> Events<'t> {
    fn fault(&self, at: Span, message: &str) -> Error {
        let (line, before) = (at.start.line(), self.text.split_inclusive('\n').take(at.start.line().saturating_sub(1)));
        let offset = self.skipped + before.map(str::len).sum::<usize>();
        Error::format(self.path, offset as u64, format!("line {line}: {message}"))
    }

    fn next(&mut self) -> Result<Event<'t>> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                self.last = span;
                Ok(event)
            }
            Some(Err(fault)) => {
                let at = Span::new(*fault.marker(), *fault.marker());
                Err(self.fault(at, &format!("expected YAML: {}", fault.info())))
            }
            None => Ok(Event::StreamEnd),
        }
    }

    /// Reads up to the first key.
    fn begin(&mut self) -> Result<()> {
        loop {
            match self.next()? {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::MappingStart(..) => return Ok(()),
                _ => return Err(self.fault(self.last, "expected keys such as `train: images/train`")),
            }
        }
    }

    /// The next key; `None` at the end of the keys.
    fn key(&mut self) -> Result<Option<String>> {
        match self.next()? {
            Event::MappingEnd => Ok(None),
            Event::Scalar(key, ..) => Ok(Some(key.into_owned())),
            _ => Err(self.fault(self.last, "expected a key")),
        }
    }

    fn value(&mut self) -> Result<Value> {
        match self.next()? {
            Event::Scalar(text, style, ..) => {
                let null = style == saphyr_parser::ScalarStyle::Plain && matches!(&*text, "~" | "null");
                Ok(Value::Text(if null { String::new() } else { text.into_owned() }))
            }
            Event::SequenceStart(..) => {
                let mut list = vec![];
                loop {
                    match self.next()? {
                        Event::SequenceEnd => return Ok(Value::List(list)),
                        Event::Scalar(text, ..) => list.push(text.into_owned()),
                        event => return self.skip(&event, 1),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut map = BTreeMap::new();
                loop {
                    let key = match self.next()? {
                        Event::MappingEnd => return Ok(Value::Map(map)),
                        Event::Scalar(key, ..) => key.into_owned(),
                        event => return self.skip(&event, 1),
                    };
                    match self.next()? {
                        Event::Scalar(text, ..) if !map.contains_key(&key) => map.insert(key, text.into_owned()),
                        Event::Scalar(..) => {
                            return Err(self.fault(self.last, &format!("the key {key:?} occurs twice")));
                        }
                        event => return self.skip(&event, 1),
                    };
                }
            }
            event => self.skip(&event, 0),
        }
    }

    /// Reads `event` and what follows, up to the end of the value in which `depth` lists or maps
    /// are open.
    fn skip(&mut self, event: &Event<'_>, mut depth: usize) -> Result<Value> {
        let change = |event: &Event<'_>, depth: usize| match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth + 1,
            Event::SequenceEnd | Event::MappingEnd => depth.saturating_sub(1),
            Event::StreamEnd => 0,
            _ => depth,
        };
        depth = change(event, depth);
        while depth > 0 {
            let event = self.next()?;
            depth = change(&event, depth);
        }
        Ok(Value::Other)
    }
}
