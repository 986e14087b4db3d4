//! Holding images out.

use crate::error::{Error, Result};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Stream of the split's generator, apart from the epochs'.
const STREAM: u64 = u64::MAX;

/// Divides `count` images at random into (training, validation), a pure function of the seed.
///
/// # Errors
/// [`Error::Option`] if no image would be left to train on.
pub fn split(count: usize, validation: usize, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    if validation >= count {
        let message = format!("{validation} images cannot be held out of {count}; {} or fewer can", count.saturating_sub(1));
        return Err(Error::option("--validation", message));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(STREAM);
    let mut order: Vec<u32> = (0..count as u32).collect();
    order.shuffle(&mut rng);
    let train = order.split_off(validation);
    Ok((train, order))
}
