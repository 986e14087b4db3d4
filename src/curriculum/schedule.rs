//! The common learning rate.

use super::Time;
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
}

/// eta(t) = eta * shape(t) * min(1, (t + one step) / warm-up).
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
            Shape::Step { milestones, gamma } => {
                gamma.powi(milestones.iter().filter(|&&milestone| milestone <= t).count() as i32)
            }
            Shape::Cosine { epochs, floor } => {
                if t >= *epochs {
                    *floor
                } else {
                    floor + (1.0 - floor) * (1.0 + (PI * t / epochs).cos()) / 2.0
                }
            }
        };
        let next = Time { step: time.step + 1, ..time }.epochs();
        let warmup = if next < self.warmup_epochs { next / self.warmup_epochs } else { 1.0 };
        self.eta * shape * warmup
    }
}
