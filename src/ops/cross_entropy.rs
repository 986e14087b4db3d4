//! Softmax cross-entropy with label smoothing, its gradient, and the correct predictions (hits).
//!
//! `loss[n]` = logsumexp_k(`z[n,k]`) - sum_k `t[k]` `z[n,k]`, with targets t = (1 - e)
//! onehot(label) + e / K, as in PyTorch's `CrossEntropyLoss`. dz = (softmax(z) - t) / rows: the
//! gradient of the mean over the rows of a step, also if the step has several passes.
//!
//! With a weight w per class, `loss[n]` = sum_k `w[k]` `t[k]` (logsumexp - `z[n,k]`). PyTorch
//! divides the sum over rows by the weights of a batch's labels, this crate by the number of rows.

use super::sums::Sums;
use super::{Kernels, record_loss, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{Operand, Tape, Var};

/// `shaders/cross_entropy.wgsl`.
pub static SHADER: Shader = shader!("cross_entropy");

/// Number of sums that it computes: the loss, the top-1 hits and the top-5 hits.
pub const COLUMNS: usize = 3;

/// Options of the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Targets {
    /// Label smoothing e, as in PyTorch's `label_smoothing`.
    pub smoothing: f64,
    /// Whether the examples are mixed by [`super::mixup`]. Then t is the same mixture of both
    /// labels.
    pub mixed: bool,
    /// Factor of the gradient, for models with several losses.
    pub weight: f64,
    /// The weight of each class; empty for 1 each.
    pub class_weights: Vec<f32>,
    /// Rows per example.
    pub per_example: usize,
}

impl Default for Targets {
    fn default() -> Self {
        Self { smoothing: 0.0, mixed: false, weight: 1.0, class_weights: vec![], per_example: 1 }
    }
}

/// Appends the loss of logits z `[N,K]` for `labels`, a u32 per row. Backward starts here.
///
/// # Panics
/// If the label smoothing is outside [0, 1), or if there are class weights, but not K.
pub fn cross_entropy(tape: &mut Tape, name: &str, z: Var, labels: Operand, sums: &mut Sums, targets: Targets) {
    let Targets { smoothing, mixed, weight, class_weights, per_example } = targets;
    assert!((0.0..1.0).contains(&smoothing), "{name}: needs 0 <= smoothing < 1, found {smoothing}");
    let [n, k] = tape.shape(z).last_axis();
    let weighted = !class_weights.is_empty();
    assert!(!weighted || class_weights.len() == k, "{name}: {} class weights for {k} classes", class_weights.len());
    let class_weights = if weighted { class_weights } else { vec![1.0] };
    let constants = vec![
        ("K", k.into()),
        ("SMOOTHING", (smoothing as f32).into()),
        ("MIXED", mixed.into()),
        ("WEIGHTED", weighted.into()),
        ("CLASS_WEIGHTS", Constant::Table(class_weights)),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    record_loss(tape, (name, "cross_entropy"), kernels, (z, labels), sums, [n, COLUMNS], (weight, per_example));
}

/// Reference implementation in f64.
pub mod reference {
    fn log_sum_exp(z: &[f64]) -> f64 {
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + z.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
    }

    fn target(label: u32, k: usize, classes: usize, smoothing: f64) -> f64 {
        smoothing / classes as f64 + if label as usize == k { 1.0 - smoothing } else { 0.0 }
    }

    /// The weight of class k; 1 without weights.
    fn weight(weights: &[f64], k: usize) -> f64 {
        weights.get(k).copied().unwrap_or(1.0)
    }

    /// The loss of each row, with a weight per class or none.
    pub fn losses(z: &[f64], labels: &[u32], smoothing: f64, weights: &[f64]) -> Vec<f64> {
        let classes = z.len() / labels.len();
        let row = |(z, &label): (&[f64], &u32)| {
            let norm = log_sum_exp(z);
            let term = |(k, v): (usize, &f64)| weight(weights, k) * target(label, k, classes, smoothing) * (norm - v);
            z.iter().enumerate().map(term).sum()
        };
        z.chunks_exact(classes).zip(labels).map(row).collect()
    }

    /// dz of the mean loss over the rows.
    pub fn backward(z: &[f64], labels: &[u32], smoothing: f64, weights: &[f64]) -> Vec<f64> {
        let (rows, classes) = (labels.len() as f64, z.len() / labels.len());
        let mut dz = vec![];
        for (z, &label) in z.chunks_exact(classes).zip(labels) {
            let norm = log_sum_exp(z);
            let share = |k: usize| weight(weights, k) * target(label, k, classes, smoothing);
            let all: f64 = (0..classes).map(share).sum();
            dz.extend(z.iter().enumerate().map(|(k, v)| (all * (v - norm).exp() - share(k)) / rows));
        }
        dz
    }

    /// Number of rows whose label is among the `top` largest logits. Ties are in class order.
    pub fn hits(z: &[f64], labels: &[u32], top: usize) -> u32 {
        let classes = z.len() / labels.len();
        let hit = |(z, &label): (&[f64], &u32)| {
            let label = label as usize;
            let before = |(k, v): &(usize, &f64)| **v > z[label] || (**v == z[label] && *k < label);
            z.iter().enumerate().filter(before).count() < top
        };
        z.chunks_exact(classes).zip(labels).filter(|&row| hit(row)).count() as u32
    }
}
