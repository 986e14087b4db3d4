//! Views: another shape for the memory of an activation.

use super::{Activation, Operand, Tape, Var};
use crate::tensor::Shape;

impl Tape {
    /// `x` in another shape of as many elements, read in the same order. The view is the same memory as `x`, value and gradient, and
    /// costs neither bytes nor a launch: what reads the one may read the other, and gradients through both add up.
    ///
    /// # Panics
    /// Naming `x`, if the shapes differ in their number of elements.
    pub fn view(&mut self, x: Var, shape: impl Into<Shape>) -> Var {
        let shape = shape.into();
        let viewed = &self.activations[x.0];
        let (had, has) = (viewed.shape.count(), shape.count());
        assert!(
            had == has,
            "{}: a view {shape} has {has} elements, but {} has {had}; a view keeps their number",
            viewed.name,
            viewed.shape
        );
        let view = Activation { shape, ..viewed.clone() };
        self.activations.push(view);
        Var(self.activations.len() - 1)
    }

    /// The activation whose memory `var` is: itself, unless it is a view.
    pub(super) fn base(&self, var: Var) -> Var {
        self.activations[var.0].base
    }

    /// An operand, where it is of a view that of its base.
    pub(super) fn resolved(&self, operand: Operand) -> Operand {
        match operand {
            Operand::Value(var) => Operand::Value(self.base(var)),
            Operand::Gradient(var) => Operand::Gradient(self.base(var)),
            other => other,
        }
    }
}
