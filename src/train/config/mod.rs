//! All options of a run, as the command line, a TOML file and `DIR/config.toml` hold them.

mod curriculum;
mod data;
#[cfg(feature = "records")]
mod file;
mod model;
mod optimizer;
mod training;

pub use curriculum::{CurriculumOptions, Method, Preset};
pub use data::DataOptions;
#[cfg(feature = "cli")]
pub(crate) use file::OptionsFile;
#[cfg(feature = "records")]
pub(crate) use file::option_of;
pub use model::ModelOptions;
pub use optimizer::{OptimizerOptions, ScheduleKind};
pub use training::TrainingOptions;

use crate::curriculum::{
    Blurred, Control, Conventional, Curriculum, DuringCurriculum, Granularity, Layer, Paper, Range, Reference,
    ReferenceOptions, Schedule, depths,
};
use crate::data::{DataSet, Form, Meaning};
use crate::error::{Error, Result};
use crate::nn::objective::{Objective, objective_for};
use crate::nn::{self, NetOptions};
use crate::tape::KernelChoices;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

/// All options of a run, in sections.
///
/// ```
/// use lerac::train::{Config, Method};
///
/// let config = Config::default().with(|c| {
///     c.curriculum.method = Method::Lerac;
///     c.training.epochs = 10;
///     c.optimizer.eta = 0.05;
/// });
/// config.check()?;
/// # Ok::<(), lerac::error::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The data set, its split, and augmentation.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub data: DataOptions,
    /// The model and its initial weights.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub model: ModelOptions,
    /// Epochs, steps, seed, readings and the loss.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub training: TrainingOptions,
    /// The optimiser, the common learning rate and its schedule.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub optimizer: OptimizerOptions,
    /// The training method, LeRaC and Curriculum by Smoothing.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub curriculum: CurriculumOptions,
    /// Kernels other than the usual ones, as `lerac tune` found them; a part of the options, since they add in another order.
    #[cfg_attr(feature = "cli", arg(skip))]
    #[serde(skip_serializing_if = "KernelChoices::is_empty")]
    pub kernels: KernelChoices,
}

/// A whole number of the command line; the fault says what is expected, also of a negative number or one of too many digits.
#[cfg(feature = "cli")]
pub(crate) fn whole<T: TryFrom<i64>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number: &i64| *number >= 0).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

/// Whether `value` is one that the option `field` can have.
fn require(field: &'static str, value: impl Display, within: bool, expected: &str) -> Result<()> {
    match within {
        true => Ok(()),
        false => Err(Error::setting(field, format!("expected {expected}, found {value}"))),
    }
}

