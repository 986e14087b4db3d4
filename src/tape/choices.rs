//! The choice between several kernels that compute the same operation.

use super::{Dispatch, Mode, Record, Tape, Target};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A kernel variant for matrix products and convolutions. The variants of an operation add in
/// different orders, so their results differ by rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// An invocation holds 64 to 72 sums in registers, and loads its operands itself.
    Registers,
    /// An invocation holds 128 to 256 sums, as vec4, and eight invocations share loads. For
    /// software adapters.
    Wide,
    /// A workgroup of 128 invocations stages operands in workgroup memory. For GPUs.
    Shared,
    /// For depthwise convolutions, in which each channel is a group.
    Depthwise,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 4] = [Self::Registers, Self::Wide, Self::Shared, Self::Depthwise];

    /// Whether this variant can be the fastest on a target. The sums of a wide kernel do not fit a
    /// GPU's registers. On a processor, a barrier costs more than shared tiles save (5 to 200 times
    /// slower on Mesa 22.3.6 llvmpipe).
    pub fn suits(self, target: Target) -> bool {
        match target {
            Target::Gpu => self != Self::Wide,
            Target::Processor => self != Self::Shared,
        }
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Registers => "registers",
            Self::Wide => "wide",
            Self::Shared => "shared",
            Self::Depthwise => "depthwise",
        })
    }
}

/// The fastest variants on a device, by [`TunableOp::name`]. Operations without an entry use the
/// target's default variant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelChoices(pub BTreeMap<String, Variant>);

impl KernelChoices {
    /// Whether all operations use the default variant.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An operation for which there are several variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunableOp {
    /// Operation, part (`forward`, `dx`, `dw`) and extents. Equal names mean equal work.
    pub name: String,
    /// The variants that can compute it, the target's default first.
    pub variants: Vec<Variant>,
    /// The variant in use.
    pub chosen: Variant,
}

impl TunableOp {
    /// The target's default variant.
    pub fn usual(&self) -> Variant {
        self.variants[0]
    }
}

/// Index of a [`TunableOp`] on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TunableOpId(usize);

impl Tape {
    /// Sets the kernel variants for the operations to record.
    ///
    /// # Panics
    /// If the tape is not empty.
    pub fn with_choices(self, choices: KernelChoices) -> Self {
        assert!(self.records.is_empty(), "kernels can only be chosen for an empty tape");
        Self { choices, ..self }
    }

    /// Adds a tunable operation with the variants that can compute it, the target's default first.
    /// Returns its id and the variant to use: the chosen one if it is among them, else the default.
    pub fn choose(&mut self, name: String, variants: Vec<Variant>) -> (TunableOpId, Variant) {
        let requested = self.choices.0.get(&name).copied();
        let chosen = requested.filter(|variant| variants.contains(variant)).unwrap_or(variants[0]);
        self.tunable_ops.push(TunableOp { name, variants, chosen });
        (TunableOpId(self.tunable_ops.len() - 1), chosen)
    }

    /// All tunable operations, in the order of recording.
    pub fn tunable_ops(&self) -> impl Iterator<Item = (TunableOpId, &TunableOp)> {
        self.tunable_ops.iter().enumerate().map(|(i, op)| (TunableOpId(i), op))
    }

    /// Multiply-adds of a tunable operation.
    pub fn multiply_adds(&self, op: TunableOpId) -> u64 {
        let dispatches = self.records.iter().flat_map(|record| record.forward.iter().chain(&record.backward));
        dispatches.filter(|dispatch| dispatch.tunable == Some(op)).map(|dispatch| dispatch.multiply_adds).sum()
    }

    /// Checks that each choice is a variant of its operation. Choices for operations that are not
    /// on this tape are ignored.
    ///
    /// # Errors
    /// [`Error::Setting`] with the operation's variants.
    pub fn check_choices(&self) -> Result<()> {
        let invalid = |op: &&TunableOp| self.choices.0.get(&op.name).is_some_and(|variant| *variant != op.chosen);
        match self.tunable_ops.iter().find(invalid) {
            None => Ok(()),
            Some(TunableOp { name, variants, .. }) => {
                let names: Vec<_> = variants.iter().map(Variant::to_string).collect();
                let message = format!(
                    "{name:?} has no variant {}, only {}; remove this line, or run `lerac tune` again",
                    self.choices.0[name],
                    names.join(", ")
                );
                Err(Error::setting("kernels", message))
            }
        }
    }

    /// A tape of the same tensors whose forward pass has only the dispatches of one tunable
    /// operation, to time them.
    pub fn only(&self, op: TunableOpId) -> Self {
        let of_op = |list: &[Dispatch]| list.iter().filter(|d| d.tunable == Some(op)).cloned().collect::<Vec<_>>();
        let record = |record: &Record| Record {
            forward: [of_op(&record.forward), of_op(&record.backward)].concat(),
            backward: vec![],
            ..record.clone()
        };
        Self { mode: Mode::Eval, records: self.records.iter().map(record).collect(), ..self.clone() }
    }
}
