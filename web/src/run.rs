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
