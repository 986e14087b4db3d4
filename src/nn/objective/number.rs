//! Regression of one number with the L1 or the squared error.

use super::{Answer, Baseline, Losses, Measure, Objective, Output, Prediction, REGRESSION_SUMS};
use crate::data::Examples;
use crate::error::Result;
use crate::ops::regression::Regression;
use crate::tape::Var;

/// Regression of one number. An output z `[N,1]` of the model predicts mean + std z; the metric is
/// the mean absolute error.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    /// The target column.
    pub target: String,
    /// The target's unit.
    pub unit: String,
    /// The loss, and the mean and std that outputs are scaled by.
    pub regression: Regression,
}

/// The first target of each example, as a number.
fn numbers(data: &dyn Examples) -> Result<Vec<f32>> {
    let mut words: Vec<Vec<u32>> = data.form().targets.iter().map(|column| vec![0; column.words()]).collect();
    let number = |index: usize| {
        words.iter_mut().for_each(|words| words.fill(0));
        let mut places: Vec<&mut [u32]> = words.iter_mut().map(Vec::as_mut_slice).collect();
        data.targets(index, &mut places).map(|()| f32::from_bits(words[0][0]))
    };
    (0..data.len()).map(number).collect()
}

impl Objective for Number {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("number", 1)]
    }

    fn sums(&self) -> usize {
        REGRESSION_SUMS
    }

    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]) {
        losses.regression("loss", outputs[0], &self.target, self.regression, 1.0);
    }

    fn measures(&self) -> Vec<Measure> {
        vec![Measure::mean_absolute_error(&self.unit)]
    }

    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>) {
        (sums[0] / examples.max(1.0), vec![sums[1] / examples.max(1.0)])
    }

    fn answer(&self, outputs: &[&[f32]]) -> Answer {
        Answer::Number(self.regression.number(outputs[0][0]))
    }

    fn truth(&self, targets: &[&[u32]]) -> Answer {
        let number = f32::from_bits(targets[0][0]);
        match number.fract() == 0.0 && (0.0..4_294_967_296.0).contains(&number) {
            true => Answer::Whole(number as u32),
            false => Answer::Number(number),
        }
    }

    fn predict(&self, outputs: &[&[f32]]) -> Prediction {
        Prediction::Number(self.regression.number(outputs[0][0]).into(), self.unit.clone())
    }

    /// The median of the training targets: the constant with the least mean absolute error on them.
    fn baseline(&self, train: &dyn Examples, test: &dyn Examples) -> Result<Option<Baseline>> {
        let (mut sorted, test) = (numbers(train)?, numbers(test)?);
        let middle = sorted.len() / 2;
        let (_, &mut median, _) = sorted.select_nth_unstable_by(middle, f32::total_cmp);
        let sum: f64 = test.iter().map(|number| f64::from((number - median).abs())).sum();
        Ok(Some(Baseline::median(sum / test.len() as f64)))
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::to_value(self.regression).expect("a regression is plain data")
    }
}
