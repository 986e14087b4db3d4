//! The optimiser, and the schedule of the common learning rate.

#[cfg(feature = "cli")]
use super::whole_number;
use super::{LayerScales, check_integers, require};
use crate::curriculum::{self, DuringCurriculum, MomentumRise, Plateau, Schedule, ScheduleShape, Warmup};
use crate::error::{Error, Result};
use crate::optim::{Averaging, Rule, Settings};
use serde::{Deserialize, Serialize};

/// Steps over which the decay of the moving average rises, as in YOLOv5.
const EMA_WARMUP: u64 = 2000;

/// Schedules of the common learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Always eta.
    Constant,
    /// Multiply by gamma at each milestone.
    Step,
    /// Half a cosine from eta to the final rate.
    Cosine,
    /// A straight line from eta to the final rate.
    Linear,
    /// Multiply by gamma after more than --patience epochs without a better score on the validation
    /// examples.
    Plateau,
}

/// The optimiser, the common learning rate and its schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct OptimizerOptions {
    /// Common learning rate
    #[cfg_attr(feature = "cli", arg(long, visible_alias = "lr", alias = "learning-rate", default_value_t = OptimizerOptions::default().eta, help_heading = "Optimiser"))]
    pub eta: f64,
    /// Optimiser: sgd, adam, adamw or adamax
    #[cfg_attr(
        feature = "cli",
        arg(
            id = "optimizer",
            long = "optimizer",
            value_name = "OPTIMIZER",
            default_value = "sgd",
            help_heading = "Optimiser"
        )
    )]
    pub name: String,
    /// Momentum of sgd
    #[cfg_attr(feature = "cli", arg(long, default_value_t = OptimizerOptions::default().momentum, help_heading = "Optimiser"))]
    pub momentum: f64,
    /// Nesterov momentum for sgd
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Optimiser"))]
    pub nesterov: bool,
    /// Decay of the mean gradient of adam, adamw and adamax
    #[cfg_attr(feature = "cli", arg(long, default_value_t = OptimizerOptions::default().beta1, help_heading = "Optimiser"))]
    pub beta1: f64,
    /// Decay of the mean squared gradient of adam and adamw, and of the largest gradient of adamax
    #[cfg_attr(feature = "cli", arg(long, default_value_t = OptimizerOptions::default().beta2, help_heading = "Optimiser"))]
    pub beta2: f64,
    /// Added to the denominator of adam, adamw and adamax
    #[cfg_attr(feature = "cli", arg(long, default_value_t = OptimizerOptions::default().epsilon, help_heading = "Optimiser"))]
    pub epsilon: f64,
    /// Weight decay
    #[cfg_attr(feature = "cli", arg(long, default_value_t = OptimizerOptions::default().weight_decay, help_heading = "Optimiser"))]
    pub weight_decay: f64,
    /// No weight decay on biases and on the parameters of normalisation layers
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Optimiser"))]
    pub spare_norm_and_bias: bool,
    /// Clip gradients to this global norm [default: never]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// Evaluate and save the exponential moving average of the weights with this decay, such as
    /// 0.9999 [default: the weights themselves]
    #[cfg_attr(feature = "cli", arg(long, value_name = "DECAY", help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Steps over which the decay of --ema rises: at step n it is DECAY (1 - exp(-n/STEPS)); 0 for
    /// a constant decay [default: 2000]
    #[cfg_attr(feature = "cli", arg(long, value_name = "STEPS", value_parser = whole_number::<u64>, help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_warmup: Option<u64>,
    /// Schedule of the common rate
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "constant", help_heading = "Optimiser"))]
    pub schedule: ScheduleKind,
    /// Epochs at which the step schedule multiplies by gamma
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_hyphen_values = true, value_delimiter = ',', help_heading = "Optimiser")
    )]
    pub milestones: Vec<f64>,
    /// Factor of the step and plateau schedules
    #[cfg_attr(feature = "cli", arg(long, default_value_t = OptimizerOptions::default().gamma, help_heading = "Optimiser"))]
    pub gamma: f64,
    /// Epochs without a better validation score that the plateau schedule waits for
    #[cfg_attr(feature = "cli", arg(long, default_value_t = OptimizerOptions::default().patience, value_parser = whole_number::<u64>, help_heading = "Optimiser"))]
    pub patience: u64,
    /// Final rate of the cosine and linear schedules, and least rate of the plateau schedule
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, help_heading = "Optimiser"))]
    pub final_rate: f64,
    /// Do not train the layers whose names match a pattern, such as 'bert.encoder.*'
    #[cfg_attr(feature = "cli", arg(long, value_name = "PATTERN", value_delimiter = ',', help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Multiply the learning rate of the layers whose names match a pattern, such as 'conv*=0.1'
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "PATTERN=FACTOR", value_delimiter = ',', help_heading = "Optimiser")
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learning_rate_scale: Vec<String>,
    /// Epochs of linear warm-up of the common rate from 0
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, help_heading = "Optimiser"))]
    pub warmup_epochs: f64,
    /// The warm-up takes at least this many steps [default: 0]
    #[cfg_attr(feature = "cli", arg(long, value_name = "STEPS", value_parser = whole_number::<u64>, help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,
    /// In the warm-up, biases fall from this rate to the common rate instead of rising from 0
    #[cfg_attr(feature = "cli", arg(long, value_name = "RATE", help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias_warmup: Option<f64>,
    /// In the warm-up, the momentum of sgd rises linearly from this value
    #[cfg_attr(feature = "cli", arg(long, value_name = "MOMENTUM", help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_momentum: Option<f64>,
}

