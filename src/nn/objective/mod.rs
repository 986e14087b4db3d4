//! Objectives: the outputs that a model must have, the losses on them, and the metrics.

mod boxes;
mod class;
mod class_weights;
mod confusion;
mod measure;
mod number;

pub use boxes::{
    Boxes, DETECTIONS, Detection, Judged, OVERLAPS, OfClass, Thresholds, Truth, VocArea, coco, confusion, detections,
    mean, precision_curves, voc, yolov5,
};
pub use class::Class;
pub use class_weights::ClassWeights;
pub use confusion::ConfusionMatrix;
pub use measure::{Better, Measure, Scores};
pub use number::Number;

use super::inputs::Columns;
use crate::data::{Examples, Form, Meaning};
use crate::error::{Error, Result};
use crate::ops::cross_entropy::{self, cross_entropy};
use crate::ops::detection::{self, Head, LEVELS};
use crate::ops::regression::{self, Loss, Regression, regression};
use crate::ops::sums::Sums;
use crate::tape::{Operand, Tape, Var};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An output that a model must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name, such as `logits`.
    pub name: String,
    /// Elements in one example.
    pub width: usize,
}

impl Output {
    /// An output with `width` elements in an example.
    pub fn new(name: &str, width: usize) -> Self {
        Self { name: name.to_owned(), width }
    }
}

/// The prediction or the target of an example, as a cell of `predictions.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The index of a class, or another integer.
    Whole(u32),
    /// A number.
    Number(f32),
    /// Anything else.
    Text(String),
}

/// A detected object as it is displayed.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundObject {
    /// Index of the class.
    pub class: usize,
    /// Name of the class.
    pub name: String,
    /// From 0 to 1.
    pub confidence: f32,
    /// Left, top, right, bottom, in pixels of the image.
    pub corners: [f32; 4],
}

/// A prediction as it is displayed.
#[derive(Clone, Debug, PartialEq)]
pub enum Prediction {
    /// Classes with their probabilities, the most probable first.
    Classes(Vec<(String, f64)>),
    /// A number and its unit.
    Number(f64, String),
    /// Objects, the most confident first.
    Boxes(Vec<FoundObject>),
    /// Anything else.
    Text(String),
}

/// A prediction that is made from the training targets without any input. A trained model should be
/// better than this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Key in files, such as `median` in `median_mae`.
    pub key: String,
    /// Description, such as "the median age, always predicted".
    pub name: String,
    /// Its value of the first metric over the test examples.
    pub value: f64,
}

impl Baseline {
    /// The median of the training targets. `value` is its error over the test examples.
    pub fn median(value: f64) -> Self {
        Self { key: "median".into(), name: "the median, always predicted".into(), value }
    }

    /// The name of the value in files, such as `median_mae`.
    pub fn score_name(&self, measure: &Measure) -> String {
        format!("{}_{}", self.key, measure.key)
    }

    /// Description and value, such as `the median, always predicted: 12.30 years`.
    pub fn in_words(&self, measure: &Measure) -> String {
        format!("{}: {}", self.name, measure.text(self.value))
    }
}

/// A score that is computed for the test set only.
#[derive(Clone, Debug, PartialEq)]
pub struct FurtherScore {
    /// Key in files, such as `macro_f1` in `test_macro_f1`.
    pub key: &'static str,
    /// Name in sentences.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
}

impl FurtherScore {
    /// Its name in files, such as `test_macro_f1`, and its value.
    pub(crate) fn named(&self) -> (String, f64) {
        (format!("test_{}", self.key), self.value)
    }
}

/// Computes measures that need the predictions for all examples of a set at once, such as mean
/// average precision.
pub trait Evaluator {
    /// Adds an example: its outputs, and the words of its target columns.
    fn add(&mut self, outputs: &[&[f32]], targets: &[&[u32]]);

    /// The value of each measure over the examples added.
    fn values(&self) -> Vec<f64>;

