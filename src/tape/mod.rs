//! Floor 4: a model recorded once as plain data, replayed every step.
//!
//! Recording needs no device: operations append [`Record`]s to a [`Tape`], and shapes are checked by name as they do. A
//! [`Program`] is a tape bound to a device and to the [`Storage`] of its parameters; several programs (training,
//! evaluation) may share one storage.

mod choices;
mod declared;
mod passes;
mod placement;
mod plan;
mod program;
mod record;
mod storage;
mod view;

pub use choices::{KernelChoices, TunableOp, TunableOpId, Variant};
pub use declared::{Declared, Group, Init};
pub use placement::Keep;
pub use plan::Plan;
pub(crate) use plan::mebibytes;
pub use program::{Launch, Program};
pub use record::{Binding, Dispatch, Operand, Record, Work, linear_grid};
pub use storage::Storage;

use crate::gpu::{AdapterInfo, AdapterKind};
use crate::tensor::Shape;
use std::collections::{HashMap, HashSet};

/// An activation on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var(usize);

/// A trained tensor on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ParamId(usize);

/// A tensor that is kept between steps but not trained, such as a running mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateId(usize);

/// Bytes that one record, or the host, needs beside the activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(usize);

impl ParamId {
    /// Position in [`Tape::parameters`].
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

/// What kernels are chosen for where an operation has several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Target {
    /// Many threads with few registers each: small tiles.
    #[default]
    Gpu,
    /// A driver that computes on the processor: a load costs tens of multiply-adds, and sums that spill stay in a near cache, so
    /// tiles are large.
    Processor,
}

impl Target {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Gpu, Self::Processor];

    /// What suits an adapter.
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
    /// The activation whose memory this is: another one where this is a view.
    base: Var,
}

#[derive(Clone, Debug)]
struct Scratch {
    name: String,
    bytes: u64,
}

/// What kernels may read that changes from step to step, one uniform of 32 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Controls {
    /// Steps done before this one.
    pub step: u32,
    /// Seed of the counter-based generator.
    pub seed: u32,
    /// Standard deviation of the blur of CBS, in elements of a plane.
    pub sigma: f32,
    /// Passes of this step done before this one.
    pub pass: u32,
    /// An example's own part in what mixup makes of it.
    pub mix: f32,
    /// Examples of this pass; the places of a batch beyond them are empty.
    pub filled: u32,
    /// Examples of the whole step, over which losses are averaged.
    pub examples: u32,
    /// Nothing; fills 32 bytes.
    pub reserved: u32,
}

/// The name of the uniform that holds [`Controls`].
pub const CONTROLS: &str = "controls";

/// A model while it is recorded.
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
            seeded: vec![],
            parameter_names: HashSet::new(),
            state_names: HashSet::new(),
            buffer_ids: HashMap::new(),
        }
    }

    /// The same, still empty, with kernels chosen for `target`.
    pub fn with_target(self, target: Target) -> Self {
        assert!(self.records.is_empty(), "what is recorded already was chosen for {:?}", self.target);
        Self { target, ..self }
    }

    /// The same, still empty, for steps of so many passes, each over an equal part of the batch: their gradients are added up.
    pub fn with_passes(self, passes: usize) -> Self {
        assert!(self.records.is_empty() && passes > 0, "what is recorded already was for {} passes", self.passes);
        Self { passes, ..self }
    }

    /// How many passes a step has.
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// What kernels are chosen for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// What this tape is recorded for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// A value that the host writes. With `needs_gradient`, its gradient can be read after a backward pass.
    pub fn leaf(&mut self, name: &str, shape: impl Into<Shape>, needs_gradient: bool) -> Var {
        self.activation(name, shape.into(), needs_gradient)
    }

    /// The result of an operation on `inputs`, which needs a gradient if one of them does or `trained` says so.
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

    /// Declares a trained tensor.
    pub fn parameter(&mut self, declared: Declared) -> ParamId {
        let name = &declared.name;
        assert!(self.parameter_names.insert(name.clone()), "{name}: two parameters have this name");
        self.parameters.push(declared);
        ParamId(self.parameters.len() - 1)
    }

    /// Declares a tensor that is kept but not trained.
    pub fn state(&mut self, declared: Declared) -> StateId {
        let name = &declared.name;
        assert!(self.state_names.insert(name.clone()), "{name}: two states have this name");
        self.states.push(declared);
        StateId(self.states.len() - 1)
    }

    /// Bytes of a record's own, or for the host to write, by a name unique on this tape.
    pub fn buffer(&mut self, name: &str, bytes: u64) -> BufferId {
        let id = BufferId(self.buffers.len());
        assert!(self.buffer_ids.insert(name.to_owned(), id).is_none(), "{name}: two buffers have this name");
        self.buffers.push(Scratch { name: name.to_owned(), bytes: bytes.next_multiple_of(16) });
        id
    }

    /// The uniform of [`Controls`], made at its first use.
    pub fn controls(&mut self) -> BufferId {
        self.buffer_named(CONTROLS).unwrap_or_else(|| self.buffer(CONTROLS, size_of::<Controls>() as u64))
    }

    /// Appends an operation. Where it speaks of views, the tape holds it as speaking of the activations that they are views of.
    pub fn record(&mut self, mut record: Record) {
        record.result = record.result.map(|result| self.base(result));
        for dispatch in record.forward.iter_mut().chain(&mut record.backward) {
            dispatch.bindings.iter_mut().for_each(|binding| binding.operand = self.resolved(binding.operand));
        }
        self.records.push(record);
    }

    /// Says that the host writes the gradient of `var` before a backward pass: where backward starts when no loss does.
    pub fn seed_gradient(&mut self, var: Var) {
        self.seeded.push(self.base(var));
    }

    /// The extents of an activation.
    pub fn shape(&self, var: Var) -> &Shape {
        &self.activations[var.0].shape
    }

    /// The activation of this name, if there is one.
    pub fn named(&self, name: &str) -> Option<Var> {
        self.activations.iter().position(|activation| activation.name == name).map(Var)
    }

    /// The scratch or host-written buffer of this name, if there is one.
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

    /// A parameter's declaration.
    pub fn declared(&self, param: ParamId) -> &Declared {
        &self.parameters[param.0]
    }

    /// All trained tensors, in order of declaration.
    pub fn parameters(&self) -> &[Declared] {
        &self.parameters
    }

    /// All kept tensors, in order of declaration.
    pub fn states(&self) -> &[Declared] {
        &self.states
    }

    /// All operations, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Bytes of an operand.
    fn bytes(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Value(var) | Operand::Gradient(var) => self.shape(var).bytes(),
            Operand::Parameter(param) | Operand::ParameterGradient(param) => self.declared(param).shape.bytes(),
            Operand::State(state) => self.states[state.0].shape.bytes(),
            Operand::Buffer(buffer) => self.buffers[buffer.0].bytes,
        }
    }

    /// What a dispatch has to do at least.
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

    /// A table of the records: operation, shape, bytes, dispatches and their grids.
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
