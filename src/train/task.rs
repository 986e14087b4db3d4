//! What is trained on what: a run's options with the objects that they name.

use super::session::{MakeCurriculum, SessionOptions};
use super::{Config, Session};
use crate::curriculum::{Curriculum, Layer};
use crate::data::{Form, Splits, split};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::objective::Objective;
use crate::nn::{self, Model};
use std::sync::Arc;

/// Everything that a run depends on beside the device. [`Task::of`] makes it from options alone; a model, data, an objective or a
/// curriculum of one's own takes the place of the named one.
#[derive(Clone)]
pub struct Task {
    /// The options. Those that name a model or data say what they are called, whether or not the crate knows them.
    pub config: Config,
    /// The network.
    pub model: Arc<dyn Model>,
    /// The examples.
    pub data: Splits,
    /// What the model is trained for.
    pub objective: Arc<dyn Objective>,
    /// Makes the curriculum from the model's layers; the options' where there is none.
    pub curriculum: Option<Arc<MakeCurriculum<'static>>>,
}

/// Which examples a run trains and validates on.
pub(super) struct TrainValidation {
    pub(super) train: Arc<[u32]>,
    pub(super) validation: Arc<[u32]>,
}

impl Task {
    /// The task that the options name, on data that are open.
    ///
    /// # Errors
    /// [`Error::Setting`] for a model that is not known, or that does not take these data.
    pub fn of(config: &Config, data: &Splits) -> Result<Self> {
        config.check()?;
        let form = data.train.form();
        let model = Arc::new(nn::named(&config.model.name)?);
        model.accepts(&form)?;
        let objective = config.objective(&form)?;
        Ok(Self { config: config.clone(), model, data: data.clone(), objective, curriculum: None })
    }

    /// Divides the training examples.
    ///
    /// # Errors
    /// [`Error::Setting`] where there are not as many as asked for, or not enough for a batch.
    pub(super) fn train_validation_split(&self) -> Result<TrainValidation> {
        let config = &self.config;
        let (mut train, validation) = split(self.data.train.len(), config.data.validation, config.training.seed)?;
        if let Some(wanted) = config.data.train_examples {
            if wanted > train.len() {
                let message = format!("{wanted} examples were asked for, {} are left after validation", train.len());
                return Err(Error::setting("train_examples", message));
            }
            train.truncate(wanted);
        }
        if train.len() < config.training.batch_size {
            let message = format!("{} does not fit into {} training examples", config.training.batch_size, train.len());
            return Err(Error::setting("batch_size", message));
        }
        Ok(TrainValidation { train: train.into(), validation: validation.into() })
    }

    /// The curriculum of a model with these layers.
    fn curriculum(&self, layers: &[Layer]) -> Result<Box<dyn Curriculum>> {
        match &self.curriculum {
            Some(make) => make(layers),
            None => self.config.curriculum(layers),
        }
    }

    /// The session of a run with so many steps an epoch.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::Capacity`].
    pub fn session(&self, gpu: &Gpu, steps_per_epoch: u64) -> Result<Session> {
        let (model, form) = (&*self.model, &self.data.train.form());
        session(gpu, &self.config, model, (form, self.objective.clone()), &|l| self.curriculum(l), steps_per_epoch)
    }
}

/// The session of `config` for a model, data of a form, and an objective.
///
/// # Errors
/// [`Error::Setting`] and [`Error::Capacity`].
pub fn session(
    gpu: &Gpu,
    config: &Config,
    model: &dyn Model,
    (form, objective): (&Form, Arc<dyn Objective>),
    curriculum: &MakeCurriculum<'_>,
    steps_per_epoch: u64,
) -> Result<Session> {
    Session::new(
        gpu,
        &SessionOptions {
            model,
            form,
            objective,
            batch_size: config.training.batch_size,
            micro_batch_size: config.training.micro_batch_size(),
            net: config.net_options(),
            settings: config.optimizer.settings()?,
            schedule: config.common_rate()?,
            curriculum,
            steps_per_epoch,
            seed: config.training.seed,
            mixup: config.training.mixup,
            kernels: &config.kernels,
        },
    )
}
