//! Floor 4: the tape. A model is recorded once, as plain data, and replayed at every step.
//!
//! Recording needs no device: operations check their shapes and append [`Record`]s to a [`Tape`].
//! A [`Program`] is a tape compiled for a device and bound to the [`Storage`] of its parameters.
//! Several programs, such as for training and evaluation, may share one storage.

mod choices;
mod declared;
mod node;
mod passes;
mod placement;
mod plan;
mod program;
mod record;
mod storage;
mod view;

pub use choices::{KernelChoices, TunableOp, TunableOpId, Variant};
pub use declared::{Declared, Group, Init};
pub use node::Node;
pub use placement::Keep;
pub use plan::Plan;
pub(crate) use plan::mebibytes;
pub use program::{Launch, Program};
pub use record::{Binding, Dispatch, Operand, Record, Work, linear_grid};
pub use storage::Storage;

use crate::gpu::{AdapterInfo, AdapterKind};
use crate::tensor::Shape;
use std::collections::{HashMap, HashSet};

/// Index of an activation on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var(usize);

/// Index of a parameter on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParamId(usize);

/// Index of a state on a tape: a tensor that is kept between steps but not trained, such as a
/// running mean. PyTorch calls it a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateId(usize);

/// Index of a buffer on a tape: scratch memory of one record, or data that the host writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(usize);

impl ParamId {
    /// Index in [`Tape::parameters`].
    pub fn index(self) -> usize {
        self.0
    }
}

impl StateId {
    /// Index in [`Tape::states`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// What the model is recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, dropout, gradients.
    Train,
    /// Running statistics, no dropout, no gradients.
    Eval,
}

/// The kind of hardware for which an operation chooses its kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Many threads with few registers each, so tiles are small.
    #[default]
    Gpu,
    /// A software adapter. A load costs tens of multiply-adds, and sums that do not fit the
    /// registers stay in the nearest cache, so tiles are large.
    Processor,
}

impl Target {
    /// Both targets.
    pub const ALL: [Self; 2] = [Self::Gpu, Self::Processor];

    /// The target of an adapter.
    pub fn of(adapter: &AdapterInfo) -> Self {
        match adapter.kind {
            AdapterKind::Software => Self::Processor,
            _ => Self::Gpu,
        }
    }
}

#[derive(Clone, Debug)]
struct Activation {
    name: String,
    shape: Shape,
    needs_gradient: bool,
    /// The activation that owns the memory: this one, or the base of a view.
    base: Var,
}

#[derive(Clone, Debug)]
struct Scratch {
    name: String,
    bytes: u64,
}

/// Values that change at every step or pass, for kernels to read: a uniform of 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Controls {
    /// Index of this step, from 0.
    pub step: u32,
    /// Seed of the counter-based generator.
    pub seed: u32,
    /// Standard deviation of the CBS blur, in pixels.
    pub sigma: f32,
    /// Index of this pass (micro-batch) in its step, from 0.
    pub pass: u32,
    /// Lambda of mixup: the weight of an example itself in its mixture.
    pub mix: f32,
    /// Number of examples in this pass. The rest of the batch is padding.
    pub filled: u32,
    /// Number of examples in the whole step. Losses are averaged over them.
    pub examples: u32,
    /// Padding to 32 bytes.
    pub reserved: u32,
}

/// The name of the uniform that holds [`Controls`].
pub const CONTROLS: &str = "controls";

/// The record of a model's operations.
#[derive(Clone, Debug)]
pub struct Tape {
    mode: Mode,
    target: Target,
    passes: usize,
    choices: KernelChoices,
    tunable_ops: Vec<TunableOp>,
    activations: Vec<Activation>,
    buffers: Vec<Scratch>,
    parameters: Vec<Declared>,
    states: Vec<Declared>,
    records: Vec<Record>,
    nodes: HashMap<usize, Node>,
    seeded: Vec<Var>,
    parameter_names: HashSet<String>,
    state_names: HashSet<String>,
    buffer_ids: HashMap<String, BufferId>,
}

