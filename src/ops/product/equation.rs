//! Equations in the notation of einsum.

use crate::tensor::Shape;
use std::collections::BTreeMap;
use std::fmt;

/// The axes of a, b and c, one letter each, outermost first: `bmk,bkn->bmn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equation([Vec<char>; 3]);

impl Equation {
    /// Parses `a,b->c`.
    ///
    /// # Panics
    /// If the equation is malformed, an operand has an axis twice, or an axis is in only one of a,
    /// b and c. The message names `user`.
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
            assert!(uses >= 2, "{user}: axis {axis} of {text} is in only one operand, and must be in two or three");
        }
        Self(operands)
    }

    /// The equation of da, from dc and b.
    pub(super) fn da(&self) -> Self {
        let [a, b, c] = self.0.clone();
        Self([c, b, a])
    }

    /// The equation of db, from dc and a.
    pub(super) fn db(&self) -> Self {
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
    /// If a or b does not match the equation. The message names `user`, the axis and the shapes.
    pub(super) fn extents(&self, user: &str, a: &Shape, b: &Shape) -> BTreeMap<char, usize> {
        let mut extents = BTreeMap::new();
        for (which, axes, shape) in [("a", &self.0[0], a), ("b", &self.0[1], b)] {
            let dims = axes.len();
            assert!(dims == shape.dims().len(), "{user}: {which} of {self} needs {dims} dimensions, found {shape}");
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
    /// See [`Equation::extents`].
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
