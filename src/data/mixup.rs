//! How the examples of a step are mixed.

use super::random::{Stream, generator};
use rand_distr::{Beta, Distribution};

/// An example's own part in what mixup makes of it, of a step: Beta(alpha, alpha), the larger of the two parts. In pairs of which each
/// example is the other's partner it does not matter which part is whose.
///
/// # Panics
/// If alpha is not a positive number.
pub fn mixing_part(alpha: f64, seed: u64, step: u64) -> f64 {
    let beta = Beta::new(alpha, alpha).expect("alpha is a positive number");
    let part: f64 = beta.sample(&mut generator(seed, Stream::Mixture { step }));
    part.max(1.0 - part)
}
