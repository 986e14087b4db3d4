//! All tensors of one role (parameters, gradients, a moment) in one buffer per window.

use super::{BLOCK, Layout, Span};
use crate::error::Result;
use crate::gpu::{Buffer, BufferRange, Gpu, block_on};

/// One role's storage. Arenas of the same layout have the same tensor at the same place.
#[derive(Debug)]
pub struct Arena {
    windows: Vec<Buffer>,
}

impl Arena {
    /// Storage for `layout`, all zero, padding included.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] where the device has no room.
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

    /// The buffers, a window each.
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
    /// If `values` has another length than the span.
    pub fn write(&self, gpu: &Gpu, span: &Span, values: &[f32]) {
        assert_eq!(values.len(), span.count, "values for a span");
        gpu.write(&self.windows[span.window], span.offset(), values);
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device fails.
    pub fn read(&self, gpu: &Gpu, span: &Span) -> Result<Vec<f32>> {
        gpu.read(&self.range(span))
    }

    /// Reads every tensor of `layout`, a transfer per window.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device fails.
    pub async fn read_all_async(&self, gpu: &Gpu, layout: &Layout) -> Result<Vec<Vec<f32>>> {
        let mut windows: Vec<Vec<f32>> = vec![];
        for window in &self.windows {
            windows.push(gpu.read_async(&window.whole()).await?);
        }
        Ok(layout.spans().iter().map(|span| windows[span.window][span.floats()].to_vec()).collect())
    }

    /// [`Arena::read_all_async`], waiting.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device fails.
    pub fn read_all(&self, gpu: &Gpu, layout: &Layout) -> Result<Vec<Vec<f32>>> {
        block_on(self.read_all_async(gpu, layout))
    }
}
