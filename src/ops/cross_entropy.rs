//! Softmax cross-entropy with label smoothing, its gradient, and the hits.
//!
//! `loss[n]` = logsumexp_k(`z[n,k]`) - sum_k `t[k]` `z[n,k]` with t = (1 - e) onehot(label) + e / K, as PyTorch's `CrossEntropyLoss`;
//! dz = (softmax(z) - t) / rows: the gradient of the mean over the rows of a step, in however many passes it is computed.

use super::sums::Sums;
use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/cross_entropy.wgsl`.
pub static SHADER: Shader = shader!("cross_entropy");

/// The sums that it leaves: the loss, hits in the top 1, hits in the top 5.
pub const COLUMNS: usize = 3;

/// What the logits are held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    /// e, the part of 1 that all classes share.
    pub smoothing: f64,
    /// Whether the examples were mixed by [`super::mixup`]: t is then mixed of both labels alike.
    pub mixed: bool,
    /// Factor of the gradient, where there are several losses.
    pub weight: f64,
    /// Rows of an example.
    pub per_example: usize,
}

impl Default for Targets {
    fn default() -> Self {
        Self { smoothing: 0.0, mixed: false, weight: 1.0, per_example: 1 }
    }
}

/// Appends the loss of logits z `[N,K]` under `labels`, a word each. Backward starts here.
///
/// # Panics
/// If smoothing is outside [0, 1).
pub fn cross_entropy(tape: &mut Tape, name: &str, z: Var, labels: Operand, sums: &mut Sums, targets: Targets) {
    let Targets { smoothing, mixed, weight, per_example } = targets;
    assert!((0.0..1.0).contains(&smoothing), "{name}: needs 0 <= smoothing < 1, found {smoothing}");
    let [n, k] = tape.shape(z).last_axis();
    let rows: Operand = tape.buffer(&format!("{name}.rows"), (4 * n * COLUMNS) as u64).into();
    let controls = Operand::from(tape.controls()).uniform();
    let constants = vec![
        ("N", n.into()),
        ("K", k.into()),
        ("SMOOTHING", (smoothing as f32).into()),
        ("WEIGHT", (weight as f32).into()),
        ("PER", per_example.into()),
        ("MIXED", mixed.into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let grid = linear_grid(n, LANES);
    let read = vec![Operand::from(z).read(), labels.read(), controls];
    let with = |last| [read.clone(), vec![last]].concat();
    let forward =
        vec![kernels.dispatch("forward", with(rows.write()), grid), sums.add(tape, rows, [n, COLUMNS], per_example)];
    let mut backward = vec![];
    if tape.needs_gradient(z) {
        backward.push(kernels.dispatch("backward", with(Operand::Gradient(z).write()), grid));
    }
    tape.record(Record { name: name.into(), op: "cross_entropy", result: None, forward, backward });
}

/// In f64.
pub mod reference {
    fn log_sum_exp(z: &[f64]) -> f64 {
        let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        top + z.iter().map(|v| (v - top).exp()).sum::<f64>().ln()
    }

    fn target(label: u32, k: usize, classes: usize, smoothing: f64) -> f64 {
        smoothing / classes as f64 + if label as usize == k { 1.0 - smoothing } else { 0.0 }
    }

    /// The loss of each row.
    pub fn losses(z: &[f64], labels: &[u32], smoothing: f64) -> Vec<f64> {
        let classes = z.len() / labels.len();
        let row = |(z, &label): (&[f64], &u32)| {
            let wanted: f64 = z.iter().enumerate().map(|(k, v)| v * target(label, k, classes, smoothing)).sum();
            log_sum_exp(z) - wanted
        };
        z.chunks_exact(classes).zip(labels).map(row).collect()
    }

    /// dz of the mean loss over the rows.
    pub fn backward(z: &[f64], labels: &[u32], smoothing: f64) -> Vec<f64> {
        let (rows, classes) = (labels.len() as f64, z.len() / labels.len());
        let mut dz = vec![];
        for (z, &label) in z.chunks_exact(classes).zip(labels) {
            let norm = log_sum_exp(z);
            let share = |k: usize| target(label, k, classes, smoothing);
            dz.extend(z.iter().enumerate().map(|(k, v)| ((v - norm).exp() - share(k)) / rows));
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
