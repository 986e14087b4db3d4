//! Attention (Vaswani et al. 2017) of each head of q `[N,T,H*D]` over k and v `[N,S,H*D]`:
//!
//! y = dropout(softmax(scale q k^T)) v
//!
//! A head is D consecutive elements of a row. With lengths, keys from an example's length on have
//! probability exactly 0. An example of length 0 gives 0.
//!
//! There are two implementations, equal up to rounding. [`composed`] records products, softmax and
//! dropout; it stores all probabilities `[N,H,T,S]`. [`fused`] stores one number per row of them,
//! and computes the probabilities again in the backward pass.

mod fused;
pub mod reference;

use super::{dropout::dropout, product::product, softmax::softmax};
use crate::tape::{Operand, Tape, Var};
use crate::tensor::Shape;
pub use fused::{SHADER, fused, is_fusible};

/// [`attention`] is fused if the probabilities `[N,H,T,S]` have at least this many bytes.
/// [`composed`] stores them once for the backward pass, with dropout twice; it is faster if they
/// are small.
pub const FUSED_BYTES: u64 = 32 << 20;

/// The options of attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOptions {
    /// Heads, H.
    pub heads: usize,
    /// Factor of the scores; usually 1 / sqrt(D).
    pub scale: f64,
    /// One u32 per example: the number of keys that are not masked.
    pub lengths: Option<Operand>,
    /// Probability with which each of the probabilities is dropped in training.
    pub dropout: f64,
    /// Distinguishes the masks of this dropout from those of other dropouts.
    pub salt: u32,
}

/// N, T, S, H and D.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Examples.
    pub n: usize,
    /// Queries.
    pub t: usize,
    /// Keys.
    pub s: usize,
    /// Heads.
    pub h: usize,
    /// Elements of a head.
    pub d: usize,
}

impl Extent {
    /// The extent of attention over operands of these shapes.
    ///
    /// # Panics
    /// If the shapes do not fit. The message names `user`.
    pub fn new(user: &str, [q, k, v]: [&Shape; 3], heads: usize) -> Self {
        let (&[n, t, width], &[kn, s, k_width]) = (q.dims(), k.dims()) else {
            panic!("{user}: attention needs q [N,T,C] and k [N,S,C], found q {q} and k {k}")
        };
        assert!(
            (n, width) == (kn, k_width) && k == v,
            "{user}: attention of q {q} over k {k} and v {v}: N and C must agree"
        );
        assert!(
            heads > 0 && width % heads == 0,
            "{user}: the {width} elements of q {q} cannot be divided into {heads} heads"
        );
        Self { n, t, s, h: heads, d: width / heads }
    }

    /// Bytes of the probabilities `[N,H,T,S]`.
    fn bytes(self) -> u64 {
        4 * (self.n * self.h * self.t * self.s) as u64
    }
}

fn extent(tape: &Tape, name: &str, qkv: [Var; 3], heads: usize) -> Extent {
    Extent::new(name, qkv.map(|operand| tape.shape(operand)), heads)
}

/// Appends attention: [`fused`] from [`FUSED_BYTES`] on, if that is possible, else [`composed`].
///
/// # Panics
/// If the shapes do not fit, or the probability of dropout is outside [0, 1).
pub fn attention(tape: &mut Tape, name: &str, qkv: [Var; 3], options: AttentionOptions) -> Var {
    let extent = extent(tape, name, qkv, options.heads);
    match extent.bytes() >= FUSED_BYTES && is_fusible(extent) {
        true => fused(tape, name, qkv, options),
        false => composed(tape, name, qkv, options),
    }
}

/// Appends attention as two batched products with softmax and dropout between them.
///
/// # Panics
/// In the cases of [`attention`].
pub fn composed(tape: &mut Tape, name: &str, qkv: [Var; 3], options: AttentionOptions) -> Var {
    let Extent { n, t, s, h, d } = extent(tape, name, qkv, options.heads);
    let [q, k, v] = qkv;
    let [q, k, v] = [(q, t), (k, s), (v, s)].map(|(operand, rows)| tape.view(operand, [n, rows, h, d]));
    let scores = product(tape, &format!("{name}.scores"), "nthd,nshd->nhts", q, k);
    let probabilities = softmax(tape, &format!("{name}.probabilities"), scores, options.scale, options.lengths);
    let kept = dropout(tape, &format!("{name}.dropout"), probabilities, options.dropout, options.salt);
    let y = product(tape, name, "nhts,nshd->nthd", kept, v);
    tape.view(y, [n, t, h * d])
}
