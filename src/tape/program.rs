//! A tape compiled for a device.

use super::placement::{Keep, Placement};
use super::{BufferId, Dispatch, Operand, Storage, Tape, Var, Work};
use crate::error::Result;
use crate::gpu::{Buffer, BufferRange, Call, Gpu};

/// A description of a launch of a program.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Index of its record in [`Tape::records`].
    pub record: usize,
    /// Whether it belongs to the backward pass.
    pub backward: bool,
    /// The entry point, a `@compute` function.
    pub entry: &'static str,
    /// Its multiply-adds, and the bytes that it must read and write.
    pub work: Work,
}

/// The compiled and bound kernels of a tape, ready to run.
#[derive(Debug)]
pub struct Program {
    tape: Tape,
    placement: Placement,
    slots: Vec<Buffer>,
    forward: Vec<Call>,
    backward: Vec<Call>,
    backward_again: Vec<Call>,
    /// A description of each call of `forward`, then of each call of `backward`.
    launches: Vec<Launch>,
}

impl Program {
    /// Allocates one buffer for each tensor of `tape` that is not in `storage`, and compiles its
    /// kernels.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] if the device is out of memory,
    /// [`crate::error::Error::Device`] if it rejects a kernel.
    ///
    /// # Panics
    /// If `storage` is for another model.
    pub fn new(gpu: &Gpu, tape: Tape, storage: &Storage) -> Result<Self> {
        Self::keeping(gpu, tape, storage, Keep::Everything, &mut vec![])
    }

    /// Like [`Program::new`], with fewer buffers: only the tensors in `keep` can be read after a
    /// pass. Buffers in `pool` are reused. Afterwards, `pool` has the buffers that can be shared
    /// with another program that never runs at the same time.
    ///
    /// # Errors
    /// See [`Program::new`].
    ///
    /// # Panics
    /// See [`Program::new`].
    pub fn keeping(gpu: &Gpu, tape: Tape, storage: &Storage, keep: Keep<'_>, pool: &mut Vec<Buffer>) -> Result<Self> {
        assert!(storage.fits(&tape), "the storage was allocated for other tensors than the tape declares");
        let (forward, backward) = (tape.forward(), tape.backward());
        let given: Vec<u64> = pool.iter().map(Buffer::bytes).collect();
        let placement = tape.placement(keep, &given);
        let mut slots = std::mem::take(pool);
        for bytes in placement.sizes(given.len()) {
            slots.push(gpu.buffer("activations, their gradients and scratch", bytes)?);
        }
        *pool = (0..slots.len()).filter(|&i| placement.is_shared(i)).map(|i| slots[i].clone()).collect();
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
        let again = tape.backward_again();
        gpu.compile(forward.iter().chain(&backward).chain(&again).map(|(_, dispatch)| dispatch.pipeline()))?;
        let mut program =
            Self { tape, placement, slots, forward: vec![], backward: vec![], backward_again: vec![], launches };
        program.forward = program.bind(gpu, storage, &forward)?;
        program.backward = program.bind(gpu, storage, &backward)?;
        program.backward_again = program.bind(gpu, storage, &again)?;
        Ok(program)
    }

    fn bind(&self, gpu: &Gpu, storage: &Storage, dispatches: &[(usize, Dispatch)]) -> Result<Vec<Call>> {
        let bind_one = |dispatch: &Dispatch| {
            let ranges: Vec<_> = dispatch
                .bindings
                .iter()
                .map(|binding| (self.resolve(storage, binding.operand), binding.access))
                .collect();
            gpu.call(&dispatch.kernel, &ranges, dispatch.grid)
        };
        dispatches.iter().map(|(_, dispatch)| bind_one(dispatch)).collect()
    }

    fn resolve(&self, storage: &Storage, operand: Operand) -> BufferRange {
        match operand {
            Operand::Value(var) => self.value(var),
            Operand::Gradient(var) => self.gradient(var),
            Operand::Parameter(param) => storage.params.range(&storage.layout.spans()[param.0]),
            Operand::ParameterGradient(param) => storage.grads.range(&storage.layout.spans()[param.0]),
            Operand::State(state) => storage.state.range(&storage.state_layout.spans()[state.0]),
            Operand::Buffer(buffer) => self.buffer(buffer),
        }
    }

    /// The tape.
    pub fn tape(&self) -> &Tape {
        &self.tape
    }

    /// The forward calls in order.
    pub fn forward(&self) -> &[Call] {
        &self.forward
    }

    /// The backward calls in order.
    pub fn backward(&self) -> &[Call] {
        &self.backward
    }

    /// The forward and backward calls of pass `pass` of a step.
    ///
    /// # Panics
    /// If `pass` is not below the tape's number of passes.
    pub fn pass(&self, pass: usize) -> impl Iterator<Item = &Call> {
        assert!(pass < self.tape.passes(), "pass {pass} of a step of {} passes", self.tape.passes());
        let backward = if pass == 0 { &self.backward } else { &self.backward_again };
        self.forward.iter().chain(backward)
    }

    fn range(&self, slot: Option<usize>, name: &str, bytes: u64) -> BufferRange {
        let slot = slot.unwrap_or_else(|| panic!("{name}: no kernel uses it, and it is not kept"));
        self.slots[slot].range(0, bytes.next_multiple_of(16))
    }

    /// The buffer range of an activation, padded to 16 bytes. Unless the activation is kept, later
    /// kernels may overwrite it.
    ///
    /// # Panics
    /// If no kernel uses the activation and it is not kept.
    pub fn value(&self, var: Var) -> BufferRange {
        self.range(self.placement.values[self.tape.base(var).0], self.tape.name(var), self.tape.shape(var).bytes())
    }

    /// The buffer range of an activation's gradient, padded to 16 bytes. Unless the gradient is
    /// kept, later kernels may overwrite it.
    ///
    /// # Panics
    /// If the activation has no gradient.
    pub fn gradient(&self, var: Var) -> BufferRange {
        let name = format!("gradient of {}", self.tape.name(var));
        self.range(self.placement.gradients[self.tape.base(var).0], &name, self.tape.shape(var).bytes())
    }

    /// The range of a scratch or host-written buffer, padded to 16 bytes. Unless the buffer is
    /// kept, later kernels may overwrite it.
    ///
    /// # Panics
    /// If no kernel uses the buffer and it is not kept.
    pub fn buffer(&self, id: BufferId) -> BufferRange {
        let scratch = &self.tape.buffers[id.0];
        self.range(self.placement.buffers[id.0], &scratch.name, scratch.bytes)
    }

    /// The range of the scratch or host-written buffer of this name, if any.
    pub fn buffer_named(&self, name: &str) -> Option<BufferRange> {
        self.tape.buffer_named(name).map(|id| self.buffer(id))
    }

    /// A description of each call: those of the forward pass, then those of the backward pass.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// Runs forward and backward and returns the seconds of each launch, or `None` if the adapter
    /// has no timestamps.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub fn time(&self, gpu: &Gpu) -> Result<Option<Vec<f64>>> {
        let calls: Vec<_> = self.forward.iter().chain(&self.backward).collect();
        gpu.run_timed(&calls)
    }

    /// Every buffer of this program. For tests.
    pub fn all_buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.slots.iter()
    }
}
