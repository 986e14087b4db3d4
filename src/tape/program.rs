//! A tape bound to a device.

use super::{BufferId, Dispatch, Operand, Plan, Storage, Tape, Var, Work};
use crate::error::Result;
use crate::gpu::{Buffer, BufferRange, Call, Gpu};
use crate::tensor::Shape;

/// What is known of a launch of a program.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Position of its record in [`Tape::records`].
    pub record: usize,
    /// Whether it belongs to the backward pass.
    pub backward: bool,
    /// The `@compute` function.
    pub entry: &'static str,
    /// What it has to do at least.
    pub work: Work,
}

/// Compiled, bound, ready to be replayed.
#[derive(Debug)]
pub struct Program {
    tape: Tape,
    values: Vec<Buffer>,
    gradients: Vec<Option<Buffer>>,
    buffers: Vec<Buffer>,
    forward: Vec<Call>,
    backward: Vec<Call>,
    /// Of each call of `forward`, then of each call of `backward`.
    launches: Vec<Launch>,
}

impl Program {
    /// Allocates what `tape` needs beside `storage` and compiles its kernels.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] where the device has no room, [`crate::error::Error::Device`] where it refuses a kernel.
    ///
    /// # Panics
    /// If `storage` was made for another model.
    pub fn new(gpu: &Gpu, tape: Tape, storage: &Storage) -> Result<Self> {
        assert!(storage.fits(&tape), "the tape declares other tensors than the storage holds");
        let (forward, backward) = (tape.forward(), tape.backward());
        let allocate = |name: &str, shape: &Shape| gpu.buffer(name, shape.bytes().next_multiple_of(16));
        let values = tape.activations.iter().map(|a| allocate(&a.name, &a.shape)).collect::<Result<_>>()?;
        let gradients = tape
            .activations
            .iter()
            .map(|a| {
                let wanted = a.needs_gradient && !backward.is_empty();
                wanted.then(|| allocate(&format!("d({})", a.name), &a.shape)).transpose()
            })
            .collect::<Result<_>>()?;
        let buffers = tape.buffers.iter().map(|b| gpu.buffer(&b.name, b.bytes)).collect::<Result<_>>()?;
        let launch = |backward: bool| {
            let tape = &tape;
            move |(record, dispatch): &(usize, Dispatch)| Launch {
                record: *record,
                backward,
                entry: dispatch.kernel.entry,
                work: tape.work(dispatch),
            }
        };
        let launches = forward.iter().map(launch(false)).chain(backward.iter().map(launch(true))).collect();
        let mut program = Self { tape, values, gradients, buffers, forward: vec![], backward: vec![], launches };
        program.forward = program.bind(gpu, storage, &forward)?;
        program.backward = program.bind(gpu, storage, &backward)?;
        Ok(program)
    }

    fn bind(&self, gpu: &Gpu, storage: &Storage, dispatches: &[(usize, Dispatch)]) -> Result<Vec<Call>> {
        let bind_one = |dispatch: &Dispatch| {
            let ranges: Vec<_> = dispatch
                .bindings
                .iter()
                .map(|binding| {
                    let whole = self.resolve(storage, binding.operand);
                    let range = binding.window.map_or(whole.clone(), |(offset, bytes)| whole.part(offset, bytes));
                    (range, binding.access)
                })
                .collect();
            gpu.call(&dispatch.kernel, &ranges, dispatch.grid)
        };
        dispatches.iter().map(|(_, dispatch)| bind_one(dispatch)).collect()
    }

    fn resolve(&self, storage: &Storage, operand: Operand) -> BufferRange {
        match operand {
            Operand::Value(var) => self.values[var.0].whole(),
            Operand::Gradient(var) => self.gradient(var).whole(),
            Operand::Parameter(param) => storage.params.range(&storage.layout.spans()[param.0]),
            Operand::ParameterGradient(param) => storage.grads.range(&storage.layout.spans()[param.0]),
            Operand::State(state) => storage.state.range(&storage.state_layout.spans()[state.0]),
            Operand::Buffer(buffer) => self.buffers[buffer.0].whole(),
        }
    }

    /// What was recorded.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The bytes it takes.
    pub fn plan(&self) -> Plan {
        self.tape.plan()
    }

    /// The forward calls in order.
    pub fn forward(&self) -> &[Call] {
        &self.forward
    }

    /// The backward calls in order.
    pub fn backward(&self) -> &[Call] {
        &self.backward
    }

    /// The device's buffer of an activation, padded to 16 bytes.
    pub fn value(&self, var: Var) -> &Buffer {
        &self.values[var.0]
    }

    /// The device's buffer of an activation's gradient.
    ///
    /// # Panics
    /// If it needs none.
    pub fn gradient(&self, var: Var) -> &Buffer {
        self.gradients[var.0].as_ref().unwrap_or_else(|| panic!("{} has no gradient", self.tape.name(var)))
    }

    /// A scratch or host-written buffer.
    pub fn buffer(&self, id: BufferId) -> &Buffer {
        &self.buffers[id.0]
    }

    /// A scratch or host-written buffer by name, if the tape has it.
    pub fn buffer_named(&self, name: &str) -> Option<&Buffer> {
        let index = self.tape.buffers.iter().position(|buffer| buffer.name == name)?;
        Some(&self.buffers[index])
    }

    /// What is known of each call: those of the forward pass, then those of the backward pass.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// Runs forward and backward and returns the seconds of each launch, or `None` where the adapter has no timestamps.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device fails.
    pub fn time(&self, gpu: &Gpu) -> Result<Option<Vec<f64>>> {
        let calls: Vec<_> = self.forward.iter().chain(&self.backward).collect();
        gpu.run_timed(&calls)
    }

    /// Every buffer of this program, for tests of what lies behind them.
    pub fn all_buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.values.iter().chain(self.gradients.iter().flatten()).chain(&self.buffers)
    }
}
