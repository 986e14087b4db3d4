//! All options of a run, as on the command line, in a TOML file and in a run's `config.toml`.

mod curriculum;
mod data;
mod data_source;
mod extend;
#[cfg(feature = "records")]
mod file;
mod idle;
mod model;
mod optimizer;
mod scales;
mod training;

pub use curriculum::{CurriculumOptions, Method, Preset};
pub use data::DataOptions;
#[cfg(feature = "cli")]
pub(crate) use file::OptionsFile;
#[cfg(feature = "records")]
pub(crate) use file::option_name;
pub use model::ModelOptions;
pub use optimizer::{OptimizerOptions, ScheduleKind};
pub use scales::LayerScales;
pub use training::TrainingOptions;

use crate::curriculum::{
    Blurred, Control, Conventional, Curriculum, Granularity, Layer, Paper, Range, Reference, ReferenceOptions,
    Schedule, depths,
};
use crate::data::{DataSet, Form, Meaning};
use crate::error::{Error, Result};
use crate::nn::NetOptions;
use crate::nn::objective::{Objective, ObjectiveOptions, objective_for};
use crate::tape::KernelChoices;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::{Path, PathBuf};
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
    /// Epochs, batch size, seed, logging and the loss.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub training: TrainingOptions,
    /// The optimiser, the common learning rate and its schedule.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub optimizer: OptimizerOptions,
    /// The training method, LeRaC and Curriculum by Smoothing.
    #[cfg_attr(feature = "cli", command(flatten))]
    pub curriculum: CurriculumOptions,
    /// Kernels that `lerac tune` chose instead of the default ones. They are options because
    /// another kernel sums in another order, which changes the rounding.
    #[cfg_attr(feature = "cli", arg(skip))]
    #[serde(skip_serializing_if = "KernelChoices::is_empty")]
    pub kernels: KernelChoices,
}

/// Parses a whole number of the command line. The error message gives the range, also for negative
/// numbers and for numbers of too many digits.
#[cfg(feature = "cli")]
pub(crate) fn whole_number<T: TryFrom<i64>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number: &i64| *number >= 0).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

/// An error for the option `field` unless `within` is true.
fn require(field: &'static str, value: impl Display, within: bool, expected: &str) -> Result<()> {
    match within {
        true => Ok(()),
        false => Err(Error::setting(field, format!("expected {expected}, found {value}"))),
    }
}

