//! Metrics, with their names and units, and their values.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Whether larger or smaller values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Larger is better.
    More,
    /// Smaller is better.
    Less,
}

/// A metric. Columns of tables and files are named by its key: `train_accuracy`,
/// `validation_accuracy`, `test_accuracy`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Key in column names, such as `accuracy`.
    pub key: String,
    /// Name in sentences.
    pub name: String,
    /// Unit of displayed values.
    pub unit: String,
    /// Unit of displayed differences of values.
    pub unit_of_differences: String,
    /// Displayed values are values times this, such as 100 for percent.
    pub factor: f64,
    /// Whether larger or smaller values are better.
    pub better: Better,
    /// The largest possible value, if the metric has one; the smallest is 0.
    pub most: Option<f64>,
    /// Whether it is computed from all predictions, and not from sums. Then it is not known over
    /// the training examples.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_predictions: bool,
}

impl Measure {
    /// A fraction of the examples, 0 to 1, displayed in percent; larger is better.
    pub fn share(key: &str, name: &str) -> Self {
        Self {
            key: key.to_owned(),
            name: name.to_owned(),
            unit: "%".to_owned(),
            unit_of_differences: "points".to_owned(),
            factor: 100.0,
            better: Better::More,
            most: Some(1.0),
            of_predictions: false,
        }
    }

    /// Fraction of the examples whose class is predicted correctly.
    pub fn accuracy() -> Self {
        Self::share("accuracy", "accuracy")
    }

    /// Fraction of the examples whose class is among the five most probable predictions.
    pub fn top5() -> Self {
        Self::share("top5", "accuracy within the first five")
    }

    /// An error in `unit`, 0 or more; smaller is better.
    pub fn error(key: &str, name: &str, unit: &str) -> Self {
        let (key, name, unit) = (key.to_owned(), name.to_owned(), unit.to_owned());
        let unit_of_differences = unit.clone();
        Self {
            key,
            name,
            unit,
            unit_of_differences,
            factor: 1.0,
            better: Better::Less,
            most: None,
            of_predictions: false,
        }
    }

    /// Mean of |prediction - target|.
    pub fn mean_absolute_error(unit: &str) -> Self {
        Self::error("mae", "mean absolute error", unit)
    }

    /// The name with a capital letter, for headings. A name such as mAP stays as it is.
    pub fn title(&self) -> String {
        if self.name.chars().nth(1).is_some_and(char::is_uppercase) {
            return self.name.clone();
        }
        let mut letters = self.name.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    }

    /// The label of an axis of values: name and unit. Where `factor` is not 1, only the name, since
    /// an axis does not scale values.
    pub fn axis(&self) -> String {
        if self.factor == 1.0 { format!("{}, {}", self.name, self.unit) } else { self.name.clone() }
    }

    /// A value, or a difference of two values, as it is displayed.
    pub fn shown(&self, value: f64) -> f64 {
        self.factor * value
    }

    /// The value where larger is better, otherwise its negative.
    pub fn to_maximise(&self, value: f64) -> f64 {
        match self.better {
            Better::More => value,
            Better::Less => -value,
        }
    }

    /// Whether a value is possible: finite, and from 0 to `most`.
    pub fn allows(&self, value: f64) -> bool {
        value >= 0.0 && value.is_finite() && self.most.is_none_or(|most| value <= most)
    }

    /// A displayed value with its unit.
    pub fn text(&self, value: f64) -> String {
        format!("{:.2} {}", self.shown(value), self.unit)
    }
}

/// The mean loss over examples, and the value of each metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Mean loss.
    pub loss: f64,
    /// The metrics; the first one selects the best epoch.
    pub measures: Arc<[Measure]>,
    /// The value of each metric.
    pub values: Vec<f64>,
}

impl Scores {
    /// The first metric.
    pub fn measure(&self) -> &Measure {
        &self.measures[0]
    }

    /// The value of the first metric.
    pub fn value(&self) -> f64 {
        self.values[0]
    }

    /// The value of the first metric where larger is better, otherwise its negative.
    pub fn to_maximise(&self) -> f64 {
        self.measure().to_maximise(self.value())
    }

    /// The first metric with its name, such as `accuracy 81.20 %`; empty if it is not known.
    pub fn in_words(&self) -> String {
        match self.value().is_nan() {
            true => String::new(),
            false => format!("{} {self}", self.measure().name),
        }
    }

    /// The values by their column names: `test_accuracy` where `part` is `test`.
    pub fn named(&self, part: &str) -> BTreeMap<String, f64> {
        self.measures.iter().map(|measure| format!("{part}_{}", measure.key)).zip(self.values.iter().copied()).collect()
    }
}

impl fmt::Display for Scores {
    /// The displayed value of the first metric with its unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.measure().text(self.value()))
    }
}
