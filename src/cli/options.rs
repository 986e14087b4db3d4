//! Where options come from: a recipe, a file over it, the command line over both.

use super::recipes;
use crate::error::{Error, Result};
use crate::train::Config;
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

/// A file's text: the options of a run, and under `[grid]`, which TOML has come last, those of a comparison.
struct Source {
    path: PathBuf,
    text: String,
}

/// What stands above a file's grid.
const GRID: &str = "[grid]";

impl Source {
    fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The bytes before and behind the line [`GRID`].
    fn parts(&self) -> (&str, &str) {
        let mut start = 0;
        for line in self.text.split_inclusive('\n') {
            let end = start + line.len();
            if line.split('#').next().is_some_and(|code| code.trim() == GRID) {
                return (&self.text[..start], &self.text[end..]);
            }
            start = end;
        }
        (&self.text, "")
    }

    /// `part` of the text as a table, whose keys must be those of `T`.
    fn table<T: DeserializeOwned>(&self, part: &str) -> Result<toml::Table> {
        let bad = |error: toml::de::Error| {
            // The grid's part ends where the text does.
            let before = if self.text.starts_with(part) { 0 } else { self.text.len() - part.len() };
            let offset = before + error.span().map_or(0, |span| span.start);
            let line = 1 + self.text[..offset].matches('\n').count();
            Error::format(&self.path, offset as u64, format!("line {line}: {}", error.message()))
        };
        toml::from_str::<T>(part).map_err(bad)?;
        toml::from_str(part).map_err(bad)
    }
}

/// The options that a file holds.
///
/// # Errors
/// [`Error::Io`] and [`Error::Format`] for a file that cannot be read.
pub(super) fn read(path: &Path) -> Result<Config> {
    let source = Source::read(path)?;
    let table = source.table::<Config>(&source.text)?;
    Ok(table.try_into().expect("the table has just been read as such"))
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
        let tables = self.sources()?.iter().map(|source| source.table::<Config>(source.parts().0)).collect();
        layered(tables, &self.options, matches)
    }

    /// `options` under those of the same sources' `[grid]`.
    ///
    /// # Errors
    /// As [`ConfigArgs::resolve`].
    pub(super) fn resolve_grid<T: Serialize + DeserializeOwned>(&self, options: &T, matches: &ArgMatches) -> Result<T> {
        let tables = self.sources()?.iter().map(|source| source.table::<T>(source.parts().1)).collect();
        layered(tables, options, matches)
    }
}

/// Later tables over earlier ones, and over them what of `options` was given on the command line.
fn layered<T: Serialize + DeserializeOwned>(
    tables: Result<Vec<toml::Table>>,
    options: &T,
    matches: &ArgMatches,
) -> Result<T> {
    let mut merged = toml::Table::try_from(options).expect("every option has a TOML form");
    let given = |key: &str| matches.value_source(&key.replace('-', "_")) == Some(ValueSource::CommandLine);
    merged.retain(|key, _| given(key));
    for table in tables?.into_iter().rev() {
        for (key, value) in table {
            merged.entry(key).or_insert(value);
        }
    }
    Ok(merged.try_into().expect("options that were valid apart are valid together"))
}
