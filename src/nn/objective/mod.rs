//! What a model is trained for: its outputs, its losses, and what is measured.

mod class;
mod measure;
mod number;

pub use class::Class;
pub use measure::{Better, Measure, Scores};
pub use number::Number;

use super::inputs::Columns;
use crate::data::{Examples, Form, Meaning};
use crate::error::{Error, Result};
use crate::ops::cross_entropy::{self, cross_entropy};
use crate::ops::regression::{self, Loss, Regression, regression};
use crate::ops::sums::Sums;
use crate::tape::{Operand, Tape, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An output that a model must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name, such as `logits`.
    pub name: String,
    /// Elements in one example.
    pub width: usize,
}

impl Output {
    /// An output of `width` elements an example.
    pub fn new(name: &str, width: usize) -> Self {
        Self { name: name.to_owned(), width }
    }
}

/// What a model says of an example, or what is true of it, as a cell of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// A class, or another whole number.
    Whole(u32),
    /// A number.
    Number(f32),
    /// What is neither.
    Text(String),
}

/// A prediction for people.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// Classes with their probabilities, the most probable first.
    Classes(Vec<(String, f64)>),
    /// A number and its unit.
    Number(f64, String),
    /// What is neither.
    Text(String),
}

/// A model that knows the training targets and sees no input: what a trained one must beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its name in files, such as `median`: its value is called `median_mae`.
    pub key: String,
    /// What it does, such as "the median age, always predicted".
    pub name: String,
    /// The first measure over the test examples.
    pub value: f64,
}

impl Baseline {
    /// The median of the training targets, with its error over the test examples.
    pub fn median(value: f64) -> Self {
        Self { key: "median".into(), name: "the median, always predicted".into(), value }
    }

    /// The name of its value in files, such as `median_mae`.
    pub fn score_name(&self, measure: &Measure) -> String {
        format!("{}_{}", self.key, measure.key)
    }

    /// `the median, always predicted: 12.30 years`.
    pub fn in_words(&self, measure: &Measure) -> String {
        format!("{}: {}", self.name, measure.text(self.value))
    }
}

/// What a model is trained for.
pub trait Objective: Send + Sync {
    /// The outputs that it needs of a model.
    fn outputs(&self) -> Vec<Output>;

    /// How many sums its losses leave.
    fn sums(&self) -> usize;

    /// Records the losses of `outputs`, which are in the order of [`Objective::outputs`].
    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]);

    /// What it measures; the first chooses the best epoch.
    fn measures(&self) -> Vec<Measure>;

    /// Mean loss, and the value of each measure, from the sums over so many examples.
    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>);

    /// What the outputs for an example say, for a table.
    fn answer(&self, outputs: &[&[f32]]) -> Answer;

    /// What is true of an example, from its targets' words, for a table.
    fn truth(&self, targets: &[&[u32]]) -> Answer;

    /// What the outputs for an example say, for people.
    fn predict(&self, outputs: &[&[f32]]) -> Prediction;

    /// What must be beaten, if anything is known of it.
    ///
    /// # Errors
    /// Those of the examples' files.
    fn baseline(&self, _train: &dyn Examples, _test: &dyn Examples) -> Result<Option<Baseline>> {
        Ok(None)
    }

    /// What another program must know of it to check a trace.
    fn describe(&self) -> serde_json::Value;
}

/// The options of the objectives that the crate knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ObjectiveOptions {
    /// Of classes: the part of 1 that all classes share.
    pub label_smoothing: f64,
    /// Of numbers: the loss; L1 where it is absent.
    pub loss: Option<Loss>,
}

/// The objective that the first target of `form` asks for.
///
/// # Errors
/// [`Error::Setting`] where it is neither a class nor a number.
pub fn objective_for(form: &Form, options: ObjectiveOptions) -> Result<Arc<dyn Objective>> {
    let target = form.targets.first().map(|column| (&column.name, &column.meaning));
    match target {
        Some((name, Meaning::Classes(classes))) => Ok(Arc::new(Class {
            target: name.clone(),
            classes: classes.clone(),
            label_smoothing: options.label_smoothing,
        })),
        Some((name, Meaning::Number { unit, mean, std })) => {
            let loss = options.loss.unwrap_or(Loss::L1);
            let regression = Regression { loss, mean: *mean, std: *std };
            Ok(Arc::new(Number { target: name.clone(), unit: unit.clone(), regression }))
        }
        _ => {
            let message = "expected a class or a number as the first target; bring an objective of your own for others";
            Err(Error::setting("objective", message))
        }
    }
}

/// A tape on which losses are recorded, with the targets by name.
pub struct Losses<'a> {
    pub(super) tape: &'a mut Tape,
    pub(super) columns: &'a mut Columns,
    pub(super) sums: Sums,
    pub(super) mixed: bool,
}

impl Losses<'_> {
    /// The tape, for losses of one's own. They add what they leave to [`Losses::sums`].
    pub fn tape(&mut self) -> &mut Tape {
        self.tape
    }

    /// The words of a target column, as a kernel binds them.
    ///
    /// # Panics
    /// If the data have no target of this name.
    pub fn target(&mut self, name: &str) -> Operand {
        self.columns.target(self.tape, name)
    }

    /// Whether the examples are mixed in pairs, so that targets must be mixed alike.
    pub fn mixed(&self) -> bool {
        self.mixed
    }

    /// The tape with the sums that losses add to.
    pub fn sums(&mut self) -> (&mut Tape, &mut Sums) {
        (self.tape, &mut self.sums)
    }

    /// Softmax cross-entropy of logits `[N,K]` under the classes in `target`: three sums.
    pub fn cross_entropy(&mut self, name: &str, logits: Var, target: &str, smoothing: f64, weight: f64) {
        let [rows, _] = self.tape.shape(logits).last_axis();
        assert!(rows == self.columns.examples(), "{name}: expected logits [N,K], found {}", self.tape.shape(logits));
        let labels = self.target(target);
        let targets = cross_entropy::Targets { smoothing, mixed: self.mixed, weight, per_example: 1 };
        cross_entropy(self.tape, name, logits, labels, &mut self.sums, targets);
    }

    /// L1 or squared error of outputs `[N,1]` under the numbers in `target`: two sums.
    ///
    /// # Panics
    /// If examples are mixed: this loss does not mix numbers.
    pub fn regression(&mut self, name: &str, z: Var, target: &str, regression: Regression, weight: f64) {
        assert!(!self.mixed, "{name}: mixup mixes classes, not numbers");
        let targets = self.target(target);
        self::regression(self.tape, name, z, targets, &mut self.sums, regression, (weight, 1));
    }
}

/// The sums that [`Losses::cross_entropy`] leaves.
pub const CROSS_ENTROPY_SUMS: usize = cross_entropy::COLUMNS;

/// The sums that [`Losses::regression`] leaves.
pub const REGRESSION_SUMS: usize = regression::COLUMNS;

/// The scores that sums over `examples` come to.
pub fn scores(objective: &dyn Objective, measures: &Arc<[Measure]>, examples: f64, sums: &[f64]) -> Scores {
    let (loss, values) = objective.evaluate(examples, sums);
    Scores { loss, measures: measures.clone(), values }
}
