//! No device here: learning rates as pure functions of time, in f64, without a device.
//!
//! The learning rate of layer j at time t is eta(t) * factor_j(t). A [`Schedule`] defines the
//! common rate eta(t), a [`Curriculum`] the factor of each layer. Time is counted in fractional
//! epochs. Only a [`Plateau`] also depends on the validation scores.
//!
//! Powers, logarithms and cosines are those of the `libm` crate, so that rates are the same on
//! every platform.

mod cbs;
mod controls;
mod conventional;
mod paper;
mod plateau;
mod reference;
mod schedule;

pub use cbs::Cbs;
pub use controls::{Control, Growth};
pub use conventional::Conventional;
pub use paper::{Pace, Paper, Range};
pub use plateau::{Plateau, PlateauState};
pub use reference::{Ladder, Reference, ReferenceOptions};
pub use schedule::{DuringCurriculum, MomentumRise, Schedule, ScheduleShape, Warmup};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The learning rates that f32 holds with full precision.
pub const RATES: RangeInclusive<f64> = f32::MIN_POSITIVE as f64..=f32::MAX as f64;

/// Checks that f32 holds `rate`. An error names `field` and describes the rate as `description`.
///
/// # Errors
/// [`Error::Setting`] if it does not.
pub(crate) fn check_rate(field: &'static str, description: &str, rate: f64) -> Result<()> {
    let message = || format!("expected a positive {description} that f32 holds (1.2e-38 to 3.4e38), found {rate:?}");
    RATES.contains(&rate).then_some(()).ok_or_else(|| Error::setting(field, message()))
}

/// A layer as a model declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The name of its convolution or linear layer, as in a state dict.
    pub name: String,
    /// Distance from the input in modules, from 1. A module is a convolution or linear layer with
    /// its norm.
    pub depth: usize,
    /// Distance from the input in residual, dense or transformer blocks, from 1. A module outside
    /// of these counts as a block.
    pub block: usize,
}

/// The parts of a model whose learning rates differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// Each convolution or linear layer with its norm.
    #[default]
    Module,
    /// Each residual, dense or transformer block, as in the published code.
    Block,
}

/// The progress of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Steps done.
    pub step: u64,
    /// Steps in an epoch, at least 1.
    pub steps_per_epoch: u64,
}

impl Time {
    /// Fractional epochs done.
    pub fn epochs(self) -> f64 {
        self.step as f64 / self.steps_per_epoch as f64
    }

    /// Whole epochs done.
    pub fn whole_epochs(self) -> u64 {
        self.step / self.steps_per_epoch
    }
}

/// Learning rates and blur of each layer, as functions of time.
pub trait Curriculum: Send + Sync {
    /// The learning rate of layer `layer`, as a multiple of the common rate. `layer` is an index
    /// into the model's layers.
    fn factor(&self, time: Time, layer: usize) -> f64;

    /// Standard deviation in pixels of the blur after each convolution larger than 1x1; `None` for
    /// no blur.
    fn sigma(&self, _time: Time) -> Option<f64> {
        None
    }

    /// The epoch at which the growth of rates ends: from then on all factors are 1. 0 if they
    /// always are.
    fn grows_until(&self) -> f64 {
        0.0
    }
}

/// The learning rates of a curriculum with the blur of [`Cbs`].
pub struct Blurred {
    /// The learning rates.
    pub rates: Box<dyn Curriculum>,
    /// The blur.
    pub blur: Cbs,
}

impl Curriculum for Blurred {
    fn factor(&self, time: Time, layer: usize) -> f64 {
        self.rates.factor(time, layer)
    }

    fn sigma(&self, time: Time) -> Option<f64> {
        self.blur.sigma(time)
    }

    fn grows_until(&self) -> f64 {
        self.rates.grows_until()
    }
}

/// The depth of each layer, ranked 1, 2, ... without gaps. Layers of one depth share a learning
/// rate.
pub fn depths(layers: &[Layer], granularity: Granularity) -> Vec<usize> {
    let depth = |layer: &Layer| match granularity {
        Granularity::Module => layer.depth,
        Granularity::Block => layer.block,
    };
    let mut distinct: Vec<_> = layers.iter().map(depth).collect();
    distinct.sort_unstable();
    distinct.dedup();
    layers.iter().map(|layer| 1 + distinct.partition_point(|&d| d < depth(layer))).collect()
}

/// The learning rate of a layer at `time`, as a function of its index.
pub fn rate_of<'c>(curriculum: &'c dyn Curriculum, schedule: &Schedule, time: Time) -> impl Fn(usize) -> f64 + use<'c> {
    let common = schedule.rate(time, curriculum.grows_until());
    move |layer| common * curriculum.factor(time, layer)
}

/// The learning rate of a layer's biases at `time`, as a function of the layer's index. It differs
/// from [`rate_of`] in a warm-up of biases only.
pub fn bias_rate_of<'c>(
    curriculum: &'c dyn Curriculum,
    schedule: &Schedule,
    time: Time,
) -> impl Fn(usize) -> f64 + use<'c> {
    let common = schedule.bias_rate(time, curriculum.grows_until());
    move |layer| common * curriculum.factor(time, layer)
}

/// The learning rates of layers 0 to `layers` - 1 at `time`.
pub fn rates(
    curriculum: &dyn Curriculum,
    schedule: &Schedule,
    time: Time,
    layers: usize,
) -> impl ExactSizeIterator<Item = f64> {
    (0..layers).map(rate_of(curriculum, schedule, time))
}
