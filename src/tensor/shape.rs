//! The shape of a tensor.

use std::fmt;

/// The extents of a tensor, outermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The extents.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of elements. 1 for a scalar.
    pub fn count(&self) -> usize {
        self.0.iter().product()
    }

    /// Size of an f32 tensor of this shape, in bytes.
    pub fn bytes(&self) -> u64 {
        4 * self.count() as u64
    }

    /// The four extents N, C, H, W.
    ///
    /// # Panics
    /// If there are not four dimensions. The message names `user`.
    pub fn nchw(&self, user: &str) -> [usize; 4] {
        self.0.as_slice().try_into().unwrap_or_else(|_| panic!("{user}: expected x [N,C,H,W], found {self}"))
    }

    /// The shape as `[rows, last]`: the product of all extents but the last, and the last extent.
    /// A scalar is `[1, 1]`.
    pub fn last_axis(&self) -> [usize; 2] {
        let last = self.0.last().copied().unwrap_or(1);
        [self.count() / last.max(1), last]
    }

    /// The shape as `[N, rest]`: the first extent, and the product of all others.
    pub fn flat(&self) -> [usize; 2] {
        let n = self.0.first().copied().unwrap_or(1);
        [n, self.count() / n.max(1)]
    }

    /// This shape with the last extent replaced by `extent`.
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
