//! All options of a run, as the command line, a TOML file and `DIR/config.toml` hold them.

use crate::curriculum::{
    self, Blurred, Cbs, Control, Conventional, Curriculum, Granularity, Ladder, Layer, Pace, Paper, Plateau, Range,
    Reference, ReferenceOptions, Schedule,
};
use crate::data::{Augmentation, DataSet, Normalise, Source};
use crate::error::{Error, Result};
use crate::nn::NetOptions;
use crate::nn::objective::ObjectiveOptions;
use crate::ops::regression::Loss;
use crate::optim::{Rule, Settings};
use crate::tape::Choices;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::PathBuf;

/// Training methods, and the controls that LeRaC is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every layer at the common rate from the start.
    Conventional,
    /// Learning Rate Curriculum (Croitoru et al., IJCV 2024).
    Lerac,
    /// The same with --preset reference, whatever that option says: to compare both.
    LeracReference,
    /// Curriculum by Smoothing (Sinha et al., NeurIPS 2020).
    Cbs,
    /// Both at once.
    LeracCbs,
    /// Control: LeRaC with the deepest layer ahead.
    Reversed,
    /// Control: LeRaC with its initial rates dealt to the depths by the seed.
    Shuffled,
    /// Control: every layer follows LeRaC's mean ramp, a warm-up.
    Uniform,
    /// Control: LeRaC with linear growth.
    Linear,
    /// Control: LeRaC with logarithmic growth.
    Logarithmic,
}

impl Method {
    /// All of them.
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

    /// Whether --k and --range say how rates grow.
    pub fn has_ramp(self) -> bool {
        !matches!(self, Self::Conventional | Self::LeracReference | Self::Cbs)
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

/// Which LeRaC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The paper's Eq. 9: log-spaced initial rates, exponential growth until epoch k.
    Paper,
    /// What the published code does: a decade per block, multiplied by ten at intervals.
    Reference,
}

/// Shapes of the common rate over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// eta throughout.
    Constant,
    /// Times gamma at each milestone.
    Step,
    /// Half a cosine from eta to the final rate.
    Cosine,
    /// Times gamma whenever no epoch was better on the validation images for more than --patience epochs.
    Plateau,
}