impl Default for OptimizerOptions {
    fn default() -> Self {
        Self {
            eta: 0.1,
            name: "sgd".into(),
            momentum: 0.9,
            nesterov: false,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 1e-4,
            spare_norm_and_bias: false,
            clip_norm: None,
            ema: None,
            ema_warmup: None,
            schedule: ScheduleKind::Constant,
            milestones: vec![],
            gamma: 0.1,
            patience: 10,
            final_rate: 0.0,
            freeze: vec![],
            learning_rate_scale: vec![],
            warmup_epochs: 0.0,
            warmup_steps: None,
            bias_warmup: None,
            warmup_momentum: None,
        }
    }
}

impl OptimizerOptions {
    /// Checks every option, including those that the optimiser and the schedule do not use.
    ///
    /// # Errors
    /// [`Error::Setting`] with the option, the expected and the found value.
    pub fn check(&self) -> Result<()> {
        self.check_storable()?;
        self.settings()?;
        self.layer_scales()?;
        curriculum::check_rate("eta", "learning rate", self.eta)?;
        let decays = self.weight_decay >= 0.0 && self.weight_decay.is_finite();
        require("weight_decay", self.weight_decay, decays, "0 or more")?;
        require("momentum", self.momentum, (0.0..1.0).contains(&self.momentum), "0 <= momentum < 1")?;
        if self.name == "sgd" && self.nesterov && self.momentum == 0.0 {
            return Err(Error::setting("nesterov", "needs `momentum` above 0, as in PyTorch, found 0; leave one out"));
        }
        let is_decay = |beta: f64| (0.0..1.0).contains(&beta);
        require("beta1", self.beta1, is_decay(self.beta1), "0 <= beta1 < 1")?;
        require("beta2", self.beta2, is_decay(self.beta2), "0 <= beta2 < 1")?;
        let divides = self.epsilon > 0.0 && (self.epsilon as f32).is_normal();
        require("epsilon", format_args!("{:e}", self.epsilon), divides, "a positive number in the range of f32")?;
        let clip = self.clip_norm.unwrap_or(1.0);
        let held = curriculum::RATES.contains(&clip);
        require(
            "clip_norm",
            format_args!("{clip:e}"),
            held,
            "a positive norm in the range of f32 (1.2e-38 to 3.4e38)",
        )?;
        let average = self.ema.unwrap_or(0.0);
        require("ema", average, (0.0..1.0).contains(&average), "0 <= decay < 1")?;
        if self.ema_warmup.is_some() && self.ema.is_none() {
            return Err(Error::setting("ema_warmup", "needs `ema` DECAY, such as 0.9999"));
        }
        let last = self.final_rate;
        let within = last == 0.0 || (curriculum::RATES.contains(&last) && last <= self.eta);
        require("final_rate", last, within, "0, or a learning rate up to eta")?;
        require("gamma", self.gamma, self.gamma > 0.0 && self.gamma.is_finite(), "a positive factor")?;
        let warms = self.warmup_epochs >= 0.0 && self.warmup_epochs.is_finite();
        require("warmup_epochs", self.warmup_epochs, warms, "0 or more epochs")?;
        self.check_warmup()?;
        let mut before = 0.0;
        for &milestone in &self.milestones {
            let within = milestone > before && milestone.is_finite();
            require("milestones", milestone, within, "epochs above 0 in ascending order")?;
            before = milestone;
        }
        match self.schedule {
            ScheduleKind::Step => self.check_steps(),
            ScheduleKind::Plateau => {
                require("gamma", self.gamma, self.gamma < 1.0, "a factor below 1 with `schedule` plateau")
            }
            ScheduleKind::Constant | ScheduleKind::Cosine | ScheduleKind::Linear => Ok(()),
        }
    }

