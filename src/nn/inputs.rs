//! The columns of a batch on a tape. A column gets a buffer or an activation on first use.

use crate::data::{Column, Element, Form};
use crate::tape::{BufferId, Operand, Tape, Var};
use crate::tensor::Shape;

/// An integer input, such as token ids. The host writes it, and it has no gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The buffer of u32 words that a kernel binds.
    pub buffer: BufferId,
    /// Shape; the first axis is the examples of a pass.
    pub shape: Shape,
}

/// The columns of a form, with the operand on the tape of each column in use.
#[derive(Clone, Debug)]
pub struct Columns {
    form: Form,
    examples: usize,
    operands: Vec<Option<Operand>>,
}

/// The index of the column `name`.
///
/// # Panics
/// If no column has this name.
fn index_of(kind: &str, columns: &[Column], name: &str) -> usize {
    let names = || columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = columns.iter().position(|column| column.name == name);
    found.unwrap_or_else(|| panic!("the data have no {kind} {name:?}; expected one of {}", names()))
}

impl Columns {
    /// The columns of a pass of `examples` examples, none in use yet.
    pub(super) fn new(form: &Form, examples: usize) -> Self {
        let operands = vec![None; form.columns().count()];
        Self { form: form.clone(), examples, operands }
    }

    /// The columns of the data set.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Examples of a pass.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The operand of each column, inputs first; `None` for a column that nothing reads.
    pub(super) fn into_operands(self) -> Vec<Option<Operand>> {
        self.operands
    }

    fn column(&self, index: usize) -> &Column {
        self.form.columns().nth(index).expect("an index of this form")
    }

    fn input_named(&self, name: &str) -> usize {
        index_of("input", &self.form.inputs, name)
    }

    /// The shape of a column in a pass: `[examples, ...]`.
    fn shape(&self, index: usize) -> Shape {
        let extents = self.column(index).shape.iter().copied();
        std::iter::once(self.examples).chain(extents).collect::<Vec<_>>().into()
    }

    /// The buffer of a column's words, made on first use.
    fn words(&mut self, tape: &mut Tape, index: usize, kind: &str) -> Operand {
        let (name, words) = (self.column(index).name.clone(), self.column(index).words());
        let bytes = (4 * self.examples * words) as u64;
        *self.operands[index].get_or_insert_with(|| tape.buffer(&format!("{kind}.{name}"), bytes).into())
    }

    /// The buffer of an input's words.
    pub(super) fn input(&mut self, tape: &mut Tape, index: usize) -> Operand {
        self.words(tape, index, "input")
    }

    /// The buffer of the input `name`, if the data have it.
    pub(super) fn optional_input(&mut self, tape: &mut Tape, name: &str) -> Option<Operand> {
        let index = self.form.inputs.iter().position(|column| column.name == name)?;
        Some(self.input(tape, index))
    }

    /// The buffer of the words of the target `name`.
    ///
    /// # Panics
    /// If the data have no target of this name.
    pub(super) fn target(&mut self, tape: &mut Tape, name: &str) -> Operand {
        let index = self.form.inputs.len() + index_of("target", &self.form.targets, name);
        self.words(tape, index, "target")
    }

    /// The f32 input `name`, as an activation that the host writes.
    pub(super) fn values(&mut self, tape: &mut Tape, name: &str) -> Var {
        let index = self.input_named(name);
        let (column, shape) = (self.column(index), self.shape(index));
        assert!(column.element == Element::F32, "{name}: expected elements F32, found {:?}", column.element);
        match self.operands[index] {
            Some(Operand::Value(var)) => var,
            _ => {
                let var = tape.leaf(&format!("input.{name}"), shape, false);
                self.operands[index] = Some(Operand::Value(var));
                var
            }
        }
    }

    /// The u32 input `name`.
    pub(super) fn ids(&mut self, tape: &mut Tape, name: &str) -> Ids {
        let index = self.input_named(name);
        let (column, shape) = (self.column(index), self.shape(index));
        assert!(column.element == Element::U32, "{name}: expected elements U32, found {:?}", column.element);
        match self.input(tape, index) {
            Operand::Buffer(buffer) => Ids { buffer, shape },
            other => unreachable!("{name} is {other:?}"),
        }
    }
}
