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

/// The common learning rate: eta(t) = eta * shape(t) * min(1, (t + one step) / warm-up). Except for
/// a plateau, it is a pure function of time.
///
/// With [`DuringCurriculum::Off`] and a curriculum whose rates grow until epoch k, eta(t) is eta
/// until k, and eta * shape(t) without warm-up from k on. Milestones count from epoch 0: those
/// earlier than k act at k. A cosine starts at k. A plateau observes the epochs that begin at k or
/// later. k is 0 if no rates grow.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The base learning rate.
    pub eta: f64,
    /// The factor of the learning rate over time.
    pub shape: ScheduleShape,
    /// Epochs of linear warm-up; 0 for none.
    pub warmup_epochs: f64,
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
