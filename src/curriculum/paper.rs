//! Learning Rate Curriculum as the paper defines it.

use super::controls::Growth;
use super::{Curriculum, RATES, Time, check_rate};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Initial rates of the first and the last layer, written `1e-1..1e-8`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Range {
    /// eta_1(0), the initial rate at depth 1.
    pub first: f64,
    /// eta_n(0), the initial rate at the greatest depth, at most `first`.
    pub last: f64,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let example = "expected FIRST..LAST, e.g. 1e-1..1e-8";
        let (first, last) = text.split_once("..").ok_or_else(|| format!("{example}, found {text:?}"))?;
        let number =
            |part: &str| part.trim().parse::<f64>().map_err(|_| format!("{example}; {part:?} is not a number"));
        let (first, last) = (number(first)?, number(last)?);
        if ![first, last].iter().all(|rate| RATES.contains(rate)) {
            return Err(format!("expected positive learning rates that f32 holds (1.2e-38 to 3.4e38), found {text}"));
        }
        if first < last {
            return Err(format!(
                "expected FIRST >= LAST, found {text}: layers near the input start higher; try {last:e}..{first:e}"
            ));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:e}..{:e}", self.first, self.last)
    }
}

impl TryFrom<String> for Range {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Range> for String {
    fn from(range: Range) -> Self {
        range.to_string()
    }
}

/// When rates change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// At every step.
    #[default]
    Step,
    /// At the start of each epoch: t is rounded down. With k = 4, rates are below eta in epochs 0
    /// to 3, and eta from the first step of epoch 4 on. Epochs 0 to 4 are the paper's "first 5
    /// epochs".
    Epoch,
}

/// Eq. 9 of Croitoru et al., "Learning Rate Curriculum", IJCV 2024:
///
/// eta_j(t) = eta_j(0)^(1 - t/k) * eta^(t/k) for t < k, and eta from k on; t and k in epochs.
///
/// The initial rates eta_j(0) are spaced evenly in the logarithm, from the first value of the range
/// at depth 1 to the last value at the greatest depth. A model with a single depth has the first
/// value.
///
/// As a factor of eta the rate is (eta_j(0) / eta)^(1 - t/k) for t < k, and exactly 1 from k on. At
/// t = k/2 the rate is the geometric mean of eta_j(0) and eta. Usually eta_1(0) = eta. An initial
/// rate above eta falls to eta.
#[derive(Clone, Debug)]
pub struct Paper {
    /// eta_j(0) / eta by depth.
    pub(super) initial: Vec<f64>,
    /// The depth of each layer, from 1.
    depths: Vec<usize>,
    k: f64,
    pace: Pace,
    pub(super) growth: Growth,
}

impl Paper {
    /// A curriculum in which rates reach `eta` after `k` epochs. `depths` are the depths of the
    /// layers, from [`super::depths`].
    ///
    /// # Errors
    /// [`Error::Setting`] unless eta, the range and k are positive and the range does not ascend.
    pub fn new(eta: f64, range: Range, k: f64, depths: &[usize], pace: Pace) -> Result<Self> {
        check_rate("eta", "learning rate", eta)?;
        if !(k > 0.0 && k.is_finite()) {
            return Err(Error::setting("k", format!("expected more than 0 epochs, found {k}")));
        }
        // Parsing checks the range.
        let range: Range = range.to_string().parse().map_err(|message: String| Error::setting("range", message))?;
        let deepest = depths.iter().copied().max().unwrap_or(1);
        let initial = (1..=deepest).map(|depth| {
            let position = if deepest > 1 { (depth - 1) as f64 / (deepest - 1) as f64 } else { 0.0 };
            libm::pow(range.first, 1.0 - position) * libm::pow(range.last, position) / eta
        });
        let growth = Growth::Exponential;
        Ok(Self { initial: initial.collect(), depths: depths.to_vec(), k, pace, growth })
    }
}

impl Curriculum for Paper {
    fn factor(&self, time: Time, layer: usize) -> f64 {
        let t = match self.pace {
            Pace::Step => time.epochs(),
            Pace::Epoch => time.whole_epochs() as f64,
        };
        let initial = self.initial[self.depths[layer] - 1];
        if t >= self.k { 1.0 } else { self.growth.between(initial, t / self.k) }
    }

    fn grows_until(&self) -> f64 {
        match self.pace {
            Pace::Step => self.k,
            Pace::Epoch => self.k.ceil(),
        }
    }
}
