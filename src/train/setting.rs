//! What a run's options make of the images and of the device.

use super::session::Parts;
use super::{Config, Session};
use crate::data::{Dataset, Meaning, split};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::{self, Goal, Task};
use crate::ops::regression::{Loss, Regression};
use std::sync::Arc;

/// Which images a run trains and validates on.
pub(super) struct Division {
    pub(super) train: Arc<[u32]>,
    pub(super) validation: Arc<[u32]>,
}

/// Divides the images.
///
/// # Errors
/// [`Error::Setting`] where there are not as many as asked for.
pub(super) fn divide(config: &Config, data: &Dataset) -> Result<Division> {
    let (mut train, validation) = split(data.len(), config.data.validation, config.training.seed)?;
    if let Some(wanted) = config.data.train_examples {
        if wanted > train.len() {
            let message = format!("{wanted} images were asked for, {} are left after validation", train.len());
            return Err(Error::setting("train_examples", message));
        }
        train.truncate(wanted);
    }
    Ok(Division { train: train.into(), validation: validation.into() })
}

/// About the mean and the deviation of the ages of UTKFace, years: the same for all divisions of it, so that weights mean the same.
const AGE: [f32; 2] = [33.0, 20.0];

/// What a model reads and predicts of images such as those of `data`.
pub(super) fn task(config: &Config, data: &Dataset) -> Task {
    let goal = match &data.meaning {
        Meaning::Classes(names) => {
            Goal::Class { classes: names.len(), label_smoothing: config.training.label_smoothing }
        }
        Meaning::Years => {
            let [mean, std] = AGE;
            Goal::Number(Regression { loss: config.training.loss.unwrap_or(Loss::L1), mean, std })
        }
    };
    Task { image: data.image, goal, mean: data.mean.clone(), std: data.std.clone() }
}

/// The session that the options ask for.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Capacity`].
pub fn session<'g>(gpu: &'g Gpu, config: &Config, task: &Task, steps_per_epoch: u64) -> Result<Session<'g>> {
    let [_, h, w] = task.image;
    let parts = Parts {
        model: &nn::named_for(&config.model.name, [h, w])?,
        task,
        batch_size: config.training.batch_size,
        micro_batch: config.training.micro_batch_size(),
        net_options: config.net_options(),
        settings: config.optimizer.settings()?,
        schedule: config.common_rate()?,
        curriculum: &|layers| config.curriculum(layers),
        steps_per_epoch,
        seed: config.training.seed,
        mixup: config.training.mixup,
        kernels: &config.kernels,
    };
    Session::new(gpu, &parts)
}
