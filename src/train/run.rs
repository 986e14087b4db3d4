//! The loop: epochs, validation, the best epoch, and one reading of the test set.

use super::checkpoint::OTHER_OPTIONS;
use super::evaluation::{evaluate, load_weights, read_test_set, test_result};
use super::setting::{Division, divide, session, task};
use super::{
    BestEpoch, Checkpoint, Config, EpochRecord, IntervalRecord, Measure, NoiseRecord, Observer, Outcome, Prediction,
    Score, Session, Snapshot, Standing, Summary, Totals,
};
use crate::curriculum::Time;
use crate::data::{Dataset, HostBatch, Loader, Splits};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::ops::metrics::Metrics;
use std::sync::Arc;
use std::time::Instant;

impl Totals {
    fn add(&mut self, metrics: &Metrics) {
        self.loss += metrics.loss();
        self.top1 += u64::from(metrics.top1);
        self.error += metrics.error();
        self.images += u64::from(metrics.images);
    }

    /// How well the images were predicted.
    fn score(&self, measure: Measure) -> Score {
        let sum = match measure {
            Measure::Accuracy => self.top1 as f64,
            Measure::MeanAbsoluteError => self.error,
        };
        measure.score(sum / self.images as f64)
    }
}

/// A run between two steps.
pub(crate) struct Training<'g, 'c> {
    pub(crate) session: Session<'g>,
    pub(crate) loader: Loader,
    config: &'c Config,
    data: Arc<Dataset>,
    test: Arc<Dataset>,
    division: Division,
    /// In all epochs.
    steps: u64,
    /// Whether an epoch's steps are done and its validation is not.
    epoch_open: bool,
    best: Option<(BestEpoch, Snapshot)>,
    totals: Totals,
    seconds: f64,
    clock: Clock,
    fingerprint: u32,
}

/// Seconds of training since the latest reading of the sums.
struct Clock {
    before: f64,
    since: Instant,
}

impl Clock {
    /// Goes on from `before` seconds.
    fn from(before: f64) -> Self {
        Self { before, since: Instant::now() }
    }

    fn seconds(&self) -> f64 {
        self.before + self.since.elapsed().as_secs_f64()
    }
}

/// Divides the images and makes the session and the loader that `config` asks for.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Capacity`].
pub(crate) fn begin<'g, 'c>(gpu: &'g Gpu, config: &'c Config, data: &Splits) -> Result<Training<'g, 'c>> {
    config.check()?;
    let fingerprint = data.fingerprint();
    let test = Arc::new(data.test.clone());
    let data = Arc::new(data.train.clone());
    let division = divide(config, &data)?;
    if division.train.len() < config.training.batch_size {
        let message =
            format!("{} does not fit into {} training images", config.training.batch_size, division.train.len());
        return Err(Error::setting("batch_size", message));
    }
    let [_, h, w] = data.image;
    if usize::from(config.data.cutout) > h.min(w) {
        let message = format!("{} pixels are more than images of {h}x{w} have; {} do", config.data.cutout, h.min(w));
        return Err(Error::setting("cutout", message));
    }
    let steps_per_epoch = (division.train.len() / config.training.batch_size) as u64;
    if steps_per_epoch.saturating_mul(config.training.epochs) > i32::MAX as u64 {
        let message =
            format!("{} epochs of {steps_per_epoch} steps are more than 2147483647 steps", config.training.epochs);
        return Err(Error::setting("epochs", message));
    }
    let session = session(gpu, config, &task(config, &data), steps_per_epoch)?;
    let loader = loader(config, &data, &division, 0);
    Ok(Training {
        session,
        loader,
        config,
        data,
        test,
        division,
        steps: steps_per_epoch * config.training.epochs,
        epoch_open: false,
        best: None,
        totals: Totals::default(),
        seconds: 0.0,
        clock: Clock::from(0.0),
        fingerprint,
    })
}

/// The training batches from the one after the first `step` on.
fn loader(config: &Config, data: &Arc<Dataset>, division: &Division, step: u64) -> Loader {
    let indices = division.train.clone();
    Loader::training(
        data.clone(),
        indices,
        config.training.batch_size,
        config.data.augmentation(),
        config.training.seed,
        step,
    )
}

