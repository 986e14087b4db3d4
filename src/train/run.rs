//! The loop: epochs, validation, the best epoch, and one reading of the test set.

use super::session::Parts;
use super::weights::read_safetensors;
use super::{BestEpoch, Checkpoint, Config, Session, SessionPlan, Snapshot, Standing, Totals};
use crate::curriculum::{Layer, Time};
use crate::data::{Dataset, HostBatch, Loader, Splits, split};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::{self, Task};
use crate::ops::cross_entropy::Metrics;
use crate::optim::LayerNorms;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// One reading of the running sums.
#[derive(Clone, Debug, Serialize)]
pub struct IntervalRecord {
    /// Steps done.
    pub step: u64,
    /// Fractional epochs done.
    pub epoch: f64,
    /// Mean loss over the interval's images.
    pub train_loss: f64,
    /// Part of them predicted right.
    pub train_accuracy: f64,
    /// Part of them whose label is among the five largest logits.
    pub train_top5: f64,
    /// Images per second over the interval.
    pub images_per_second: f64,
    /// The learning rate of each layer at the interval's last step.
    #[serde(skip)]
    pub rates: Vec<f64>,
    /// What that step did to each layer.
    #[serde(skip)]
    pub norms: Vec<LayerNorms>,
}

/// A measurement of the gradients' signal-to-noise ratio.
#[derive(Clone, Debug)]
pub struct NoiseRecord {
    /// Steps done.
    pub step: u64,
    /// Fractional epochs done.
    pub epoch: f64,
    /// |mean|^2 / variance of each layer's gradient.
    pub signal_to_noise: Vec<f64>,
}

/// The end of an epoch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct EpochRecord {
    /// Epochs done.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean loss over the epoch's training images, as they were seen.
    pub train_loss: f64,
    /// Part of them predicted right.
    pub train_accuracy: f64,
    /// Mean loss over the validation images, if there are any.
    pub validation_loss: Option<f64>,
    /// Part of them predicted right.
    pub validation_accuracy: Option<f64>,
}

/// The end of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Part of the test images predicted right, by the weights of the best epoch.
    pub test_accuracy: f64,
    /// Part of them whose label is among the five largest logits.
    pub test_top5: f64,
    /// Mean loss over them.
    pub test_loss: f64,
    /// Test images.
    pub test_images: u64,
    /// The best validation accuracy; absent without validation images.
    pub validation_accuracy: Option<f64>,
    /// The epoch that the weights are from: the best on validation, or the last.
    pub best_epoch: u64,
    /// Training steps.
    pub steps: u64,
    /// Images trained on in each epoch.
    pub images_per_epoch: u64,
    /// Seconds of training steps, evaluation not counted.
    pub seconds: f64,
    /// Training images per second.
    pub images_per_second: f64,
    /// Milliseconds per training step.
    pub milliseconds_per_step: f64,
    /// Bytes on the device.
    pub device_bytes: u64,
    /// CRC-32 of all images and labels; absent in summaries of before it was kept.
    pub data_crc32: Option<u32>,
    /// The adapter's name.
    pub adapter: String,
    /// Version of lerac.
    pub version: String,
}

/// A finished run: its summary, and what to write of its model.
pub struct Outcome<'g> {
    /// The numbers.
    pub summary: Summary,
    /// The session, holding the best epoch's weights.
    pub session: Session<'g>,
    /// Label and predicted class of each test image.
    pub predictions: Vec<(u32, u32)>,
}

/// Hears what happens during a run. Each method has a default that does nothing.
pub trait Observer {
    /// These tensors stay at their random values, since the file of `--init` has none that fit.
    fn skipped(&mut self, _names: &[String]) {}

    /// The run is about to begin.
    fn begin(&mut self, _plan: &SessionPlan, _layers: &[Layer], _steps: u64) -> Result<()> {
        Ok(())
    }

    /// A step was submitted; `step` are done.
    fn step(&mut self, _step: u64) {}

    /// The sums were read.
    fn interval(&mut self, _record: &IntervalRecord) -> Result<()> {
        Ok(())
    }

    /// The gradients' signal-to-noise ratio was measured.
    fn noise(&mut self, _record: &NoiseRecord) -> Result<()> {
        Ok(())
    }

