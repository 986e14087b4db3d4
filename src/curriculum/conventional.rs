//! Training without a curriculum.

use super::{Curriculum, Time};

/// Every layer has the common learning rate: the factor is 1.
#[derive(Clone, Copy, Debug)]
pub struct Conventional;

impl Curriculum for Conventional {
    fn factor(&self, _time: Time, _layer: usize) -> f64 {
        1.0
    }
}