    /// Further scores of the test set.
    fn further_scores(&self) -> Vec<FurtherScore> {
        vec![]
    }

    /// Files about the test set that a run writes: name and content.
    fn files(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![]
    }
}

/// What a model is trained for: its outputs, its losses and its metrics.
pub trait Objective: Send + Sync {
    /// The outputs that a model must have.
    fn outputs(&self) -> Vec<Output>;

    /// Number of sums that the losses accumulate.
    fn sums(&self) -> usize;

    /// Records the losses of `outputs`, which are in the order of [`Objective::outputs`].
    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]);

    /// The metrics; the first one selects the best epoch.
    fn measures(&self) -> Vec<Measure>;

    /// The mean loss and the value of each metric, from the sums over `examples` examples. The
    /// value of a metric with [`Measure::of_predictions`] is NaN.
    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>);

    /// Computes the metrics with [`Measure::of_predictions`]; `None` if there are none.
    fn evaluator(&self) -> Option<Box<dyn Evaluator + '_>> {
        None
    }

    /// The prediction from the outputs of an example, for `predictions.csv`.
    fn answer(&self, outputs: &[&[f32]]) -> Answer;

    /// The probability of that prediction, if the objective knows it.
    fn probability(&self, _outputs: &[&[f32]]) -> Option<f64> {
        None
    }

    /// The target of an example, from the words of its target columns, for `predictions.csv`.
    fn truth(&self, targets: &[&[u32]]) -> Answer;

    /// The prediction from the outputs of an example, to display.
    fn predict(&self, outputs: &[&[f32]]) -> Prediction;

    /// [`Objective::predict`], where it also depends on target columns that describe the input,
    /// such as the size of an image. `targets` are the words of all target columns.
    fn predict_example(&self, outputs: &[&[f32]], _targets: &[&[u32]]) -> Prediction {
        self.predict(outputs)
    }

    /// Further scores of the test set, from the (target, prediction) of each example.
    fn further_scores(&self, _answers: &[(Answer, Answer)]) -> Vec<FurtherScore> {
        vec![]
    }

    /// A baseline that a trained model should beat, if the objective has one.
    ///
    /// # Errors
    /// Those of the examples' files.
    fn baseline(&self, _train: &dyn Examples, _test: &dyn Examples) -> Result<Option<Baseline>> {
        Ok(None)
    }

    /// Settings that another program needs to check a trace.
    fn describe(&self) -> serde_json::Value;
}

/// Options of the built-in objectives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectiveOptions {
    /// Classification: [`Class::label_smoothing`].
    pub label_smoothing: f64,
    /// Classification: [`Class::weights`].
    pub class_weights: Vec<f32>,
    /// Regression: the loss, by default L1.
    pub loss: Option<Loss>,
}

/// The built-in objective for the first target of `form`: [`Class`], [`Number`] or [`Boxes`].
///
/// # Errors
/// [`Error::Setting`] if the first target is none of these.
pub fn objective_for(form: &Form, options: ObjectiveOptions) -> Result<Arc<dyn Objective>> {
    if let Some(boxes) = Boxes::of(form) {
        return Ok(Arc::new(boxes));
    }
    let target = form.targets.first().map(|column| (&column.name, &column.meaning));
    match target {
        Some((name, Meaning::Classes(classes))) => Ok(Arc::new(Class {
            target: name.clone(),
            classes: classes.clone(),
            label_smoothing: options.label_smoothing,
            weights: options.class_weights,
        })),
        Some((name, Meaning::Number { unit, mean, std })) => {
            let loss = options.loss.unwrap_or(Loss::L1);
            let regression = Regression { loss, mean: *mean, std: *std };
            Ok(Arc::new(Number { target: name.clone(), unit: unit.clone(), regression }))
        }
        _ => {
            let message =
                "expected a class, a number or boxes as the first target; implement `Objective` for other targets";
            Err(Error::setting("objective", message))
        }
    }
}

