//! The directory of a run: `config.toml`, tables, checkpoints, and at the end plots,
//! `predictions.csv`, `model.safetensors` and `summary.json`, which is written last.

mod recording;

use super::table::Table;
use super::{checkpoints, contents, finished};
use crate::curriculum::Layer;
use crate::data::Examples;
use crate::error::{Error, Result};
use crate::files::{DirectoryLock, Overwrite, read_regular, write_whole};
use crate::nn::objective::DETECTIONS;
use crate::train::{Checkpoint, Config, Outcome, Summary};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// When checkpoints are taken, and how many are kept.
#[derive(Clone, Debug)]
pub struct Saving {
    /// Steps between checkpoints; 0: only when the run is interrupted.
    pub every: u64,
    /// Number of checkpoints to keep, at least 1.
    pub keep: usize,
    /// Set to true to take a checkpoint and end the run.
    pub stop: Arc<AtomicBool>,
    /// Which existing files the run may write over.
    pub overwrite: Overwrite,
    /// Whether the finished run keeps its last checkpoint, so that it can be extended.
    pub keep_last: bool,
}

/// A checkpoint every 1,000 steps; the latest two are kept.
impl Default for Saving {
    fn default() -> Self {
        Self { every: 1000, keep: 2, stop: Arc::default(), overwrite: Overwrite::default(), keep_last: true }
    }
}

/// The directory of a run in progress.
pub struct RunDir {
    dir: PathBuf,
    config: Config,
    saving: Saving,
    metrics: Table,
    layer_rows: Table,
    speed: Table,
    noise: Option<Table>,
    layers: Vec<Layer>,
    steps: u64,
    /// Notes for the user about the directory.
    pub notes: Vec<String>,
    lock: DirectoryLock,
    /// The checkpoint of a run with more epochs that this one extends. It is written when the run
    /// begins.
    extends: Option<Checkpoint>,
}

const CONFIG: &str = "config.toml";
pub(super) const METRICS: &str = "metrics.csv";
pub(super) const LAYERS: &str = "layers.csv";
pub(super) const SPEED: &str = "speed.csv";
const NOISE: &str = "noise.csv";
pub(super) const MODEL: &str = "model.safetensors";
pub(super) const PREDICTIONS: &str = "predictions.csv";
pub(super) const SUMMARY: &str = "summary.json";
const LAST: &str = "last.safetensors";

/// Advice for a directory that contains an unfinished run with other options.
fn remedy(dir: &Path) -> String {
    let dir = dir.display();
    format!("choose another directory, remove it, or continue with these options: `lerac resume {dir} --force`")
}

fn remove_if_exists(path: &Path) -> Result<()> {
    match path.exists() {
        true => fs::remove_file(path).map_err(Error::io(path, "remove")),
        false => Ok(()),
    }
}

impl RunDir {
    /// The names of the files of a run, with the plots that [`RunDir::finish`] has drawn. The
    /// checkpoints are in a directory of their own.
    pub const FILES: [&str; 18] = [
        CONFIG,
        METRICS,
        LAYERS,
        SPEED,
        NOISE,
        MODEL,
        LAST,
        PREDICTIONS,
        SUMMARY,
        "curves.png",
        "rates.png",
        "effective.png",
        "noise.png",
        Self::COMPANIONS[0],
        Self::COMPANIONS[1],
        Self::COMPANIONS[2],
        Self::COMPANIONS[3],
        Self::COMPANIONS[4],
    ];

    /// Those of the files that only some data and models have.
    pub const COMPANIONS: [&str; 5] = ["skipped.csv", "tokenizer.json", "classes.txt", "config.json", DETECTIONS];

    /// Checks that the run of `config` may write into `dir`: that `dir` holds a run or no files, or
    /// that `overwrite` allows it, and that no file is written over that the run reads.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the first such file; [`Error::Io`] if `dir` cannot be read.
    pub fn check(dir: &Path, config: &Config, overwrite: &Overwrite) -> Result<()> {
        let overwrite = overwrite.clone().reading(config.inputs());
        overwrite.check_directory(dir, &Self::FILES, Self::holds_run(dir))
    }

    /// Whether `dir` holds a run, finished or not. A file `config.toml` alone may be written by
    /// hand; a run leaves a lock file next to it.
    pub fn holds_run(dir: &Path) -> bool {
        let began = dir.join(CONFIG).exists() && DirectoryLock::was_taken(dir);
        began || Self::is_finished(dir) || checkpoints::any_exist(dir).unwrap_or(false)
    }

