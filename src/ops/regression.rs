//! L1 and mean squared error losses for predicting a number, their gradient, and the absolute
//! error.
//!
//! A model's output z means the number mean + std z. With d = z - (target - mean) / std, the loss
//! of a row is |d|, like PyTorch's `L1Loss`, or d^2, like `MSELoss`. So the learning rate does not
//! depend on the unit of the targets. The absolute error, std |d|, is in that unit. dz = sign(d) /
//! rows or 2 d / rows: the gradient of the mean over the rows of a step, also if the step has
//! several passes.

use super::sums::Sums;
use super::{Kernels, record_loss, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Tape, Var};
use serde::{Deserialize, Serialize};

/// `shaders/regression.wgsl`.
pub static SHADER: Shader = shader!("regression");

/// Number of sums that it computes: the loss and the absolute error.
pub const COLUMNS: usize = 2;

/// The loss function of the difference d between prediction and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Absolute error |d|.
    L1,
    /// Squared error d^2.
    Mse,
}

/// The loss, and the scale of the model's output.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// The loss function.
    pub loss: Loss,
    /// Mean of the targets: the prediction for an output of 0.
    pub mean: f32,
    /// Standard deviation of the targets: the change of the prediction per unit of output. Above 0.
    pub std: f32,
}

impl Regression {
    /// The prediction for an output z.
    pub fn number(&self, z: f32) -> f32 {
        self.mean + self.std * z
    }
}

/// Appends the loss of outputs z `[N,1]` for `targets`, an f32 per row. The gradient is multiplied
/// by `weight`. An example has `per_example` rows. Backward starts here.
///
/// # Panics
/// If z has another shape, or std is not above 0.
pub fn regression(
    tape: &mut Tape,
    name: &str,
    z: Var,
    targets: Operand,
    sums: &mut Sums,
    regression: Regression,
    (weight, per_example): (f64, usize),
) {
    let Regression { loss, mean, std } = regression;
    assert!(std > 0.0, "{name}: needs std > 0, found {std}");
    let [n, outputs] = tape.shape(z).flat();
    assert!(outputs == 1, "{name}: needs z [N,1], found {}", tape.shape(z));
    let squared = loss == Loss::Mse;
    let constants = vec![("SQUARED", squared.into()), ("MEAN", mean.into()), ("STD", std.into())];
    let kernels = Kernels { shader: &SHADER, constants };
    record_loss(tape, (name, "regression"), kernels, (z, targets), sums, [n, COLUMNS], (weight, per_example));
}

/// Reference implementation in f64.
pub mod reference {
    use super::{Loss, Regression};

    /// d of each row.
    fn deviations<'a>(
        z: &'a [f64],
        targets: &'a [f64],
        regression: &Regression,
    ) -> impl Iterator<Item = f64> + use<'a> {
        let (mean, std) = (f64::from(regression.mean), f64::from(regression.std));
        z.iter().zip(targets).map(move |(z, target)| z - (target - mean) / std)
    }

    /// The loss of each row.
    pub fn losses(z: &[f64], targets: &[f64], regression: &Regression) -> Vec<f64> {
        let loss = |d: f64| match regression.loss {
            Loss::L1 => d.abs(),
            Loss::Mse => d * d,
        };
        deviations(z, targets, regression).map(loss).collect()
    }

    /// The absolute error of each row, in the unit of the targets.
    pub fn errors(z: &[f64], targets: &[f64], regression: &Regression) -> Vec<f64> {
        let std = f64::from(regression.std);
        deviations(z, targets, regression).map(|d| std * d.abs()).collect()
    }

    /// dz of the mean loss over the rows.
    pub fn backward(z: &[f64], targets: &[f64], regression: &Regression) -> Vec<f64> {
        let slope = |d: f64| match regression.loss {
            Loss::L1 if d == 0.0 => 0.0,
            Loss::L1 => d.signum(),
            Loss::Mse => 2.0 * d,
        };
        deviations(z, targets, regression).map(|d| slope(d) / z.len() as f64).collect()
    }
}
