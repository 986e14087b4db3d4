//! The L1 and the mean squared error loss of a predicted number, its gradient, and the absolute errors.
//!
//! The model's output z `[N,1]` stands for the number mean + std z. With d = z - (label - mean) / std the loss of a row is |d|, as
//! PyTorch's `L1Loss` has it, or d^2, as its `MSELoss`, so that it asks for the same learning rates whatever the numbers' unit; the
//! absolute error, std |d|, is in that unit. dz = sign(d) / images or 2 d / images: the gradient of the mean over the batch; where
//! that is cut in passes, over all of them. Rows labelled [`PADDING`](super::metrics::PADDING) count for nothing.

use super::metrics::Sums;
use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{BufferId, Operand, Record, Tape, Var, linear_grid};
use serde::{Deserialize, Serialize};

/// `shaders/regression.wgsl`.
pub static SHADER: Shader = shader!("regression");

/// What becomes of the distance between a number and its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Its absolute value.
    L1,
    /// Its square.
    Mse,
}

/// What a model's output stands for, and what it is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// The loss.
    pub loss: Loss,
    /// The number that an output of 0 stands for.
    pub mean: f32,
    /// How far an output of 1 lies above it; above 0.
    pub std: f32,
}

impl Regression {
    /// The number that an output z stands for.
    pub fn number(&self, z: f32) -> f32 {
        self.mean + self.std * z
    }
}

/// Appends the loss of outputs z `[N,1]` under the labels, whole numbers, that are the first N words of `batch`. Backward starts here.
///
/// # Panics
/// If z has another shape, or std is not above 0.
pub fn regression(tape: &mut Tape, name: &str, z: Var, batch: BufferId, regression: Regression) {
    let Regression { loss, mean, std } = regression;
    assert!(std > 0.0, "{name}: needs std > 0, found {std}");
    let [n, outputs] = tape.shape(z).flat();
    assert!(outputs == 1, "{name}: needs z [N,1], found {}", tape.shape(z));
    let sums = Sums::of_rows(tape, name, n);
    let constants = vec![
        ("N", n.into()),
        ("SQUARED", (loss == Loss::Mse).into()),
        ("MEAN", mean.into()),
        ("STD", std.into()),
        ("PASSES", tape.passes().into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let grid = linear_grid(n, LANES);
    let (z_in, labels) = (Operand::from(z).read(), Operand::from(batch).read());
    let forward =
        vec![kernels.dispatch("forward", vec![z_in, labels, sums.rows.write()], grid), sums.of_errors(tape, labels)];
    let mut backward = vec![];
    if tape.needs_gradient(z) {
        let bindings = vec![z_in, labels, sums.metrics.read(), Operand::Gradient(z).write()];
        backward.push(kernels.dispatch("backward", bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "regression", result: None, forward, backward });
}

/// The same in f64.
pub mod reference {
    use super::{Loss, Regression};
    use crate::ops::metrics::PADDING;

    /// d of each row, none of padding.
    fn deviations<'a>(
        z: &'a [f64],
        labels: &'a [u32],
        regression: &Regression,
    ) -> impl Iterator<Item = Option<f64>> + use<'a> {
        let (mean, std) = (f64::from(regression.mean), f64::from(regression.std));
        z.iter().zip(labels).map(move |(z, &label)| (label != PADDING).then(|| z - (f64::from(label) - mean) / std))
    }

    /// The loss of each row, 0 for padding.
    pub fn losses(z: &[f64], labels: &[u32], regression: &Regression) -> Vec<f64> {
        let loss = |d: f64| match regression.loss {
            Loss::L1 => d.abs(),
            Loss::Mse => d * d,
        };
        deviations(z, labels, regression).map(|d| d.map_or(0.0, loss)).collect()
    }

    /// The absolute error of each row in the labels' unit, 0 for padding.
    pub fn errors(z: &[f64], labels: &[u32], regression: &Regression) -> Vec<f64> {
        let std = f64::from(regression.std);
        deviations(z, labels, regression).map(|d| d.map_or(0.0, |d| std * d.abs())).collect()
    }

    /// dz of the mean loss over the rows that are not padding.
    pub fn backward(z: &[f64], labels: &[u32], regression: &Regression) -> Vec<f64> {
        let images = deviations(z, labels, regression).flatten().count() as f64;
        let slope = |d: f64| match regression.loss {
            Loss::L1 if d == 0.0 => 0.0,
            Loss::L1 => d.signum(),
            Loss::Mse => 2.0 * d,
        };
        deviations(z, labels, regression).map(|d| d.map_or(0.0, slope) / images).collect()
    }
}
