//! The sources of options: a recipe, a file, and the command line. Later sources override earlier
//! ones.

use super::grid::Grid;
use super::recipes;
use super::{is_given, print_note};
use crate::error::{Error, Result};
use crate::files::text;
use crate::train::{Config, ModelCard, OptionsFile, option_name};
use clap::{ArgMatches, Args};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// The options of a run, with the recipe and the file that contain some of them.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Settings of a published experiment; other options override them
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(recipes::names()))]
    recipe: Option<String>,
    /// TOML file with these options as keys; options on the command line override it
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Config,
}

/// The text of a file or a recipe.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Result<Self> {
        let (bytes, converted) = text::from_utf16(std::fs::read(path).map_err(Error::io(path, "read"))?);
        if converted {
            print_note(&format!("{} is UTF-16, and was read as such", path.display()));
        }
        Ok(Self { path: path.to_owned(), text: text::utf8(path, &bytes)?.to_owned() })
    }

    fn parsed(&self) -> Result<OptionsFile<'_>> {
        OptionsFile::parse(&self.path, &self.text)
    }
}

impl Config {
    /// Reads the options of a run and the table `[grid]` from the bytes of a file; `path` is for
    /// error messages.
    /// Files above 128 KiB take up to 256 times their size in memory.
    ///
    /// # Errors
    /// [`Error::Format`] with the position of an unknown option or an invalid value.
    pub fn from_toml_with_grid(path: &Path, bytes: &[u8]) -> Result<(Self, toml::Table)> {
        let file = OptionsFile::parse(path, text::utf8(path, bytes)?)?;
        let (options, grid) = (file.options()?, file.grid::<Grid>()?);
        Ok((options.try_into().expect("the table was checked above"), grid))
    }
}

impl ConfigArgs {
    fn sources(&self) -> Result<Vec<Source>> {
        let recipe = self.recipe.as_deref().and_then(recipes::named);
        let recipe = recipe
            .map(|recipe| Ok(Source { path: format!("recipe {}", recipe.name).into(), text: recipe.text.into() }));
        recipe.into_iter().chain(self.config.as_deref().map(Source::read)).collect()
    }

    /// The options of a run, merged from all sources.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for a file that cannot be read.
    pub(super) fn resolve(&self, matches: &ArgMatches) -> Result<Config> {
        let (given, files) = self.sources_of_options(matches)?;
        let config = with_model_config(merged(given, files))?;
        Ok(config.with(|c| c.data = c.data.clone().with_defaults_of_set()))
    }

    /// The options of a trained model, and its card: options on the command line and in the file
    /// override those of the card.
    ///
    /// # Errors
    /// The errors of [`ConfigArgs::resolve`]; those of [`ModelCard::read`]; [`Error::Setting`] if
    /// neither card nor options describe the model, or if they contradict each other.
    pub(super) fn resolve_trained(&self, matches: &ArgMatches) -> Result<(Config, Option<ModelCard>)> {
        let (given, files) = self.sources_of_options(matches)?;
        let config: Config = merged(given.clone(), files.clone());
        let Some(init) = &config.model.init else { return Ok((config, None)) };
        let Some(card) = ModelCard::read(init)? else {
            let missing: Vec<_> = ["model", "data"].into_iter().filter(|id| !is_given(matches, id)).collect();
            if self.config.is_none() && self.recipe.is_none() && !missing.is_empty() {
                let missing: Vec<_> = missing.iter().map(|id| format!("`{id}`")).collect();
                let message = format!(
                    "{} does not say what its weights are for, as files from PyTorch; give {}, or the options of their \
                     run as `config` FILE",
                    init.display(),
                    missing.join(" and ")
                );
                return Err(Error::setting("init", message));
            }
            return Ok((with_model_config(config)?, None));
        };
        let lowest = table_of(&card.options());
        let config: Config = merged(given, [lowest].into_iter().chain(files).collect());
        let config = with_net(config)?;
        card.check_options(&config).map(|()| (config, Some(card)))
    }

    /// The options on the command line, and those of recipe and file, the lowest first.
    ///
    /// # Errors
    /// The errors of [`ConfigArgs::resolve`].
    fn sources_of_options(&self, matches: &ArgMatches) -> Result<(toml::Table, Vec<toml::Table>)> {
        self.options.check_storable()?;
        let mut given = table_of(&self.options);
        for (section, values) in &mut given {
            keep_given(values, matches, |key| option_name(section, key).to_owned())?;
        }
        let files = self.sources()?;
        let files = files.iter().map(|file| Ok(relative_to_file(&file.path, file.parsed()?.options()?)));
        Ok((given, files.collect::<Result<_>>()?))
    }

    /// The file of `--config`, as an input of the command.
    pub(super) fn file(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        self.config.as_deref().into_iter().map(|path| ("config", path))
    }

