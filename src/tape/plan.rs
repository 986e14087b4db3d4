//! The bytes that a tape will need, known before anything is allocated.

use super::{Keep, Tape};
use crate::error::{Error, Result};
use crate::gpu::Limits;
use crate::tensor::Layout;

/// Bytes on the device by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Plan {
    /// Trained tensors, in blocks.
    pub parameters: u64,
    /// Gradients of the trained tensors; 0 for evaluation.
    pub parameter_gradients: u64,
    /// Kept tensors.
    pub state: u64,
    /// Activations, their gradients, scratch and host-written buffers.
    pub working: u64,
}

impl Plan {
    /// All of it, bytes.
    pub fn total(&self) -> u64 {
        self.parameters + self.parameter_gradients + self.state + self.working
    }
}

impl Tape {
    /// The bytes that a program of this tape needs, its storage counted in: one that keeps what `keep` says, and may use buffers of
    /// the `given` sizes that are there already.
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

    /// Sizes of the buffers of such a program that another one, which never runs at the same time, may use too.
    pub fn shared_sizes(&self, keep: Keep<'_>) -> Vec<u64> {
        let placement = self.placement(keep, &[]);
        placement.sizes(0).enumerate().filter(|&(i, _)| placement.is_shared(i)).map(|(_, bytes)| bytes).collect()
    }

    /// Whether every buffer fits a binding of the device, with the batch size that would fit where one does not.
    ///
    /// # Errors
    /// [`Error::Capacity`] naming the tensor, its size, the limit and the remedy.
    pub fn check(&self, limits: &Limits, batch_size: usize) -> Result<()> {
        let limit = limits.binding_bytes.min(limits.buffer_bytes);
        let large = self.parameters.iter().map(|p| (&p.name, p.shape.bytes().next_multiple_of(1024)));
        if let Some((name, bytes)) = large.max_by_key(|&(_, bytes)| bytes)
            && bytes > limit
        {
            return Err(Error::Capacity(format!(
                "{name} needs {}, this device binds {}; a narrower model fits",
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
                0 => "no batch size fits; a smaller model or input does".to_owned(),
                n => format!("`batch_size` {n} or less fits, in training also as `micro_batch`"),
            };
            return Err(Error::Capacity(format!(
                "{name} needs {} at batch size {batch_size}, this device binds {}; {remedy}",
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
                "{name} needs a grid of {:?} workgroups at batch size {batch_size}, this device launches {} along a dimension; \
                 a smaller `batch_size` fits",
                dispatch.grid, limits.grid
            )));
        }
        Ok(())
    }
}

/// Bytes for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
