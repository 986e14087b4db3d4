//! Classification with the cross-entropy.

use super::{
    Answer, CROSS_ENTROPY_SUMS, ConfusionMatrix, FurtherScore, Losses, Measure, Objective, Output, Prediction,
};
use crate::tape::Var;
use serde_json::json;
use std::sync::Arc;

/// Classification into K classes: logits `[N,K]`, softmax cross-entropy, top-1 and top-5 accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// The target column.
    pub target: String,
    /// The name of each class.
    pub classes: Arc<[String]>,
    /// Probability that is divided equally among all classes in the loss, as in PyTorch's
    /// `CrossEntropyLoss`.
    pub label_smoothing: f64,
    /// Factor of each class in the loss, as `weight` of PyTorch's `CrossEntropyLoss`; empty for 1
    /// each. The mean loss is over examples, not over the sum of their weights.
    pub weights: Vec<f32>,
}

/// The index of the largest logit; of several equal ones the first.
pub(super) fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best as u32
}

/// exp(z) / sum exp(z).
pub(super) fn softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&z| f64::from(z - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

impl Objective for Class {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("logits", self.classes.len())]
    }

    fn sums(&self) -> usize {
        CROSS_ENTROPY_SUMS
    }

    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]) {
        let (smoothing, weights) = (self.label_smoothing, &self.weights);
        losses.weighted_cross_entropy("loss", outputs[0], &self.target, smoothing, 1.0, weights);
    }

    fn measures(&self) -> Vec<Measure> {
        vec![Measure::accuracy(), Measure::top5()]
    }

    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>) {
        let mean = |i: usize| sums[i] / examples.max(1.0);
        (mean(0), vec![mean(1), mean(2)])
    }

    fn answer(&self, outputs: &[&[f32]]) -> Answer {
        Answer::Whole(argmax(outputs[0]))
    }

    fn probability(&self, outputs: &[&[f32]]) -> Option<f64> {
        softmax(outputs[0]).into_iter().reduce(f64::max)
    }

    fn truth(&self, targets: &[&[u32]]) -> Answer {
        Answer::Whole(targets[0][0])
    }

    fn predict(&self, outputs: &[&[f32]]) -> Prediction {
        let mut classes: Vec<(String, f64)> = self.classes.iter().cloned().zip(softmax(outputs[0])).collect();
        classes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Prediction::Classes(classes)
    }

    /// Macro F1 and Matthews correlation.
    fn further_scores(&self, answers: &[(Answer, Answer)]) -> Vec<FurtherScore> {
        let Some(matrix) = ConfusionMatrix::of_answers(self.classes.len(), answers) else { return vec![] };
        vec![
            FurtherScore { key: "macro_f1", name: "macro F1", value: matrix.macro_f1() },
            FurtherScore { key: "matthews", name: "Matthews correlation", value: matrix.matthews() },
        ]
    }

    fn describe(&self) -> serde_json::Value {
        let (classes, smoothing) = (self.classes.len(), self.label_smoothing);
        match self.weights.is_empty() {
            true => json!({"classes": classes, "label_smoothing": smoothing}),
            false => json!({"classes": classes, "label_smoothing": smoothing, "class_weights": self.weights}),
        }
    }
}
