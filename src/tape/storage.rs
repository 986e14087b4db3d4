//! Parameters, their gradients, and states. The programs of one model share them.

use super::{Declared, Tape};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::tensor::{Arena, Layout, Span};

/// The arenas of a model.
#[derive(Debug)]
pub struct Storage {
    /// The layout of both [`Storage::params`] and [`Storage::grads`].
    pub layout: Layout,
    /// Parameters.
    pub params: Arena,
    /// Gradients of the parameters.
    pub grads: Arena,
    /// The layout of [`Storage::state`].
    pub state_layout: Layout,
    /// States: tensors that are kept but not trained.
    pub state: Arena,
    parameters: Vec<Declared>,
    states: Vec<Declared>,
}

impl Storage {
    /// Allocates arenas for the tensors that `tape` declares. They are all zero.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] if the device is out of memory.
    pub fn new(gpu: &Gpu, tape: &Tape) -> Result<Self> {
        Self::with_windows(gpu, tape, gpu.limits().binding_bytes)
    }

    /// Like [`Storage::new`], with windows of at most `window` bytes each.
    ///
    /// # Errors
    /// See [`Storage::new`].
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

    /// Arenas of the layout of `like`, for averages of its values. They are all zero, and there are
    /// no gradients.
    ///
    /// # Errors
    /// See [`Storage::new`].
    pub fn for_averages(gpu: &Gpu, like: &Self) -> Result<Self> {
        Ok(Self {
            params: Arena::new(gpu, "averaged parameters", &like.layout)?,
            grads: Arena::default(),
            state: Arena::new(gpu, "averaged state", &like.state_layout)?,
            layout: like.layout.clone(),
            state_layout: like.state_layout.clone(),
            parameters: like.parameters.clone(),
            states: like.states.clone(),
        })
    }

    /// The parameters, in the order of the layout.
    pub fn parameters(&self) -> &[Declared] {
        &self.parameters
    }

    /// The states, in the order of their layout.
    pub fn states(&self) -> &[Declared] {
        &self.states
    }

    /// Every parameter, then every state, with its arena and span.
    pub fn tensors(&self) -> impl Iterator<Item = (&Declared, &Arena, &Span)> {
        let params = self.parameters.iter().zip(self.layout.spans()).map(|(d, s)| (d, &self.params, s));
        let states = self.states.iter().zip(self.state_layout.spans()).map(|(d, s)| (d, &self.state, s));
        params.chain(states)
    }

    /// Whether a tape declares the tensors of these arenas, so that it can run on them.
    pub(super) fn fits(&self, tape: &Tape) -> bool {
        self.parameters == tape.parameters() && self.states == tape.states()
    }
}