    /// Adds to an error about `init` that no file of options was given.
    pub(super) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Setting { field: "init", message } if self.config.is_none() && self.recipe.is_none() => {
                let hint = "there is no --config FILE; the config.toml next to the weights names their model";
                Error::setting("init", format!("{message}; {hint}"))
            }
            other => other,
        }
    }

    /// The options of the grid: `options` from the command line, merged with `[grid]` of the other
    /// sources.
    ///
    /// # Errors
    /// The errors of [`ConfigArgs::resolve`].
    pub(super) fn resolve_grid<T: Serialize + DeserializeOwned>(&self, options: &T, matches: &ArgMatches) -> Result<T> {
        let mut given = toml::Value::Table(table_of(options));
        keep_given(&mut given, matches, str::to_owned)?;
        let files = self.sources()?;
        let files = files.iter().map(|file| file.parsed()?.grid::<T>()).collect::<Result<_>>()?;
        Ok(merged(given.try_into().expect("it is a table"), files))
    }
}

/// Paths in a file of options, by section and key.
const PATHS: [(&str, &str); 6] = [
    ("data", "data-dir"),
    ("data", "class-list"),
    ("data", "vocab"),
    ("model", "init"),
    ("model", "model-config"),
    ("model", "name"),
];

/// The options of the file at `path`. A relative path that does not exist here, but in the
/// directory of the file, is changed to that one, with a note.
fn relative_to_file(path: &Path, mut options: toml::Table) -> toml::Table {
    for (section, key) in PATHS {
        let value = options.get_mut(section).and_then(|section| section.get_mut(key));
        let Some(toml::Value::String(given)) = value else { continue };
        // The name of a model is a path only if it is that of a file.
        if key == "name" && !given.ends_with(".toml") {
            continue;
        }
        let other = path.parent().unwrap_or(Path::new("")).join(&*given);
        if Path::new(given).exists() || !other.exists() {
            continue;
        }
        if let Some(other) = other.to_str().filter(|other| other != given) {
            print_note(&format!("{key} {given} is not here; taken from the directory of {}", path.display()));
            *given = other.to_owned();
        }
    }
    options
}

/// The options with the text of the file that describes the model, if one does.
fn with_net(mut config: Config) -> Result<Config> {
    config.model.read_net().map(|()| config)
}

/// The options with the model, or its size, that is in a file of its own.
fn with_model_config(config: Config) -> Result<Config> {
    let mut config = with_net(config)?;
    if let Some(path) = config.model.read_model_config()? {
        print_note(&format!("the size of the model is that in {}", path.display()));
    }
    Ok(config)
}

fn table_of(options: &impl Serialize) -> toml::Table {
    toml::Table::try_from(options).expect("every option has a TOML form")
}

/// Removes the entries of a table that were not given on the command line. `option` returns the
/// option of a key.
///
/// # Errors
/// [`Error::Option`] for a number that is not finite.
fn keep_given(table: &mut toml::Value, matches: &ArgMatches, option: impl Fn(&str) -> String) -> Result<()> {
    let Some(table) = table.as_table_mut() else { return Ok(()) };
    table.retain(|key, _| is_given(matches, &option(key).replace('-', "_")));
    match table.iter().find(|(_, value)| !is_finite(value)) {
        Some((key, value)) => {
            let message = format!("expected a finite number, found {value}");
            Err(Error::option(format!("--{}", option(key)), message))
        }
        None => Ok(()),
    }
}

/// Whether all numbers in a value are finite.
fn is_finite(value: &toml::Value) -> bool {
    match value {
        toml::Value::Float(number) => number.is_finite(),
        toml::Value::Array(values) => values.iter().all(is_finite),
        _ => true,
    }
}

/// Merges options: `given` overrides the files, and later files override earlier ones.
fn merged<T: DeserializeOwned>(mut given: toml::Table, mut files: Vec<toml::Table>) -> T {
    drop_replaced_nets(&given, &mut files);
    files.into_iter().rev().for_each(|file| add_missing(&mut given, file));
    given.try_into().expect("options that are valid separately are valid together")
}

/// Removes the text of a model's file where later options name another model.
fn drop_replaced_nets(given: &toml::Table, files: &mut [toml::Table]) {
    let names_model = |table: &toml::Table| table.get("model").is_some_and(|model| model.get("name").is_some());
    let mut replaced = names_model(given);
    for file in files.iter_mut().rev() {
        let names = names_model(file);
        if let Some(toml::Value::Table(model)) = file.get_mut("model").filter(|_| replaced) {
            model.remove("net");
        }
        replaced |= names;
    }
}

/// Adds the entries of `lower` that `upper` does not have, recursively for tables.
fn add_missing(upper: &mut toml::Table, lower: toml::Table) {
    for (key, value) in lower {
        match (upper.get_mut(&key), value) {
            (None, value) => drop(upper.insert(key, value)),
            (Some(toml::Value::Table(upper)), toml::Value::Table(lower)) => add_missing(upper, lower),
            _ => {}
        }
    }
}