    /// An epoch is over.
    fn epoch(&mut self, _record: &EpochRecord) -> Result<()> {
        Ok(())
    }

    /// Whether a checkpoint is to be taken now that `step` steps are done.
    fn wants_checkpoint(&self, _step: u64) -> bool {
        false
    }

    /// A checkpoint was taken.
    fn checkpoint(&mut self, _checkpoint: Checkpoint) -> Result<()> {
        Ok(())
    }

    /// Whether to take a checkpoint and end the run here, with [`Error::Interrupted`].
    fn wants_to_stop(&self) -> bool {
        false
    }
}

impl Totals {
    fn add(&mut self, metrics: &Metrics) {
        self.loss += metrics.loss();
        self.top1 += u64::from(metrics.top1);
        self.images += u64::from(metrics.images);
    }
}

/// Which images a run trains and validates on.
struct Division {
    train: Arc<[u32]>,
    validation: Arc<[u32]>,
}

fn divide(config: &Config, data: &Dataset) -> Result<Division> {
    let (mut train, validation) = split(data.len(), config.validation, config.seed)?;
    if let Some(wanted) = config.train_images {
        if wanted > train.len() {
            let message = format!("{wanted} images were asked for, {} are left after validation", train.len());
            return Err(Error::option("--train-images", message));
        }
        train.truncate(wanted);
    }
    if train.len() < config.batch_size {
        let message = format!("{} does not fit into {} training images", config.batch_size, train.len());
        return Err(Error::option("--batch-size", message));
    }
    Ok(Division { train: train.into(), validation: validation.into() })
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
    pub(crate) steps: u64,
    best: Option<(BestEpoch, Snapshot)>,
    totals: Totals,
    seconds: f64,
    clock: Clock,
    fingerprint: u32,
}

