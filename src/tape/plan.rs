//! The memory that a tape needs, computed before anything is allocated.

use super::{Keep, Tape};
use crate::error::{Error, Result};
use crate::gpu::Limits;
use crate::tensor::Layout;

/// Device memory by role, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// Parameters, padded to blocks.
    pub parameters: u64,
    /// Gradients of the parameters. 0 for evaluation.
    pub parameter_gradients: u64,
    /// States, padded to blocks.
    pub state: u64,
    /// Activations, their gradients, scratch and host-written buffers.
    pub working: u64,
}

impl Plan {
    /// The sum, in bytes.
    pub fn total(&self) -> u64 {
        self.parameters + self.parameter_gradients + self.state + self.working
    }
}

impl Tape {
    /// The memory of a program of this tape, with its storage. The program keeps the tensors in
    /// `keep`, and reuses existing buffers of sizes `given`, which are not counted.
    pub fn plan(&self, keep: Keep<'_>, given: &[u64]) -> Plan {
        let unlimited = u64::MAX;
        let layout = Layout::new(self.parameters.iter().map(|p| &p.shape), unlimited);
        let state = Layout::new(self.states.iter().map(|s| &s.shape), unlimited);
        Plan {
            parameters: layout.bytes(),
            parameter_gradients: if self.backward().is_empty() { 0 } else { layout.bytes() },
            state: state.bytes(),
            working: self.placement(keep, given).sizes(given.len()).sum(),
        }
    }

    /// Sizes of the buffers that a program of this tape can share with another program that never
    /// runs at the same time.
    pub fn shared_sizes(&self, keep: Keep<'_>) -> Vec<u64> {
        let placement = self.placement(keep, &[]);
        placement.sizes(0).enumerate().filter(|&(i, _)| placement.is_shared(i)).map(|(_, bytes)| bytes).collect()
    }

    /// Checks that every tensor fits a binding of the device, and every grid its limit.
    ///
    /// # Errors
    /// [`Error::Capacity`] with the tensor, its size, the limit, and a batch size that fits.
    pub fn check(&self, limits: &Limits, batch_size: usize) -> Result<()> {
        let limit = limits.binding_bytes.min(limits.buffer_bytes);
        let large = self.parameters.iter().map(|p| (&p.name, p.shape.bytes().next_multiple_of(1024)));
        if let Some((name, bytes)) = large.max_by_key(|&(_, bytes)| bytes)
            && bytes > limit
        {
            return Err(Error::Capacity(format!(
                "{name} needs {}, but the largest binding of this device is {}; try a narrower model",
                mebibytes(bytes),
                mebibytes(limit)
            )));
        }
        let activations = self.activations.iter().map(|a| (&a.name, a.shape.bytes().next_multiple_of(16)));
        let buffers = self.buffers.iter().map(|b| (&b.name, b.bytes));
        if let Some((name, bytes)) = activations.chain(buffers).max_by_key(|&(_, bytes)| bytes)
            && bytes > limit
        {
            let fitting = (batch_size as u128 * u128::from(limit) / u128::from(bytes)) as usize;
            let remedy = match fitting {
                0 => "no batch size fits; try a smaller model or input".to_owned(),
                n => format!("use `batch_size` {n} or less, or in training `micro_batch` {n} or less"),
            };
            return Err(Error::Capacity(format!(
                "{name} needs {} at batch size {batch_size}, but the largest binding of this device is {}; {remedy}",
                mebibytes(bytes),
                mebibytes(limit)
            )));
        }
        let dispatches =
            self.records.iter().flat_map(|r| r.forward.iter().chain(&r.backward).map(move |d| (&r.name, d)));
        let widest = dispatches.max_by_key(|(_, dispatch)| dispatch.grid.iter().max().copied());
        if let Some((name, dispatch)) = widest
            && dispatch.grid.iter().any(|&groups| groups > limits.grid)
        {
            return Err(Error::Capacity(format!(
                "{name} needs a grid of {:?} workgroups at batch size {batch_size}, but this device allows {} per \
                 dimension; use a smaller `batch_size`",
                dispatch.grid, limits.grid
            )));
        }
        Ok(())
    }
}

/// A number of bytes as text, in MiB.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
