//! Where options come from: a recipe, a file over it, the command line over both.

use super::grid::Grid;
use super::recipes;
use crate::error::{Error, Result};
use crate::files::text;
use crate::train::{Config, OptionsFile, option_name};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// A run's options, and the files that can hold them.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Settings of a published experiment; every other option wins over them
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(recipes::names()))]
    recipe: Option<String>,
    /// TOML file with these options as keys; options given beside it win
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Config,
}

/// A file's text: the options of a run, and those of a comparison.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
        Ok(Self { path: path.to_owned(), text: text::utf8(path, &bytes)?.to_owned() })
    }

    fn parsed(&self) -> Result<OptionsFile<'_>> {
        OptionsFile::parse(&self.path, &self.text)
    }
}

impl Config {
    /// The options in the bytes of a file for `--config`, and in its `[grid]`; `path` is for
    /// messages. Beyond 128 KiB it takes up to 256 times their memory.
    ///
    /// # Errors
    /// [`Error::Format`] with the place of what is no option, or no value of one.
    pub fn from_toml_with_grid(path: &Path, bytes: &[u8]) -> Result<(Self, toml::Table)> {
        let file = OptionsFile::parse(path, text::utf8(path, bytes)?)?;
        let (options, grid) = (file.options()?, file.grid::<Grid>()?);
        Ok((options.try_into().expect("the table has just been read as such"), grid))
    }
}

impl ConfigArgs {
    fn sources(&self) -> Result<Vec<Source>> {
        let recipe = self.recipe.as_deref().and_then(recipes::named);
        let recipe = recipe
            .map(|recipe| Ok(Source { path: format!("recipe {}", recipe.name).into(), text: recipe.text.into() }));
        recipe.into_iter().chain(self.config.as_deref().map(Source::read)).collect()
    }

    /// The options of a run, from all sources.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for a file that cannot be read.
    pub(super) fn resolve(&self, matches: &ArgMatches) -> Result<Config> {
        self.options.check_storable()?;
        let mut given = table_of(&self.options);
        for (section, values) in &mut given {
            keep_given(values, matches, |key| option_name(section, key).to_owned())?;
        }
        let files = self.sources()?;
        let files = files.iter().map(|file| file.parsed()?.options()).collect::<Result<_>>()?;
        Ok(layered(given, files))
    }

    /// `options` over those of the same sources' `[grid]`.
    ///
    /// # Errors
    /// As [`ConfigArgs::resolve`].
    pub(super) fn resolve_grid<T: Serialize + DeserializeOwned>(&self, options: &T, matches: &ArgMatches) -> Result<T> {
        let mut given = toml::Value::Table(table_of(options));
        keep_given(&mut given, matches, str::to_owned)?;
        let files = self.sources()?;
        let files = files.iter().map(|file| file.parsed()?.grid::<T>()).collect::<Result<_>>()?;
        Ok(layered(given.try_into().expect("it is a table"), files))
    }
}

fn table_of(options: &impl Serialize) -> toml::Table {
    toml::Table::try_from(options).expect("every option has a TOML form")
}

/// Keeps what of a table was given on the command line; `option` names the option of a key.
///
/// # Errors
/// [`Error::Option`] for a number that is not finite.
fn keep_given(table: &mut toml::Value, matches: &ArgMatches, option: impl Fn(&str) -> String) -> Result<()> {
    let Some(table) = table.as_table_mut() else { return Ok(()) };
    let given = |key: &str| matches.value_source(&option(key).replace('-', "_")) == Some(ValueSource::CommandLine);
    table.retain(|key, _| given(key));
    match table.iter().find(|(_, value)| !is_finite(value)) {
        Some((key, value)) => {
            let message = format!("expected a finite number, found {value}");
            Err(Error::option(format!("--{}", option(key)), message))
        }
        None => Ok(()),
    }
}

/// Whether a value is no number, or one that is finite, with all numbers in it.
fn is_finite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => number.is_finite(),
        toml::Value::Array(values) => values.iter().all(is_finite),
        _ => true,
    }
}

/// What was given over the files, later files over earlier ones.
fn layered<T: DeserializeOwned>(mut given: toml::Table, files: Vec<toml::Table>) -> T {
    files.into_iter().rev().for_each(|file| put_under(&mut given, file));
    given.try_into().expect("options that were valid apart are valid together")
}

/// Adds what `upper` lacks, and what its tables lack.
fn put_under(upper: &mut toml::Table, lower: toml::Table) {
    for (key, value) in lower {
        match (upper.get_mut(&key), value) {
            (None, value) => drop(upper.insert(key, value)),
            (Some(toml::Value::Table(upper)), toml::Value::Table(lower)) => put_under(upper, lower),
            _ => {}
        }
    }
}