/// What came of a file of weights.
#[derive(Default)]
pub(crate) struct Loaded {
    /// The tensors that have none there.
    pub(crate) skipped: Vec<String>,
    /// The step that the file says it is from; evaluation asks for it.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) step: Option<u64>,
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
/// [`Error::Option`] and [`Error::Capacity`].
pub(crate) fn begin<'g, 'c>(gpu: &'g Gpu, config: &'c Config, data: &Splits) -> Result<Training<'g, 'c>> {
    config.check()?;
    let fingerprint = data.fingerprint();
    let test = Arc::new(data.test.clone());
    let data = Arc::new(data.train.clone());
    let division = divide(config, &data)?;
    let [_, h, w] = data.image;
    let task = Task {
        image: data.image,
        classes: data.classes.len(),
        mean: data.mean.clone(),
        std: data.std.clone(),
        label_smoothing: config.label_smoothing,
    };
    let steps_per_epoch = (division.train.len() / config.batch_size) as u64;
    if steps_per_epoch.saturating_mul(config.epochs) > i32::MAX as u64 {
        let message = format!("{} epochs of {steps_per_epoch} steps are more than 2147483647 steps", config.epochs);
        return Err(Error::option("--epochs", message));
    }
    let parts = Parts {
        model: &nn::named_for(&config.model, [h, w])?,
        task: &task,
        batch_size: config.batch_size,
        micro_batch: config.micro_batch.unwrap_or(config.batch_size),
        net_options: config.net_options(),
        settings: config.settings()?,
        schedule: config.common_rate()?,
        curriculum: &|layers| config.curriculum(layers),
        steps_per_epoch,
        seed: config.seed,
        kernels: &config.kernels,
    };
    let session = Session::new(gpu, &parts)?;
    let loader = loader(config, &data, &division, 0);
    Ok(Training {
        session,
        loader,
        config,
        data,
        test,
        division,
        steps: steps_per_epoch * config.epochs,
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
    Loader::training(data.clone(), indices, config.batch_size, config.augmentation(), config.seed, step)
}

/// Trains as `config` says and reads the test set once.
///
/// # Errors
/// [`Error::Option`] and [`Error::Capacity`] before the first step; [`Error::NonFinite`], [`Error::Device`] and
/// [`Error::Interrupted`] during training; those of the observer.
pub fn run<'g>(gpu: &'g Gpu, config: &Config, data: &Splits, observer: &mut dyn Observer) -> Result<Outcome<'g>> {
    let mut training = begin(gpu, config, data)?;
    let Loaded { skipped, .. } = training.load_weights()?;
    if !skipped.is_empty() {
        observer.skipped(&skipped);
    }
    training.complete(gpu, observer)
}

/// Goes on behind a checkpoint, to the same results as [`run`] without a break.
///
/// # Errors
/// Those of [`run`]; [`Error::Option`] where the checkpoint fits neither the model nor the data.
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
    fn complete(mut self, gpu: &Gpu, observer: &mut dyn Observer) -> Result<Outcome<'g>> {
        observer.begin(&self.session.plan(), self.session.layers(), self.steps)?;
        self.clock = Clock::from(self.clock.before);
        while self.session.time().step < self.steps {
            self.step(observer)?;
            let Time { step, steps_per_epoch } = self.session.time();
            if step % steps_per_epoch == 0 {
                self.end_epoch(observer)?;
            }
            let stops = observer.wants_to_stop();
            if stops || observer.wants_checkpoint(step) {
                // The steps that are on their way count as training.
                gpu.wait()?;
                let seconds = self.clock.seconds();
                observer.checkpoint(self.checkpoint(gpu, seconds)?)?;
                self.clock = Clock::from(seconds);
            }
            if stops {
                return Err(Error::Interrupted(format!("interrupted after step {step} of {}", self.steps)));
            }
        }
        self.finish(gpu)
    }

    /// Puts the weights of `--init` into place.
    pub(crate) fn load_weights(&mut self) -> Result<Loaded> {
        let Some(path) = &self.config.init else { return Ok(Loaded::default()) };
        let (tensors, metadata) = read_safetensors(path)?;
        let skipped = self.session.load(&tensors, self.config.init_partial).map_err(|fault| {
            let remedy = if self.config.init_partial { "" } else { "; --init-partial takes what fits" };
            Error::format(path, 0, format!("{fault} ({}){remedy}", self.config.model))
        })?;
        Ok(Loaded { skipped, step: metadata.get("step").and_then(|step| step.parse().ok()) })
    }

    /// One step; before it the signal-to-noise ratio where that is due, behind it a reading of the sums.
    fn step(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let (config, before) = (self.config, self.session.time());
        if config.snr_every > 0 && before.step % config.snr_every == 0 {
            self.measure_noise(observer)?;
        }
        let rates = self.session.rates();
        let batch = self.loader.next().ok_or_else(|| Error::Device("the loader's thread has ended".into()))??;
        self.session.step(&batch)?;
        self.loader.recycle(batch);
        let step = before.step + 1;
        observer.step(step);
        match step % config.log_every == 0 || step % before.steps_per_epoch == 0 {
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
        let batches: Vec<_> =
            self.batches_of_epoch(self.config.epochs + step).take(self.config.snr_batches as usize).collect();
        if batches.len() < 2 {
            let (images, size) = (self.division.train.len(), self.config.batch_size);
            let message = format!("{images} training images make no two batches of {size}");
            return Err(Error::option("--snr-every", message));
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
            train_accuracy: sums.accuracy(),
            train_top5: sums.top5_accuracy(),
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
            false => Some(self.evaluate("validation", self.data.clone(), self.division.validation.clone())?.0),
        };
        let accuracy = validation.as_ref().map(Metrics::accuracy);
        let totals = std::mem::take(&mut self.totals);
        observer.epoch(&EpochRecord {
            epoch,
            step,
            train_loss: totals.loss / totals.images as f64,
            train_accuracy: totals.top1 as f64 / totals.images as f64,
            validation_loss: validation.as_ref().map(Metrics::mean_loss),
            validation_accuracy: accuracy,
        })?;
        if let Some(accuracy) = accuracy
            && self.best.as_ref().is_none_or(|(best, _)| accuracy > best.accuracy)
        {
            self.best = Some((BestEpoch { epoch, step, accuracy }, self.session.snapshot()?));
        }
        self.clock = Clock::from(0.0);
        Ok(())
    }

    /// Reads the test set with the best epoch's weights.
    fn finish(mut self, gpu: &Gpu) -> Result<Outcome<'g>> {
        if let Some((_, snapshot)) = &self.best {
            self.session.restore(snapshot);
        }
        let (test, predicted) = self.read_test_set()?;
        let labels = self.test.labels.iter().map(|&label| u32::from(label));
        let (config, steps, seconds) = (self.config, self.steps, self.seconds);
        let best = self.best.as_ref().map(|(best, _)| *best);
        let summary = Summary {
            test_accuracy: test.accuracy(),
            test_top5: test.top5_accuracy(),
            test_loss: test.mean_loss(),
            test_images: u64::from(test.images),
            validation_accuracy: best.map(|best| best.accuracy),
            best_epoch: best.map_or(config.epochs, |best| best.epoch),
            steps,
            images_per_epoch: self.session.time().steps_per_epoch * config.batch_size as u64,
            seconds,
            images_per_second: (steps * config.batch_size as u64) as f64 / seconds,
            milliseconds_per_step: 1e3 * seconds / steps as f64,
            device_bytes: self.session.plan().total(),
            data_crc32: Some(self.fingerprint),
            adapter: gpu.info().name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        Ok(Outcome { summary, predictions: labels.zip(predicted).collect(), session: self.session })
    }

    /// The sums, and the predictions, over all test images.
    pub(crate) fn read_test_set(&self) -> Result<(Metrics, Vec<u32>)> {
        let everything: Arc<[u32]> = (0..self.test.len() as u32).collect();
        self.evaluate("test", self.test.clone(), everything)
    }

    /// All of the run behind the latest step, of whose interval `interval_seconds` have passed.
    fn checkpoint(&self, gpu: &Gpu, interval_seconds: f64) -> Result<Checkpoint> {
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
            best: self.best.as_ref().map(|(best, _)| *best),
            totals: self.totals,
            sums: self.session.peek_metrics()?,
            seconds: self.seconds,
            interval_seconds,
            tables: Default::default(),
        };
        Ok(Checkpoint { standing, tensors })
    }

    fn put_back(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let standing = &checkpoint.standing;
        if standing.data != self.fingerprint {
            let message = format!("the images of {} are not those that the checkpoint was made with", self.data.name);
            return Err(Error::option("resume", message));
        }
        if standing.step > self.steps {
            let message = format!("the checkpoint is behind step {}, the run has {}", standing.step, self.steps);
            return Err(Error::option("resume", message));
        }
        self.session.set_state(standing.step, |name, count| checkpoint.values(name, count))?;
        if let Some(best) = standing.best {
            let values = |name: &str, count| checkpoint.values(&Checkpoint::of_best(name), count);
            self.best = Some((best, self.session.snapshot_of(best.step, values)?));
        }
        self.session.put_metrics(standing.sums);
        self.totals = standing.totals;
        self.seconds = standing.seconds;
        self.clock = Clock::from(standing.interval_seconds);
        self.loader = loader(self.config, &self.data, &self.division, standing.step);
        Ok(())
    }

    fn batches_of_epoch(&self, epoch: u64) -> impl Iterator<Item = Result<HostBatch>> {
        let (config, order) = (self.config, &self.division.train);
        HostBatch::of_epoch(&self.data, order, config.batch_size, config.augmentation(), config.seed, epoch)
    }

    /// The sums, and the predictions, over the images `indices` of the set called `part`, every one of which must have been seen and
    /// have a finite loss.
    fn evaluate(&self, part: &str, data: Arc<Dataset>, indices: Arc<[u32]>) -> Result<(Metrics, Vec<u32>)> {
        let expected = indices.len();
        let (metrics, predictions) = self.session.predict(Loader::evaluation(data, indices, self.config.batch_size))?;
        if metrics.halted != 0 {
            return Err(Error::NonFinite(format!(
                "the loss over the {part} images is not finite after step {}: the weights are out of bounds. In training try a lower \
                 --eta, --clip-norm 1, or a longer --warmup-epochs",
                self.session.time().step
            )));
        }
        if metrics.images as usize != expected {
            return Err(Error::Device(format!(
                "the loader's thread ended after {} of {expected} {part} images",
                metrics.images
            )));
        }
        Ok((metrics, predictions))
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
