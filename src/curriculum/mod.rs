//! Beside the tower: learning rates as pure functions of time, in f64, without a device.
//!
//! The rate of layer j at time t is eta(t) * factor_j(t): a [`Schedule`] gives the common rate eta(t), a [`Curriculum`] the
//! layer's own factor. Time is counted in fractional epochs. A plateau alone also depends on how training does. Powers, logarithms
//! and cosines are those of the `libm` crate, so that rates are the same on every platform.

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
pub use schedule::{DuringCurriculum, Schedule, ScheduleShape};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// The learning rates that a device can hold with full precision: those of f32.
pub const RATES: RangeInclusive<f64> = f32::MIN_POSITIVE as f64..=f32::MAX as f64;

/// Whether the device can hold `rate`, which `field` asks for as `what`.
///
/// # Errors
/// [`Error::Setting`] where it cannot.
pub(crate) fn check_rate(field: &'static str, what: &str, rate: f64) -> Result<()> {
    let message = || format!("expected a positive {what} that f32 holds (1.2e-38 to 3.4e38), found {rate:?}");
    RATES.contains(&rate).then_some(()).ok_or_else(|| Error::setting(field, message()))
}

/// A layer as a model declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The name of its convolution or linear map, as in a state dict.
    pub name: String,
    /// Distance from the input in modules (a convolution or linear map with its norm), from 1.
    pub depth: usize,
    /// Distance from the input in blocks (residual, dense or transformer blocks; what stands outside one is its own), from 1.
    pub block: usize,
}

/// What has a learning rate of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// Each convolution or linear map with its norm.
    #[default]
    Module,
    /// Each residual, dense or transformer block: the published code's choice.
    Block,
}

/// Where training stands.
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

/// A way to set layers' learning rates apart, and to smooth what they see.
pub trait Curriculum: Send + Sync {
    /// What the rate of layer `layer` (an index into the layers that it was made for) is, as a multiple of the common rate.
    fn factor(&self, time: Time, layer: usize) -> f64;

    /// Standard deviation of the blur after each convolution larger than 1x1, pixels; `None` where nothing is blurred.
    fn sigma(&self, _time: Time) -> Option<f64> {
        None
    }

    /// The epoch until which it lets rates grow: from then on all factors are 1. 0 where none ever differs.
    fn grows_until(&self) -> f64 {
        0.0
    }
}

/// The rates of one curriculum under the blur of another.
pub struct Blurred {
    /// Sets the rates.
    pub rates: Box<dyn Curriculum>,
    /// Sets the blur.
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

/// The depth of each layer, ranked 1, 2, ... without gaps; layers of one depth share a rate.
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

/// The learning rate of a layer, by its position.
pub fn rate_of<'c>(curriculum: &'c dyn Curriculum, schedule: &Schedule, time: Time) -> impl Fn(usize) -> f64 + use<'c> {
    let common = schedule.rate(time, curriculum.grows_until());
    move |layer| common * curriculum.factor(time, layer)
}

/// The learning rate of each of `layers` layers.
pub fn rates(
    curriculum: &dyn Curriculum,
    schedule: &Schedule,
    time: Time,
    layers: usize,
) -> impl ExactSizeIterator<Item = f64> {
    (0..layers).map(rate_of(curriculum, schedule, time))
}
