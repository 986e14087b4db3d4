//! The common learning rate.

use super::{Plateau, PlateauState, Time};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How the common rate changes, as a factor of eta; t in epochs.
#[derive(Clone, Debug, PartialEq)]
pub enum ScheduleShape {
    /// 1.
    Constant,
    /// gamma^(number of milestones at or before t).
    Step {
        /// Epochs.
        milestones: Vec<f64>,
        /// Factor at each.
        gamma: f64,
    },
    /// floor + (1 - floor) (1 + cos(pi u)) / 2, where u goes from 0 at the schedule's start to 1 at `epochs`: 1 at the start, the mean
    /// of 1 and floor halfway, floor from `epochs` on (Loshchilov & Hutter 2017, without restarts).
    Cosine {
        /// The epoch of the floor.
        epochs: f64,
        /// Last factor.
        floor: f64,
    },
    /// What the score on the validation examples makes of it.
    Plateau(Plateau),
}

/// What schedule and warm-up do while a curriculum lets rates grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum DuringCurriculum {
    /// Nothing, as in the paper: the common rate is eta until all layers have it. No warm-up follows.
    Off,
    /// They multiply the rates from the first step on, as in the published code.
    Multiply,
}

/// eta(t) = eta * shape(t) * min(1, (t + one step) / warm-up). All of it is known beforehand, but for a plateau.
///
/// Where it is [`DuringCurriculum::Off`] and rates grow until epoch k, eta(t) is eta before k, and from k on
/// eta * shape(t), without warm-up: milestones count from epoch 0, so that those before k act at k; a cosine
/// starts at k; a plateau observes the epochs that begin at k or later. Without growth, k is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The common rate that all layers share in the end.
    pub eta: f64,
    /// How it changes.
    pub shape: ScheduleShape,
    /// Epochs of linear growth from one step's share to 1; 0 for none.
    pub warmup_epochs: f64,
    /// What it does while rates grow.
    pub during_curriculum: DuringCurriculum,
}

impl Schedule {
    /// The epoch at which the schedule starts, where rates grow until epoch `grows_until`.
    fn start(&self, grows_until: f64) -> f64 {
        match self.during_curriculum {
            DuringCurriculum::Off => grows_until,
            DuringCurriculum::Multiply => 0.0,
        }
    }

    /// eta(t) beside a curriculum that lets rates grow until epoch `grows_until`.
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
            ScheduleShape::Cosine { epochs, floor } => {
                if t >= *epochs {
                    *floor
                } else {
                    floor + (1.0 - floor) * (1.0 + libm::cos(PI * (t - start) / (epochs - start))) / 2.0
                }
            }
        };
        let next = Time { step: time.step + 1, ..time }.epochs();
        let warms = start == 0.0 && next < self.warmup_epochs;
        let warmup = if warms { next / self.warmup_epochs } else { 1.0 };
        self.eta * shape * warmup
    }

    /// An epoch has ended at `time` with this score on the validation examples, which matters to a plateau alone:
    /// their accuracy, or the negative of their error. An epoch that began while rates grew, until epoch
    /// `grows_until`, does not count where the schedule is off then.
    pub fn observe_epoch(&mut self, time: Time, grows_until: f64, score: f64) {
        let began = time.epochs() - 1.0;
        if began < self.start(grows_until) {
            return;
        }
        if let ScheduleShape::Plateau(plateau) = &mut self.shape {
            plateau.observe_epoch(score, self.eta);
        }
    }

    /// What a plateau has seen so far.
    pub fn plateau(&self) -> Option<PlateauState> {
        match &self.shape {
            ScheduleShape::Plateau(plateau) => Some(plateau.state),
            _ => None,
        }
    }

    /// Goes on from what a plateau had seen.
    pub fn set_plateau(&mut self, state: PlateauState) {
        if let ScheduleShape::Plateau(plateau) = &mut self.shape {
            plateau.state = state;
        }
    }
}
