//! Parameters, their gradients and kept tensors: what programs of one model share.

use super::{Declared, Tape};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::tensor::{Arena, Layout, Span};

/// The arenas of a model.
#[derive(Debug)]
pub struct Storage {
    /// Where each parameter lies, in [`Storage::params`] and [`Storage::grads`] alike.
    pub layout: Layout,
    /// Trained tensors.
    pub params: Arena,
    /// Gradients of the trained tensors.
    pub grads: Arena,
    /// Where each kept tensor lies.
    pub state_layout: Layout,
    /// Tensors that are kept but not trained.
    pub state: Arena,
    parameters: Vec<Declared>,
    states: Vec<Declared>,
}

impl Storage {
    /// Arenas for what `tape` declares, all zero.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] where the device has no room.
    pub fn new(gpu: &Gpu, tape: &Tape) -> Result<Self> {
        Self::with_windows(gpu, tape, gpu.limits().binding_bytes)
    }

    /// The same in windows of at most `window` bytes each.
    ///
    /// # Errors
    /// As [`Storage::new`].
    pub fn with_windows(gpu: &Gpu, tape: &Tape, window: u64) -> Result<Self> {
        let layout = Layout::new(tape.parameters().iter().map(|p| &p.shape), window);
        let state_layout = Layout::new(tape.states().iter().map(|s| &s.shape), window);
        Ok(Self {
            params: Arena::new(gpu, "parameters", &layout)?,
            grads: Arena::new(gpu, "gradients", &layout)?,
            state: Arena::new(gpu, "state", &state_layout)?,
            layout,
            state_layout,
            parameters: tape.parameters().to_vec(),
            states: tape.states().to_vec(),
        })
    }

    /// The trained tensors in the order of the layout.
    pub fn parameters(&self) -> &[Declared] {
        &self.parameters
    }

    /// The kept tensors in the order of their layout.
    pub fn states(&self) -> &[Declared] {
        &self.states
    }

    /// Every trained and kept tensor with its place, parameters first.
    pub fn tensors(&self) -> impl Iterator<Item = (&Declared, &Arena, &Span)> {
        let params = self.parameters.iter().zip(self.layout.spans()).map(|(d, s)| (d, &self.params, s));
        let states = self.states.iter().zip(self.state_layout.spans()).map(|(d, s)| (d, &self.state, s));
        params.chain(states)
    }

    /// Whether a tape declares the same tensors and so can run on these arenas.
    pub(super) fn fits(&self, tape: &Tape) -> bool {
        self.parameters == tape.parameters() && self.states == tape.states()
    }
}
