//! Reduces the learning rate when the validation score stops improving.

use serde::{Deserialize, Serialize};

/// Relative increase over the best score that counts as an improvement.
const THRESHOLD: f64 = 1e-4;

/// The learning rate is only changed by more than this.
const LEAST_CHANGE: f64 = 1e-8;

/// PyTorch's `ReduceLROnPlateau` with its default threshold, eps and cooldown.
///
/// The mode is `max`: the score is an accuracy, or the negative of an error. After more than
/// `patience` epochs in a row without an improvement of the best score, the learning rate is
/// multiplied by `gamma`, but not below `floor`, and the epochs are counted from 0 again.
#[derive(Clone, Debug, PartialEq)]
pub struct Plateau {
    gamma: f64,
    patience: u64,
    floor: f64,
    pub(super) state: PlateauState,
}

/// The state of a [`Plateau`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlateauState {
    /// The learning rate as a factor of eta.
    pub factor: f64,
    /// The best score; `None` before the end of the first epoch.
    pub best: Option<f64>,
    /// Epochs since the best score, or since the last reduction of the rate.
    pub bad_epochs: u64,
}

impl Plateau {
    /// A plateau before the first epoch. `floor` is a learning rate.
    pub fn new(gamma: f64, patience: u64, floor: f64) -> Self {
        Self { gamma, patience, floor, state: PlateauState { factor: 1.0, best: None, bad_epochs: 0 } }
    }

    /// Updates the state at the end of an epoch with this score.
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
