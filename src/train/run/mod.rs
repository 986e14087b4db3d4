//! The training loop: epochs, validation, the best epoch, and one evaluation on the test set.

mod saved;

use crate::clock::Instant;
use crate::curriculum::Time;
use crate::data::{Batch, Draw, Loader};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, block_on};
use crate::nn::objective::{FurtherScore, Scores};
use crate::ops::batch_norm::check_values_per_channel;
use crate::ops::sums::Totals;
use crate::train::evaluation::{TestResults, evaluate, load_weights, read_test_set};
use crate::train::task::{Task, TrainValidation};
use crate::train::{
    BestEpoch, Checkpoint, EpochRecord, EpochTotals, IntervalRecord, ModelCard, NoiseRecord, Observer, Outcome,
    Session, Snapshot, Summary,
};

/// The state of a run between two steps.
pub(crate) struct Training<'t> {
    pub(crate) session: Session,
    pub(crate) loader: Loader,
    task: &'t Task,
    split: TrainValidation,
    /// Steps of the whole run.
    pub(crate) steps: u64,
    /// Whether an epoch's steps are done and its validation is not.
    epoch_open: bool,
    best: Option<(BestEpoch, Snapshot)>,
    totals: EpochTotals,
    seconds: f64,
    clock: Clock,
    fingerprint: u32,
    /// How many times the test set was read before, by the run that this one extends.
    earlier_tests: u64,
}

/// Seconds of training since the sums were last read. A checkpoint stores them; `before` are the
/// seconds up to the last one.
struct Clock {
    before: f64,
    since: Instant,
}

impl Clock {
    /// Starts at `before` seconds.
    fn from(before: f64) -> Self {
        Self { before, since: Instant::now() }
    }

    fn seconds(&self) -> f64 {
        self.before + self.since.elapsed().as_secs_f64()
    }
}

/// Splits the examples and makes the session and the loader of a task.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Capacity`].
pub(crate) fn begin<'t>(gpu: &Gpu, task: &'t Task) -> Result<Training<'t>> {
    let config = &task.config;
    let fingerprint = task.data.fingerprint();
    let split = task.train_validation_split()?;
    let steps_per_epoch = (split.train.len() / config.training.batch_size) as u64;
    if steps_per_epoch.saturating_mul(config.training.epochs) > i32::MAX as u64 {
        let message =
            format!("{} epochs of {steps_per_epoch} steps are more than 2147483647 steps", config.training.epochs);
        return Err(Error::setting("epochs", message));
    }
    let session = task.session(gpu, steps_per_epoch)?;
    check_values_per_channel(session.program().tape())?;
    Ok(Training {
        session,
        loader: loader(task, &split, 0),
        task,
        split,
        steps: steps_per_epoch * config.training.epochs,
        epoch_open: false,
        best: None,
        totals: EpochTotals::default(),
        seconds: 0.0,
        clock: Clock::from(0.0),
        fingerprint,
        earlier_tests: 0,
    })
}

/// The loader of the training batches after the first `step` steps.
fn loader(task: &Task, split: &TrainValidation, step: u64) -> Loader {
    let (train, config) = (&task.data.train, &task.config);
    let data = train.mixed_among(&split.train).unwrap_or_else(|| train.clone());
    Loader::training(data, split.train.clone(), config.training.batch_size, config.training.seed, step)
}

/// Trains a task and evaluates the test set once.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Capacity`] before the first step; [`Error::NonFinite`],
/// [`Error::Device`] and [`Error::Interrupted`] during training; the errors of the observer.
pub async fn run_async(gpu: &Gpu, task: &Task, observer: &mut dyn Observer) -> Result<Outcome> {
    let mut training = begin(gpu, task)?;
    let notes = load_weights(&mut training.session, &task.config)?;
    notes.iter().for_each(|note| observer.note(note));
    training.complete(observer).await
}

/// Continues a run after a checkpoint. The result is the same as that of an uninterrupted run.
///
/// # Errors
/// The errors of [`run`]; [`Error::Setting`] if the checkpoint does not fit the model or the data.
pub async fn resume_async(
    gpu: &Gpu,
    task: &Task,
    checkpoint: &Checkpoint,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    let mut training = begin(gpu, task)?;
    training.restore(checkpoint)?;
    training.complete(observer).await
}

/// Blocking form of [`run_async`].
///
/// # Errors
/// The errors of the asynchronous form.
pub fn run(gpu: &Gpu, task: &Task, observer: &mut dyn Observer) -> Result<Outcome> {
    block_on(run_async(gpu, task, observer))
}

/// Blocking form of [`resume_async`].
///
/// # Errors
/// The errors of the asynchronous form.
pub fn resume(gpu: &Gpu, task: &Task, checkpoint: &Checkpoint, observer: &mut dyn Observer) -> Result<Outcome> {
    block_on(resume_async(gpu, task, checkpoint, observer))
}

