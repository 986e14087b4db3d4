//! Which of its kernels an operation uses where it has several for the same work.

use super::{Dispatch, Mode, Record, Tape, Target};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A way to compute a product. All of an operation's give the same up to rounding, since they add in different orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// 64 to 72 sums an invocation, which reads its operands by itself.
    Registers,
    /// 128 to 256 sums an invocation, vec4 throughout, and eight neighbours that share what they load, for drivers that compute on the
    /// processor.
    Wide,
    /// Operands staged in workgroup memory and shared by 128 invocations, for GPUs.
    Shared,
    /// A channel by itself, where groups do not mix channels.
    Depthwise,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Registers, Self::Wide, Self::Shared, Self::Depthwise];

    /// Whether it can be the best on a target: a GPU spills the sums of a wide kernel, and on a processor every barrier costs more than
    /// what shared tiles save (Mesa 22.3.6 llvmpipe: 5 to 200 times slower).
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

/// Variants by the name of their op, as measured on a device; an op that is not there takes what is usual for the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KernelChoices(pub BTreeMap<String, Variant>);

impl KernelChoices {
    /// Whether everything is as usual.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Work that an operation has several variants for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunableOp {
    /// Operation, part and extents: operations of one name are the same work.
    pub name: String,
    /// Those that apply, the target's usual one first.
    pub variants: Vec<Variant>,
    /// The one in force.
    pub chosen: Variant,
}

impl TunableOp {
    /// What the target usually takes.
    pub fn usual(&self) -> Variant {
        self.variants[0]
    }
}

/// An op on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TunableOpId(usize);

impl Tape {
    /// The same, still empty, with these variants wherever they apply.
    pub fn with_choices(self, choices: KernelChoices) -> Self {
        assert!(self.records.is_empty(), "what is recorded already was chosen by {:?}", self.choices);
        Self { choices, ..self }
    }

    /// Notes that an operation has these variants for an op, the usual one first, and says which one is in force.
    pub fn choose(&mut self, name: String, variants: Vec<Variant>) -> (TunableOpId, Variant) {
        let asked = self.choices.0.get(&name).copied();
        let chosen = asked.filter(|variant| variants.contains(variant)).unwrap_or(variants[0]);
        self.tunable_ops.push(TunableOp { name, variants, chosen });
        (TunableOpId(self.tunable_ops.len() - 1), chosen)
    }

    /// All operations, in order of recording.
    pub fn tunable_ops(&self) -> impl Iterator<Item = (TunableOpId, &TunableOp)> {
        self.tunable_ops.iter().enumerate().map(|(i, op)| (TunableOpId(i), op))
    }

    /// Multiply-adds of an op.
    pub fn multiply_adds(&self, op: TunableOpId) -> u64 {
        let dispatches = self.records.iter().flat_map(|record| record.forward.iter().chain(&record.backward));
        dispatches.filter(|dispatch| dispatch.tunable == Some(op)).map(|dispatch| dispatch.multiply_adds).sum()
    }

    /// Whether each choice is one of its op's variants. Choices for operations that this tape does not have do no harm.
    ///
    /// # Errors
    /// [`Error::Setting`] with what there is.
    pub fn check_choices(&self) -> Result<()> {
        let refused = |op: &&TunableOp| self.choices.0.get(&op.name).is_some_and(|asked| *asked != op.chosen);
        match self.tunable_ops.iter().find(refused) {
            None => Ok(()),
            Some(TunableOp { name, variants, .. }) => {
                let names: Vec<_> = variants.iter().map(Variant::to_string).collect();
                let message = format!(
                    "{name:?} has no variant {}, only {}; take the line out, or run `lerac tune` again",
                    self.choices.0[name],
                    names.join(", ")
                );
                Err(Error::setting("kernels", message))
            }
        }
    }

    /// The dispatches of an op alone, as a forward pass on the same tensors: to time them.
    pub fn only(&self, op: TunableOpId) -> Self {
        let of_tunable = |list: &[Dispatch]| list.iter().filter(|d| d.tunable == Some(op)).cloned().collect::<Vec<_>>();
        let record = |record: &Record| Record {
            forward: [of_tunable(&record.forward), of_tunable(&record.backward)].concat(),
            backward: vec![],
            ..record.clone()
        };
        Self { mode: Mode::Eval, records: self.records.iter().map(record).collect(), ..self.clone() }
    }
}
