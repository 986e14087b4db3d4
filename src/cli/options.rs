//! Where options come from: a recipe, a file over it, the command line over both.

use super::grid::Grid;
use super::recipes;
use crate::error::{Error, Result};
use crate::files::text;
use crate::train::Config;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde::{Serialize, de::DeserializeOwned};
use std::ops::Range;
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
        Self::from_bytes(path, &std::fs::read(path).map_err(Error::io(path, "read"))?)
    }

    fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        Ok(Self { path: path.to_owned(), text: text::utf8(path, bytes)?.to_owned() })
    }

    /// The bytes before and behind the line [`GRID`].
    fn parts(&self) -> (Range<usize>, Range<usize>) {
        let (mut start, all) = (0, self.text.len());
        for line in self.text.split_inclusive('\n') {
            let end = start + line.len();
            if line.split('#').next().is_some_and(|code| code.trim() == GRID) {
                return (0..start, end..all);
            }
            start = end;
        }
        (0..all, all..all)
    }

    /// The options of a run, with the keys of [`Config`].
    fn options(&self) -> Result<toml::Table> {
        text::table::<Config>(&self.path, &self.text, self.parts().0)
    }

    /// The options of a comparison, with the keys of `T`.
    fn grid<T: DeserializeOwned>(&self) -> Result<toml::Table> {
        text::table::<T>(&self.path, &self.text, self.parts().1)
    }
}

impl Config {
    /// The options in the bytes of a file for `--config`, and in its `[grid]`; `path` is for messages. Beyond 128 KiB it
    /// takes up to 256 times their memory.
    ///
    /// # Errors
    /// [`Error::Format`] with the place of what is no option, or no value of one.
    pub fn from_toml_with_grid(path: &Path, bytes: &[u8]) -> Result<(Self, toml::Table)> {
        let source = Source::from_bytes(path, bytes)?;
        let (options, grid) = (source.options()?, source.grid::<Grid>()?);
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
        let tables = self.sources()?.iter().map(Source::options).collect();
        layered(tables, &self.options, matches)
    }

    /// `options` under those of the same sources' `[grid]`.
    ///
    /// # Errors
    /// As [`ConfigArgs::resolve`].
    pub(super) fn resolve_grid<T: Serialize + DeserializeOwned>(&self, options: &T, matches: &ArgMatches) -> Result<T> {
        let tables = self.sources()?.iter().map(Source::grid::<T>).collect();
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
    if let Some((key, value)) = merged.iter().find(|(_, value)| !text::is_finite(value)) {
        return Err(Error::option(format!("--{key}"), format!("expected a finite number, found {value}")));
    }
    for table in tables?.into_iter().rev() {
        for (key, value) in table {
            merged.entry(key).or_insert(value);
        }
    }
    Ok(merged.try_into().expect("options that were valid apart are valid together"))
}
