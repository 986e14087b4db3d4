//! Which axes of two operands a product keeps and which it sums over, in the notation of einsum.

use crate::tensor::Shape;
use std::collections::BTreeMap;
use std::fmt;

/// The axes of a, b and c, a letter each, outermost first: `bmk,bkn->bmn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equation([Vec<char>; 3]);

impl Equation {
    /// Reads `a,b->c`.
    ///
    /// # Panics
    /// Naming `user`, where it is malformed, where an operand has an axis twice, or where an axis is in one operand alone.
    pub(crate) fn parse(user: &str, text: &str) -> Self {
        let operands = text.split_once("->").and_then(|(inputs, c)| inputs.split_once(',').map(|(a, b)| [a, b, c]));
        let letters = |operands: &[&str; 3]| operands.iter().all(|axes| axes.chars().all(char::is_alphabetic));
        let operands = operands.filter(letters);
        let operands =
            operands.unwrap_or_else(|| panic!("{user}: expected an equation like bmk,bkn->bmn, found {text}"));
        let operands = operands.map(|axes| axes.chars().collect::<Vec<_>>());
        for axis in operands.iter().flatten() {
            let times = |axes: &Vec<char>| axes.iter().filter(|&other| other == axis).count();
            let times = operands.each_ref().map(times);
            assert!(times.iter().all(|&times| times <= 1), "{user}: an operand of {text} has axis {axis} twice");
            let uses = times.iter().sum::<usize>();
            assert!(uses >= 2, "{user}: axis {axis} of {text} is in one operand alone, and must be in two or three");
        }
        Self(operands)
    }

    /// da from dc and b.
    pub(super) fn of_da(&self) -> Self {
        let [a, b, c] = self.0.clone();
        Self([c, b, a])
    }

    /// db from dc and a.
    pub(super) fn of_db(&self) -> Self {
        let [a, b, c] = self.0.clone();
        Self([c, a, b])
    }

    /// The axes of a, b and c.
    pub(super) fn axes(&self) -> &[Vec<char>; 3] {
        &self.0
    }

    /// The extent of each axis.
    ///
    /// # Panics
    /// Naming `user`, the axis and both shapes, where a or b has other dimensions than the equation says.
    pub(super) fn extents(&self, user: &str, a: &Shape, b: &Shape) -> BTreeMap<char, usize> {
        let mut extents = BTreeMap::new();
        for (which, axes, shape) in [("a", &self.0[0], a), ("b", &self.0[1], b)] {
            assert!(axes.len() == shape.dims().len(), "{user}: {which} of {self} is {shape}");
            for (&axis, &extent) in axes.iter().zip(shape.dims()) {
                let known = *extents.entry(axis).or_insert(extent);
                assert!(known == extent, "{user}: {axis} of {self} is {known} in a {a} but {extent} in b {b}");
            }
        }
        extents
    }

    /// The shape of c.
    ///
    /// # Panics
    /// As [`Equation::extents`].
    pub(super) fn shape(&self, user: &str, a: &Shape, b: &Shape) -> Shape {
        let extents = self.extents(user, a, b);
        self.0[2].iter().map(|axis| extents[axis]).collect::<Vec<_>>().into()
    }
}

impl fmt::Display for Equation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.0.each_ref().map(String::from_iter);
        write!(f, "{a},{b}->{c}")
    }
}
