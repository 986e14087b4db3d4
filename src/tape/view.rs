//! Views: activations that share memory under different shapes.

use super::{Activation, Operand, Tape, Var};
use crate::tensor::Shape;

impl Tape {
    /// A view of `x` in another shape, like PyTorch's `Tensor.view` on a contiguous tensor. The
    /// view shares the memory of `x`, both value and gradient, so it needs no launch. Gradients of
    /// both add up.
    ///
    /// # Panics
    /// If the shapes differ in their number of elements. The message names `x`.
    pub fn view(&mut self, x: Var, shape: impl Into<Shape>) -> Var {
        let shape = shape.into();
        let base = &self.activations[x.0];
        let (expected, found) = (base.shape.count(), shape.count());
        assert!(
            expected == found,
            "{}: a view {shape} has {found} elements, but {} has {expected}; their number must be equal",
            base.name,
            base.shape
        );
        let view = Activation { shape, ..base.clone() };
        self.activations.push(view);
        Var(self.activations.len() - 1)
    }

    /// The activation that owns the memory of `var`: `var` itself, or the base of a view.
    pub fn base(&self, var: Var) -> Var {
        self.activations[var.0].base
    }

    /// The operand, with a view replaced by its base.
    pub(super) fn resolved(&self, operand: Operand) -> Operand {
        match operand {
            Operand::Value(var) => Operand::Value(self.base(var)),
            Operand::Gradient(var) => Operand::Gradient(self.base(var)),
            other => other,
        }
    }
}
