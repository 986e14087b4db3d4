//! The loop: epochs, validation, the best epoch, and one reading of the test set.

use super::session::Parts;
use super::{Config, Session, SessionPlan, Snapshot};
use crate::curriculum::Layer;
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
}

#[derive(Default)]
struct Totals {
    loss: f64,
    top1: f64,
    images: f64,
}

impl Totals {
    fn add(&mut self, metrics: &Metrics) {
        self.loss += f64::from(metrics.loss);
        self.top1 += f64::from(metrics.top1);
        self.images += f64::from(metrics.images);
    }
}

fn part(count: u32, of: u32) -> f64 {
    f64::from(count) / f64::from(of.max(1))
}

fn mean_loss(metrics: &Metrics) -> f64 {
    f64::from(metrics.loss) / f64::from(metrics.images.max(1))
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

/// A run before its first step.
pub(crate) struct Begun<'g> {
    pub(crate) session: Session<'g>,
    pub(crate) loader: Loader,
    data: Arc<Dataset>,
    division: Division,
    steps_per_epoch: u64,
}

/// Divides the images and makes the session and the loader that `config` asks for.
///
/// # Errors
/// [`Error::Option`] and [`Error::Capacity`].
pub(crate) fn begin<'g>(gpu: &'g Gpu, config: &Config, data: &Splits) -> Result<Begun<'g>> {
    config.check()?;
    let data = Arc::new(data.train.clone());
    let division = divide(config, &data)?;
    let ([_, h, w], smallest) = (data.image, nn::smallest_image(&config.model));
    if h.min(w) < smallest {
        let message = format!("{} needs images of at least {smallest}x{smallest}, found {h}x{w}", config.model);
        return Err(Error::option("--model", message));
    }
    let task = Task {
        image: data.image,
        classes: data.classes.len(),
        mean: data.mean.clone(),
        std: data.std.clone(),
        label_smoothing: config.label_smoothing,
    };
    let steps_per_epoch = (division.train.len() / config.batch_size) as u64;
    if steps_per_epoch.saturating_mul(config.epochs) > u64::from(u32::MAX) {
        let message = format!("{} epochs of {steps_per_epoch} steps are more than 4294967295 steps", config.epochs);
        return Err(Error::option("--epochs", message));
    }
    let parts = Parts {
        model: &nn::named(&config.model)?,
        task: &task,
        batch_size: config.batch_size,
        net_options: config.net_options(),
        settings: config.settings()?,
        schedule: config.common_rate()?,
        curriculum: &|layers| config.curriculum(layers),
        steps_per_epoch,
        seed: config.seed,
    };
    let session = Session::new(gpu, &parts)?;
    let (augmentation, indices) = (config.augmentation(), division.train.clone());
    let loader = Loader::training(data.clone(), indices, config.batch_size, augmentation, config.seed, 0);
    Ok(Begun { session, loader, data, division, steps_per_epoch })
}