/// All options of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Data set: shapes, fashion-mnist, mnist, cifar10, cifar100, cifar100-coarse, imagefolder, tiny-imagenet, food-101,
    /// utkface-gender or utkface-age
    #[cfg_attr(feature = "cli", arg(long, default_value = "shapes", help_heading = "Data"))]
    pub data: String,
    /// Directory that holds its files [default: LERAC_DATA, then the usual places]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Image folders: side of the square that images are brought to [default: 64]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// Image folders: shorter side of an image before it is cropped to that square [default: the same]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// imagefolder: use the classes alone that this file names, one directory a line
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_list: Option<PathBuf>,
    /// Image folders: decode every image once, into this file, and read it from then on
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Image folders: look at every image first, and leave bad ones out with a warning
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    pub skip_bad: bool,
    /// Mean and deviation that images are normalised by: 0.5 both, ImageNet's, or those of the training images
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "half", help_heading = "Data"))]
    pub normalise: Normalise,
    /// Train on this many images only, chosen by the seed [default: all]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_images: Option<usize>,
    /// Images held out of the training set to choose the epoch; 0 keeps the last epoch
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<usize>, default_value_t = Config::default().validation, help_heading = "Data"))]
    pub validation: usize,
    /// Flip half of the training images left to right
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    pub flip: bool,
    /// Shift training images by up to this many pixels each way
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::value_parser!(u8).range(..=127), default_value_t = 0, help_heading = "Data"))]
    pub shift: u8,
    /// Scale a random part of each training image to the whole, of this part of its area at least; 0.08 is usual
    #[cfg_attr(feature = "cli", arg(long, allow_negative_numbers = true, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_resized_crop: Option<f64>,
    /// Change brightness, contrast and saturation of training images by factors up to so far from 1: three numbers
    #[cfg_attr(feature = "cli", arg(long, value_delimiter = ',', allow_hyphen_values = true, help_heading = "Data"))]
    pub jitter: Vec<f64>,
    /// Cut a square of so many pixels out of training images
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, help_heading = "Data"))]
    pub cutout: u16,

    /// Model: cnn, lenet, resnet8, resnet20, resnet18, resnet18-imagenet, resnet34, resnet50, wide_resnet50_2, wide_resnet52-2,
    /// wide_resnet28-10, densenet121, vgg11_bn or mobilenet_v2; the last three with -imagenet behind them for large images
    #[cfg_attr(feature = "cli", arg(long, default_value = "cnn", help_heading = "Training"))]
    pub model: String,
    /// Start from these weights (safetensors, names as in a PyTorch state dict) instead of random ones
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Take from --init what fits by name and shape, and say what does not: to train another head
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Training"))]
    pub init_partial: bool,
    /// Training method
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "conventional", help_heading = "Training"))]
    pub method: Method,
    /// Epochs to train
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, default_value_t = Config::default().epochs, help_heading = "Training"))]
    pub epochs: u64,
    /// Images per step
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<usize>, default_value_t = Config::default().batch_size, help_heading = "Training"))]
    pub batch_size: usize,
    /// Images computed at a time, for devices with little memory; divides the batch. Their gradients are added up, so that a step is the
    /// same but for batch norm, which sees these images alone [default: the batch]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<usize>, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_batch: Option<usize>,
    /// Seed of initial weights, split, batch order, augmentation and dropout
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, default_value_t = 0, help_heading = "Training"))]
    pub seed: u64,
    /// Steps between readings of the loss and of how well training images are predicted
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, default_value_t = Config::default().log_every, help_heading = "Training"))]
    pub log_every: u64,
    /// Steps between measurements of each layer's gradient signal-to-noise ratio; 0 for none
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, default_value_t = 0, help_heading = "Training"))]
    pub snr_every: u64,
    /// Batches that such a measurement takes
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, default_value_t = Config::default().snr_batches, help_heading = "Training"))]
    pub snr_batches: u64,

    /// Common learning rate
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().eta, help_heading = "Optimiser"))]
    pub eta: f64,
    /// Optimiser: sgd, adam, adamw or adamax
    #[cfg_attr(feature = "cli", arg(long, default_value = "sgd", help_heading = "Optimiser"))]
    pub optimizer: String,
    /// Momentum of sgd
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().momentum, help_heading = "Optimiser"))]
    pub momentum: f64,
    /// Nesterov momentum for sgd
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Optimiser"))]
    pub nesterov: bool,
    /// Weight decay
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().weight_decay, help_heading = "Optimiser"))]
    pub weight_decay: f64,
    /// No weight decay on biases and on the parameters of norms
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Optimiser"))]
    pub spare_norm_and_bias: bool,
    /// Scale gradients down to this global norm [default: never]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// utkface-age: loss of the predicted age [default: l1]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Optimiser"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// Label smoothing of the loss
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, help_heading = "Optimiser"))]
    pub label_smoothing: f64,
    /// Mix images and labels in pairs (mixup), in parts from Beta(MIXUP, MIXUP); 0.2 to 1 are usual
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Training"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mixup: Option<f64>,
    /// Shape of the common rate
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "constant", help_heading = "Optimiser"))]
    pub schedule: ScheduleKind,
    /// Epochs at which the step schedule multiplies by gamma
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_hyphen_values = true, value_delimiter = ',', help_heading = "Optimiser")
    )]
    pub milestones: Vec<f64>,
    /// Factor of the step and plateau schedules
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().gamma, help_heading = "Optimiser"))]
    pub gamma: f64,
    /// Epochs without a better one on the validation images that the plateau schedule waits
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().patience, value_parser = whole::<u64>, help_heading = "Optimiser"))]
    pub patience: u64,
    /// Where the cosine schedule ends, and how low a plateau goes
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, help_heading = "Optimiser"))]
    pub final_rate: f64,
    /// Epochs over which the common rate first grows from 0
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, help_heading = "Optimiser"))]
    pub warmup_epochs: f64,

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
    /// What has a rate of its own
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "module", help_heading = "LeRaC"))]
    pub granularity: Granularity,
    /// When rates change
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "step", help_heading = "LeRaC"))]
    pub pace: Pace,
    /// reference: where blocks start
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "resnet", help_heading = "LeRaC"))]
    pub ladder: Ladder,
    /// reference: no block starts far below this rate
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().min_lr, help_heading = "LeRaC"))]
    pub min_lr: f64,
    /// reference: the classifier starts at eta times this
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().clf, help_heading = "LeRaC"))]
    pub clf: f64,
    /// reference: a rate is multiplied by ten while the result stays below this [default: 1.1 eta]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "LeRaC"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_lr: Option<f64>,
    /// reference: multiplications per epoch
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, default_value_t = 1, help_heading = "LeRaC"))]
    pub updates_per_epoch: u64,
    /// reference: rates grow until the epoch before this one, counted from 1 [default: to the end]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, help_heading = "LeRaC"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_update_epoch: Option<u64>,

    /// Standard deviation of the blur at the start, pixels
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 1.0, help_heading = "CBS"))]
    pub sigma: f64,
    /// Factor of sigma
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Config::default().sigma_decay, help_heading = "CBS"))]
    pub sigma_decay: f64,
    /// Epochs between multiplications of sigma
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole::<u64>, default_value_t = Config::default().sigma_every, help_heading = "CBS"))]
    pub sigma_every: u64,

    /// Kernels other than the usual ones, as `lerac tune` found them; a part of the options, since they add in another order.
    #[cfg_attr(feature = "cli", arg(skip))]
    #[serde(skip_serializing_if = "Choices::is_empty")]
    pub kernels: Choices,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "shapes".into(),
            data_dir: None,
            image_size: None,
            resize: None,
            class_list: None,
            cache: None,
            skip_bad: false,
            normalise: Normalise::Half,
            train_images: None,
            validation: 1000,
            flip: false,
            shift: 0,
            random_resized_crop: None,
            jitter: vec![],
            cutout: 0,
            model: "cnn".into(),
            init: None,
            init_partial: false,
            method: Method::Conventional,
            epochs: 5,
            batch_size: 64,
            micro_batch: None,
            seed: 0,
            log_every: 20,
            snr_every: 0,
            snr_batches: 8,
            eta: 0.1,
            optimizer: "sgd".into(),
            momentum: 0.9,
            nesterov: false,
            weight_decay: 1e-4,
            spare_norm_and_bias: false,
            clip_norm: None,
            loss: None,
            label_smoothing: 0.0,
            mixup: None,
            schedule: ScheduleKind::Constant,
            milestones: vec![],
            gamma: 0.1,
            patience: 10,
            final_rate: 0.0,
            warmup_epochs: 0.0,
            preset: Preset::Paper,
            range: None,
            k: None,
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
            kernels: Choices::default(),
        }
    }
}

