//! What LeRaC must be told apart from: the same curriculum with one thing changed.

use super::Paper;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How a factor s grows to 1 while u goes from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// s^(1 - u), the paper's: slow, then fast; halfway the geometric mean of s and 1.
    Exponential,
    /// s + (1 - s) u; halfway the arithmetic mean.
    Linear,
    /// s + (1 - s) (1 - ln(s + (1 - s) u) / ln s): fast, then slow. The exponential growth with its axes exchanged; no other
    /// constant goes into it.
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

/// One change to [`Paper`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The deepest layer starts highest: is it the order that matters?
    Reversed,
    /// The same initial rates, dealt to the depths by this seed.
    Shuffled(u64),
    /// Every layer starts at the geometric mean of the initial rates: is it only a warm-up?
    Uniform,
    /// Rates grow linearly: is it the shape of growth that matters?
    Linear,
    /// Rates grow logarithmically.
    Logarithmic,
}

impl Paper {
    /// The same curriculum, changed.
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