/// Trains as `config` says and reads the test set once.
///
/// # Errors
/// [`Error::Option`] and [`Error::Capacity`] before the first step; [`Error::NonFinite`] and [`Error::Device`] during training.
pub fn run<'g>(gpu: &'g Gpu, config: &Config, data: &Splits, observer: &mut dyn Observer) -> Result<Outcome<'g>> {
    let Begun { mut session, mut loader, data: train_data, division, steps_per_epoch } = begin(gpu, config, data)?;
    let steps = steps_per_epoch * config.epochs;
    observer.begin(&session.plan(), session.layers(), steps)?;
    let mut best: Option<(f64, u64, Snapshot)> = None;
    let mut seconds = 0.0;
    for epoch in 1..=config.epochs {
        let mut totals = Totals::default();
        let mut since = Instant::now();
        for _ in 0..steps_per_epoch {
            let before = session.time().step;
            if config.snr_every > 0 && before % config.snr_every == 0 {
                // The sums so far are kept: measuring clears the device's. Reading them waits for the steps before.
                let sums = read_metrics(&mut session, config, &train_data, &division)?;
                let pause = Instant::now();
                observer.noise(&measure_noise(&mut session, config, &train_data, &division)?)?;
                session.put_metrics(sums);
                since += pause.elapsed();
            }
            let rates = session.rates();
            let batch = loader.next().ok_or_else(|| Error::Device("the loader's thread has ended".into()))?;
            session.step(&batch)?;
            loader.recycle(batch);
            let step = session.time().step;
            observer.step(step);
            if step % config.log_every != 0 && step % steps_per_epoch != 0 {
                continue;
            }
            let metrics = read_metrics(&mut session, config, &train_data, &division)?;
            let elapsed = since.elapsed().as_secs_f64();
            seconds += elapsed;
            totals.add(&metrics);
            observer.interval(&IntervalRecord {
                step,
                epoch: session.time().epochs(),
                train_loss: mean_loss(&metrics),
                train_accuracy: part(metrics.top1, metrics.images),
                train_top5: part(metrics.top5, metrics.images),
                images_per_second: f64::from(metrics.images) / elapsed,
                rates,
                norms: session.layer_norms()?,
            })?;
            since = Instant::now();
        }
        let validation = match division.validation.is_empty() {
            true => None,
            false => {
                let (data, indices) = (train_data.clone(), division.validation.clone());
                Some(evaluate(&session, "validation", data, indices, config)?.0)
            }
        };
        let accuracy = validation.as_ref().map(|metrics| part(metrics.top1, metrics.images));
        observer.epoch(&EpochRecord {
            epoch,
            step: session.time().step,
            train_loss: totals.loss / totals.images,
            train_accuracy: totals.top1 / totals.images,
            validation_loss: validation.as_ref().map(mean_loss),
            validation_accuracy: accuracy,
        })?;
        if let Some(accuracy) = accuracy
            && best.as_ref().is_none_or(|(best, _, _)| accuracy > *best)
        {
            best = Some((accuracy, epoch, session.snapshot()?));
        }
    }
    drop(loader);

    if let Some((_, _, snapshot)) = &best {
        session.restore(snapshot);
    }
    let everything: Arc<[u32]> = (0..data.test.len() as u32).collect();
    let (test, predicted) = evaluate(&session, "test", Arc::new(data.test.clone()), everything, config)?;
    let predictions = data.test.labels.iter().map(|&label| u32::from(label)).zip(predicted).collect();
    let images = steps * config.batch_size as u64;
    let summary = Summary {
        test_accuracy: part(test.top1, test.images),
        test_top5: part(test.top5, test.images),
        test_loss: mean_loss(&test),
        test_images: u64::from(test.images),
        validation_accuracy: best.as_ref().map(|(accuracy, _, _)| *accuracy),
        best_epoch: best.as_ref().map_or(config.epochs, |(_, epoch, _)| *epoch),
        steps,
        images_per_epoch: steps_per_epoch * config.batch_size as u64,
        seconds,
        images_per_second: images as f64 / seconds,
        milliseconds_per_step: 1e3 * seconds / steps as f64,
        device_bytes: session.plan().total(),
        adapter: gpu.info().name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(Outcome { summary, session, predictions })
}

/// The sums, and the predictions, over the images `indices` of the set called `part`, every one of which must have been seen and have a finite loss.
fn evaluate(
    session: &Session<'_>,
    part: &str,
    data: Arc<Dataset>,
    indices: Arc<[u32]>,
    config: &Config,
) -> Result<(Metrics, Vec<u32>)> {
    let expected = indices.len();
    let (metrics, predictions) = session.predict(Loader::evaluation(data, indices, config.batch_size))?;
    if metrics.halted != 0 || !metrics.loss.is_finite() {
        return Err(Error::NonFinite(format!(
            "the loss over the {part} images is not finite after step {}: the last updates have driven the weights out of \
             bounds. Nothing was saved; try a lower --eta, --clip-norm 1, or a longer --warmup-epochs",
            session.time().step
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

/// The signal-to-noise ratio over batches that training does not see in this order: those of an epoch beyond the last.
fn measure_noise(
    session: &mut Session<'_>,
    config: &Config,
    data: &Dataset,
    division: &Division,
) -> Result<NoiseRecord> {
    let time = session.time();
    let epoch = config.epochs + time.step;
    let order = &division.train;
    let batches = HostBatch::of_epoch(data, order, config.batch_size, config.augmentation(), config.seed, epoch)
        .take(config.snr_batches as usize)
        .collect::<Vec<_>>();
    if batches.len() < 2 {
        let message = format!("{} training images make no two batches of {}", order.len(), config.batch_size);
        return Err(Error::option("--snr-every", message));
    }
    let signal_to_noise = session.signal_to_noise(batches.into_iter())?;
    Ok(NoiseRecord { step: time.step, epoch: time.epochs(), signal_to_noise })
}

/// The sums of an interval, or what broke, found by replaying the step whose loss was not finite.
fn read_metrics(session: &mut Session<'_>, config: &Config, data: &Dataset, division: &Division) -> Result<Metrics> {
    let metrics = session.training_metrics()?;
    if metrics.halted == 0 {
        return Ok(metrics);
    }
    let step = u64::from(metrics.halted - 1);
    let (epoch, within) = (step / session.time().steps_per_epoch, step % session.time().steps_per_epoch);
    let mut batches =
        HostBatch::of_epoch(data, &division.train, config.batch_size, config.augmentation(), config.seed, epoch);
    let batch = batches.nth(within as usize).expect("the step was done with this batch");
    Err(session.explain(step, &batch)?)
}
