//! Holding examples out.

use super::random::{Stream, generator};
use crate::error::{Error, Result};
use rand::seq::SliceRandom;

/// Divides `count` examples at random into (training, validation), a pure function of the seed.
///
/// # Errors
/// [`Error::Setting`] if no example would be left to train on.
pub fn split(count: usize, validation: usize, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    if validation >= count {
        let most = count.saturating_sub(1);
        let message = format!("{validation} examples cannot be held out of {count}; {most} or fewer can");
        return Err(Error::setting("validation", message));
    }
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.shuffle(&mut generator(seed, Stream::Split));
    let train = order.split_off(validation);
    Ok((train, order))
}
