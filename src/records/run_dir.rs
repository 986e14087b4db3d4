//! The directory of a run: `config.toml`, tables, checkpoints, and at the end plots,
//! `predictions.csv`, `model.safetensors` and `summary.json`, which is written last.

use super::tables::{LayerRow, MetricsRow, NoiseRow, PredictionRow, SpeedRow, Table, to_csv};
use super::{checkpoints, finished};
use crate::curriculum::Layer;
use crate::data::Examples;
use crate::error::{Error, Result};
use crate::files::{DirectoryLock, Overwrite, read_regular, write_whole};
use crate::train::{
    Checkpoint, Config, EpochRecord, IntervalRecord, ModelCard, NoiseRecord, Observer, Outcome, STEP, STEPS_PER_EPOCH,
    SessionPlan, Summary, write_safetensors,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
}

/// A checkpoint every 1,000 steps; the latest two are kept.
impl Default for Saving {
    fn default() -> Self {
        Self { every: 1000, keep: 2, stop: Arc::default(), overwrite: Overwrite::default() }
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
}

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.csv";
const LAYERS: &str = "layers.csv";
const SPEED: &str = "speed.csv";
const NOISE: &str = "noise.csv";
const MODEL: &str = "model.safetensors";
const PREDICTIONS: &str = "predictions.csv";
const SUMMARY: &str = "summary.json";

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
    pub const FILES: [&str; 13] = [
        CONFIG,
        METRICS,
        LAYERS,
        SPEED,
        NOISE,
        MODEL,
        PREDICTIONS,
        SUMMARY,
        "curves.png",
        "rates.png",
        "effective.png",
        "noise.png",
        "skipped.csv",
    ];

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
    /// hand; a run leaves a lock file beside it.
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
            let message = format!("{} contains a finished run; choose another directory or remove it", dir.display());
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
        let written = |name: &str| checkpoint.as_ref().and_then(|c| c.state.tables.get(name).copied());
        // The summary marks a run as finished. One that is no part of a run may be in its place.
        remove_if_exists(&dir.join(SUMMARY))?;
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
        let run_dir = Self {
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
        };
        Ok((run_dir, checkpoint))
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

    /// Removes the checkpoints of a finished run.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be removed.
    pub fn tidy(dir: &Path) -> Result<()> {
        checkpoints::remove(dir)
    }

    /// Writes the files that a model of the data needs next to its weights.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written; [`Error::Option`] if the directory no longer
    /// belongs to this run.
    pub fn write_companions(&self, data: &dyn Examples) -> Result<()> {
        self.lock.check()?;
        data.companions().into_iter().try_for_each(|(name, bytes)| write_whole(&self.dir.join(name), &bytes))
    }

    /// Writes weights and predictions, calls `pictures` to draw the plots, and then writes the
    /// summary. After that the checkpoints are removed.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be written; [`Error::Option`] if the directory no longer
    /// belongs to this run.
    pub fn finish(self, outcome: &Outcome, pictures: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        self.lock.check()?;
        let session = &outcome.session;
        let snapshot = session.snapshot()?;
        let steps_per_epoch = session.time().steps_per_epoch.to_string();
        let metadata = [
            ("format", "pt".to_owned()),
            (ModelCard::KEY, outcome.card.to_json()),
            (STEP, snapshot.step.to_string()),
            (STEPS_PER_EPOCH, steps_per_epoch),
        ];
        let tensors = session.named(&snapshot, "");
        write_safetensors(&self.dir.join(MODEL), &tensors, BTreeMap::from(metadata))?;
        let answers = outcome.answers.iter().cloned().enumerate();
        let predictions =
            to_csv(answers.map(|(example, (label, prediction))| PredictionRow { example, label, prediction }));
        write_whole(&self.dir.join(PREDICTIONS), &predictions)?;
        pictures(&self.dir)?;
        // The summary marks the run as complete, so the tables must be on disk before it is
        // written.
        for (_, table) in self.tables() {
            table.sync()?;
        }
        let json = serde_json::to_string_pretty(&outcome.summary).expect("a summary is plain data");
        write_whole(&self.dir.join(SUMMARY), json.as_bytes())?;
        checkpoints::remove(&self.dir)
    }
}

impl Observer for RunDir {
    fn begin(&mut self, _plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        self.lock.check()?;
        self.layers = layers.to_vec();
        self.steps = steps;
        // Written here and not earlier: by now the data are known to match the checkpoint.
        let text = toml::to_string(&self.config).expect("every option has a TOML form");
        write_whole(&self.dir.join(CONFIG), text.as_bytes())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.lock.check()?;
        // The rates are those of the interval's last step, which began one step before the end of
        // the interval.
        let step = record.step - 1;
        let epoch = record.epoch * step as f64 / record.step as f64;
        let layers = self.layers.iter().zip(&record.rates).zip(&record.norms);
        self.layer_rows.append(layers.map(|((layer, &learning_rate), norms)| LayerRow {
            step,
            epoch,
            depth: layer.depth,
            layer: layer.name.clone(),
            learning_rate,
            gradient_norm: norms.gradient,
            update_norm: norms.update,
            weight_norm: norms.weight,
            effective_rate: norms.effective_rate(),
        }))?;
        self.speed.append([SpeedRow { step: record.step, examples_per_second: record.examples_per_second }])?;
        let row = MetricsRow {
            kind: "interval".into(),
            step: record.step,
            epoch: record.epoch,
            training: (&record.training).into(),
            validation: None,
        };
        self.metrics.append_with_header(&MetricsRow::header(&record.training.measures), [row])
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        let table = match &mut self.noise {
            Some(table) => table,
            none => none.insert(Table::create(self.dir.join(NOISE))?),
        };
        let layers = self.layers.iter().zip(&record.signal_to_noise);
        table.append(layers.map(|(layer, &signal_to_noise)| NoiseRow {
            step: record.step,
            epoch: record.epoch,
            depth: layer.depth,
            layer: layer.name.clone(),
            signal_to_noise,
        }))
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let row = MetricsRow {
            kind: "epoch".into(),
            step: record.step,
            epoch: record.epoch as f64,
            training: (&record.training).into(),
            validation: record.validation.as_ref().map(Into::into),
        };
        self.metrics.append_with_header(&MetricsRow::header(&record.training.measures), [row])
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        // A checkpoint after the last step, since the evaluation of the test set may take long.
        self.saving.every > 0 && (step.is_multiple_of(self.saving.every) || step == self.steps)
    }

    fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.lock.check()?;
        for (name, table) in self.tables() {
            checkpoint.state.tables.insert(name.to_owned(), table.sync()?);
        }
        checkpoints::save(&self.dir, checkpoint, self.saving.keep.max(1))
    }

    fn wants_to_stop(&self) -> bool {
        self.saving.stop.load(Ordering::Relaxed)
    }
}
