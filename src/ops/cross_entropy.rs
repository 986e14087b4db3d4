//! Softmax cross-entropy with label smoothing, its gradient, and the hits.
//!
//! `loss[n]` = logsumexp_k(`z[n,k]`) - sum_k `t[k]` `z[n,k]` with t = (1 - e) onehot(label) + e / K, as PyTorch's `CrossEntropyLoss`;
//! dz = (softmax(z) - t) / images: the gradient of the mean over the batch; where that is cut in passes, over all of them. Rows labelled
//! [`PADDING`](super::metrics::PADDING) count for nothing.

use super::metrics::Sums;
use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{BufferId, Operand, Record, Tape, Var, linear_grid};

/// `shaders/cross_entropy.wgsl`.
pub static SHADER: Shader = shader!("cross_entropy");

/// What the logits are held against.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Targets {
    /// e, the part of 1 that is spread over all classes.
    pub smoothing: f64,
    /// Whether the images were mixed by [`super::mixup`]: t is then mixed of both labels alike.
    pub mixed: bool,
}

/// Appends the loss of logits z `[N,K]` under the labels that are the first N words of `batch`. Backward starts here.
///
/// # Panics
/// If smoothing is outside [0, 1).
pub fn cross_entropy(tape: &mut Tape, name: &str, z: Var, batch: BufferId, targets: Targets) {
    let Targets { smoothing, mixed } = targets;
    assert!((0.0..1.0).contains(&smoothing), "{name}: needs 0 <= smoothing < 1, found {smoothing}");
    let [n, k] = tape.shape(z).flat();
    let sums = Sums::of_rows(tape, name, n);
    let controls = Operand::from(tape.controls()).uniform();
    let smoothing = (smoothing as f32).into();
    let constants = vec![
        ("N", n.into()),
        ("K", k.into()),
        ("SMOOTHING", smoothing),
        ("PASSES", tape.passes().into()),
        ("MIXED", mixed.into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let grid = linear_grid(n, LANES);
    let (z_in, labels) = (Operand::from(z).read(), Operand::from(batch).read());
    let forward = vec![
        kernels.dispatch("forward", vec![z_in, labels, sums.rows.write(), controls], grid),
        sums.of_hits(tape, labels),
    ];
    let mut backward = vec![];
    if tape.needs_gradient(z) {
        let bindings = vec![z_in, labels, sums.metrics.read(), Operand::Gradient(z).write(), controls];
        backward.push(kernels.dispatch("backward", bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "cross_entropy", result: None, forward, backward });
}

/// The same in f64.
pub mod reference {
    use crate::ops::metrics::PADDING;

    fn log_sum_exp(z: &[f64]) -> f64 {
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + z.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
    }

    fn target(label: u32, k: usize, classes: usize, smoothing: f64) -> f64 {
        smoothing / classes as f64 + if label as usize == k { 1.0 - smoothing } else { 0.0 }
    }

    /// The loss of each row, 0 for padding.
    pub fn losses(z: &[f64], labels: &[u32], smoothing: f64) -> Vec<f64> {
        let classes = z.len() / labels.len();
        let row = |(z, &label): (&[f64], &u32)| {
            if label == PADDING {
                return 0.0;
            }
            let wanted: f64 = z.iter().enumerate().map(|(k, v)| v * target(label, k, classes, smoothing)).sum();
            log_sum_exp(z) - wanted
        };
        z.chunks_exact(classes).zip(labels).map(row).collect()
    }

    /// dz of the mean loss over the rows that are not padding.
    pub fn backward(z: &[f64], labels: &[u32], smoothing: f64) -> Vec<f64> {
        let classes = z.len() / labels.len();
        let images = labels.iter().filter(|&&label| label != PADDING).count() as f64;
        let mut dz = vec![];
        for (z, &label) in z.chunks_exact(classes).zip(labels) {
            let norm = log_sum_exp(z);
            dz.extend(z.iter().enumerate().map(|(k, v)| match label {
                PADDING => 0.0,
                _ => ((v - norm).exp() - target(label, k, classes, smoothing)) / images,
            }));
        }
        dz
    }

    /// Rows whose label is among the `top` largest logits, equal ones in class order.
    pub fn hits(z: &[f64], labels: &[u32], top: usize) -> u32 {
        let classes = z.len() / labels.len();
        let hit = |(z, &label): (&[f64], &u32)| {
            let label = label as usize;
            label < classes && {
                let before = |(k, v): &(usize, &f64)| **v > z[label] || (**v == z[label] && *k < label);
                z.iter().enumerate().filter(before).count() < top
            }
        };
        z.chunks_exact(classes).zip(labels).filter(|&row| hit(row)).count() as u32
    }
}
