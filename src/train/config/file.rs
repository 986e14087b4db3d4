//! Options in TOML files: a table for each section. Files of the first version have no sections:
//! all options are top-level keys.

use super::{Config, CurriculumOptions, DataOptions, ModelOptions, OptimizerOptions, TrainingOptions};
use crate::error::{Error, Result};
use crate::files::text;
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer};
use std::fs;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, ValueDeserializer};

/// The sections of [`Config`], by the names of their tables.
pub(crate) const SECTIONS: [&str; 5] = ["data", "model", "training", "optimizer", "curriculum"];

/// The table with the options of `lerac compare`.
const GRID: &str = "grid";

/// The option that files without sections do not have.
const DURING_CURRICULUM: &str = "schedule-during-curriculum";

/// Names with a higher similarity than this count as a typing error.
const SIMILARITY: f64 = 0.8;

/// The command-line option that sets `key` of `section`. The option of the key `name` has the name
/// of its section.
pub(crate) fn option_name<'n>(section: &'n str, key: &'n str) -> &'n str {
    if key == "name" { section } else { key }
}

/// A key of a section.
struct Key {
    section: &'static str,
    name: &'static str,
}

/// Names in other programs, and the names here.
const SYNONYMS: [(&str, &str); 7] = [
    ("lr", "eta"),
    ("learning-rate", "eta"),
    ("wd", "weight-decay"),
    ("bs", "batch-size"),
    ("num-epochs", "epochs"),
    ("scheduler", "schedule"),
    ("pretrained", "init"),
];

/// A hint about values with backslashes, which TOML reads as escapes.
const BACKSLASHES: &str = "; in double quotes \\ begins an escape: write a path in single quotes, 'C:\\data'";

/// Keys of older files, and their names today.
const ALIASES: [(&str, &str); 1] = [("train-images", "train-examples")];

impl Key {
    /// The name of the key on the command line and in a file without sections.
    fn option(&self) -> &'static str {
        option_name(self.section, self.name)
    }
}

/// The current name of a key that may be given by an older one.
fn canonical(name: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, canonical)| canonical)
}

/// All keys of all sections.
fn keys() -> Vec<Key> {
    let fields = [
        fields_of::<DataOptions>(),
        fields_of::<ModelOptions>(),
        fields_of::<TrainingOptions>(),
        fields_of::<OptimizerOptions>(),
        fields_of::<CurriculumOptions>(),
    ];
    let keys = |(section, names): (&'static str, &'static [&'static str])| {
        names.iter().filter(|name| canonical(name) == **name).map(move |name| Key { section, name })
    };
    SECTIONS.into_iter().zip(fields).flat_map(keys).collect()
}

/// The names of a struct's fields in serde.
fn fields_of<'d, T: Deserialize<'d>>() -> &'static [&'static str] {
    let mut found: &[&str] = &[];
    // This always fails, after the names were recorded.
    let _ = T::deserialize(FieldNames(&mut found));
    found
}

/// A deserializer that records the field names of a struct and then fails.
struct FieldNames<'f>(&'f mut &'static [&'static str]);

impl<'d> Deserializer<'d> for FieldNames<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'d>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("only structs have fields"))
    }

    fn deserialize_struct<V: Visitor<'d>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        <W: Visitor<'d>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// A parsed file of options: those of a run by section, and those of a comparison.
pub(crate) struct OptionsFile<'t> {
    source: Source<'t>,
    options: Spanned<DeValue<'t>>,
    grid: Option<Spanned<DeValue<'t>>>,
}

/// A file's text, for error messages with a position.
#[derive(Clone, Copy)]
struct Source<'t> {
    path: &'t Path,
    text: &'t str,
}

impl<'t> OptionsFile<'t> {
    /// Parses a file's text and sorts its keys into sections; `path` is for error messages.
    ///
    /// # Errors
    /// [`Error::Format`] with the position of invalid TOML or of an unknown option.
    pub(crate) fn parse(path: &'t Path, text: &'t str) -> Result<Self> {
        let source = Source { path, text };
        let parsed = DeTable::parse(text).map_err(|error| source.parse_error(&error))?;
        let span = parsed.span();
        let mut top = parsed.into_inner();
        let grid = top.remove(GRID);
        let options = Spanned::new(span, DeValue::Table(source.by_section(top)?));
        Ok(Self { source, options, grid })
    }

    /// The options of a run in this file, by section, checked to be options of [`Config`].
    pub(crate) fn options(&self) -> Result<toml::Table> {
        self.table_of::<Config>(&self.options)
    }