/// Checks that TOML can store these numbers: it has signed 64-bit integers only.
fn check_integers(numbers: &[(&'static str, u64)]) -> Result<()> {
    let fits = |value: u64| i64::try_from(value).is_ok();
    numbers.iter().try_for_each(|&(field, value)| require(field, value, fits(value), &format!("at most {}", i64::MAX)))
}

/// Refuses a path that begins with `~`, which only a shell replaces by the home directory.
///
/// # Errors
/// A message with the path to write instead.
pub(crate) fn check_tilde(path: &Path) -> Result<(), String> {
    let Ok(rest) = path.strip_prefix("~") else { return Ok(()) };
    let home = std::env::var("HOME").unwrap_or_else(|_| "$HOME".to_owned());
    Err(format!(
        "~ is replaced by a shell only, and not in quotes or after =; write {}",
        Path::new(&home).join(rest).display()
    ))
}

/// Checks that TOML can store these paths: its text is UTF-8.
fn check_paths(paths: &[(&'static str, &Option<PathBuf>)]) -> Result<()> {
    for (field, path) in paths {
        let Some(path) = path else { continue };
        let Some(text) = path.to_str() else { return Err(Error::setting(field, "expected a path in UTF-8")) };
        // "C:\temp" in TOML has a tab.
        if text.contains(char::is_control) {
            let message = format!("the path {text:?} has a control character; in TOML write it in single quotes");
            return Err(Error::setting(field, message));
        }
        check_tilde(path).map_err(|message| Error::setting(field, message))?;
    }
    Ok(())
}

/// What a data set is for.
#[derive(Clone, Copy)]
enum Goal {
    Class,
    Number,
    Boxes,
}

impl Goal {
    fn of(target: Option<&Meaning>) -> Self {
        match target {
            Some(Meaning::Number { .. }) => Self::Number,
            Some(Meaning::Boxes(_)) => Self::Boxes,
            _ => Self::Class,
        }
    }

    fn of_set(set: &DataSet) -> Self {
        match (set.of_numbers(), set.of_boxes) {
            (true, _) => Self::Number,
            (_, true) => Self::Boxes,
            _ => Self::Class,
        }
    }
}

impl Config {
    /// These options after `change`, for use in an expression.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks every option that can be checked without data and device, including options that the
    /// method does not use.
    ///
    /// # Errors
    /// [`Error::Setting`] with the option, the expected and the found value.
    pub fn check(&self) -> Result<()> {
        DataSet::named(&self.data.name)?;
        self.model.model()?;
        self.check_values()
    }

    /// Checks every option except the names of data and model, which may be names that this crate
    /// does not know.
    ///
    /// # Errors
    /// The errors of [`Config::check`].
    pub fn check_values(&self) -> Result<()> {
        self.data.check()?;
        self.model.check()?;
        self.training.check()?;
        self.optimizer.check()?;
        self.curriculum.check()?;
        if let Ok(set) = DataSet::named(&self.data.name) {
            self.check_objective_options(Goal::of_set(set))?;
        }
        // Without layers, the constructors only check the options.
        self.paper(&[])?;
        self.reference(&[])?;
        self.check_k()?;
        self.check_validation()
    }

    /// Checks that options that need validation examples have them.
    fn check_validation(&self) -> Result<()> {
        let follows = [
            ("schedule", "the plateau schedule", self.optimizer.schedule == ScheduleKind::Plateau),
            ("early_stopping", "early stopping", self.training.early_stopping.is_some()),
        ];
        match follows.into_iter().find(|(.., follows)| *follows && self.data.validation == 0) {
            Some((field, what, _)) => {
                let message = format!("{what} needs validation examples, found `validation` 0");
                Err(Error::setting(field, message))
            }
            None => Ok(()),
        }
    }

    /// The objective for data with these columns. It has no class weights, which may depend on the
    /// examples: [`super::Task::of`] adds them.
    ///
    /// # Errors
    /// [`Error::Setting`] if the first target is neither a class nor a number nor boxes, or if an
    /// option does not apply to it.
    pub fn objective(&self, form: &Form) -> Result<Arc<dyn Objective>> {
        self.weighted_objective(form, vec![])
    }

    /// [`Config::objective`] with these class weights.
    pub(super) fn weighted_objective(&self, form: &Form, class_weights: Vec<f32>) -> Result<Arc<dyn Objective>> {
        let objective = objective_for(form, ObjectiveOptions { class_weights, ..self.training.objective() })?;
        let meaning = form.targets.first().map(|target| &target.meaning);
        if form.tokens().is_some() && self.training.mixup.is_some() {
            let message =
                format!("only applies to images and numbers, not to the tokens of {}; remove it", self.data.name);
            return Err(Error::setting("mixup", message));
        }
        self.check_objective_options(Goal::of(meaning)).map(|()| objective)
    }

    /// Refuses options of classification for numbers and boxes to predict, and those of numbers for
    /// classes and boxes.
    fn check_objective_options(&self, goal: Goal) -> Result<()> {
        let (data, training) = (&self.data.name, &self.training);
        let of_ages = [("loss", training.loss.is_some(), "ages")];
        let of_classes = [
            ("label_smoothing", training.label_smoothing != 0.0, "classes"),
            ("class_weights", training.class_weights.is_some(), "classes"),
            ("mixup", training.mixup.is_some(), "classes"),
        ];
        let idle = match goal {
            Goal::Number => of_classes.to_vec(),
            Goal::Boxes => [&of_classes[..], &of_ages].concat(),
            Goal::Class => of_ages.to_vec(),
        };
        match idle.iter().find(|(_, given, _)| *given) {
            Some((field, _, other)) => {
                Err(Error::setting(field, format!("is for {other}, which {data} has not; leave it out")))
            }
            None => Ok(()),
        }
    }

    /// Checks that the curriculum ends within the run.
    fn check_k(&self) -> Result<()> {
        let of_paper = self.curriculum.preset == Preset::Paper || !self.curriculum.is_lerac();
        let (k, epochs) = (self.k(), self.training.epochs as f64);
        if self.curriculum.method.has_ramp() && of_paper && k > epochs {
            let message = format!("{k} epochs of curriculum do not fit `epochs` {epochs}; `k` {epochs} or less does");
            return Err(Error::setting("k", message));
        }
        Ok(())
    }

    /// Checks that TOML can store the options: its integers are signed 64-bit numbers and its text
    /// is UTF-8.
    ///
    /// # Errors
    /// [`Error::Setting`] with the first option that it cannot store.
    pub fn check_storable(&self) -> Result<()> {
        self.data.check_storable()?;
        self.model.check_storable()?;
        self.training.check_storable()?;
        self.optimizer.check_storable()?;
        self.curriculum.check_storable()
    }

    /// The files and directories that a run reads, each with the field that names it.
    #[cfg(feature = "records")]
    pub(crate) fn inputs(&self) -> Vec<(&'static str, PathBuf)> {
        let named = [("init", &self.model.init), ("class_list", &self.data.class_list), ("cache", &self.data.cache)];
        let named = named.into_iter().filter_map(|(field, path)| Some((field, path.clone()?)));
        named.chain(self.data.source().directories().into_iter().map(|dir| ("data_dir", dir))).collect()
    }

    /// Epochs of curriculum: the option `k`, or a fifth of all epochs.
    pub fn k(&self) -> f64 {
        self.curriculum.k.unwrap_or(self.training.epochs as f64 / 5.0)
    }

    /// The schedule of the common learning rate.
    ///
    /// # Errors
    /// [`Error::Setting`] for invalid milestones, factors or rates.
    pub fn common_rate(&self) -> Result<Schedule> {
        self.optimizer.schedule(self.training.epochs, self.curriculum.during_curriculum())
    }

    /// The curriculum of a model with these layers.
    ///
    /// # Errors
    /// [`Error::Setting`] for rates that are not positive, or an ascending range.
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

    /// The changes to the model that the method and mixup require.
    pub fn net_options(&self) -> NetOptions {
        NetOptions { blur: self.curriculum.method.has_blur(), mixup: self.training.mixup.is_some() }
    }

    /// Whether the blur stays the same in all epochs, because training ends before it first
    /// changes.
    pub fn blur_stays(&self) -> bool {
        self.curriculum.method.has_blur() && self.curriculum.sigma_every >= self.training.epochs
    }
}