impl Training<'_> {
    async fn complete(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        observer.begin(&self.session.plan(), self.session.layers(), self.steps)?;
        self.clock = Clock::from(self.clock.before);
        let finished = self.finish(observer).await;
        if let Err(Error::Interrupted(place)) = finished {
            let (step, steps) = (self.session.time().step, self.steps);
            // The run ends on request, even if it cannot be saved.
            let unsaved = self.save(observer).await.err();
            let unsaved = unsaved.map_or(String::new(), |fault| format!(", which could not be saved: {fault}"));
            return Err(Error::Interrupted(format!("interrupted after step {step} of {steps}{place}{unsaved}")));
        }
        self.outcome(finished?)
    }

    async fn finish(&mut self, observer: &mut dyn Observer) -> Result<TestResults> {
        self.train(observer).await?;
        self.read_test_set(observer).await
    }

    /// Runs the remaining steps, and the validation after each epoch. The message of
    /// [`Error::Interrupted`] is what was in progress after the last step.
    async fn train(&mut self, observer: &mut dyn Observer) -> Result<()> {
        while self.epoch_open || self.session.time().step < self.steps {
            if !self.epoch_open {
                self.step(observer).await?;
            }
            let Time { step, steps_per_epoch } = self.session.time();
            self.epoch_open = step % steps_per_epoch == 0;
            if self.epoch_open {
                self.end_epoch(observer).await?;
                self.epoch_open = false;
                self.stop_early();
            }
            if observer.wants_to_stop() {
                return Err(Error::Interrupted(String::new()));
            }
            if observer.wants_checkpoint(step) {
                self.save(observer).await?;
            }
        }
        Ok(())
    }

    /// Ends the run after the current epoch if early stopping requires it.
    fn stop_early(&mut self) {
        let Time { step, steps_per_epoch } = self.session.time();
        if let Some((best, _)) = &self.best
            && self.task.config.training.stops_after(step / steps_per_epoch, best.epoch)
        {
            self.steps = step;
        }
    }

    /// Takes a checkpoint.
    async fn save(&mut self, observer: &mut dyn Observer) -> Result<()> {
        // Wait for the submitted steps, whose time counts as training.
        self.session.gpu().wait_async().await?;
        let seconds = self.clock.seconds();
        observer.checkpoint(&mut self.checkpoint(seconds).await?)?;
        self.clock = Clock::from(seconds);
        Ok(())
    }

    /// One step. Measures the signal-to-noise ratio before it, and reads the sums after it, if they
    /// are due.
    async fn step(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (config, before) = (&self.task.config, self.session.time());
        if config.training.snr_every > 0 && before.step % config.training.snr_every == 0 {
            self.measure_noise(observer).await?;
        }
        let rates = (self.session.rates().collect(), self.session.bias_rates());
        let batch = self.loader.next_batch()?;
        self.session.step(&batch)?;
        self.loader.recycle(batch);
        let step = before.step + 1;
        observer.step(step);
        match step % config.training.log_every == 0 || step % before.steps_per_epoch == 0 {
            true => self.end_interval(rates, observer).await,
            false => Ok(()),
        }
    }

    /// Measures the signal-to-noise ratio. The batches come from an epoch after the last one, so
    /// training does not see them in this order.
    async fn measure_noise(&mut self, observer: &mut dyn Observer) -> Result<()> {
        // Measuring clears the sums on the device, so they are read here and written back after it.
        // Reading also waits for the steps that were submitted.
        let sums = self.take_totals().await?;
        let seconds = self.clock.seconds();
        let (config, Time { step, .. }) = (&self.task.config, self.session.time());
        let batches: Vec<_> =
            self.batches_of_epoch(config.training.epochs + step).take(config.training.snr_batches as usize).collect();
        if batches.len() < 2 {
            let (examples, size) = (self.split.train.len(), config.training.batch_size);
            let message = format!("expected two batches of {size} or more, found {examples} training examples");
            return Err(Error::setting("snr_every", message));
        }
        let signal_to_noise = self.session.signal_to_noise_async(batches.into_iter()).await?;
        observer.noise(&NoiseRecord { step, epoch: self.session.time().epochs(), signal_to_noise })?;
        self.session.write_training_totals(&sums);
        self.clock = Clock::from(seconds);
        Ok(())
    }

    async fn end_interval(
        &mut self,
        (rates, bias_rates): (Vec<f64>, Option<Vec<f64>>),
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let totals = self.take_totals().await?;
        let elapsed = self.clock.seconds();
        self.seconds += elapsed;
        self.totals.add(&totals);
        observer.interval(&IntervalRecord {
            step: self.session.time().step,
            epoch: self.session.time().epochs(),
            training: self.session.scores(&totals),
            examples_per_second: f64::from(totals.examples) / elapsed,
            rates,
            bias_rates,
            norms: self.session.layer_norms_async().await?,
        })?;
        self.clock = Clock::from(0.0);
        Ok(())
    }

    /// Returns the scores over the epoch's training examples, and resets their sums.
    fn take_epoch_scores(&mut self) -> Scores {
        let EpochTotals { examples, sums } = std::mem::take(&mut self.totals);
        self.session.scores_of(examples as f64, &sums)
    }

    async fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Time { step, steps_per_epoch } = self.session.time();
        let epoch = step / steps_per_epoch;
        let validation = match self.split.validation.is_empty() {
            true => None,
            false => {
                let part = (self.task.data.train.clone(), self.split.validation.clone());
                let batch_size = self.task.config.training.batch_size;
                Some(evaluate(&self.session, "validation", part, batch_size, observer).await?)
            }
        };
        let record = EpochRecord { epoch, step, training: self.take_epoch_scores(), validation };
        observer.epoch(&record)?;
        if let Some(found) = record.validation {
            self.session.observe_epoch(found.to_maximise());
            let best = self.best.as_ref().map(|(best, _)| found.measure().to_maximise(best.score));
            if best.is_none_or(|best| found.to_maximise() > best) {
                let best = BestEpoch { epoch, step, score: found.value() };
                self.best = Some((best, self.session.snapshot_async().await?));
            }
        }
        self.clock = Clock::from(0.0);
        Ok(())
    }

    /// Evaluates the test set with the best epoch's weights. If that fails or is interrupted, the
    /// weights of the last step are restored, so that a checkpoint contains them.
    async fn read_test_set(&mut self, observer: &mut dyn Observer) -> Result<TestResults> {
        let mut last = None;
        if let Some((_, snapshot)) = &self.best {
            last = Some(self.session.snapshot_async().await?);
            self.session.restore(snapshot);
        }
        let (test, batch_size) = (self.task.data.test.clone(), self.task.config.training.batch_size);
        let read = read_test_set(&self.session, test, batch_size, observer).await;
        if let (Err(_), Some(last)) = (&read, &last) {
            self.session.restore(last);
        }
        read
    }

    /// The summary of the finished run.
    fn outcome(self, test: TestResults) -> Result<Outcome> {
        let (config, steps, seconds) = (&self.task.config, self.steps, self.seconds);
        let best = self.best.as_ref().map(|(best, _)| *best);
        let (found, data) = (&test.scores, &self.task.data);
        let mut scores = found.named("test");
        if let Some(best) = best {
            scores.insert(format!("validation_{}", found.measure().key), best.score);
        }
        scores.extend(test.further.iter().map(FurtherScore::named));
        let baseline = self.task.objective.baseline(&*data.train, &*data.test)?;
        if let Some(baseline) = &baseline {
            scores.insert(baseline.score_name(found.measure()), baseline.value);
        }
        let examples_per_epoch = self.session.time().steps_per_epoch * config.training.batch_size as u64;
        let summary = Summary {
            measures: found.measures.to_vec(),
            scores,
            baseline,
            test_loss: found.loss,
            test_examples: test.examples.into(),
            best_epoch: best.map_or(config.training.epochs, |best| best.epoch),
            earlier_tests: self.earlier_tests,
            steps,
            examples_per_epoch,
            seconds,
            examples_per_second: (steps * config.training.batch_size as u64) as f64 / seconds,
            milliseconds_per_step: 1e3 * seconds / steps as f64,
            device_bytes: self.session.plan().total(),
            data_crc32: Some(self.fingerprint),
            adapter: self.session.gpu().info().name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let card = ModelCard::of(self.task, self.session.sigma_of_weights())?;
        let TestResults { answers, probabilities, files, .. } = test;
        Ok(Outcome { summary, answers, probabilities, files, session: self.session, card })
    }

    fn batches_of_epoch(&self, epoch: u64) -> impl Iterator<Item = Result<Batch>> + use<'_> {
        let config = &self.task.config;
        let draw = Draw { seed: config.training.seed, epoch };
        Batch::of_epoch(&*self.task.data.train, &self.split.train, config.training.batch_size, draw)
    }

    /// Reads and clears the sums of an interval. If a loss was not finite, replays that step and
    /// returns an error that locates the fault.
    async fn take_totals(&mut self) -> Result<Totals> {
        let totals = self.session.training_totals_async().await?;
        if totals.halted == 0 {
            return Ok(totals);
        }
        let (step, steps_per_epoch) = (u64::from(totals.halted - 1), self.session.time().steps_per_epoch);
        let batch = self.batches_of_epoch(step / steps_per_epoch).nth((step % steps_per_epoch) as usize);
        let batch = batch.expect("the step was done with this batch")?;
        Err(self.session.explain_async(step, &batch).await?)
    }
}
