//! How well a model does, as data.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Which way a measure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// The larger, the better.
    More,
    /// The smaller, the better.
    Less,
}

/// What is measured. Tables and files name columns by its key: `train_accuracy`, `validation_accuracy`, `test_accuracy`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Part of the names of columns.
    pub key: String,
    /// What it is called in a sentence.
    pub name: String,
    /// Unit that values are shown in.
    pub unit: String,
    /// Unit that differences of values are shown in.
    pub unit_of_differences: String,
    /// A value times this is shown.
    pub factor: f64,
    /// Which way is better.
    pub better: Better,
    /// The largest value, if there is one; the smallest is 0.
    pub most: Option<f64>,
}

impl Measure {
    /// Part of the examples for which something is right, 0 to 1, shown in percent.
    pub fn share(key: &str, name: &str) -> Self {
        Self {
            key: key.to_owned(),
            name: name.to_owned(),
            unit: "%".to_owned(),
            unit_of_differences: "points".to_owned(),
            factor: 100.0,
            better: Better::More,
            most: Some(1.0),
        }
    }

    /// Part of the examples whose class is predicted right.
    pub fn accuracy() -> Self {
        Self::share("accuracy", "accuracy")
    }

    /// Part of the examples whose class is among the five that a model finds most probable.
    pub fn top5() -> Self {
        Self::share("top5", "accuracy within the first five")
    }

    /// An error in a unit, 0 or more; less is better.
    pub fn error(key: &str, name: &str, unit: &str) -> Self {
        let (key, name, unit) = (key.to_owned(), name.to_owned(), unit.to_owned());
        let unit_of_differences = unit.clone();
        Self { key, name, unit, unit_of_differences, factor: 1.0, better: Better::Less, most: None }
    }

    /// Mean of |prediction - target|.
    pub fn mean_absolute_error(unit: &str) -> Self {
        Self::error("mae", "mean absolute error", unit)
    }

    /// The name as a heading.
    pub fn title(&self) -> String {
        let mut letters = self.name.chars();
        letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
    }

    /// What an axis along which values run is called; their factor is left out there.
    pub fn axis(&self) -> String {
        if self.factor == 1.0 { format!("{}, {}", self.name, self.unit) } else { self.name.clone() }
    }

    /// A value, or the difference of two, in the unit that it is shown in.
    pub fn shown(&self, value: f64) -> f64 {
        self.factor * value
    }

    /// The larger this is, the better: the value, or its negative.
    pub fn to_maximise(&self, value: f64) -> f64 {
        match self.better {
            Better::More => value,
            Better::Less => -value,
        }
    }

    /// Whether a model may have this value.
    pub fn allows(&self, value: f64) -> bool {
        value >= 0.0 && value.is_finite() && self.most.is_none_or(|most| value <= most)
    }

    /// A value with its unit.
    pub fn text(&self, value: f64) -> String {
        format!("{:.2} {}", self.shown(value), self.unit)
    }
}

/// The mean loss over examples, and the value of each measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Mean loss.
    pub loss: f64,
    /// What the values are of; the first chooses the best epoch.
    pub measures: Arc<[Measure]>,
    /// A value each.
    pub values: Vec<f64>,
}

impl Scores {
    /// The first measure.
    pub fn measure(&self) -> &Measure {
        &self.measures[0]
    }

    /// Its value.
    pub fn value(&self) -> f64 {
        self.values[0]
    }

    /// Its value, larger where better.
    pub fn to_maximise(&self) -> f64 {
        self.measure().to_maximise(self.value())
    }

    /// The values by the names that they have in files: `test_accuracy` where `part` is `test`.
    pub fn named(&self, part: &str) -> BTreeMap<String, f64> {
        self.measures.iter().map(|measure| format!("{part}_{}", measure.key)).zip(self.values.iter().copied()).collect()
    }
}

impl fmt::Display for Scores {
    /// The first measure's value with its unit.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.measure().text(self.value()))
    }
}
