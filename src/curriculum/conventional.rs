//! Ordinary training.

use super::{Curriculum, Time};

/// Every layer at the common rate: factor 1.
#[derive(Clone, Copy, Debug)]
pub struct Conventional;

impl Curriculum for Conventional {
    fn factor(&self, _time: Time, _layer: usize) -> f64 {
        1.0
    }
}