    /// The options of a comparison in this file, checked to be options of `G`.
    #[cfg(feature = "cli")]
    pub(crate) fn grid<G: DeserializeOwned>(&self) -> Result<toml::Table> {
        self.grid.as_ref().map_or_else(|| Ok(toml::Table::new()), |grid| self.table_of::<G>(grid))
    }

    /// `value` as a table. Its keys must be those of `T`, and its numbers finite: options are
    /// compared for equality, and NaN is not equal to itself.
    fn table_of<T: DeserializeOwned>(&self, value: &Spanned<DeValue<'t>>) -> Result<toml::Table> {
        let read = || ValueDeserializer::from(value.clone());
        T::deserialize(read()).map_err(|error| self.source.parse_error(&error))?;
        self.check_finite("", value)?;
        toml::Table::deserialize(read()).map_err(|error| self.source.parse_error(&error))
    }

    fn check_finite(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<()> {
        match value.get_ref() {
            DeValue::Table(table) => table.iter().try_for_each(|(key, value)| self.check_finite(key.get_ref(), value)),
            other if is_finite(other) => Ok(()),
            _ => {
                let found = &self.source.text[value.span()];
                Err(self
                    .source
                    .error_at(value.span().start, &format!("{key}: expected a finite number, found {found}")))
            }
        }
    }
}

impl<'t> Source<'t> {
    fn error_at(&self, offset: usize, message: &str) -> Error {
        let line = 1 + self.text[..offset].matches('\n').count();
        Error::format(self.path, offset as u64, format!("line {line}: {message}"))
    }

    fn parse_error(&self, error: &toml::de::Error) -> Error {
        let at = error.span().map_or(0, |span| span.start.min(self.text.len()));
        let start = self.text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = self.text[start..].lines().next().unwrap_or_default();
        let escapes = line.split_once('"').is_some_and(|(_, value)| value.contains('\\'));
        let hint = if escapes { BACKSLASHES } else { "" };
        self.error_at(at, &format!("{}{hint}", error.message()))
    }

    /// The entries of a file, by section.
    fn by_section(&self, top: DeTable<'t>) -> Result<DeTable<'t>> {
        let is_table =
            |key: &str, value: &DeValue<'_>| value.is_table() && (SECTIONS.contains(&key) || key == "kernels");
        let has_sections =
            top.iter().any(|(key, value)| SECTIONS.contains(&key.get_ref().as_ref()) && value.get_ref().is_table());
        let keys = keys();
        let mut sections = DeTable::new();
        for (key, value) in top {
            let name = key.get_ref().as_ref();
            if !is_table(name, value.get_ref()) {
                let found = self.flat_key(&keys, &key, value.get_ref())?;
                if has_sections {
                    let message =
                        format!("{name} is outside of a section; move it to [{}], as {}", found.section, found.name);
                    return Err(self.error_at(key.span().start, &message));
                }
                self.insert_option(&mut sections, found, &key, value)?;
            } else if name == "kernels" {
                sections.insert(key, value);
            } else if let DeValue::Table(table) = value.into_inner() {
                for (inner, value) in table {
                    let found = self.section_key(&keys, key.get_ref(), &inner)?;
                    self.insert_option(&mut sections, found, &inner, value)?;
                }
            }
        }
        if !has_sections {
            add_legacy_schedule(&mut sections);
        }
        Ok(sections)
    }

    /// The key that `given` names in a file without sections.
    fn flat_key<'k>(&self, keys: &'k [Key], given: &Spanned<DeString<'_>>, value: &DeValue<'_>) -> Result<&'k Key> {
        let name = given.get_ref().as_ref();
        if let Some(key) = keys.iter().find(|key| key.option() == canonical(name)) {
            return Ok(key);
        }
        let message = match value {
            DeValue::Table(_) => {
                let known = SECTIONS.into_iter().chain(["kernels", GRID]);
                let hint = hint(name, known.clone());
                format!("unknown table {name}; expected one of {}{hint}", known.collect::<Vec<_>>().join(", "))
            }
            _ => format!("unknown option {name}{}", hint(name, keys.iter().map(Key::option))),
        };
        Err(self.error_at(given.span().start, &message))
    }

    /// The key that `given` names in the table of `section`.
    fn section_key<'k>(&self, keys: &'k [Key], section: &str, given: &Spanned<DeString<'_>>) -> Result<&'k Key> {
        let name = given.get_ref().as_ref();
        let is = |key: &&Key| key.name == canonical(name);
        let here = || keys.iter().filter(|key| key.section == section);
        if let Some(key) = here().find(is) {
            return Ok(key);
        }
        let message = match keys.iter().find(is) {
            Some(other) if name != "name" => format!("{name} belongs to [{}], not to [{section}]", other.section),
            _ => format!("unknown option {name} in [{section}]{}", hint(name, here().map(|key| key.name))),
        };
        Err(self.error_at(given.span().start, &message))
    }

