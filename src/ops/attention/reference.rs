//! Attention in f64.

use super::Extent;
use crate::ops::{dropout, softmax};

/// Dropout with its probability, and the values that determine its mask.
#[derive(Clone, Copy, Debug)]
pub struct Drop {
    /// Probability.
    pub p: f64,
    /// The run's seed.
    pub seed: u32,
    /// The step.
    pub step: u32,
    /// The number of the dropout in the model.
    pub salt: u32,
}

impl Drop {
    /// y of x, or dx of dy.
    fn apply(self, x: &[f64]) -> Vec<f64> {
        dropout::reference::forward(x, self.p, self.seed, self.step, self.salt)
    }
}

/// For each n, h, t and s: the offsets of the rows in q and in k, and the index of the probability.
fn pairs(of: Extent) -> impl Iterator<Item = [usize; 3]> {
    let Extent { n, t, s, h, d } = of;
    (0..n * h * t * s).map(move |i| {
        let (key, query, head) = (i % s, i / s % t, i / s / t);
        let row = |rows: usize, row: usize| ((head / h * rows + row) * h + head % h) * d;
        [row(t, query), row(s, key), i]
    })
}

/// The dot product of the row of `a` at `i` with that of `b` at `j`.
fn dot([a, b]: [&[f64]; 2], [i, j]: [usize; 2], d: usize) -> f64 {
    a[i..][..d].iter().zip(&b[j..][..d]).map(|(a, b)| a * b).sum()
}

/// Adds `factor` times the row of `from` at `j` to that of `to` at `i`.
fn add(to: &mut [f64], i: usize, factor: f64, from: &[f64], j: usize, d: usize) {
    to[i..][..d].iter_mut().zip(&from[j..][..d]).for_each(|(sum, v)| *sum += factor * v);
}

/// The dot products of all pairs of rows of q and of k.
fn products(operands: [&[f64]; 2], of: Extent) -> Vec<f64> {
    pairs(of).map(|[i, j, _]| dot(operands, [i, j], of.d)).collect()
}

/// y.
pub fn forward([q, k, v]: [&[f64]; 3], of: Extent, scale: f64, lengths: &[u32], drop: Drop) -> Vec<f64> {
    let probabilities = softmax::reference::forward(&products([q, k], of), of.s, scale, lengths);
    let kept = drop.apply(&probabilities);
    let mut y = vec![0.0; q.len()];
    pairs(of).for_each(|[i, j, pair]| add(&mut y, i, kept[pair], v, j, of.d));
    y
}

/// dq, dk and dv.
pub fn backward(
    [q, k, v]: [&[f64]; 3],
    dy: &[f64],
    of: Extent,
    scale: f64,
    lengths: &[u32],
    drop: Drop,
) -> [Vec<f64>; 3] {
    let scores = products([q, k], of);
    let kept = drop.apply(&softmax::reference::forward(&scores, of.s, scale, lengths));
    let dprobabilities = drop.apply(&products([dy, v], of));
    let dscores = softmax::reference::backward(&scores, &dprobabilities, of.s, scale, lengths);
    let [mut dq, mut dk, mut dv] = [q, k, v].map(|operand| vec![0.0; operand.len()]);
    for [i, j, pair] in pairs(of) {
        add(&mut dq, i, dscores[pair], k, j, of.d);
        add(&mut dk, j, dscores[pair], q, i, of.d);
        add(&mut dv, j, kept[pair], dy, i, of.d);
    }
    [dq, dk, dv]
}
