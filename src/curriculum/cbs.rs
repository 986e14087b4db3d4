//! Curriculum by Smoothing.

use super::{Curriculum, Time};
use crate::error::{Error, Result};

/// Curriculum by Smoothing (Sinha et al., NeurIPS 2020): a Gaussian blur that fades during
/// training.
///
/// sigma(t) = sigma(0) * decay^floor(t / every), t in epochs. All layers have the common learning
/// rate. With the published values, sigma(0) = 1, decay 0.9 and every = 5, sigma is 1 until epoch
/// 5, 0.9 until epoch 10, and 0.81 until epoch 15.
#[derive(Clone, Copy, Debug)]
pub struct Cbs {
    sigma: f64,
    decay: f64,
    every: u64,
}

impl Cbs {
    /// A blur of `sigma` pixels, multiplied by `decay` every `every` epochs.
    ///
    /// # Errors
    /// [`Error::Setting`] unless sigma > 0, 0 < decay <= 1 and every >= 1.
    pub fn new(sigma: f64, decay: f64, every: u64) -> Result<Self> {
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Err(Error::setting("sigma", format!("expected a positive number of pixels, found {sigma}")));
        }
        if !(decay > 0.0 && decay <= 1.0) {
            return Err(Error::setting("sigma_decay", format!("expected a factor above 0 and up to 1, found {decay}")));
        }
        if every == 0 {
            return Err(Error::setting("sigma_every", "expected at least 1 epoch, found 0"));
        }
        Ok(Self { sigma, decay, every })
    }
}

impl Curriculum for Cbs {
    fn factor(&self, _time: Time, _layer: usize) -> f64 {
        1.0
    }

    fn sigma(&self, time: Time) -> Option<f64> {
        let times = (time.whole_epochs() / self.every) as f64;
        // A blur of 0.01 pixels is the identity in f32, and 0 would divide by 0.
        Some((self.sigma * libm::pow(self.decay, times)).max(1e-2))
    }
}