    /// Checks the options that need a warm-up.
    fn check_warmup(&self) -> Result<()> {
        curriculum::check_rate("bias_warmup", "learning rate", self.bias_warmup.unwrap_or(self.eta))?;
        let momentum = self.warmup_momentum.unwrap_or(0.0);
        require("warmup_momentum", momentum, (0.0..1.0).contains(&momentum), "0 <= momentum < 1")?;
        if self.warmup_momentum.is_some() && self.name != "sgd" {
            let message = format!("is for `optimizer` sgd, and {} has no momentum; leave it out", self.name);
            return Err(Error::setting("warmup_momentum", message));
        }
        match self.warmup_options().first() {
            Some(field) if !self.warms() => {
                Err(Error::setting(field, "needs a warm-up: `warmup_epochs` above 0, such as 3, or `warmup_steps`"))
            }
            _ => Ok(()),
        }
    }

    /// The options of a warm-up that were given, besides its length.
    fn warmup_options(&self) -> Vec<&'static str> {
        let given = [("bias_warmup", self.bias_warmup.is_some()), ("warmup_momentum", self.warmup_momentum.is_some())];
        given.into_iter().filter_map(|(field, given)| given.then_some(field)).collect()
    }

    /// The options of a warm-up, if there is one.
    pub(super) fn all_warmup_options(&self) -> Vec<&'static str> {
        let steps = self.warmup_steps.is_some_and(|steps| steps > 0);
        let length = [("warmup_epochs", self.warmup_epochs > 0.0), ("warmup_steps", steps)];
        let length = length.into_iter().filter_map(|(field, given)| given.then_some(field));
        length.chain(self.warmup_options()).collect()
    }

    fn check_steps(&self) -> Result<()> {
        if self.milestones.is_empty() {
            let message = "the step schedule needs the epochs at which the rate falls, e.g. `milestones` 30,60";
            return Err(Error::setting("milestones", message));
        }
        let end = self.eta * libm::pow(self.gamma, self.milestones.len() as f64);
        curriculum::check_rate("gamma", "learning rate after the last milestone", end)
    }

    pub(super) fn check_storable(&self) -> Result<()> {
        let steps = [("ema_warmup", self.ema_warmup), ("warmup_steps", self.warmup_steps)];
        check_integers(&steps.map(|(field, steps)| (field, steps.unwrap_or(0))))?;
        check_integers(&[("patience", self.patience)])
    }

    /// The schedule, if it falls over all epochs of a run.
    pub(super) fn falling_schedule(&self) -> Option<&'static str> {
        match self.schedule {
            ScheduleKind::Cosine => Some("cosine"),
            ScheduleKind::Linear => Some("linear"),
            ScheduleKind::Constant | ScheduleKind::Step | ScheduleKind::Plateau => None,
        }
    }

    /// Whether the common rate changes over time.
    pub(super) fn changes_rate(&self) -> bool {
        self.schedule != ScheduleKind::Constant || self.warms()
    }

    /// Whether there is a warm-up.
    pub(super) fn warms(&self) -> bool {
        self.warmup_epochs > 0.0 || self.warmup_steps.is_some_and(|steps| steps > 0)
    }

    /// The update rule.
    fn rule(&self) -> Result<Rule> {
        let Self { momentum, nesterov, beta1, beta2, epsilon, .. } = *self;
        Ok(match Rule::named(&self.name)? {
            Rule::Sgd { .. } => Rule::Sgd { momentum, nesterov },
            Rule::Adam { .. } => Rule::Adam { beta1, beta2, epsilon },
            Rule::AdamW { .. } => Rule::AdamW { beta1, beta2, epsilon },
            Rule::Adamax { .. } => Rule::Adamax { beta1, beta2, epsilon },
        })
    }

    /// Sets the update rule and its hyperparameters.
    pub fn set_rule(&mut self, rule: Rule) {
        self.name = rule.name().to_owned();
        match rule {
            Rule::Sgd { momentum, nesterov } => (self.momentum, self.nesterov) = (momentum, nesterov),
            Rule::Adam { beta1, beta2, epsilon }
            | Rule::AdamW { beta1, beta2, epsilon }
            | Rule::Adamax { beta1, beta2, epsilon } => {
                (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon);
            }
        }
    }

    /// The optimiser's settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown optimiser.
    pub fn settings(&self) -> Result<Settings> {
        Ok(Settings {
            rule: self.rule()?,
            weight_decay: self.weight_decay,
            spare_norm_and_bias: self.spare_norm_and_bias,
            clip_norm: self.clip_norm,
            layer_norms: true,
        })
    }

    /// The moving average of the weights.
    pub fn averaging(&self) -> Option<Averaging> {
        self.ema.map(|decay| Averaging { decay, warmup: self.ema_warmup.unwrap_or(EMA_WARMUP) })
    }

    /// Factors of the learning rates of layers.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid pattern or factor.
    pub fn layer_scales(&self) -> Result<LayerScales> {
        LayerScales::parse(&self.freeze, &self.learning_rate_scale)
    }

    /// The schedule of the common rate for a run of `epochs` epochs.
    ///
    /// # Errors
    /// [`Error::Setting`] for invalid milestones, factors or rates.
    pub fn schedule(&self, epochs: u64, during_curriculum: DuringCurriculum) -> Result<Schedule> {
        self.check()?;
        let floor = self.final_rate / self.eta;
        let shape = match self.schedule {
            ScheduleKind::Constant => ScheduleShape::Constant,
            ScheduleKind::Step => ScheduleShape::Step { milestones: self.milestones.clone(), gamma: self.gamma },
            ScheduleKind::Cosine => ScheduleShape::Cosine { epochs: epochs as f64, floor },
            ScheduleKind::Linear => ScheduleShape::Linear { epochs: epochs as f64, floor },
            ScheduleKind::Plateau => ScheduleShape::Plateau(Plateau::new(self.gamma, self.patience, self.final_rate)),
        };
        let momentum = self.warmup_momentum.map(|from| MomentumRise { from, to: self.momentum });
        let (epochs, steps) = (self.warmup_epochs, self.warmup_steps.unwrap_or(0));
        let warmup = Warmup { epochs, steps, bias_rate: self.bias_warmup, momentum };
        Ok(Schedule { eta: self.eta, shape, warmup, during_curriculum })
    }
}
