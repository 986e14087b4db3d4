//! Schedules of the common learning rate.

use super::{Plateau, PlateauState, Time};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The common learning rate as a factor of eta; t is the time in epochs.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleShape {
    /// 1.
    Constant,
    /// gamma^(number of milestones at or before t).
    Step {
        /// Epochs at which the rate falls.
        milestones: Vec<f64>,
        /// Factor at each milestone.
        gamma: f64,
    },
    /// Cosine annealing without restarts (Loshchilov & Hutter 2017):
    /// floor + (1 - floor) (1 + cos(pi u)) / 2, where u goes from 0 at the schedule's start to 1 at
    /// `epochs`. From `epochs` on it is floor.
    Cosine {
        /// The epoch at which the factor reaches `floor`.
        epochs: f64,
        /// The last factor.
        floor: f64,
    },
    /// floor + (1 - floor) (1 - u), with u as in [`ScheduleShape::Cosine`].
    Linear {
        /// The epoch at which the factor reaches `floor`.
        epochs: f64,
        /// The last factor.
        floor: f64,
    },
    /// Depends on the validation score.
    Plateau(Plateau),
}

/// Whether schedule and warm-up act while rates grow in a curriculum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum DuringCurriculum {
    /// They do not, as in the paper: the common rate is eta until all layers have reached it. No
    /// warm-up follows.
    Off,
    /// Rates are multiplied by their factors from the first step on, as in the published code.
    Multiply,
}

/// A linear warm-up. Its progress w is (t + one step) / length, at most 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Warmup {
    /// The length in epochs, unless `steps` are more.
    pub epochs: f64,
    /// The length in steps, unless `epochs` are more. If both are 0, there is no warm-up.
    pub steps: u64,
    /// The rate that biases fall from; `None` if they rise from 0 as all other parameters.
    pub bias_rate: Option<f64>,
    /// The rise of the momentum, for SGD only; `None` if it is constant.
    pub momentum: Option<MomentumRise>,
}

/// A momentum that rises from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MomentumRise {
    /// At the start.
    pub from: f64,
    /// From the end of the warm-up on.
    pub to: f64,
}

/// The common learning rate: eta(t) = eta * shape(t) * w(t), with the progress w of the warm-up.
/// Except for a plateau, it is a pure function of time. The rate of biases is
/// eta(t) + bias_rate (1 - w(t)), and the momentum is from (1 - w(t)) + to w(t), as in YOLOv5.
///
/// With [`DuringCurriculum::Off`] and a curriculum whose rates grow until epoch k, eta(t) is eta
/// until k, and eta * shape(t) without warm-up from k on. Milestones count from epoch 0: those
/// earlier than k act at k. A cosine and a linear shape start at k. A plateau observes the epochs
/// that begin at k or later. k is 0 if no rates grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The base learning rate.
    pub eta: f64,
    /// The factor of the learning rate over time.
    pub shape: ScheduleShape,
    /// The warm-up.
    pub warmup: Warmup,
    /// Whether shape and warm-up act while rates grow in a curriculum.
    pub during_curriculum: DuringCurriculum,
}

impl Schedule {
    /// The epoch at which the schedule starts, if rates grow until epoch `grows_until`.
    fn start(&self, grows_until: f64) -> f64 {
        match self.during_curriculum {
            DuringCurriculum::Off => grows_until,
            DuringCurriculum::Multiply => 0.0,
        }
    }

    /// eta(t) with a curriculum whose rates grow until epoch `grows_until`.
    pub fn rate(&self, time: Time, grows_until: f64) -> f64 {
        let (t, start) = (time.epochs(), self.start(grows_until));
        if t < start {
            return self.eta;
        }
        let shape = match &self.shape {
            ScheduleShape::Constant => 1.0,
            ScheduleShape::Plateau(plateau) => plateau.state.factor,
            ScheduleShape::Step { milestones, gamma } => {
                libm::pow(*gamma, milestones.iter().filter(|&&milestone| milestone <= t).count() as f64)
            }
            ScheduleShape::Cosine { epochs, floor } | ScheduleShape::Linear { epochs, floor } if t >= *epochs => *floor,
            ScheduleShape::Cosine { epochs, floor } => {
                floor + (1.0 - floor) * (1.0 + libm::cos(PI * (t - start) / (epochs - start))) / 2.0
            }
            ScheduleShape::Linear { epochs, floor } => floor + (1.0 - floor) * (epochs - t) / (epochs - start),
        };
        self.eta * shape * self.warmed(time, grows_until)
    }

    /// The progress of the warm-up, from 0 to 1. There is none after a curriculum.
    fn warmed(&self, time: Time, grows_until: f64) -> f64 {
        let next = Time { step: time.step + 1, ..time }.epochs();
        let length = self.warmup.epochs.max(Time { step: self.warmup.steps, ..time }.epochs());
        let warms = self.start(grows_until) == 0.0 && next < length;
        if warms { next / length } else { 1.0 }
    }

    /// The rate of biases, where [`Schedule::rate`] is that of all other parameters.
    pub fn bias_rate(&self, time: Time, grows_until: f64) -> f64 {
        let rate = self.rate(time, grows_until);
        self.warmup.bias_rate.map_or(rate, |first| rate + first * (1.0 - self.warmed(time, grows_until)))
    }

    /// The momentum; `None` if the warm-up does not change it.
    pub fn momentum(&self, time: Time, grows_until: f64) -> Option<f64> {
        let MomentumRise { from, to } = self.warmup.momentum?;
        let warmed = self.warmed(time, grows_until);
        Some(from * (1.0 - warmed) + to * warmed)
    }

    /// Updates a plateau at the end of an epoch. Other shapes do not depend on scores.
    ///
    /// `time` is the end of the epoch, and `score` the validation accuracy or the negative
    /// validation error. With [`DuringCurriculum::Off`], epochs that began before `grows_until` are
    /// ignored.
    pub fn observe_epoch(&mut self, time: Time, grows_until: f64, score: f64) {
        let began = time.epochs() - 1.0;
        if began < self.start(grows_until) {
            return;
        }
        if let ScheduleShape::Plateau(plateau) = &mut self.shape {
            plateau.observe_epoch(score, self.eta);
        }
    }

    /// The state of the plateau; `None` for other shapes.
    pub fn plateau(&self) -> Option<PlateauState> {
        match &self.shape {
            ScheduleShape::Plateau(plateau) => Some(plateau.state),
            _ => None,
        }
    }

    /// Restores the state of the plateau. Other shapes ignore it.
    pub fn set_plateau(&mut self, state: PlateauState) {
        if let ScheduleShape::Plateau(plateau) = &mut self.shape {
            plateau.state = state;
        }
    }
}
