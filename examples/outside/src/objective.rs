//! An objective with two losses: the direction of a walk, and its distance.

use lerac::nn::objective::{
    Answer, CROSS_ENTROPY_SUMS, Losses, Measure, Objective, Output, Prediction, REGRESSION_SUMS,
};
use lerac::ops::regression::{Loss, Regression};
use lerac::tape::Var;
use serde_json::{Value, json};

/// Cross-entropy of the direction, and `weight` times the squared error of the distance.
pub struct BothLosses {
    /// Weight of the second loss.
    pub weight: f64,
}

const DISTANCE: Regression = Regression { loss: Loss::Mse, mean: 0.0, std: 2.0 };

impl Objective for BothLosses {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("direction", 2), Output::new("distance", 1)]
    }

    fn sums(&self) -> usize {
        CROSS_ENTROPY_SUMS + REGRESSION_SUMS
    }

    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]) {
        losses.cross_entropy("direction.loss", outputs[0], "direction", 0.0, 1.0);
        losses.regression("distance.loss", outputs[1], "distance", DISTANCE, self.weight);
    }

    fn measures(&self) -> Vec<Measure> {
        vec![Measure::accuracy(), Measure::mean_absolute_error("m")]
    }

    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>) {
        let mean = |i: usize| sums[i] / examples.max(1.0);
        let (direction, distance) = (mean(0), mean(CROSS_ENTROPY_SUMS));
        (direction + self.weight * distance, vec![mean(1), mean(CROSS_ENTROPY_SUMS + 1)])
    }

    fn answer(&self, outputs: &[&[f32]]) -> Answer {
        Answer::Whole(u32::from(outputs[0][1] > outputs[0][0]))
    }

    fn truth(&self, targets: &[&[u32]]) -> Answer {
        Answer::Whole(targets[0][0])
    }

    fn predict(&self, outputs: &[&[f32]]) -> Prediction {
        let direction = if outputs[0][1] > outputs[0][0] { "up" } else { "down" };
        Prediction::Text(format!("{direction}, {:.1} m", DISTANCE.number(outputs[1][0])))
    }

    fn describe(&self) -> Value {
        json!({"losses": ["cross-entropy", "mse"], "weight": self.weight})
    }
}