    /// Creates `dir` for a new run.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be created or written; [`Error::Setting`] if it
    /// contains a finished run, or one that can be resumed; [`Error::Option`] if another process
    /// uses it.
    pub fn create(dir: &Path, config: &Config, saving: Saving) -> Result<Self> {
        let unfinished = || {
            let shown = dir.display();
            let found = match dir.join(CONFIG).exists() {
                true => format!("an unfinished run; continue it with `lerac resume {shown}`"),
                false => format!("checkpoints without a {CONFIG}; remove them"),
            };
            Error::setting("out", format!("{shown} contains {found}, or choose another directory"))
        };
        if Self::can_be_resumed(dir) {
            return Err(unfinished());
        }
        match Self::open(dir, config, saving, false)? {
            (run_dir, None) => Ok(run_dir),
            // Another process started and left a run in the meantime.
            (_, Some(_)) => Err(unfinished()),
        }
    }

    /// Creates `dir`, or opens it to continue the unfinished run in it. Returns the newest valid
    /// checkpoint of that run, if it has one; the tables are cut back to its rows. The options must
    /// be the same, unless `force` is true.
    ///
    /// # Errors
    /// The errors of [`RunDir::create`] and [`RunDir::check`]; [`Error::Option`] if the options
    /// differ; [`Error::Format`] if no checkpoint is valid.
    pub fn open(dir: &Path, config: &Config, saving: Saving, force: bool) -> Result<(Self, Option<Checkpoint>)> {
        config.check_storable()?;
        Self::check(dir, config, &saving.overwrite)?;
        fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
        let lock = DirectoryLock::take(dir)?;
        if Self::is_finished(dir) {
            let shown = dir.display();
            let message = format!(
                "{shown} contains a finished run; choose another directory, remove it, or train it longer: `lerac resume \
                 {shown} --epochs N`"
            );
            return Err(Error::setting("out", message));
        }
        let abandoned = lock.abandoned_by.iter();
        let mut notes: Vec<String> =
            abandoned.map(|owner| format!("process {owner} ended without finishing {}", dir.display())).collect();
        let (checkpoint, faults) = checkpoints::latest(dir)?;
        notes.extend(faults.iter().map(|fault| format!("{fault}; the checkpoint before it is used")));
        if let Some(checkpoint) = &checkpoint
            && !force
        {
            finished::check_same_options(dir, &checkpoint.state.config, config, &remedy(dir))?;
        }
        // The summary marks a run as finished. One that is no part of a run may be in its place.
        remove_if_exists(&dir.join(SUMMARY))?;
        Ok((Self::with_tables(dir, config, saving, checkpoint.as_ref(), (notes, lock))?, checkpoint))
    }

    /// Opens the run in `dir`, finished or not, to continue it with the options `config`, which has
    /// more epochs. Its files do not change until the run begins.
    ///
    /// # Errors
    /// [`Error::Setting`] if the state of its last step was not kept; the errors of
    /// [`RunDir::open`].
    pub fn extend(dir: &Path, config: &Config, saving: Saving) -> Result<(Self, Checkpoint)> {
        config.check_storable()?;
        Self::check(dir, config, &saving.overwrite)?;
        let lock = DirectoryLock::take(dir)?;
        let (last, finished) = (dir.join(LAST), Self::is_finished(dir));
        let summary = if finished { Some(Self::summary(dir)?) } else { None };
        if let Some(summary) = &summary {
            let had = Config::read(&dir.join(CONFIG))?.training;
            if summary.steps * (had.batch_size as u64) < summary.examples_per_epoch * had.epochs {
                let message = "the run was ended by `early_stopping`, which would end it again at once";
                return Err(Error::setting("epochs", message));
            }
        }
        let mut checkpoint = match finished && last.exists() {
            true => Checkpoint::from_bytes(&last, &read_regular(&last)?)?,
            false => checkpoints::latest(dir)?.0.ok_or_else(|| {
                let shown = dir.display();
                let message = format!(
                    "{shown} contains neither {LAST} nor a checkpoint to continue from; `lerac train --init {shown}/{MODEL}` \
                     starts a new run with its weights"
                );
                Error::setting("epochs", message)
            })?,
        };
        let asked = config.training.epochs;
        let had = checkpoint.state.config.clone().with(|had| {
            (had.training.epochs, had.curriculum.k) = (asked, config.curriculum.k);
        });
        finished::check_same_options(dir, &had, config, &remedy(dir))?;
        if let Some(summary) = summary {
            checkpoint.state.earlier_tests = summary.earlier_tests + 1;
        }
        checkpoint.state.config = config.clone();
        let run_dir = Self::with_tables(dir, config, saving, Some(&checkpoint), (vec![], lock))?;
        Ok((Self { extends: Some(checkpoint.clone()), ..run_dir }, checkpoint))
    }

