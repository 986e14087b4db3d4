//! All tensors of one role (parameters, gradients, a moment) in a few large buffers, the windows.

use super::{BLOCK, Layout, Span};
use crate::error::Result;
use crate::gpu::{Buffer, BufferRange, Gpu, block_on};

/// The tensors of one role. In arenas of the same layout, a tensor has the same offset.
#[derive(Debug, Default)]
pub struct Arena {
    windows: Vec<Buffer>,
}

impl Arena {
    /// Allocates an arena for `layout`. Tensors and padding are all zero.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] if the device is out of memory.
    pub fn new(gpu: &Gpu, role: &str, layout: &Layout) -> Result<Self> {
        let windows = layout
            .windows()
            .iter()
            .map(|&blocks| {
                let buffer = gpu.buffer(role, (blocks * BLOCK * 4) as u64)?;
                gpu.write(&buffer, 0, &vec![0f32; blocks * BLOCK]);
                Ok(buffer)
            })
            .collect::<Result<_>>()?;
        Ok(Self { windows })
    }

    /// The buffers, one per window.
    pub fn windows(&self) -> &[Buffer] {
        &self.windows
    }

    /// One tensor as a binding.
    pub fn range(&self, span: &Span) -> BufferRange {
        self.windows[span.window].range(span.offset(), span.bytes())
    }

    /// Overwrites one tensor.
    ///
    /// # Panics
    /// If the length of `values` is not that of the span.
    pub fn write(&self, gpu: &Gpu, span: &Span, values: &[f32]) {
        assert_eq!(values.len(), span.count, "values for a span");
        gpu.write(&self.windows[span.window], span.offset(), values);
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub fn read(&self, gpu: &Gpu, span: &Span) -> Result<Vec<f32>> {
        gpu.read(&self.range(span))
    }

    /// Reads every tensor of `layout`, in one transfer per window.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn read_all_async(&self, gpu: &Gpu, layout: &Layout) -> Result<Vec<Vec<f32>>> {
        let mut windows: Vec<Vec<f32>> = vec![];
        for window in &self.windows {
            windows.push(gpu.read_async(&window.whole()).await?);
        }
        Ok(layout.spans().iter().map(|span| windows[span.window][span.floats()].to_vec()).collect())
    }

    /// Blocking form of [`Arena::read_all_async`].
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub fn read_all(&self, gpu: &Gpu, layout: &Layout) -> Result<Vec<Vec<f32>>> {
        block_on(self.read_all_async(gpu, layout))
    }
}
