//! A task: the options of a run with the model, data and objective that they name.

use super::session::{MakeCurriculum, SessionOptions};
use super::{Config, Session};
use crate::curriculum::{Curriculum, Layer};
use crate::data::{Form, Splits, train_validation_split};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::Model;
use crate::nn::objective::{ClassWeights, Objective};
use std::sync::Arc;

/// Everything that a run depends on, except the device.
///
/// [`Task::of`] makes it from the options. A model, data set, objective or curriculum of another
/// crate can replace the named one.
#[derive(Clone)]
pub struct Task {
    /// The options. `model.name` and `data.name` may be names that this crate does not know.
    pub config: Config,
    /// The network.
    pub model: Arc<dyn Model>,
    /// The examples.
    pub data: Splits,
    /// The objective: loss and measures.
    pub objective: Arc<dyn Objective>,
    /// Makes the curriculum from the model's layers. `None`: the curriculum of the options.
    pub curriculum: Option<Arc<MakeCurriculum<'static>>>,
}

/// The indices of the examples that a run trains and validates on.
pub(super) struct TrainValidation {
    pub(super) train: Arc<[u32]>,
    pub(super) validation: Arc<[u32]>,
}

impl Task {
    /// The task that the options describe, on an open data set.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown model, or one that does not accept the data.
    pub fn of(config: &Config, data: &Splits) -> Result<Self> {
        config.check()?;
        let form = data.train.form();
        let model = Arc::new(config.model.model()?);
        model.accepts(&form)?;
        let objective = objective_of(config, data)?;
        let config = config.clone().with(|c| c.data = c.data.clone().with_defaults_of_set());
        Ok(Self { config, model, data: data.clone(), objective, curriculum: None })
    }

    /// Files that the weights need next to them: name and content. They are those of the data, and
    /// Hugging Face's `config.json` for a BERT.
    #[cfg(feature = "records")]
    pub(crate) fn companions(&self) -> Vec<(&'static str, Vec<u8>)> {
        let (model, form) = (&self.config.model, self.data.train.form());
        let bert = model.bert.clone().or_else(|| crate::nn::bert_options(&model.name));
        let mut files = self.data.train.companions();
        if let (Some(bert), Some(tokens)) = (bert, form.tokens()) {
            let vocabulary = bert.vocab_size.unwrap_or(tokens.vocabulary);
            files.push(("config.json", bert.config_json(vocabulary, form.classes()).into_bytes()));
        }
        files
    }

    /// Splits the training examples into training and validation examples.
    ///
    /// # Errors
    /// [`Error::Setting`] if the options request more examples than the data set has, or if fewer
    /// than a batch are left.
    pub(super) fn train_validation_split(&self) -> Result<TrainValidation> {
        split(&self.config, &self.data)
    }

    /// The curriculum of a model with these layers.
    fn curriculum(&self, layers: &[Layer]) -> Result<Box<dyn Curriculum>> {
        match &self.curriculum {
            Some(make) => make(layers),
            None => self.config.curriculum(layers),
        }
    }

    /// The session of a run with `steps_per_epoch` steps per epoch.
    ///
    /// # Errors
    /// [`Error::Setting`] and [`Error::Capacity`].
    pub fn session(&self, gpu: &Gpu, steps_per_epoch: u64) -> Result<Session> {
        let (model, form) = (&*self.model, &self.data.train.form());
        session(gpu, &self.config, model, (form, self.objective.clone()), &|l| self.curriculum(l), steps_per_epoch)
    }
}

/// The split of [`Task::train_validation_split`].
fn split(config: &Config, data: &Splits) -> Result<TrainValidation> {
    let (held_out, wanted) = (data.train.held_out(), config.data.validation);
    let count = data.train.len() - held_out;
    let from_training = if held_out == 0 { wanted } else { 0 };
    let (mut train, mut validation) = train_validation_split(count, from_training, config.training.seed)?;
    if wanted > 0 {
        validation.extend(count as u32..(count + held_out) as u32);
    }
    if let Some(wanted) = config.data.train_examples {
        if wanted > train.len() {
            let message = format!("{wanted} examples were requested, {} are left after validation", train.len());
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

/// The objective of a task, with its class weights.
///
/// # Errors
/// Those of [`Config::objective`] and [`class_weights`].
pub(crate) fn objective_of(config: &Config, data: &Splits) -> Result<Arc<dyn Objective>> {
    config.weighted_objective(&data.train.form(), class_weights(config, data)?)
}

/// The weight of each class in the loss; empty without the option. Balanced weights follow from the
/// classes of the training examples.
///
/// # Errors
/// [`Error::Setting`] if there is another number of weights than classes; the errors of reading the
/// examples.
pub(super) fn class_weights(config: &Config, data: &Splits) -> Result<Vec<f32>> {
    let Some(weights) = &config.training.class_weights else { return Ok(vec![]) };
    let mut counts = vec![0; data.train.form().classes().len()];
    if *weights == ClassWeights::Balanced {
        let mut classes = vec![[0]; data.train.form().targets.len()];
        for &index in &*split(config, data)?.train {
            let mut places: Vec<&mut [u32]> = classes.iter_mut().map(|class| &mut class[..]).collect();
            data.train.targets(index as usize, &mut places)?;
            if let Some(count) = counts.get_mut(classes[0][0] as usize) {
                *count += 1;
            }
        }
    }
    weights.of_counts(&counts).map_err(|message| Error::setting("class_weights", message))
}

/// The session of `config` for a model, the columns of its data, and an objective.
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
            averaging: config.optimizer.averaging(),
            scales: config.optimizer.layer_scales()?,
            schedule: config.common_rate()?,
            curriculum,
            steps_per_epoch,
            seed: config.training.seed,
            mixup: config.training.mixup,
            kernels: &config.kernels,
        },
    )
}
