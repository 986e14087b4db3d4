//! A run, from its options to its files.

use lerac::data::OpenEvent;
use lerac::error::{Error, Result};
use lerac::gpu::Gpu;
use lerac::records::RunFiles;
use lerac::train::{Config, Observer, Task, run_async};
use std::cell::Cell;
use std::rc::Rc;

/// The directory of the files in memory that the visitor gives.
pub const GIVEN: &str = "given";

/// Names and contents.
pub type Files = Vec<(&'static str, Vec<u8>)>;

/// A clone is the same switch. Once it is on, the run ends after the current step.
#[derive(Clone, Default)]
pub struct Stop(Rc<Cell<bool>>);

impl Stop {
    /// Ends the run.
    pub fn stop(&self) {
        self.0.set(true);
    }
}

impl Observer for Stop {
    fn wants_to_stop(&self) -> bool {
        self.0.get()
    }
}

/// The options of a run. `json` has the sections and keys of `config.toml`; what it leaves out has
/// the default.
///
/// # Errors
/// [`Error::Setting`] with the key that is unknown or has another type.
pub fn options(json: &str) -> Result<Config> {
    let config: Config =
        serde_json::from_str(json).map_err(|fault| Error::Failed(format!("the options of the run: {fault}")))?;
    config.check().map(|()| config)
}

/// `config.toml` for the native program, which repeats the run.
fn config_file(config: &Config) -> Vec<u8> {
    let given = config.data.data_dir.as_ref().is_some_and(|dir| dir.starts_with(GIVEN));
    let config = config.clone().with(|config| {
        if given {
            config.data.data_dir = None;
        }
    });
    let how = if given { " --data-dir DIRECTORY" } else { "" };
    format!("# lerac train --config config.toml{how} --out out/run\n\n{}", config.to_toml()).into_bytes()
}

/// How a run ended.
pub struct Ended {
    /// The score over the test examples in words, or why the run ended early.
    pub outcome: Result<String>,
    /// The files of the run; without weights if it ended early.
    pub files: Files,
}

/// Trains, validates after each epoch, and evaluates the test set once.
pub async fn train(gpu: &Gpu, config: &Config, stop: Stop, report: impl Observer) -> Ended {
    let mut files = RunFiles::default();
    let outcome = trained(gpu, config, &mut ((&mut files, stop), report)).await;
    let tables = files.tables().into_iter().filter(|(_, content)| !content.is_empty());
    let own = [("config.toml", config_file(config))].into_iter().chain(tables);
    let (outcome, results) = match outcome {
        Ok((text, results)) => (Ok(text), results),
        Err(error) => (Err(error), vec![]),
    };
    Ended { outcome, files: own.chain(results).collect() }
}

async fn trained(gpu: &Gpu, config: &Config, observer: &mut dyn Observer) -> Result<(String, Files)> {
    let mut notes = vec![];
    let mut on_event = |event: OpenEvent<'_>| {
        if let OpenEvent::Note(text) = event {
            notes.push(text.to_owned());
        }
    };
    let data = config.data.source().open(&mut on_event)?;
    notes.iter().for_each(|note| observer.note(note));
    let task = Task::of(config, &data)?;
    let outcome = run_async(gpu, &task, observer).await?;
    let results = RunFiles::results_async(&outcome, &*task.data.test).await?;
    Ok((outcome.summary.in_words(), results))
}

#[cfg(test)]
mod tests {
    use super::{config_file, options};
    use lerac::train::{Config, Method};
    use std::path::Path;

    #[test]
    fn options_are_those_of_config_toml() {
        let config =
            options(r#"{"training": {"batch-size": 7}, "curriculum": {"method": "lerac", "range": "0.1..0.001"}}"#);
        let expected = Config::default().with(|config| {
            config.training.batch_size = 7;
            config.curriculum.method = Method::Lerac;
            config.curriculum.range = "0.1..0.001".parse().ok();
        });
        assert_eq!(config.unwrap(), expected);
        for (json, culprit) in [
            (r#"{"training": {"batch": 7}}"#, "unknown field `batch`"),
            (r#"{"training": {"batch-size": 0}}"#, "batch_size: expected 1 to"),
            (r#"{"model": {"name": "cn"}}"#, "cn"),
            ("{", "the options of the run"),
        ] {
            let fault = options(json).unwrap_err().to_string();
            assert!(fault.contains(culprit), "{json}: {fault}");
        }
    }

    #[test]
    fn the_file_of_options_repeats_the_run_without_the_given_directory() {
        let given = options(r#"{"data": {"name": "mnist", "data-dir": "given"}, "optimizer": {"eta": 0.01}}"#).unwrap();
        let text = config_file(&given);
        assert!(text.starts_with(b"# lerac train --config config.toml --data-dir DIRECTORY --out"));
        let read = Config::from_toml(Path::new("config.toml"), &text).unwrap();
        assert_eq!(read, given.with(|config| config.data.data_dir = None));
        let shapes = options("{}").unwrap();
        assert!(config_file(&shapes).starts_with(b"# lerac train --config config.toml --out"));
    }
}
