//! How well a model does: the part of the images whose class it predicts right, or how far its numbers are off.

use crate::data::Meaning;
use crate::ops::metrics::Metrics;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Part of the images whose class is predicted right, 0 to 1; more is better.
    Accuracy,
    /// Mean of |prediction - label| in years; less is better.
    MeanAbsoluteError,
}

impl Measure {
    /// That of models which predict what labels mean.
    pub fn of(meaning: &Meaning) -> Self {
        match meaning {
            Meaning::Classes(_) => Self::Accuracy,
            Meaning::Years => Self::MeanAbsoluteError,
        }
    }

    /// The score that sums come to.
    pub fn of_sums(self, sums: &Metrics) -> Score {
        self.score(match self {
            Self::Accuracy => sums.accuracy(),
            Self::MeanAbsoluteError => sums.mean_error(),
        })
    }

    /// `value` as a score.
    pub fn score(self, value: f64) -> Score {
        Score { measure: self, value }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MeanAbsoluteError => "mean absolute error",
        }
    }

    /// The same as a heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accuracy => "Accuracy",
            Self::MeanAbsoluteError => "Mean absolute error",
        }
    }

    /// What an axis along which it runs is called.
    pub fn axis(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MeanAbsoluteError => "mean absolute error, years",
        }
    }

    /// What values are shown in.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Accuracy => "%",
            Self::MeanAbsoluteError => "years",
        }
    }

    /// What differences of values are shown in.
    pub fn unit_of_differences(self) -> &'static str {
        match self {
            Self::Accuracy => "points",
            Self::MeanAbsoluteError => "years",
        }
    }

    /// A value, or the difference of two, in the unit that it is shown in.
    pub fn shown(self, value: f64) -> f64 {
        match self {
            Self::Accuracy => 100.0 * value,
            Self::MeanAbsoluteError => value,
        }
    }

    /// What is the larger, the better a model does: the value, or its negative.
    pub fn merit(self, value: f64) -> f64 {
        match self {
            Self::Accuracy => value,
            Self::MeanAbsoluteError => -value,
        }
    }

    /// Whether a model may come to `value`.
    pub fn allows(self, value: f64) -> bool {
        match self {
            Self::Accuracy => (0.0..=1.0).contains(&value),
            Self::MeanAbsoluteError => value >= 0.0 && value.is_finite(),
        }
    }
}

/// A value of a measure. Its text has the unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// What was measured.
    pub measure: Measure,
    /// What came out.
    pub value: f64,
}

impl Score {
    /// [`Measure::merit`] of the value.
    pub fn merit(self) -> f64 {
        self.measure.merit(self.value)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} {}", self.measure.shown(self.value), self.measure.unit())
    }
}
