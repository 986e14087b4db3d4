//! Control experiments: LeRaC with one thing changed.

use super::Paper;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How the factor of a layer grows from s at u = 0 to 1 at u = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// s^(1 - u), as in the paper: first slow, then fast. At u = 1/2 it is the geometric mean of s
    /// and 1.
    Exponential,
    /// s + (1 - s) u. At u = 1/2 it is the arithmetic mean of s and 1.
    Linear,
    /// s + (1 - s) (1 - ln(s + (1 - s) u) / ln s): first fast, then slow. It is the inverse
    /// function of the exponential growth, scaled to the same range.
    Logarithmic,
}

impl Growth {
    /// The factor at `u`.
    pub fn between(self, s: f64, u: f64) -> f64 {
        match self {
            Self::Exponential => libm::pow(s, 1.0 - u),
            Self::Linear => s + (1.0 - s) * u,
            Self::Logarithmic if s == 1.0 => 1.0,
            Self::Logarithmic => s + (1.0 - s) * (1.0 - libm::log(s + (1.0 - s) * u) / libm::log(s)),
        }
    }
}

/// A change to [`Paper`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The deepest layer has the highest initial rate. Tests whether the order matters.
    Reversed,
    /// The initial rates are assigned to depths at random, with this seed. Tests whether the order
    /// matters.
    Shuffled(u64),
    /// Every layer starts at the geometric mean of the initial rates. Tests whether a common
    /// warm-up has the same effect.
    Uniform,
    /// Rates grow linearly. Tests whether the shape of the growth matters.
    Linear,
    /// Rates grow logarithmically. Tests whether the shape of the growth matters.
    Logarithmic,
}

impl Paper {
    /// This curriculum with the change `control`.
    pub fn control(mut self, control: Control) -> Self {
        match control {
            Control::Reversed => self.initial.reverse(),
            Control::Shuffled(seed) => self.initial.shuffle(&mut ChaCha8Rng::seed_from_u64(seed)),
            Control::Uniform => {
                let logarithms: f64 = self.initial.iter().map(|factor| libm::log(*factor)).sum();
                let mean = libm::exp(logarithms / self.initial.len() as f64);
                self.initial.fill(mean);
            }
            Control::Linear => self.growth = Growth::Linear,
            Control::Logarithmic => self.growth = Growth::Logarithmic,
        }
        self
    }
}
