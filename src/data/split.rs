//! Random split into training and validation examples.

use super::random::{Stream, generator};
use crate::error::{Error, Result};
use rand::seq::SliceRandom;

/// Splits the indices of `count` examples at random into (training, validation), with `validation`
/// examples for validation. The split is a pure function of the seed.
///
/// # Errors
/// [`Error::Setting`] if no training example would be left.
pub fn train_validation_split(count: usize, validation: usize, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    if validation >= count {
        let most = count.saturating_sub(1);
        let message = format!(
            "expected at most {most} of {count} examples for validation, found {validation}; `validation` {} holds out a \
             fifth, 0 none",
            count / 5
        );
        return Err(Error::setting("validation", message));
    }
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.shuffle(&mut generator(seed, Stream::Split));
    let train = order.split_off(validation);
    Ok((train, order))
}
