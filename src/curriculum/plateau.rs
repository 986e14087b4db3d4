//! A rate that falls where training no longer gets better on the validation examples.

use serde::{Deserialize, Serialize};

/// A better epoch has a score above the best so far by this part of it.
const THRESHOLD: f64 = 1e-4;

/// Changes of the rate up to this are not made.
const LEAST_CHANGE: f64 = 1e-8;

/// PyTorch's `ReduceLROnPlateau` with its defaults, in mode `max` for an accuracy, in mode `min` for an error, whose negative is its
/// score: after more than `patience` epochs in a row that are not better than the best so far, the rate is multiplied by `gamma`, but
/// goes no lower than `floor`, and the count begins anew, without a cooldown.
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    gamma: f64,
    patience: u64,
    floor: f64,
    pub(super) state: PlateauState,
}

/// What a plateau has seen, and made of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    /// The rate, as a factor of eta.
    pub factor: f64,
    /// The best score; none before the first epoch has ended.
    pub best: Option<f64>,
    /// Epochs since then, or since the rate fell.
    pub bad_epochs: u64,
}

impl Plateau {
    /// Before the first epoch; `floor` is a learning rate.
    pub fn new(gamma: f64, patience: u64, floor: f64) -> Self {
        Self { gamma, patience, floor, state: PlateauState { factor: 1.0, best: None, bad_epochs: 0 } }
    }

    /// An epoch has ended with this score.
    pub(super) fn observe_epoch(&mut self, score: f64, eta: f64) {
        let state = &mut self.state;
        if state.best.is_none_or(|best| score > best * (1.0 + THRESHOLD * best.signum())) {
            (state.best, state.bad_epochs) = (Some(score), 0);
        } else {
            state.bad_epochs += 1;
        }
        if state.bad_epochs > self.patience {
            state.bad_epochs = 0;
            let factor = (state.factor * self.gamma).max(self.floor / eta);
            if eta * (state.factor - factor) > LEAST_CHANGE {
                state.factor = factor;
            }
        }
    }
}
