//! The bytes that a tape will need, known before anything is allocated.

use super::Tape;
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
    /// Activations.
    pub activations: u64,
    /// Gradients of activations.
    pub activation_gradients: u64,
    /// Scratch and host-written buffers.
    pub buffers: u64,
}

impl Plan {
    /// All of it, bytes.
    pub fn total(&self) -> u64 {
        self.parameters
            + self.parameter_gradients
            + self.state
            + self.activations
            + self.activation_gradients
            + self.buffers
    }

    /// What this tape adds to storage that is there already.
    pub fn beside_storage(&self) -> u64 {
        self.activations + self.activation_gradients + self.buffers
    }
}

impl Tape {
    /// The bytes that a program of this tape needs, its storage counted in.
    pub fn plan(&self) -> Plan {
        let unlimited = u64::MAX;
        let layout = Layout::new(self.parameters.iter().map(|p| &p.shape), unlimited);
        let state = Layout::new(self.states.iter().map(|s| &s.shape), unlimited);
        let has_gradients = !self.backward().is_empty();
        let bytes = |needs: bool| -> u64 {
            self.activations
                .iter()
                .filter(|a| a.needs_gradient || !needs)
                .map(|a| a.shape.bytes().next_multiple_of(16))
                .sum()
        };
        Plan {
            parameters: layout.bytes(),
            parameter_gradients: if has_gradients { layout.bytes() } else { 0 },
            state: state.bytes(),
            activations: bytes(false),
            activation_gradients: if has_gradients { bytes(true) } else { 0 },
            buffers: self.buffers.iter().map(|b| b.bytes).sum(),
        }
    }

    /// Whether every buffer fits a binding of the device, with the batch size that would fit where one does not.
    ///
    /// # Errors
    /// [`Error::Capacity`] naming the tensor, its size, the limit and the remedy.
    pub fn check(&self, limits: &Limits, batch_size: usize) -> Result<()> {
        let limit = limits.binding_bytes.min(limits.buffer_bytes);
        let activations = self.activations.iter().map(|a| (&a.name, a.shape.bytes().next_multiple_of(16)));
        let buffers = self.buffers.iter().map(|b| (&b.name, b.bytes));
        if let Some((name, bytes)) = activations.chain(buffers).max_by_key(|&(_, bytes)| bytes)
            && bytes > limit
        {
            let fitting = (batch_size as u128 * u128::from(limit) / u128::from(bytes)) as usize;
            let remedy = match fitting {
                0 => "no batch size fits; a smaller model or input does".to_owned(),
                n => format!("--batch-size {n} or less fits"),
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
                 a smaller --batch-size fits",
                dispatch.grid, limits.grid
            )));
        }
        let large = self.parameters.iter().map(|p| (&p.name, p.shape.bytes().next_multiple_of(1024)));
        match large.max_by_key(|&(_, bytes)| bytes) {
            Some((name, bytes)) if bytes > limit => Err(Error::Capacity(format!(
                "{name} needs {}, this device binds {}; a narrower model fits",
                mebibytes(bytes),
                mebibytes(limit)
            ))),
            _ => Ok(()),
        }
    }
}

/// Bytes for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
