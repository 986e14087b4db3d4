//! Weights of classes in the loss.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Weights of classes in the cross-entropy: `balanced`, or a number per class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClassWeights {
    /// N / (K n) for a class with n of N training examples, as scikit-learn's
    /// `class_weight="balanced"`. The mean weight of the training examples is 1.
    Balanced,
    /// The weight of each class, in the order of the classes. Finite and not negative.
    Given(Vec<f32>),
}

impl ClassWeights {
    /// The weight of each class from its number of training examples. With
    /// [`ClassWeights::Balanced`], a class without examples has weight 0: it is in no loss.
    ///
    /// # Errors
    /// A message if there is another number of weights than classes.
    pub fn of_counts(&self, counts: &[u64]) -> Result<Vec<f32>, String> {
        let (classes, all) = (counts.len(), counts.iter().sum::<u64>() as f64);
        match self {
            Self::Balanced => {
                let weight = |&count: &u64| if count == 0 { 0.0 } else { all / (classes as f64 * count as f64) };
                Ok(counts.iter().map(|count| weight(count) as f32).collect())
            }
            Self::Given(weights) if weights.len() == classes => Ok(weights.clone()),
            Self::Given(weights) => {
                Err(format!("expected a weight for each of {classes} classes, found {}", weights.len()))
            }
        }
    }
}

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "balanced" {
            return Ok(Self::Balanced);
        }
        let weight = |part: &str| part.trim().parse().ok().filter(|weight: &f32| weight.is_finite() && *weight >= 0.0);
        let weights: Option<Vec<f32>> = text.split(',').map(weight).collect();
        match weights.filter(|weights| weights.iter().any(|weight| *weight > 0.0)) {
            Some(weights) => Ok(Self::Given(weights)),
            None => {
                Err(format!("expected balanced, or numbers from 0 with one above 0, such as 1,2.5; found {text:?}"))
            }
        }
    }
}

impl TryFrom<String> for ClassWeights {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => f.write_str("balanced"),
            Self::Given(weights) => {
                let weights: Vec<_> = weights.iter().map(ToString::to_string).collect();
                f.write_str(&weights.join(","))
            }
        }
    }
}

impl From<ClassWeights> for String {
    fn from(weights: ClassWeights) -> Self {
        weights.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balanced_weights_have_a_mean_of_one() {
        let weights = ClassWeights::Balanced.of_counts(&[30, 10, 0]).unwrap();
        assert_eq!(weights, [40.0 / 90.0, 40.0 / 30.0, 0.0]);
        let two = ClassWeights::Balanced.of_counts(&[30, 10]).unwrap();
        assert_eq!((30.0 * two[0] + 10.0 * two[1]) / 40.0, 1.0);
    }

    #[test]
    fn text_and_value_agree() {
        for text in ["balanced", "1,2.5", "0,1"] {
            assert_eq!(text.parse::<ClassWeights>().unwrap().to_string(), text);
        }
        for bad in ["", "even", "1,", "-1,2", "nan,1", "inf,1", "0,0"] {
            assert!(bad.parse::<ClassWeights>().is_err(), "{bad:?}");
        }
        assert!(ClassWeights::Given(vec![1.0]).of_counts(&[1, 1]).is_err());
    }
}
