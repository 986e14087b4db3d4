//! The training method, and the options of LeRaC and Curriculum by Smoothing.

#[cfg(feature = "cli")]
use super::whole_number;
use super::{check_integers, require};
use crate::curriculum::{Cbs, DuringCurriculum, Granularity, Ladder, Pace, Range};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Training methods, and the control methods that LeRaC is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every layer at the common rate from the start.
    Conventional,
    /// Learning Rate Curriculum (Croitoru et al., IJCV 2024).
    Lerac,
    /// LeRaC with --preset reference, even if that option has another value: to compare both
    /// presets.
    LeracReference,
    /// Curriculum by Smoothing (Sinha et al., NeurIPS 2020).
    Cbs,
    /// LeRaC and Curriculum by Smoothing together.
    LeracCbs,
    /// Control: LeRaC with the highest initial rate at the deepest layer.
    Reversed,
    /// Control: LeRaC with the initial rates assigned to the layers at random, by the seed.
    Shuffled,
    /// Control: every layer follows the mean of LeRaC's rates, which is a warm-up.
    Uniform,
    /// Control: LeRaC with linear growth.
    Linear,
    /// Control: LeRaC with logarithmic growth.
    Logarithmic,
}

impl Method {
    /// All methods.
    pub const ALL: [Self; 10] = [
        Self::Conventional,
        Self::Lerac,
        Self::LeracReference,
        Self::Cbs,
        Self::LeracCbs,
        Self::Reversed,
        Self::Shuffled,
        Self::Uniform,
        Self::Linear,
        Self::Logarithmic,
    ];

    /// Whether --k and --range apply.
    pub fn has_ramp(self) -> bool {
        !matches!(self, Self::Conventional | Self::LeracReference | Self::Cbs)
    }

    /// Whether rates grow during a curriculum. Other methods follow their schedule from the start.
    pub fn grows_rates(self) -> bool {
        !matches!(self, Self::Conventional | Self::Cbs)
    }

    /// Whether feature maps are blurred.
    pub fn has_blur(self) -> bool {
        matches!(self, Self::Cbs | Self::LeracCbs)
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Conventional => "conventional",
            Self::Lerac => "lerac",
            Self::LeracReference => "lerac-reference",
            Self::Cbs => "cbs",
            Self::LeracCbs => "lerac-cbs",
            Self::Reversed => "reversed",
            Self::Shuffled => "shuffled",
            Self::Uniform => "uniform",
            Self::Linear => "linear",
            Self::Logarithmic => "logarithmic",
        })
    }
}

/// Versions of LeRaC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The paper's Eq. 9: log-spaced initial rates, exponential growth until epoch k.
    Paper,
    /// The published code: each block starts a factor of ten lower; rates are multiplied by ten at
    /// intervals.
    Reference,
}

/// The training method, LeRaC and Curriculum by Smoothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CurriculumOptions {
    /// Training method
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "conventional", help_heading = "Training"))]
    pub method: Method,
    /// LeRaC after the paper or after the published code
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "paper", help_heading = "LeRaC"))]
    pub preset: Preset,
    /// Initial rates, first layer..last layer [default: eta..eta*1e-4]
    #[cfg_attr(feature = "cli", arg(long, allow_hyphen_values = true, help_heading = "LeRaC"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Epochs until all layers have the common rate [default: a fifth of the epochs]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "LeRaC"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<f64>,
    /// Effect of schedule and warm-up while rates grow [default: off; multiply with --preset
    /// reference]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "LeRaC"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_during_curriculum: Option<DuringCurriculum>,
    /// Parts of the model that have their own rate
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "module", help_heading = "LeRaC"))]
    pub granularity: Granularity,
    /// When rates change
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "step", help_heading = "LeRaC"))]
    pub pace: Pace,
    /// reference: where blocks start
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "resnet", help_heading = "LeRaC"))]
    pub ladder: Ladder,
    /// reference: no block starts much below this rate
    #[cfg_attr(feature = "cli", arg(long, default_value_t = CurriculumOptions::default().min_lr, help_heading = "LeRaC"))]
    pub min_lr: f64,
    /// reference: the classifier starts at eta times this
    #[cfg_attr(feature = "cli", arg(long, default_value_t = CurriculumOptions::default().clf, help_heading = "LeRaC"))]
    pub clf: f64,
    /// reference: a rate is multiplied by ten if the result is below this [default: 1.1 eta]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "LeRaC"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_lr: Option<f64>,
    /// reference: multiplications per epoch
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, default_value_t = 1, help_heading = "LeRaC"))]
    pub updates_per_epoch: u64,
    /// reference: rates grow until the epoch before this one, counted from 1 [default: to the end]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, help_heading = "LeRaC"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_update_epoch: Option<u64>,
    /// Standard deviation of the blur at the start, pixels
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 1.0, help_heading = "CBS"))]
    pub sigma: f64,
    /// Factor by which sigma is multiplied
    #[cfg_attr(feature = "cli", arg(long, default_value_t = CurriculumOptions::default().sigma_decay, help_heading = "CBS"))]
    pub sigma_decay: f64,
    /// Epochs between multiplications of sigma
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u64>, default_value_t = CurriculumOptions::default().sigma_every, help_heading = "CBS"))]
    pub sigma_every: u64,
}

impl Default for CurriculumOptions {
    fn default() -> Self {
        Self {
            method: Method::Conventional,
            preset: Preset::Paper,
            range: None,
            k: None,
            schedule_during_curriculum: None,
            granularity: Granularity::Module,
            pace: Pace::Step,
            ladder: Ladder::Resnet,
            min_lr: 1e-5,
            clf: 1e-3,
            stop_lr: None,
            updates_per_epoch: 1,
            stop_update_epoch: None,
            sigma: 1.0,
            sigma_decay: 0.9,
            sigma_every: 5,
        }
    }
}

impl CurriculumOptions {
    /// Checks the options that do not depend on other sections. [`super::Config::check`] checks
    /// those that depend on eta and the number of epochs.
    ///
    /// # Errors
    /// [`crate::error::Error::Setting`] with the option, the expected and the found value.
    pub fn check(&self) -> Result<()> {
        self.check_storable()?;
        let epoch = self.stop_update_epoch.unwrap_or(1);
        require("stop_update_epoch", epoch, epoch > 0, "at least 1")?;
        self.blur().map(drop)
    }

    pub(super) fn check_storable(&self) -> Result<()> {
        check_integers(&[
            ("updates_per_epoch", self.updates_per_epoch),
            ("stop_update_epoch", self.stop_update_epoch.unwrap_or(0)),
            ("sigma_every", self.sigma_every),
        ])
    }

    /// Whether the method is LeRaC with the version given by `preset`. False for the controls.
    pub(super) fn is_lerac(&self) -> bool {
        matches!(self.method, Method::Lerac | Method::LeracCbs)
    }

    /// The effect of schedule and warm-up while rates grow. If the option is not set: off as in the
    /// paper, or multiply where the published code is followed.
    pub fn during_curriculum(&self) -> DuringCurriculum {
        let published = self.preset == Preset::Reference || self.method == Method::LeracReference;
        let usual = if published { DuringCurriculum::Multiply } else { DuringCurriculum::Off };
        self.schedule_during_curriculum.unwrap_or(usual)
    }

    /// The blur of Curriculum by Smoothing.
    pub(super) fn blur(&self) -> Result<Cbs> {
        Cbs::new(self.sigma, self.sigma_decay, self.sigma_every)
    }
}
