//! The dispatches of a forward and a backward pass, in order.

use super::{Dispatch, Mode, Operand, ParamId, Tape};
use crate::gpu::Access;
use std::collections::HashSet;

impl Tape {
    /// The forward dispatches in order, each with the index of its record.
    pub fn forward(&self) -> Vec<(usize, Dispatch)> {
        let by_record = self.records.iter().enumerate();
        by_record.flat_map(|(i, record)| record.forward.iter().map(move |d| (i, d.with_accumulation(false)))).collect()
    }

    /// The backward dispatches, in reverse order of the records, each with the index of its record.
    /// The first dispatch that writes a gradient stores it and later ones add to it, so gradients
    /// need no clearing. Records whose result has no gradient are skipped.
    ///
    /// # Panics
    /// If a parameter has no gradient, because the model declares it but does not use it.
    pub fn backward(&self) -> Vec<(usize, Dispatch)> {
        self.backward_after(HashSet::new())
    }

    /// The backward dispatches of all passes of a step but the first. They add to the parameters'
    /// gradients. Empty if a step has one pass.
    ///
    /// # Panics
    /// See [`Tape::backward`].
    pub fn backward_again(&self) -> Vec<(usize, Dispatch)> {
        if self.passes == 1 {
            return vec![];
        }
        self.backward_after((0..self.parameters.len()).map(|i| Operand::ParameterGradient(ParamId(i))).collect())
    }

    /// The dispatches of every pass of a step, to compile all their kernels at once.
    pub fn dispatches(&self) -> Vec<Dispatch> {
        let all = self.forward().into_iter().chain(self.backward()).chain(self.backward_again());
        all.map(|(_, dispatch)| dispatch).collect()
    }

    /// The backward dispatches, given the gradients that are `written` already.
    fn backward_after(&self, mut written: HashSet<Operand>) -> Vec<(usize, Dispatch)> {
        if self.mode == Mode::Eval {
            return vec![];
        }
        written.extend(self.seeded.iter().map(|&var| Operand::Gradient(var)));
        let mut dispatches = vec![];
        for (i, record) in self.records.iter().enumerate().rev() {
            if record.result.is_some_and(|result| !written.contains(&Operand::Gradient(result))) {
                continue;
            }
            for dispatch in &record.backward {
                let accumulate = dispatch.accumulates(&mut written, &record.name);
                dispatches.push((i, dispatch.with_accumulation(accumulate)));
            }
        }
        for (i, declared) in self.parameters.iter().enumerate() {
            let is_written = written.contains(&Operand::ParameterGradient(ParamId(i)));
            assert!(is_written || self.records.is_empty(), "{}: no gradient reaches this parameter", declared.name);
        }
        dispatches
    }
}

impl Dispatch {
    /// Whether the gradients that this dispatch writes were written before. Marks them as written.
    fn accumulates(&self, written: &mut HashSet<Operand>, record: &str) -> bool {
        let gradients = self.bindings.iter().filter(|b| b.access == Access::Write && b.operand.is_gradient());
        let outputs: Vec<_> = gradients.map(|b| b.operand).collect();
        let accumulates = outputs.first().is_some_and(|first| written.contains(first));
        for output in outputs {
            let same = written.contains(&output) == accumulates;
            assert!(same, "{record}: one dispatch cannot store one gradient and add to another");
            written.insert(output);
        }
        accumulates
    }
}
