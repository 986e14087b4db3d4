//! Work as data: what a record holds.

use super::{BufferId, ParamId, StateId, TunableOpId, Var};
use crate::gpu::{Access, Constant, Kernel};
use std::fmt;

/// What a binding refers to; a program turns it into a range of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// An activation.
    Value(Var),
    /// The gradient of the loss with respect to an activation.
    Gradient(Var),
    /// A trained tensor.
    Parameter(ParamId),
    /// Its gradient.
    ParameterGradient(ParamId),
    /// A kept tensor.
    State(StateId),
    /// A scratch or host-written buffer.
    Buffer(BufferId),
}

/// An operand, and how the kernel sees it.
#[derive(Clone, Copy, Debug)]
pub struct Binding<O = Operand> {
    /// What.
    pub operand: O,
    /// How.
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

/// One launch of a kernel, on operands of a tape or of another list of launches.
#[derive(Clone, Debug)]
pub struct Dispatch<O = Operand> {
    /// Which kernel.
    pub kernel: Kernel,
    /// Binding 0 first.
    pub bindings: Vec<Binding<O>>,
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
    /// Multiply-adds that its result is made of; 0 where bytes are what counts.
    pub multiply_adds: u64,
    /// What it is a part of, where that has variants.
    pub tunable: Option<TunableOpId>,
}

/// What a launch has to do at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiply-adds.
    pub multiply_adds: u64,
    /// Bytes of its operands, each counted once.
    pub bytes: u64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.multiply_adds += other.multiply_adds;
        self.bytes += other.bytes;
    }
}

impl<O> Dispatch<O> {
    /// What its pipeline is made from: the kernel, and how it sees each binding.
    pub fn pipeline(&self) -> (&Kernel, Vec<Access>) {
        (&self.kernel, self.bindings.iter().map(|binding| binding.access).collect())
    }
}

impl Dispatch {
    /// The same, known to make so many multiply-adds.
    pub fn with_work(self, multiply_adds: usize) -> Self {
        Self { multiply_adds: multiply_adds as u64, ..self }
    }

    /// This dispatch as a part of the tunable operation `op`.
    pub fn of_tunable(self, op: TunableOpId) -> Self {
        Self { tunable: Some(op), ..self }
    }

    /// Every kernel is told by the constant `ACCUMULATE` whether to add to the gradient that is there.
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

/// An operation: its launches forward and backward.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name that the model gave it.
    pub name: String,
    /// The operation's own name.
    pub op: &'static str,
    /// The activation it makes, if it makes one. Without one (a loss), backward always runs.
    pub result: Option<Var>,
    /// In order.
    pub forward: Vec<Dispatch>,
    /// In order.
    pub backward: Vec<Dispatch>,
}

/// A grid of workgroups of `lanes` invocations over `count` elements: the kernel's index is
/// `id.x + id.y * groups.x * lanes`, since a dimension holds 65,535 groups at most.
pub fn linear_grid(count: usize, lanes: usize) -> [u32; 3] {
    const WIDEST: usize = 32_768;
    let groups = count.div_ceil(lanes);
    let rows = groups.div_ceil(WIDEST);
    [groups.min(WIDEST) as u32, rows as u32, 1]
}
