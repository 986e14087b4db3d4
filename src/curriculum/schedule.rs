//! The common learning rate.

use super::{Plateau, PlateauState, Time};
use std::f64::consts::PI;

/// How the common rate changes, as a factor of eta; t in epochs.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// 1.
    Constant,
    /// gamma^(number of milestones at or before t).
    Step {
        /// Epochs.
        milestones: Vec<f64>,
        /// Factor at each.
        gamma: f64,
    },
    /// floor + (1 - floor) (1 + cos(pi t / epochs)) / 2: 1 at 0, the mean of 1 and floor halfway, floor from `epochs` on
    /// (Loshchilov & Hutter 2017, without restarts).
    Cosine {
        /// Epochs until the floor.
        epochs: f64,
        /// Last factor.
        floor: f64,
    },
    /// What the merit on the validation examples makes of it.
    Plateau(Plateau),
}

/// eta(t) = eta * shape(t) * min(1, (t + one step) / warm-up). All of it is known beforehand, but for a plateau.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The common rate that all layers share in the end.
    pub eta: f64,
    /// How it changes.
    pub shape: Shape,
    /// Epochs of linear growth from one step's share to 1; 0 for none.
    pub warmup_epochs: f64,
}

impl Schedule {
    /// eta(t).
    pub fn rate(&self, time: Time) -> f64 {
        let t = time.epochs();
        let shape = match &self.shape {
            Shape::Constant => 1.0,
            Shape::Plateau(plateau) => plateau.state.factor,
            Shape::Step { milestones, gamma } => {
                libm::pow(*gamma, milestones.iter().filter(|&&milestone| milestone <= t).count() as f64)
            }
            Shape::Cosine { epochs, floor } => {
                if t >= *epochs {
                    *floor
                } else {
                    floor + (1.0 - floor) * (1.0 + libm::cos(PI * t / epochs)) / 2.0
                }
            }
        };
        let next = Time { step: time.step + 1, ..time }.epochs();
        let warmup = if next < self.warmup_epochs { next / self.warmup_epochs } else { 1.0 };
        self.eta * shape * warmup
    }

    /// An epoch has ended with this merit on the validation examples, which matters to a plateau alone: their accuracy, or the negative of
    /// their error.
    pub fn observe_epoch(&mut self, merit: f64) {
        if let Shape::Plateau(plateau) = &mut self.shape {
            plateau.observe_epoch(merit, self.eta);
        }
    }

    /// What a plateau has seen so far.
    pub fn plateau(&self) -> Option<PlateauState> {
        match &self.shape {
            Shape::Plateau(plateau) => Some(plateau.state),
            _ => None,
        }
    }

    /// Goes on from what a plateau had seen.
    pub fn set_plateau(&mut self, state: PlateauState) {
        if let Shape::Plateau(plateau) = &mut self.shape {
            plateau.state = state;
        }
    }
}
