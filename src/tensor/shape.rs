//! The extents of a tensor.

use std::fmt;

/// Extents, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The extents.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of elements; 1 for a scalar.
    pub fn count(&self) -> usize {
        self.0.iter().product()
    }

    /// Size as f32, in bytes.
    pub fn bytes(&self) -> u64 {
        4 * self.count() as u64
    }

    /// The four extents N, C, H, W.
    ///
    /// # Panics
    /// Naming `user`, if there are not four dimensions.
    pub fn nchw(&self, user: &str) -> [usize; 4] {
        self.0.as_slice().try_into().unwrap_or_else(|_| panic!("{user}: expected x [N,C,H,W], found {self}"))
    }

    /// Rows along the last axis: the product of all dimensions but the last, and the last. A scalar is one row of one element.
    pub fn last_axis(&self) -> [usize; 2] {
        let last = self.0.last().copied().unwrap_or(1);
        [self.count() / last.max(1), last]
    }

    /// Flattened examples: the first dimension, N, and the product of all others.
    pub fn flat(&self) -> [usize; 2] {
        let n = self.0.first().copied().unwrap_or(1);
        [n, self.count() / n.max(1)]
    }

    /// These extents, but `extent` along the last axis.
    pub fn with_last(&self, extent: usize) -> Self {
        let outer = self.0.split_last().map_or(&[][..], |(_, outer)| outer);
        Self([outer, &[extent]].concat())
    }
}

impl<const D: usize> From<[usize; D]> for Shape {
    fn from(dims: [usize; D]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<_> = self.0.iter().map(usize::to_string).collect();
        f.pad(&format!("[{}]", dims.join(",")))
    }
}
