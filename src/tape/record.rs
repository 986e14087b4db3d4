//! The contents of a record: dispatches and their operands, as plain data.

use super::{BufferId, ParamId, StateId, TunableOpId, Var};
use crate::gpu::{Access, Constant, Kernel};
use std::fmt;

/// What a binding refers to. A program resolves it to a range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// An activation.
    Value(Var),
    /// The gradient of the loss with respect to an activation.
    Gradient(Var),
    /// A parameter.
    Parameter(ParamId),
    /// The gradient of the loss with respect to a parameter.
    ParameterGradient(ParamId),
    /// A state, such as a running mean.
    State(StateId),
    /// A scratch or host-written buffer.
    Buffer(BufferId),
}

/// An operand, and how the kernel accesses it.
#[derive(Clone, Copy, Debug)]
pub struct Binding<O = Operand> {
    /// The operand.
    pub operand: O,
    /// The kernel's access.
    pub access: Access,
}

impl Operand {
    /// Bound as `var<storage, read>`.
    pub fn read(self) -> Binding {
        Binding { operand: self, access: Access::Read }
    }

    /// Bound as `var<storage, read_write>`.
    pub fn write(self) -> Binding {
        Binding { operand: self, access: Access::Write }
    }

    /// Bound as `var<uniform>`.
    pub fn uniform(self) -> Binding {
        Binding { operand: self, access: Access::Uniform }
    }

    pub(super) fn is_gradient(self) -> bool {
        matches!(self, Self::Gradient(_) | Self::ParameterGradient(_))
    }
}

impl From<Var> for Operand {
    fn from(var: Var) -> Self {
        Self::Value(var)
    }
}

impl From<ParamId> for Operand {
    fn from(param: ParamId) -> Self {
        Self::Parameter(param)
    }
}

impl From<StateId> for Operand {
    fn from(state: StateId) -> Self {
        Self::State(state)
    }
}

impl From<BufferId> for Operand {
    fn from(buffer: BufferId) -> Self {
        Self::Buffer(buffer)
    }
}

/// One dispatch of a kernel. Its operands are those of a tape, or of another list of dispatches.
#[derive(Clone, Debug)]
pub struct Dispatch<O = Operand> {
    /// The kernel.
    pub kernel: Kernel,
    /// The bindings, in order from binding 0.
    pub bindings: Vec<Binding<O>>,
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
    /// Multiply-adds, or 0 for a kernel that is limited by memory bandwidth.
    pub multiply_adds: u64,
    /// The tunable operation that it is a part of, if any.
    pub tunable: Option<TunableOpId>,
}

/// The work of a launch: a lower bound of its arithmetic and its memory traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiply-adds.
    pub multiply_adds: u64,
    /// Bytes of the operands, each counted once.
    pub bytes: u64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.multiply_adds += other.multiply_adds;
        self.bytes += other.bytes;
    }
}

impl<O> Dispatch<O> {
    /// The kernel, and its access to each binding: together they determine the pipeline.
    pub fn pipeline(&self) -> (&Kernel, Vec<Access>) {
        (&self.kernel, self.bindings.iter().map(|binding| binding.access).collect())
    }
}

impl Dispatch {
    /// Sets the number of multiply-adds.
    pub fn with_work(self, multiply_adds: usize) -> Self {
        Self { multiply_adds: multiply_adds as u64, ..self }
    }

    /// Marks this dispatch as a part of the tunable operation `op`.
    pub fn of_tunable(self, op: TunableOpId) -> Self {
        Self { tunable: Some(op), ..self }
    }

    /// Adds the constant `ACCUMULATE`: whether the kernel adds to its output instead of storing it.
    pub(super) fn with_accumulation(&self, accumulate: bool) -> Self {
        let mut dispatch = self.clone();
        dispatch.kernel.constants.push(("ACCUMULATE", Constant::Bool(accumulate)));
        dispatch
    }
}

impl<O> fmt::Display for Dispatch<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.grid;
        write!(f, "{}[{x}x{y}x{z}]", self.kernel.entry)
    }
}

/// A recorded operation: its forward and backward dispatches.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name that the model gave it.
    pub name: String,
    /// The name of the operation.
    pub op: &'static str,
    /// The activation that it writes. `None` for a loss, whose backward always runs.
    pub result: Option<Var>,
    /// The dispatches of the forward pass, in order.
    pub forward: Vec<Dispatch>,
    /// The dispatches of the backward pass, in order.
    pub backward: Vec<Dispatch>,
}

/// The grid of a kernel with `lanes` invocations per workgroup, over `count` elements. It has two
/// dimensions, since one is limited to 65,535 workgroups. The index of an invocation is
/// `id.x + id.y * groups.x * lanes`.
pub fn linear_grid(count: usize, lanes: usize) -> [u32; 3] {
    const WIDEST: usize = 32_768;
    let groups = count.div_ceil(lanes);
    let rows = groups.div_ceil(WIDEST);
    [groups.min(WIDEST) as u32, rows as u32, 1]
}