/// Whether TOML, whose whole numbers are signed, can hold these.
fn check_whole(numbers: &[(&'static str, u64)]) -> Result<()> {
    let fits = |value: u64| i64::try_from(value).is_ok();
    numbers.iter().try_for_each(|&(field, value)| require(field, value, fits(value), &format!("at most {}", i64::MAX)))
}

/// Whether TOML, whose text is UTF-8, can hold these.
fn check_paths(paths: &[(&'static str, &Option<PathBuf>)]) -> Result<()> {
    let holds = |path: &Option<PathBuf>| path.as_ref().is_none_or(|path| path.to_str().is_some());
    match paths.iter().find(|(_, path)| !holds(path)) {
        Some((field, _)) => Err(Error::setting(field, "expected a path in UTF-8")),
        None => Ok(()),
    }
}

impl Config {
    /// These options with a change, to be written as one expression.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every option that can be checked without data and device, also those that the method does not use.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, what was expected and what was found.
    pub fn check(&self) -> Result<()> {
        DataSet::named(&self.data.name)?;
        nn::named(&self.model.name)?;
        self.check_values()
    }

    /// Checks every option but the names of data and model, which may be those of one's own.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn check_values(&self) -> Result<()> {
        self.data.check()?;
        self.model.check()?;
        self.training.check()?;
        self.optimizer.check()?;
        self.curriculum.check()?;
        if let Ok(set) = DataSet::named(&self.data.name) {
            self.check_goal(set.of_numbers())?;
        }
        // Without layers, curricula check their options alone.
        self.paper(&[])?;
        self.reference(&[])?;
        self.check_k()?;
        self.check_validation()
    }

    /// Whether there are the validation examples that options need.
    fn check_validation(&self) -> Result<()> {
        let follows = [
            ("schedule", "plateau", self.optimizer.schedule == ScheduleKind::Plateau),
            ("early_stopping", "it", self.training.early_stopping.is_some()),
        ];
        match follows.into_iter().find(|(.., follows)| *follows && self.data.validation == 0) {
            Some((field, what, _)) => {
                let message = format!("{what} follows the validation examples, which `validation` 0 does without");
                Err(Error::setting(field, message))
            }
            None => Ok(()),
        }
    }

    /// What the options train for on data of this form.
    ///
    /// # Errors
    /// [`Error::Setting`] where the first target is neither a class nor a number, or has no use for an option.
    pub fn objective(&self, form: &Form) -> Result<Arc<dyn Objective>> {
        let objective = objective_for(form, self.training.objective())?;
        let meaning = form.targets.first().map(|target| &target.meaning);
        self.check_goal(matches!(meaning, Some(Meaning::Number { .. }))).map(|()| objective)
    }

    /// Classes and numbers have options of their own.
    fn check_goal(&self, of_numbers: bool) -> Result<()> {
        let (data, training) = (&self.data.name, &self.training);
        let of_ages = [("loss", training.loss.is_some())];
        let of_classes = [("label_smoothing", training.label_smoothing != 0.0), ("mixup", training.mixup.is_some())];
        let (idle, goal) = match of_numbers {
            true => (&of_classes[..], "classes"),
            false => (&of_ages[..], "ages"),
        };
        match idle.iter().find(|(_, given)| *given) {
            Some((field, _)) => {
                Err(Error::setting(field, format!("is for {goal}, which {data} has not; leave it out")))
            }
            None => Ok(()),
        }
    }

    /// Whether the curriculum ends within the run.
    fn check_k(&self) -> Result<()> {
        let of_paper = self.curriculum.preset == Preset::Paper || !self.curriculum.is_lerac();
        let (k, epochs) = (self.k(), self.training.epochs as f64);
        if self.curriculum.method.has_ramp() && of_paper && k > epochs {
            let message = format!("{k} epochs of curriculum do not fit `epochs` {epochs}; `k` {epochs} or less does");
            return Err(Error::setting("k", message));
        }
        Ok(())
    }

    /// Whether the options can be written as TOML, whose whole numbers are signed and whose text is UTF-8.
    ///
    /// # Errors
    /// [`Error::Setting`] naming one that cannot.
    pub fn check_storable(&self) -> Result<()> {
        self.data.check_storable()?;
        self.model.check_storable()?;
        self.training.check_storable()?;
        self.optimizer.check_storable()?;
        self.curriculum.check_storable()
    }

    /// Epochs of curriculum: the option, or a fifth of all epochs.
    pub fn k(&self) -> f64 {
        self.curriculum.k.unwrap_or(self.training.epochs as f64 / 5.0)
    }

    /// What options that were given do not do beside the others, as sentences; fields are in backquotes.
    pub fn without_effect(&self) -> Vec<String> {
        let (curriculum, optimizer) = (&self.curriculum, &self.optimizer);
        let grows = curriculum.method.grows_rates();
        let waits = grows && curriculum.during_curriculum() == DuringCurriculum::Off;
        let multiply = "`schedule_during_curriculum` multiply lets it act from the first step on";
        let mut idle = vec![];
        if waits && optimizer.warmup_epochs > 0.0 {
            idle.push(format!("`warmup_epochs` does nothing, since rates grow by the curriculum; {multiply}"));
        }
        if waits && optimizer.schedule != ScheduleKind::Constant && self.k() >= self.training.epochs as f64 {
            idle.push(format!("`schedule` does nothing, since rates grow in all epochs; {multiply}"));
        }
        if curriculum.schedule_during_curriculum.is_some() && !(grows && optimizer.changes_rate()) {
            let why = if grows { "there is neither `schedule` nor `warmup_epochs`" } else { "no rates grow" };
            idle.push(format!("`schedule_during_curriculum` does nothing, since {why}"));
        }
        idle
    }

    /// The common rate over time.
    ///
    /// # Errors
    /// [`Error::Setting`] for impossible milestones, factors or rates.
    pub fn common_rate(&self) -> Result<Schedule> {
        self.optimizer.schedule(self.training.epochs, self.curriculum.during_curriculum())
    }

    /// The curriculum of a model with these layers.
    ///
    /// # Errors
    /// [`Error::Setting`] for rates that are not positive or a range the wrong way round.
    pub fn curriculum(&self, layers: &[Layer]) -> Result<Box<dyn Curriculum>> {
        let options = &self.curriculum;
        let control = |control| Ok::<_, Error>(Box::new(self.paper(layers)?.control(control)));
        Ok(match options.method {
            Method::Conventional => Box::new(Conventional),
            Method::Cbs => Box::new(options.blur()?),
            Method::Lerac => self.lerac(options.preset, layers)?,
            Method::LeracReference => self.lerac(Preset::Reference, layers)?,
            Method::LeracCbs => Box::new(Blurred { rates: self.lerac(options.preset, layers)?, blur: options.blur()? }),
            Method::Reversed => control(Control::Reversed)?,
            Method::Shuffled => control(Control::Shuffled(self.training.seed))?,
            Method::Uniform => control(Control::Uniform)?,
            Method::Linear => control(Control::Linear)?,
            Method::Logarithmic => control(Control::Logarithmic)?,
        })
    }

    fn lerac(&self, preset: Preset, layers: &[Layer]) -> Result<Box<dyn Curriculum>> {
        match preset {
            Preset::Paper => Ok(Box::new(self.paper(layers)?)),
            Preset::Reference => Ok(Box::new(self.reference(layers)?)),
        }
    }

    fn reference(&self, layers: &[Layer]) -> Result<Reference> {
        let (options, eta) = (&self.curriculum, self.optimizer.eta);
        let options = ReferenceOptions {
            ladder: options.ladder,
            eta,
            min_lr: options.min_lr,
            clf: options.clf,
            stop_lr: options.stop_lr.unwrap_or((1.1 * eta).min(f32::MAX.into())),
            updates_per_epoch: options.updates_per_epoch,
            stop_update_epoch: options.stop_update_epoch.unwrap_or(u64::MAX),
        };
        Reference::new(options, &depths(layers, Granularity::Block))
    }

    fn paper(&self, layers: &[Layer]) -> Result<Paper> {
        let (options, eta) = (&self.curriculum, self.optimizer.eta);
        let last = (eta * 1e-4).max(f32::MIN_POSITIVE.into());
        let range = options.range.unwrap_or(Range { first: eta, last });
        Paper::new(eta, range, self.k(), &depths(layers, options.granularity), options.pace)
    }

    /// What method and mixup ask of the model.
    pub fn net_options(&self) -> NetOptions {
        NetOptions { blur: self.curriculum.method.has_blur(), mixup: self.training.mixup.is_some() }
    }

    /// Whether all epochs have one blur, since they are over before it would fade.
    pub fn blur_stays(&self) -> bool {
        self.curriculum.method.has_blur() && self.curriculum.sigma_every >= self.training.epochs
    }
}
