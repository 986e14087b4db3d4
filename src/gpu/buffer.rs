//! Buffers on the device, and ranges of them.

/// How a kernel accesses a bound range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<uniform>`: small, read-only, the same for every invocation; at most 64 KiB.
    Uniform,
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

/// A buffer on the device. Cloning clones the handle, not the bytes.
#[derive(Clone, Debug)]
pub struct Buffer {
    pub(super) raw: wgpu::Buffer,
    pub(super) bytes: u64,
}

impl Buffer {
    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The whole buffer as a binding.
    pub fn whole(&self) -> BufferRange {
        self.range(0, self.bytes)
    }

    /// `bytes` bytes from `offset` as a binding.
    ///
    /// # Panics
    /// If the range leaves the buffer.
    pub fn range(&self, offset: u64, bytes: u64) -> BufferRange {
        assert!(bytes > 0 && offset + bytes <= self.bytes, "range {offset}+{bytes} leaves a buffer of {}", self.bytes);
        BufferRange { buffer: self.clone(), offset, bytes }
    }
}

/// A part of a buffer, bound to a kernel as one array.
#[derive(Clone, Debug)]
pub struct BufferRange {
    pub(super) buffer: Buffer,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

impl From<&Buffer> for BufferRange {
    fn from(buffer: &Buffer) -> Self {
        buffer.whole()
    }
}

impl From<&BufferRange> for BufferRange {
    fn from(range: &BufferRange) -> Self {
        range.clone()
    }
}

impl BufferRange {
    /// Size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `bytes` bytes from `offset` of this range.
    ///
    /// # Panics
    /// If the part leaves the range.
    pub fn part(&self, offset: u64, bytes: u64) -> Self {
        assert!(offset + bytes <= self.bytes, "part {offset}+{bytes} leaves a range of {}", self.bytes);
        self.buffer.range(self.offset + offset, bytes)
    }
}
