//! The offset of each tensor in an arena.

use super::Shape;
use std::ops::Range;

/// Floats in a block, to which tensors are padded. A block is 1,024 bytes. So every tensor can be
/// bound as a range (WebGPU offsets are multiples of 256 bytes), and 64 invocations with one `vec4`
/// each cover a block of one layer.
pub const BLOCK: usize = 256;

/// A tensor's location in an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Index of the window.
    pub window: usize,
    /// First block in the window.
    pub block: usize,
    /// Number of floats, without padding.
    pub count: usize,
}

impl Span {
    /// Number of blocks, the last of which may be partly padding.
    pub fn blocks(&self) -> usize {
        self.count.div_ceil(BLOCK)
    }

    /// Offset in the window, in bytes.
    pub fn offset(&self) -> u64 {
        (self.block * BLOCK * 4) as u64
    }

    /// Size without padding, in bytes.
    pub fn bytes(&self) -> u64 {
        self.count as u64 * 4
    }

    /// Index range of the tensor's floats in the window.
    pub fn floats(&self) -> Range<usize> {
        self.block * BLOCK..self.block * BLOCK + self.count
    }
}

/// Spans of many tensors, one after another, in windows that are small enough to bind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    spans: Vec<Span>,
    window_blocks: Vec<usize>,
}

impl Layout {
    /// Lays tensors out in order. A window holds whole tensors, of at most `window_bytes` in all.
    ///
    /// # Panics
    /// If one tensor is larger than a window. [`crate::tape::Tape::check`] finds such tensors.
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

    /// The tensors' spans, in the order of their layout.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Number of blocks of each window.
    pub fn windows(&self) -> &[usize] {
        &self.window_blocks
    }

    /// Size of all windows with padding, in bytes.
    pub fn bytes(&self) -> u64 {
        self.window_blocks.iter().map(|&blocks| (blocks * BLOCK * 4) as u64).sum()
    }
}