/// Records losses on a tape, with access to the targets by name.
pub struct Losses<'a> {
    pub(super) tape: &'a mut Tape,
    pub(super) columns: &'a mut Columns,
    pub(super) sums: Sums,
    pub(super) mixed: bool,
}

impl Losses<'_> {
    /// The tape, for your own losses. They add their results to [`Losses::sums`].
    pub fn tape(&mut self) -> &mut Tape {
        self.tape
    }

    /// The buffer with the words of a target column.
    ///
    /// # Panics
    /// If the data have no target of this name.
    pub fn target(&mut self, name: &str) -> Operand {
        self.columns.target(self.tape, name)
    }

    /// Whether mixup mixes the examples in pairs. The loss must then mix the targets, too.
    pub fn mixed(&self) -> bool {
        self.mixed
    }

    /// The tape with the sums that losses add to.
    pub fn sums(&mut self) -> (&mut Tape, &mut Sums) {
        (self.tape, &mut self.sums)
    }

    /// Softmax cross-entropy of logits `[N,K]` and the classes in the column `target`. Adds three
    /// sums: the loss, the correct examples, and those correct within the top 5.
    pub fn cross_entropy(&mut self, name: &str, logits: Var, target: &str, smoothing: f64, weight: f64) {
        self.weighted_cross_entropy(name, logits, target, smoothing, weight, &[]);
    }

    /// [`Losses::cross_entropy`] with a weight per class; empty for 1 each.
    ///
    /// # Panics
    /// If there is another number of weights than classes.
    pub fn weighted_cross_entropy(
        &mut self,
        name: &str,
        logits: Var,
        target: &str,
        smoothing: f64,
        weight: f64,
        class_weights: &[f32],
    ) {
        let [rows, _] = self.tape.shape(logits).last_axis();
        assert!(rows == self.columns.examples(), "{name}: expected logits [N,K], found {}", self.tape.shape(logits));
        let labels = self.target(target);
        let class_weights = class_weights.to_vec();
        let targets = cross_entropy::Targets { smoothing, mixed: self.mixed, weight, class_weights, per_example: 1 };
        cross_entropy(self.tape, name, logits, labels, &mut self.sums, targets);
    }

    /// L1 or squared error of outputs `[N,1]` and the numbers in the column `target`. Adds two
    /// sums: the loss and the absolute error.
    ///
    /// # Panics
    /// With mixup: this loss does not mix numbers.
    pub fn regression(&mut self, name: &str, z: Var, target: &str, regression: Regression, weight: f64) {
        assert!(!self.mixed, "{name}: mixup mixes classes, not numbers");
        let targets = self.target(target);
        self::regression(self.tape, name, z, targets, &mut self.sums, regression, (weight, 1));
    }

    /// The loss of YOLOv5 of the logits of each level and the objects in the column `target`. Adds
    /// four sums: the whole loss, and its parts for boxes, objectness and classes.
    ///
    /// # Panics
    /// With mixup: this loss does not mix boxes.
    pub fn detection(&mut self, name: &str, levels: [Var; LEVELS], target: &str, head: &Head) {
        assert!(!self.mixed, "{name}: mixup mixes classes, not boxes");
        let objects = self.target(target);
        detection::detection(self.tape, name, levels, objects, &mut self.sums, head);
    }
}

/// Number of sums of [`Losses::cross_entropy`].
pub const CROSS_ENTROPY_SUMS: usize = cross_entropy::COLUMNS;

/// Number of sums of [`Losses::regression`].
pub const REGRESSION_SUMS: usize = regression::COLUMNS;

/// The scores from the sums over `examples` examples.
pub fn scores(objective: &dyn Objective, measures: &Arc<[Measure]>, examples: f64, sums: &[f64]) -> Scores {
    let (loss, values) = objective.evaluate(examples, sums);
    Scores { loss, measures: measures.clone(), values }
}
