//! The coefficient of mixup.

use super::random::{Stream, generator};
use rand_distr::{Beta, Distribution};

/// The mixup coefficient lambda of a step (Zhang et al. 2018): the weight of an example in its
/// mixture.
///
/// It is drawn from Beta(alpha, alpha) and at least 1/2: the larger of l and 1 - l. The two
/// examples of a pair are mixed with each other, so it does not matter which of the two weights an
/// example gets.
///
/// # Panics
/// If alpha is not a positive number.
pub fn mixing_part(alpha: f64, seed: u64, step: u64) -> f64 {
    let beta = Beta::new(alpha, alpha).expect("alpha is a positive number");
    let part: f64 = beta.sample(&mut generator(seed, Stream::Mixture { step }));
    part.max(1.0 - part)
}
