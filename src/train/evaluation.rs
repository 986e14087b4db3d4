//! Weights out of a file, and what a model makes of whole sets of images.

use super::session::CALMER;
use super::weights::read_safetensors;
use super::{Config, Observer, Prediction, Session, TestResult};
use crate::data::{Dataset, Loader, Meaning};
use crate::error::{Error, Result};
use crate::ops::metrics::Metrics;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
#[cfg(feature = "cli")]
use {
    super::setting::{session, task},
    crate::curriculum::Time,
    crate::data::Splits,
    crate::gpu::Gpu,
};

/// Keys of a file of weights that say when they were saved.
#[cfg(feature = "cli")]
pub(crate) const STEP: &str = "step";
#[cfg(feature = "cli")]
pub(crate) const STEPS_PER_EPOCH: &str = "steps_per_epoch";

/// Puts the weights of `--init`, if there are any, into place; the tensors that the file does not have.
pub(crate) fn load_weights(session: &mut Session<'_>, config: &Config) -> Result<Vec<String>> {
    config.model.init.as_deref().map_or(Ok(vec![]), |path| Ok(load(session, config, path)?.0))
}

/// Puts the weights of a file into place; the tensors that it does not have, and its metadata.
fn load(session: &mut Session<'_>, config: &Config, path: &Path) -> Result<(Vec<String>, HashMap<String, String>)> {
    let (tensors, metadata) = read_safetensors(path)?;
    let skipped = session.load(&tensors, config.model.init_partial).map_err(|fault| {
        let remedy = if config.model.init_partial { "" } else { "; `init_partial` takes what fits" };
        Error::format(path, 0, format!("{fault} ({}){remedy}", config.model.name))
    })?;
    Ok((skipped, metadata))
}

/// The model of `config` with the weights of `--init`, as it stood when they were saved.
///
/// # Errors
/// [`Error::Setting`], [`Error::Capacity`], and those of the file.
#[cfg(feature = "cli")]
pub(crate) fn trained<'g>(gpu: &'g Gpu, config: &Config, data: &Splits) -> Result<Session<'g>> {
    let Some(path) = &config.model.init else {
        return Err(Error::setting("init", "expected the file of weights, such as model.safetensors of a run"));
    };
    let mut session = session(gpu, config, &task(config, &data.train), 1)?;
    let (skipped, metadata) = load(&mut session, config, path)?;
    if let Some(name) = skipped.first() {
        let message = format!("the file has no {name} of this shape, and random values predict nothing");
        return Err(Error::setting("init_partial", message));
    }
    let number = |key: &str| metadata.get(key).and_then(|number| number.parse::<u64>().ok());
    // Where the file does not say, an epoch had the steps that the options make, and the run was over: a blur has faded as far as it
    // does.
    let steps_per_epoch = match number(STEPS_PER_EPOCH) {
        Some(steps) => steps,
        None => {
            let left = data.train.len().saturating_sub(config.data.validation);
            (config.data.train_examples.unwrap_or(left) / config.training.batch_size) as u64
        }
    };
    let steps_per_epoch = steps_per_epoch.max(1);
    let step = number(STEP).unwrap_or(steps_per_epoch.saturating_mul(config.training.epochs));
    session.set_time(Time { step, steps_per_epoch });
    Ok(session)
}

/// What sums over the images `test` come to, beside the best score on the validation images. `train` are the set's other images.
pub(crate) fn test_result(sums: &Metrics, train: &Dataset, test: &Dataset, validation: Option<f64>) -> TestResult {
    match test.meaning {
        Meaning::Classes(_) => TestResult::Classes {
            test_accuracy: sums.accuracy(),
            test_top5: sums.top5_accuracy(),
            validation_accuracy: validation,
        },
        Meaning::Years => TestResult::Years {
            test_mae: sums.mean_error(),
            median_mae: error_of_median(&train.labels, &test.labels),
            validation_mae: validation,
        },
    }
}

/// The mean absolute error over `test` of a model that knows the median of `train` alone: no other constant has a lower one there.
fn error_of_median(train: &[u16], test: &[u16]) -> f64 {
    let mut sorted = train.to_vec();
    let (_, &mut median, _) = sorted.select_nth_unstable(train.len() / 2);
    let sum: u64 = test.iter().map(|label| u64::from(label.abs_diff(median))).sum();
    sum as f64 / test.len() as f64
}

/// The sums, and the predictions, over all of the test set.
///
/// # Errors
/// As [`evaluate`].
pub(crate) fn read_test_set(
    session: &Session<'_>,
    test: Arc<Dataset>,
    batch_size: usize,
    observer: &mut dyn Observer,
) -> Result<(Metrics, Vec<Prediction>)> {
    let everything: Arc<[u32]> = (0..test.len() as u32).collect();
    let read = evaluate(session, "test", (test, everything), batch_size, observer)?;
    match read.0.errors_are_full() {
        true => Err(Error::NonFinite(format!(
            "the errors over the test images are beyond all bounds: no epoch has learnt anything. Try {CALMER}"
        ))),
        false => Ok(read),
    }
}

/// The sums, and the predictions, over the images `indices` of the set called `part`, every one of which must have been seen and have a
/// finite loss.
///
/// # Errors
/// [`Error::NonFinite`] and [`Error::Device`]; [`Error::Interrupted`], which says how far it came, where the observer
/// wants to stop before all are seen.
pub(super) fn evaluate(
    session: &Session<'_>,
    part: &str,
    (data, indices): (Arc<Dataset>, Arc<[u32]>),
    batch_size: usize,
    observer: &mut dyn Observer,
) -> Result<(Metrics, Vec<Prediction>)> {
    let expected = indices.len();
    let mut seen = 0;
    let batches = Loader::evaluation(data, indices, batch_size).map(|batch| {
        if observer.wants_to_stop() {
            return Err(Error::Interrupted(format!(", with {seen} of {expected} {part} images read")));
        }
        observer.reading(part, seen, expected);
        seen = (seen + batch_size).min(expected);
        batch
    });
    let (metrics, predictions) = session.predict(batches)?;
    if metrics.halted != 0 {
        return Err(Error::NonFinite(format!(
            "the loss over the {part} images is not finite after step {}: the weights are out of bounds. In training try {CALMER}",
            session.time().step
        )));
    }
    if metrics.images as usize != expected {
        let seen = metrics.images;
        return Err(Error::Device(format!("the loader's thread ended after {seen} of {expected} {part} images")));
    }
    Ok((metrics, predictions))
}