    /// Opens the tables of a run, which are cut back to the rows of the checkpoint.
    fn with_tables(
        dir: &Path,
        config: &Config,
        saving: Saving,
        checkpoint: Option<&Checkpoint>,
        (notes, lock): (Vec<String>, DirectoryLock),
    ) -> Result<Self> {
        let written = |name: &str| checkpoint.and_then(|c| c.state.tables.get(name).copied());
        let table = |name: &str| match written(name) {
            Some(written) => Table::truncated(dir.join(name), written),
            None => Table::create(dir.join(name)),
        };
        let noise = match written(NOISE) {
            Some(written) => Some(Table::truncated(dir.join(NOISE), written)?),
            None => {
                remove_if_exists(&dir.join(NOISE))?;
                None
            }
        };
        Ok(Self {
            metrics: table(METRICS)?,
            layer_rows: table(LAYERS)?,
            speed: table(SPEED)?,
            noise,
            dir: dir.to_owned(),
            config: config.clone(),
            saving,
            layers: vec![],
            steps: 0,
            notes,
            lock,
            extends: None,
        })
    }

    /// Whether `dir` contains a run that ended early and left a checkpoint.
    pub fn can_be_resumed(dir: &Path) -> bool {
        !Self::is_finished(dir) && checkpoints::any_exist(dir).unwrap_or(false)
    }

    /// Checks that the run in `dir`, if there is one, has the options `config`.
    ///
    /// # Errors
    /// [`Error::Option`] with every option that differs; [`Error::Io`] and [`Error::Format`] if the
    /// file cannot be read.
    pub fn check_options(dir: &Path, config: &Config) -> Result<()> {
        let path = dir.join(CONFIG);
        match path.exists() {
            true => finished::check_same_options(dir, &Config::read(&path)?, config, &remedy(dir)),
            false => Ok(()),
        }
    }

    /// Whether `dir` contains a finished run.
    pub fn is_finished(dir: &Path) -> bool {
        dir.join(SUMMARY).exists() && dir.join(CONFIG).exists()
    }

    fn tables(&self) -> impl Iterator<Item = (&'static str, &Table)> {
        let always = [(METRICS, &self.metrics), (LAYERS, &self.layer_rows), (SPEED, &self.speed)];
        always.into_iter().chain(self.noise.as_ref().map(|table| (NOISE, table)))
    }

    /// The summary of the finished run in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] if it cannot be read.
    pub fn summary(dir: &Path) -> Result<Summary> {
        let path = dir.join(SUMMARY);
        finished::summary(&path, &read_regular(&path)?)
    }

    /// Removes the checkpoints of a finished run. With `keep_last`, that of its last step becomes
    /// `last.safetensors`.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be removed; the errors of [`RunDir::summary`].
    pub fn tidy(dir: &Path, keep_last: bool) -> Result<()> {
        if keep_last {
            checkpoints::keep(dir, Self::summary(dir)?.steps, &dir.join(LAST))?;
        }
        checkpoints::remove(dir)
    }

    /// Writes the files that the weights need next to them, or that describe the data, in place of
    /// those of an earlier run: name and content.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written; [`Error::Option`] if the directory no longer
    /// belongs to this run.
    pub fn write_companions(&self, files: Vec<(&'static str, Vec<u8>)>) -> Result<()> {
        self.lock.check()?;
        Self::COMPANIONS.iter().try_for_each(|name| remove_if_exists(&self.dir.join(name)))?;
        files.into_iter().try_for_each(|(name, bytes)| write_whole(&self.dir.join(name), &bytes))
    }

    /// Writes weights and the predictions of the examples `test`, calls `pictures` to draw the
    /// plots, and then writes the summary. After that the checkpoints are removed; that of the last
    /// step is kept as `last.safetensors`, unless [`Saving::keep_last`] is false.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written; [`Error::Option`] if the directory no longer
    /// belongs to this run.
    pub fn finish(
        self,
        outcome: &Outcome,
        test: &dyn Examples,
        pictures: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        self.lock.check()?;
        let weights = contents::weights(outcome, &outcome.session.snapshot()?);
        write_whole(&self.dir.join(MODEL), &weights)?;
        write_whole(&self.dir.join(PREDICTIONS), &contents::predictions(outcome, test))?;
        for (name, bytes) in &outcome.files {
            write_whole(&self.dir.join(name), bytes)?;
        }
        pictures(&self.dir)?;
        // The summary marks the run as complete, so the tables must be on disk before it is
        // written.
        for (_, table) in self.tables() {
            table.sync()?;
        }
        write_whole(&self.dir.join(SUMMARY), &contents::summary(&outcome.summary))?;
        self.lock.check()?;
        Self::tidy(&self.dir, self.saving.keep_last)
    }
}