impl Tape {
    /// An empty tape, for [`Target::Gpu`].
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            target: Target::default(),
            passes: 1,
            choices: KernelChoices::default(),
            tunable_ops: vec![],
            activations: vec![],
            buffers: vec![],
            parameters: vec![],
            states: vec![],
            records: vec![],
            nodes: HashMap::new(),
            seeded: vec![],
            parameter_names: HashSet::new(),
            state_names: HashSet::new(),
            buffer_ids: HashMap::new(),
        }
    }

    /// Sets the target for which kernels are chosen.
    ///
    /// # Panics
    /// If the tape is not empty.
    pub fn with_target(self, target: Target) -> Self {
        assert!(self.records.is_empty(), "the target can only be set on an empty tape");
        Self { target, ..self }
    }

    /// Sets the number of passes (micro-batches) of a step. Each processes an equal part of the
    /// batch, and their gradients are added up.
    ///
    /// # Panics
    /// If `passes` is 0 or the tape is not empty.
    pub fn with_passes(self, passes: usize) -> Self {
        assert!(passes > 0, "a step needs at least one pass");
        assert!(self.records.is_empty(), "the number of passes can only be set on an empty tape");
        Self { passes, ..self }
    }

    /// Number of passes (micro-batches) of a step.
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// The target for which kernels are chosen.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Whether this tape is for training or evaluation.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Adds an activation that the host writes. With `needs_gradient`, its gradient can be read
    /// after a backward pass.
    pub fn leaf(&mut self, name: &str, shape: impl Into<Shape>, needs_gradient: bool) -> Var {
        self.activation(name, shape.into(), needs_gradient)
    }

    /// Adds the result of an operation on `inputs`. It needs a gradient if one of them does, or if
    /// the operation is `trained`, that is, has parameters.
    pub fn result(&mut self, name: &str, shape: impl Into<Shape>, inputs: &[Var], trained: bool) -> Var {
        let needs_gradient = trained || inputs.iter().any(|&input| self.needs_gradient(input));
        self.activation(name, shape.into(), needs_gradient && self.mode == Mode::Train)
    }

    fn activation(&mut self, name: &str, shape: Shape, needs_gradient: bool) -> Var {
        assert!(shape.count() > 0, "{name}: a tensor {shape} has no elements");
        let var = Var(self.activations.len());
        self.activations.push(Activation { name: name.to_owned(), shape, needs_gradient, base: var });
        var
    }

    /// Declares a parameter.
    pub fn parameter(&mut self, declared: Declared) -> ParamId {
        let name = &declared.name;
        assert!(self.parameter_names.insert(name.clone()), "{name}: two parameters have this name");
        self.parameters.push(declared);
        ParamId(self.parameters.len() - 1)
    }

    /// Declares a state, a tensor that is kept but not trained.
    pub fn state(&mut self, declared: Declared) -> StateId {
        let name = &declared.name;
        assert!(self.state_names.insert(name.clone()), "{name}: two states have this name");
        self.states.push(declared);
        StateId(self.states.len() - 1)
    }

    /// Adds a buffer: scratch memory of a record, or data that the host writes. The name must be
    /// unique on this tape.
    pub fn buffer(&mut self, name: &str, bytes: u64) -> BufferId {
        let id = BufferId(self.buffers.len());
        assert!(self.buffer_ids.insert(name.to_owned(), id).is_none(), "{name}: two buffers have this name");
        self.buffers.push(Scratch { name: name.to_owned(), bytes: bytes.next_multiple_of(16) });
        id
    }

    /// The uniform of [`Controls`]. It is added at the first call.
    pub fn controls(&mut self) -> BufferId {
        self.buffer_named(CONTROLS).unwrap_or_else(|| self.buffer(CONTROLS, size_of::<Controls>() as u64))
    }

    /// Appends an operation. Operands that are views are replaced by the activations that own the
    /// memory.
    pub fn record(&mut self, mut record: Record) {
        record.result = record.result.map(|result| self.base(result));
        for dispatch in record.forward.iter_mut().chain(&mut record.backward) {
            dispatch.bindings.iter_mut().for_each(|binding| binding.operand = self.resolved(binding.operand));
        }
        self.records.push(record);
    }

    /// Marks that the host writes the gradient of `var` before a backward pass. Needed on a tape
    /// without a loss, so that backward has a start.
    pub fn seed_gradient(&mut self, var: Var) {
        self.seeded.push(self.base(var));
    }

    /// The shape of an activation.
    pub fn shape(&self, var: Var) -> &Shape {
        &self.activations[var.0].shape
    }

    /// The activation of this name, if any.
    pub fn named(&self, name: &str) -> Option<Var> {
        self.activations.iter().position(|activation| activation.name == name).map(Var)
    }

    /// The buffer of this name, if any.
    pub fn buffer_named(&self, name: &str) -> Option<BufferId> {
        self.buffer_ids.get(name).copied()
    }

    /// The name of an activation.
    pub fn name(&self, var: Var) -> &str {
        &self.activations[var.0].name
    }

    /// Whether a backward pass must write the gradient of `var`.
    pub fn needs_gradient(&self, var: Var) -> bool {
        self.activations[var.0].needs_gradient && self.mode == Mode::Train
    }

    /// The declaration of a parameter.
    pub fn declared(&self, param: ParamId) -> &Declared {
        &self.parameters[param.0]
    }

    /// All parameters, in the order of declaration.
    pub fn parameters(&self) -> &[Declared] {
        &self.parameters
    }

    /// All states, in the order of declaration.
    pub fn states(&self) -> &[Declared] {
        &self.states
    }

    /// All operations, in the order of recording.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Size of an operand in bytes.
    fn bytes(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Value(var) | Operand::Gradient(var) => self.shape(var).bytes(),
            Operand::Parameter(param) | Operand::ParameterGradient(param) => self.declared(param).shape.bytes(),
            Operand::State(state) => self.states[state.0].shape.bytes(),
            Operand::Buffer(buffer) => self.buffers[buffer.0].bytes,
        }
    }

    /// The multiply-adds of a dispatch, and the bytes that it must read and write.
    fn work(&self, dispatch: &Dispatch) -> Work {
        let mut seen: Vec<Operand> = vec![];
        let mut work = Work { multiply_adds: dispatch.multiply_adds, bytes: 0 };
        for binding in &dispatch.bindings {
            if !seen.contains(&binding.operand) {
                seen.push(binding.operand);
                work.bytes += self.bytes(binding.operand);
            }
        }
        work
    }

    /// A text table of the records: operation, shape, bytes, dispatches and their grids.
    pub fn describe(&self) -> String {
        let mut text =
            format!("{:<28} {:<14} {:<18} {:>12}  {}", "record", "op", "result", "bytes", "grids (forward | backward)");
        for record in &self.records {
            let (shape, bytes) = record.result.map_or((String::new(), 0), |var| {
                let copies = 1 + u64::from(self.needs_gradient(var));
                (self.shape(var).to_string(), self.shape(var).bytes() * copies)
            });
            let grids = |list: &[Dispatch]| list.iter().map(Dispatch::to_string).collect::<Vec<_>>().join(" ");
            let (forward, backward) = (grids(&record.forward), grids(&record.backward));
            text.push_str(&format!(
                "\n{:<28} {:<14} {:<18} {:>12}  {forward} | {backward}",
                record.name, record.op, shape, bytes
            ));
        }
        text
    }
}