/// Trains as `config` says and reads the test set once.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Capacity`] before the first step; [`Error::NonFinite`], [`Error::Device`] and
/// [`Error::Interrupted`] during training; those of the observer.
pub fn run<'g>(gpu: &'g Gpu, config: &Config, data: &Splits, observer: &mut dyn Observer) -> Result<Outcome<'g>> {
    let mut training = begin(gpu, config, data)?;
    let skipped = load_weights(&mut training.session, config)?;
    if !skipped.is_empty() {
        observer.skipped(&skipped);
    }
    training.complete(gpu, observer)
}

/// Goes on behind a checkpoint, to the same results as [`run`] without a break.
///
/// # Errors
/// Those of [`run`]; [`Error::Setting`] where the checkpoint fits neither the model nor the data.
pub fn resume<'g>(
    gpu: &'g Gpu,
    config: &Config,
    data: &Splits,
    checkpoint: &Checkpoint,
    observer: &mut dyn Observer,
) -> Result<Outcome<'g>> {
    let mut training = begin(gpu, config, data)?;
    training.put_back(checkpoint)?;
    training.complete(gpu, observer)
}

impl<'g> Training<'g, '_> {
    fn measure(&self) -> Measure {
        Measure::of(&self.data.meaning)
    }

    fn complete(mut self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<Outcome<'g>> {
        observer.begin(&self.session.plan(), self.session.layers(), self.steps)?;
        self.clock = Clock::from(self.clock.before);
        let finished = self.train(gpu, observer).and_then(|()| self.read_test_set(observer));
        if let Err(Error::Interrupted(place)) = finished {
            let (step, steps) = (self.session.time().step, self.steps);
            // The run ends as it was asked to, even where it cannot be saved.
            let unsaved = self.save(gpu, observer).err();
            let unsaved = unsaved.map_or(String::new(), |fault| format!(", which could not be saved: {fault}"));
            return Err(Error::Interrupted(format!("interrupted after step {step} of {steps}{place}{unsaved}")));
        }
        finished.map(|(test, predicted)| self.outcome(gpu, &test, predicted))
    }

    /// All steps that are left, and the ends of their epochs. [`Error::Interrupted`] says here what was under way behind a step.
    fn train(&mut self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<()> {
        while self.epoch_open || self.session.time().step < self.steps {
            if !self.epoch_open {
                self.step(observer)?;
            }
            let Time { step, steps_per_epoch } = self.session.time();
            self.epoch_open = step % steps_per_epoch == 0;
            if self.epoch_open {
                self.end_epoch(observer)?;
                self.epoch_open = false;
                self.stop_early();
            }
            if observer.wants_to_stop() {
                return Err(Error::Interrupted(String::new()));
            }
            if observer.wants_checkpoint(step) {
                self.save(gpu, observer)?;
            }
        }
        Ok(())
    }

    /// Makes the epoch that has just ended the last one, where early stopping asks for it.
    fn stop_early(&mut self) {
        let Time { step, steps_per_epoch } = self.session.time();
        if let Some((best, _)) = &self.best
            && self.config.training.stops_after(step / steps_per_epoch, best.epoch)
        {
            self.steps = step;
        }
    }

    /// Takes a checkpoint.
    fn save(&mut self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<()> {
        // The steps that are on their way count as training.
        gpu.wait()?;
        let seconds = self.clock.seconds();
        observer.checkpoint(self.checkpoint(gpu, seconds)?)?;
        self.clock = Clock::from(seconds);
        Ok(())
    }

    /// One step; before it the signal-to-noise ratio where that is due, behind it a reading of the sums.
    fn step(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (config, before) = (self.config, self.session.time());
        if config.training.snr_every > 0 && before.step % config.training.snr_every == 0 {
            self.measure_noise(observer)?;
        }
        let rates = self.session.rates().collect();
        let batch = self.loader.next().ok_or_else(|| Error::Device("the loader's thread has ended".into()))??;
        self.session.step(&batch)?;
        self.loader.recycle(batch);
        let step = before.step + 1;
        observer.step(step);
        match step % config.training.log_every == 0 || step % before.steps_per_epoch == 0 {
            true => self.end_interval(rates, observer),
            false => Ok(()),
        }
    }

    /// The signal-to-noise ratio over batches that training does not see in this order: those of an epoch beyond the last.
    fn measure_noise(&mut self, observer: &mut dyn Observer) -> Result<()> {
        // The sums so far are kept: measuring clears the device's. Reading them waits for the steps before.
        let sums = self.take_sums()?;
        let seconds = self.clock.seconds();
        let Time { step, .. } = self.session.time();
        let batches: Vec<_> = self
            .batches_of_epoch(self.config.training.epochs + step)
            .take(self.config.training.snr_batches as usize)
            .collect();
        if batches.len() < 2 {
            let (images, size) = (self.division.train.len(), self.config.training.batch_size);
            let message = format!("{images} training images make no two batches of {size}");
            return Err(Error::setting("snr_every", message));
        }
        let signal_to_noise = self.session.signal_to_noise(batches.into_iter())?;
        observer.noise(&NoiseRecord { step, epoch: self.session.time().epochs(), signal_to_noise })?;
        self.session.put_metrics(sums);
        self.clock = Clock::from(seconds);
        Ok(())
    }

    fn end_interval(&mut self, rates: Vec<f64>, observer: &mut dyn Observer) -> Result<()> {
        let sums = self.take_sums()?;
        let elapsed = self.clock.seconds();
        self.seconds += elapsed;
        self.totals.add(&sums);
        observer.interval(&IntervalRecord {
            step: self.session.time().step,
            epoch: self.session.time().epochs(),
            train_loss: sums.mean_loss(),
            train_score: self.measure().of_sums(&sums),
            images_per_second: f64::from(sums.images) / elapsed,
            rates,
            norms: self.session.layer_norms()?,
        })?;
        self.clock = Clock::from(0.0);
        Ok(())
    }

    fn end_epoch(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Time { step, steps_per_epoch } = self.session.time();
        let epoch = step / steps_per_epoch;
        let validation = match self.division.validation.is_empty() {
            true => None,
            false => {
                let (data, indices) = (self.data.clone(), self.division.validation.clone());
                let part = (data, indices);
                Some(evaluate(&self.session, "validation", part, self.config.training.batch_size, observer)?.0)
            }
        };
        let score = validation.as_ref().map(|sums| self.measure().of_sums(sums));
        let totals = std::mem::take(&mut self.totals);
        observer.epoch(&EpochRecord {
            epoch,
            step,
            train_loss: totals.loss / totals.images as f64,
            train_score: totals.score(self.measure()),
            validation_loss: validation.as_ref().map(Metrics::mean_loss),
            validation_score: score,
        })?;
        if let Some(score) = score {
            self.session.hear(score.merit());
            let best = self.best.as_ref().map(|(best, _)| score.measure.merit(best.score));
            if best.is_none_or(|best| score.merit() > best) {
                self.best = Some((BestEpoch { epoch, step, score: score.value }, self.session.snapshot()?));
            }
        }
        self.clock = Clock::from(0.0);
        Ok(())
    }

    /// Reads the test set with the best epoch's weights; where that is interrupted, the last step's are put back.
    fn read_test_set(&mut self, observer: &mut dyn Observer) -> Result<(Metrics, Vec<Prediction>)> {
        let mut last = None;
        if let Some((_, snapshot)) = &self.best {
            last = Some(self.session.snapshot()?);
            self.session.restore(snapshot);
        }
        let read = read_test_set(&self.session, self.test.clone(), self.config.training.batch_size, observer);
        if let (Err(_), Some(last)) = (&read, &last) {
            self.session.restore(last);
        }
        read
    }

    /// What the run came to.
    fn outcome(self, gpu: &Gpu, test: &Metrics, predicted: Vec<Prediction>) -> Outcome<'g> {
        let labels = self.test.labels.iter().map(|&label| u32::from(label));
        let (config, steps, seconds) = (self.config, self.steps, self.seconds);
        let best = self.best.as_ref().map(|(best, _)| *best);
        let summary = Summary {
            result: test_result(test, &self.data, &self.test, best.map(|best| best.score)),
            test_loss: test.mean_loss(),
            test_images: u64::from(test.images),
            best_epoch: best.map_or(config.training.epochs, |best| best.epoch),
            steps,
            images_per_epoch: self.session.time().steps_per_epoch * config.training.batch_size as u64,
            seconds,
            images_per_second: (steps * config.training.batch_size as u64) as f64 / seconds,
            milliseconds_per_step: 1e3 * seconds / steps as f64,
            device_bytes: self.session.plan().total(),
            data_crc32: Some(self.fingerprint),
            adapter: gpu.info().name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Outcome { summary, predictions: labels.zip(predicted).collect(), session: self.session }
    }

    /// All of the run behind the latest step, of whose interval `interval_seconds` have passed.
    ///
    /// # Errors
    /// As [`Self::take_sums`] where a loss was not finite: no checkpoint of such a run is worth keeping.
    fn checkpoint(&mut self, gpu: &Gpu, interval_seconds: f64) -> Result<Checkpoint> {
        let sums = self.session.peek_metrics()?;
        if sums.halted != 0 {
            self.take_sums()?;
        }
        let mut tensors = self.session.state()?;
        if let Some((_, snapshot)) = &self.best {
            tensors.extend(self.session.named(snapshot, &Checkpoint::of_best("")));
        }
        let standing = Standing {
            format: Checkpoint::FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            adapter: gpu.info().name.clone(),
            config: self.config.clone(),
            data: self.fingerprint,
            step: self.session.time().step,
            epoch_open: self.epoch_open,
            best: self.best.as_ref().map(|(best, _)| *best),
            plateau: self.session.plateau(),
            totals: self.totals,
            sums,
            seconds: self.seconds,
            interval_seconds,
            tables: Default::default(),
        };
        Ok(Checkpoint { standing, tensors })
    }

    fn put_back(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let standing = &checkpoint.standing;
        if standing.data != self.fingerprint {
            let message = format!(
                "the images of {} are not those that the checkpoint was made with; name the directory of those",
                self.data.name
            );
            return Err(Error::setting("data_dir", message));
        }
        if standing.step > self.steps {
            let message = format!(
                "the checkpoint is behind step {}, and {} epochs have {}; {OTHER_OPTIONS}",
                standing.step, self.config.training.epochs, self.steps
            );
            return Err(Error::setting("resume", message));
        }
        self.session.set_state(standing.step, |name, count| checkpoint.values(name, count))?;
        if let Some(best) = standing.best {
            let values = |name: &str, count| checkpoint.values(&Checkpoint::of_best(name), count);
            self.best = Some((best, self.session.snapshot_of(best.step, values)?));
        }
        if let Some(plateau) = standing.plateau {
            self.session.set_plateau(plateau);
        }
        self.session.put_metrics(standing.sums);
        self.epoch_open = standing.epoch_open;
        self.totals = standing.totals;
        self.seconds = standing.seconds;
        self.clock = Clock::from(standing.interval_seconds);
        self.loader = loader(self.config, &self.data, &self.division, standing.step);
        if !self.epoch_open && standing.step % self.session.time().steps_per_epoch == 0 {
            self.stop_early();
        }
        Ok(())
    }

    fn batches_of_epoch(&self, epoch: u64) -> impl Iterator<Item = Result<HostBatch>> {
        let (config, order) = (self.config, &self.division.train);
        HostBatch::of_epoch(
            &self.data,
            order,
            config.training.batch_size,
            config.data.augmentation(),
            config.training.seed,
            epoch,
        )
    }

    /// The sums of an interval, or what broke, found by replaying the step whose loss was not finite.
    fn take_sums(&mut self) -> Result<Metrics> {
        let metrics = self.session.training_metrics()?;
        if metrics.halted == 0 {
            return Ok(metrics);
        }
        let (step, steps_per_epoch) = (u64::from(metrics.halted - 1), self.session.time().steps_per_epoch);
        let batch = self.batches_of_epoch(step / steps_per_epoch).nth((step % steps_per_epoch) as usize);
        Err(self.session.explain(step, &batch.expect("the step was done with this batch")?)?)
    }
}