/// A whole number of the command line; the fault says what is expected, also behind a minus or of too many digits.
#[cfg(feature = "cli")]
pub(crate) fn whole<T: TryFrom<i64>>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number: &i64| *number >= 0).and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("expected a whole number from 0 to {}", i64::MAX))
}

/// Whether `value` is one that `option` can have.
fn require(option: &str, value: impl Display, within: bool, expected: &str) -> Result<()> {
    match within {
        true => Ok(()),
        false => Err(Error::option(option, format!("expected {expected}, found {value}"))),
    }
}

fn is_positive(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

impl Config {
    /// Checks every option that can be checked without data and device, also those that the method does not use.
    ///
    /// # Errors
    /// [`Error::Option`] naming the option, what was expected and what was found.
    pub fn check(&self) -> Result<()> {
        self.check_storable()?;
        drop(crate::nn::named(&self.model)?);
        self.settings()?;
        if self.init_partial && self.init.is_none() {
            return Err(Error::option("--init-partial", "needs --init FILE"));
        }
        self.check_counts()?;
        self.check_augmentation()?;
        self.check_goal()?;
        curriculum::check_rate("--eta", self.eta)?;
        let decays = self.weight_decay >= 0.0 && self.weight_decay.is_finite();
        require("--weight-decay", self.weight_decay, decays, "0 or more")?;
        require("--momentum", self.momentum, (0.0..1.0).contains(&self.momentum), "0 <= momentum < 1")?;
        let alpha = self.mixup.unwrap_or(1.0);
        require("--mixup", alpha, (1e-3..=1e3).contains(&alpha), "0.001 to 1000")?;
        let smoothing = self.label_smoothing;
        require("--label-smoothing", smoothing, (0.0..1.0).contains(&smoothing), "0 <= smoothing < 1")?;
        let clip = self.clip_norm.unwrap_or(1.0);
        require(
            "--clip-norm",
            clip,
            curriculum::RATES.contains(&clip),
            "a positive norm that f32 holds (1.2e-38 to 3.4e38)",
        )?;
        // Without layers, curricula check their options alone.
        self.paper(&[])?;
        self.reference(&[])?;
        self.blur()?;
        if self.method.has_ramp() && (self.preset == Preset::Paper || !self.is_lerac()) {
            let (k, epochs) = (self.k(), self.epochs as f64);
            if k > epochs {
                let message =
                    format!("{k} epochs of curriculum do not fit --epochs {epochs}; --k {epochs} or less does");
                return Err(Error::option("--k", message));
            }
        }
        if self.schedule == ScheduleKind::Plateau && self.validation == 0 {
            let message = "plateau follows the validation images, which --validation 0 does without";
            return Err(Error::option("--schedule", message));
        }
        self.common_rate().map(drop)
    }

    fn check_counts(&self) -> Result<()> {
        for (option, count) in [
            ("--train-images", self.train_images.unwrap_or(1) as u64),
            ("--epochs", self.epochs),
            ("--log-every", self.log_every),
            ("--stop-update-epoch", self.stop_update_epoch.unwrap_or(1)),
        ] {
            require(option, count, count > 0, "at least 1")?;
        }
        require("--batch-size", self.batch_size, (1..1 << 24).contains(&self.batch_size), "1 to 16777215")?;
        if let Some(micro) = self.micro_batch {
            let divides = micro > 0 && self.batch_size.is_multiple_of(micro);
            let wanted = format!("a divisor of the batch size, {}", self.batch_size);
            require("--micro-batch", micro, divides, &wanted)?;
            if self.mixup.is_some() && micro < self.batch_size {
                require("--micro-batch", micro, micro.is_multiple_of(2), "an even number, since --mixup makes pairs")?;
            }
        }
        require("--snr-batches", self.snr_batches, (2..=1024).contains(&self.snr_batches), "2 to 1024")?;
        require("--shift", self.shift, self.shift <= 127, "at most 127 pixels")
    }

    /// Classes and ages have options of their own.
    fn check_goal(&self) -> Result<()> {
        let of_ages = [("--loss", self.loss.is_some())];
        let of_classes = [("--label-smoothing", self.label_smoothing != 0.0), ("--mixup", self.mixup.is_some())];
        let of_numbers = DataSet::named(&self.data).is_ok_and(|set| set.of_numbers);
        let (idle, goal) = match of_numbers {
            true => (&of_classes[..], "classes"),
            false => (&of_ages[..], "ages"),
        };
        match idle.iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(Error::option(*option, format!("is for {goal}, which {} has not; leave it out", self.data)))
            }
            None => Ok(()),
        }
    }

    fn check_augmentation(&self) -> Result<()> {
        let least = self.random_resized_crop.unwrap_or(1.0);
        require("--random-resized-crop", least, least > 0.0 && least <= 1.0, "more than 0 and at most 1")?;
        if !matches!(self.jitter.len(), 0 | 3) {
            let message = format!("expected BRIGHTNESS,CONTRAST,SATURATION, found {} numbers", self.jitter.len());
            return Err(Error::option("--jitter", message));
        }
        for &strength in &self.jitter {
            require("--jitter", strength, (0.0..=1.0).contains(&strength), "numbers from 0 to 1")?;
        }
        require("--cutout", self.cutout, self.cutout <= 1024, "at most 1024 pixels")
    }

    /// Whether the options can be written as TOML, whose whole numbers are signed and whose text is UTF-8.
    ///
    /// # Errors
    /// [`Error::Option`] naming one that cannot.
    pub fn check_storable(&self) -> Result<()> {
        let numbers = [
            ("--seed", self.seed),
            ("--batch-size", self.batch_size as u64),
            ("--validation", self.validation as u64),
            ("--train-images", self.train_images.unwrap_or(0) as u64),
            ("--image-size", self.image_size.unwrap_or(0) as u64),
            ("--resize", self.resize.unwrap_or(0) as u64),
            ("--snr-batches", self.snr_batches),
            ("--epochs", self.epochs),
            ("--log-every", self.log_every),
            ("--snr-every", self.snr_every),
            ("--patience", self.patience),
            ("--updates-per-epoch", self.updates_per_epoch),
            ("--stop-update-epoch", self.stop_update_epoch.unwrap_or(0)),
            ("--sigma-every", self.sigma_every),
        ];
        if let Some((option, value)) = numbers.into_iter().find(|&(_, value)| i64::try_from(value).is_err()) {
            return Err(Error::option(option, format!("expected at most {}, found {value}", i64::MAX)));
        }
        let paths = [
            ("--data-dir", &self.data_dir),
            ("--class-list", &self.class_list),
            ("--cache", &self.cache),
            ("--init", &self.init),
        ];
        for (option, path) in paths {
            if path.as_ref().is_some_and(|path| path.to_str().is_none()) {
                return Err(Error::option(option, "expected a path in UTF-8"));
            }
        }
        Ok(())
    }

    /// Examples computed at a time: the option, or the batch.
    pub fn micro_batch_size(&self) -> usize {
        self.micro_batch.unwrap_or(self.batch_size)
    }

    /// Epochs of curriculum: the option, or a fifth of all epochs.
    pub fn k(&self) -> f64 {
        self.k.unwrap_or(self.epochs as f64 / 5.0)
    }

    /// The optimiser's settings.
    ///
    /// # Errors
    /// [`Error::Option`] for an unknown optimiser.
    pub fn settings(&self) -> Result<Settings> {
        let mut rule = Rule::named(&self.optimizer)?;
        if let Rule::Sgd { momentum, nesterov } = &mut rule {
            (*momentum, *nesterov) = (self.momentum, self.nesterov);
        }
        Ok(Settings {
            rule,
            weight_decay: self.weight_decay,
            spare_norm_and_bias: self.spare_norm_and_bias,
            clip_norm: self.clip_norm,
            layer_norms: true,
        })
    }

    /// The common rate over time.
    ///
    /// # Errors
    /// [`Error::Option`] for impossible milestones, factors or rates.
    pub fn common_rate(&self) -> Result<Schedule> {
        let (eta, last, gamma) = (self.eta, self.final_rate, self.gamma);
        let within = last == 0.0 || (curriculum::RATES.contains(&last) && last <= eta);
        require("--final-rate", last, within, "0, or a learning rate up to eta")?;
        require("--gamma", gamma, is_positive(gamma), "a positive factor")?;
        let warms = self.warmup_epochs >= 0.0 && self.warmup_epochs.is_finite();
        require("--warmup-epochs", self.warmup_epochs, warms, "0 or more epochs")?;
        let mut before = 0.0;
        for &milestone in &self.milestones {
            let within = milestone > before && milestone.is_finite();
            require("--milestones", milestone, within, "epochs above 0 in ascending order")?;
            before = milestone;
        }
        let shape = match self.schedule {
            ScheduleKind::Constant => curriculum::Shape::Constant,
            ScheduleKind::Step if self.milestones.is_empty() => {
                let message = "the step schedule needs the epochs at which the rate falls, e.g. --milestones 30,60";
                return Err(Error::option("--milestones", message));
            }
            ScheduleKind::Step => {
                let end = eta * libm::pow(gamma, self.milestones.len() as f64);
                curriculum::check_rate("--gamma, as the rate behind the last milestone", end)?;
                curriculum::Shape::Step { milestones: self.milestones.clone(), gamma }
            }
            ScheduleKind::Cosine => curriculum::Shape::Cosine { epochs: self.epochs as f64, floor: last / eta },
            ScheduleKind::Plateau => {
                require("--gamma", gamma, gamma < 1.0, "a factor below 1 with --schedule plateau")?;
                curriculum::Shape::Plateau(Plateau::new(gamma, self.patience, last))
            }
        };
        Ok(Schedule { eta: self.eta, shape, warmup_epochs: self.warmup_epochs })
    }

    /// LeRaC itself, not one of its controls.
    fn is_lerac(&self) -> bool {
        matches!(self.method, Method::Lerac | Method::LeracCbs)
    }

    /// The curriculum of a model with these layers.
    ///
    /// # Errors
    /// [`Error::Option`] for rates that are not positive or a range the wrong way round.
    pub fn curriculum(&self, layers: &[Layer]) -> Result<Box<dyn Curriculum>> {
        Ok(match self.method {
            Method::Conventional => Box::new(Conventional),
            Method::Cbs => Box::new(self.blur()?),
            Method::Lerac => self.lerac(self.preset, layers)?,
            Method::LeracReference => self.lerac(Preset::Reference, layers)?,
            Method::LeracCbs => Box::new(Blurred { rates: self.lerac(self.preset, layers)?, blur: self.blur()? }),
            Method::Reversed => Box::new(self.paper(layers)?.control(Control::Reversed)),
            Method::Shuffled => Box::new(self.paper(layers)?.control(Control::Shuffled(self.seed))),
            Method::Uniform => Box::new(self.paper(layers)?.control(Control::Uniform)),
            Method::Linear => Box::new(self.paper(layers)?.control(Control::Linear)),
            Method::Logarithmic => Box::new(self.paper(layers)?.control(Control::Logarithmic)),
        })
    }

    fn lerac(&self, preset: Preset, layers: &[Layer]) -> Result<Box<dyn Curriculum>> {
        match preset {
            Preset::Paper => Ok(Box::new(self.paper(layers)?)),
            Preset::Reference => Ok(Box::new(self.reference(layers)?)),
        }
    }

    fn blur(&self) -> Result<Cbs> {
        Cbs::new(self.sigma, self.sigma_decay, self.sigma_every)
    }

    fn reference(&self, layers: &[Layer]) -> Result<Reference> {
        let options = ReferenceOptions {
            ladder: self.ladder,
            eta: self.eta,
            min_lr: self.min_lr,
            clf: self.clf,
            stop_lr: self.stop_lr.unwrap_or((1.1 * self.eta).min(f32::MAX.into())),
            updates_per_epoch: self.updates_per_epoch,
            stop_update_epoch: self.stop_update_epoch.unwrap_or(u64::MAX),
        };
        Reference::new(options, &curriculum::depths(layers, Granularity::Block))
    }

    fn paper(&self, layers: &[Layer]) -> Result<Paper> {
        let last = (self.eta * 1e-4).max(f32::MIN_POSITIVE.into());
        let range = self.range.unwrap_or(Range { first: self.eta, last });
        Paper::new(self.eta, range, self.k(), &curriculum::depths(layers, self.granularity), self.pace)
    }

    /// What method and mixup ask of the model.
    pub fn net_options(&self) -> NetOptions {
        NetOptions { blur: self.method.has_blur(), mixup: self.mixup.is_some() }
    }

    /// Whether all epochs have one blur, since they are over before it would fade.
    pub fn blur_stays(&self) -> bool {
        self.method.has_blur() && self.sigma_every >= self.epochs
    }

    /// Which data set, and how its files are read.
    pub fn source(&self) -> Source<'_> {
        Source {
            name: &self.data,
            dir: self.data_dir.as_deref(),
            normalise: self.normalise,
            image_size: self.image_size,
            resize: self.resize,
            class_list: self.class_list.as_deref(),
            cache: self.cache.as_deref(),
            skip_bad: self.skip_bad,
            augmentation: self.augmentation(),
        }
    }

    /// The options of the objective.
    pub fn objective(&self) -> ObjectiveOptions {
        ObjectiveOptions { label_smoothing: self.label_smoothing, loss: self.loss }
    }

    /// How training images are varied.
    pub fn augmentation(&self) -> Augmentation {
        Augmentation {
            flip: self.flip,
            shift: self.shift,
            random_resized_crop: self.random_resized_crop,
            jitter: std::array::from_fn(|i| self.jitter.get(i).map_or(0.0, |&strength| strength as f32)),
            cutout: self.cutout,
        }
    }
}