    /// Inserts a value into its section, under the current name of its key.
    fn insert_option(
        &self,
        sections: &mut DeTable<'t>,
        key: &Key,
        given: &Spanned<DeString<'t>>,
        value: Spanned<DeValue<'t>>,
    ) -> Result<()> {
        let place = given.span();
        let named = |name: &str| Spanned::new(place.clone(), name.to_owned().into());
        let empty = || Spanned::new(place.clone(), DeValue::Table(DeTable::new()));
        let section = sections.entry(named(key.section)).or_insert_with(empty);
        let DeValue::Table(section) = section.get_mut() else { unreachable!("sections are tables") };
        match section.insert(named(key.name), value) {
            None => Ok(()),
            Some(_) => {
                Err(self.error_at(place.start, &format!("{} is given twice, also as {}", key.name, given.get_ref())))
            }
        }
    }
}

/// Files without sections were written before `schedule-during-curriculum` existed, when a schedule
/// multiplied the growing rates. This sets the option to keep that behaviour.
fn add_legacy_schedule(sections: &mut DeTable<'_>) {
    let value = |section: &str, key: &str| Some(sections.get(section)?.get_ref().get(key)?.get_ref());
    let is = |value: Option<&DeValue<'_>>, names: &[&str]| {
        value.and_then(DeValue::as_str).is_some_and(|name| names.contains(&name))
    };
    let schedule = value("optimizer", "schedule");
    let changes = schedule.is_some() && !is(schedule, &["constant"]);
    let warms = match value("optimizer", "warmup-epochs") {
        Some(DeValue::Float(epochs)) => epochs.as_str().parse() != Ok(0.0),
        other => other.is_some(),
    };
    let grows = !is(value("curriculum", "method"), &["conventional", "cbs"]);
    if grows && (changes || warms) && value("curriculum", DURING_CURRICULUM).is_none() {
        let new = |text: &'static str| Spanned::new(0..0, DeString::from(text));
        let none = || Spanned::new(0..0, DeValue::Table(DeTable::new()));
        let section = sections.entry(new("curriculum")).or_insert_with(none).get_mut();
        if let DeValue::Table(section) = section {
            section.insert(new(DURING_CURRICULUM), Spanned::new(0..0, DeValue::String("multiply".into())));
        }
    }
}

/// Whether all numbers in a value are finite.
fn is_finite(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Float(number) => number.as_str().parse().is_ok_and(f64::is_finite),
        DeValue::Array(values) => values.iter().all(|value| is_finite(value.get_ref())),
        _ => true,
    }
}

/// The most similar of the `known` names, as a question; empty if none is similar.
fn hint<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> String {
    let plain = given.to_lowercase().replace('_', "-");
    let usual = SYNONYMS.iter().find(|(other, _)| *other == plain).map_or(plain.as_str(), |(_, name)| name);
    let alike =
        known.map(|name| (strsim::jaro_winkler(usual, name), name)).filter(|(likeness, _)| *likeness > SIMILARITY);
    let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0));
    nearest.map_or(String::new(), |(_, name)| format!("; did you mean {name}?"))
}

impl Config {
    /// Reads the options in a file such as `config.toml`.
    ///
    /// # Errors
    /// [`Error::Io`], and the errors of [`Config::from_toml`].
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_toml(path, &text::from_utf16(fs::read(path).map_err(Error::io(path, "read"))?).0)
    }

    /// The options as a TOML file.
    ///
    /// # Panics
    /// If [`Config::check_storable`] fails.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every option has a TOML form")
    }

    /// Reads the options in the bytes of a TOML file; `path` is for error messages.
    /// Files above 128 KiB take up to 256 times their size in memory.
    ///
    /// # Errors
    /// [`Error::Format`] with the position of an unknown option or an invalid value.
    pub fn from_toml(path: &Path, bytes: &[u8]) -> Result<Self> {
        let file = OptionsFile::parse(path, text::utf8(path, bytes)?)?;
        if let Some(grid) = &file.grid {
            return Err(file
                .source
                .error_at(grid.span().start, "[grid] is for lerac compare; remove it for a single run"));
        }
        Ok(file.options()?.try_into().expect("the table was checked above"))
    }
}
