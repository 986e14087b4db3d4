//! Where each tensor of an arena lies.

use super::Shape;
use std::ops::Range;

/// Floats in a block, the unit of layout: 1,024 bytes, so that every tensor can be bound as a range (256-byte offsets) and a
/// workgroup of 64 lanes of `vec4` covers one block of one layer.
pub const BLOCK: usize = 256;

/// A tensor's place in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which window.
    pub window: usize,
    /// First block in that window.
    pub block: usize,
    /// Floats, padding not counted.
    pub count: usize,
}

impl Span {
    /// Blocks that the tensor fills, the last one perhaps in part.
    pub fn blocks(&self) -> usize {
        self.count.div_ceil(BLOCK)
    }

    /// Offset in the window, bytes.
    pub fn offset(&self) -> u64 {
        (self.block * BLOCK * 4) as u64
    }

    /// Size without padding, bytes.
    pub fn bytes(&self) -> u64 {
        self.count as u64 * 4
    }

    /// The floats of the window that belong to this tensor.
    pub fn floats(&self) -> Range<usize> {
        self.block * BLOCK..self.block * BLOCK + self.count
    }
}

/// Spans of many tensors, one after the other, cut into windows that a kernel can bind whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    spans: Vec<Span>,
    window_blocks: Vec<usize>,
}

impl Layout {
    /// Lays tensors out in order. A window holds at most `window_bytes`, cut at tensor boundaries.
    ///
    /// # Panics
    /// If one tensor alone is larger than a window; plans are checked before they are laid out.
    pub fn new<'a>(shapes: impl IntoIterator<Item = &'a Shape>, window_bytes: u64) -> Self {
        let capacity = (window_bytes / (BLOCK as u64 * 4)) as usize;
        let mut layout = Self::default();
        for shape in shapes {
            let blocks = shape.count().div_ceil(BLOCK);
            assert!(blocks <= capacity, "a tensor {shape} is larger than a window of {window_bytes} bytes");
            if layout.window_blocks.last().is_none_or(|filled| filled + blocks > capacity) {
                layout.window_blocks.push(0);
            }
            let window = layout.window_blocks.len() - 1;
            layout.spans.push(Span { window, block: layout.window_blocks[window], count: shape.count() });
            layout.window_blocks[window] += blocks;
        }
        layout
    }

    /// The tensors' places, in the order in which they were laid out.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Blocks of each window.
    pub fn windows(&self) -> &[usize] {
        &self.window_blocks
    }

    /// Size of all windows, padding included, bytes.
    pub fn bytes(&self) -> u64 {
        self.window_blocks.iter().map(|&blocks| (blocks * BLOCK * 4) as u64).sum()
    }
}
