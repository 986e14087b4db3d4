//! The columns of a batch on a tape: where each is written, once something reads it.

use crate::data::{Column, Element, Form};
use crate::tape::{BufferId, Operand, Tape, Var};
use crate::tensor::Shape;

/// Whole numbers that the host writes, such as token ids. They have no gradient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The words, as a kernel binds them.
    pub buffer: BufferId,
    /// Extents, the examples of a pass first.
    pub shape: Shape,
}

/// Every column of a form, with its place on the tape once it is used.
#[derive(Clone, Debug)]
pub struct Columns {
    form: Form,
    examples: usize,
    places: Vec<Option<Operand>>,
}

/// The index of the column `name`.
///
/// # Panics
/// If there is none of this name.
fn place_of(kind: &str, columns: &[Column], name: &str) -> usize {
    let names = || columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = columns.iter().position(|column| column.name == name);
    found.unwrap_or_else(|| panic!("the data have no {kind} {name:?}, only {}", names()))
}

impl Columns {
    /// The columns of batches of `examples` examples, none used.
    pub(super) fn new(form: &Form, examples: usize) -> Self {
        let places = vec![None; form.columns().count()];
        Self { form: form.clone(), examples, places }
    }

    /// What the data have.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// Examples of a pass.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// Where each column is written, inputs first; none for one that nothing reads.
    pub(super) fn into_places(self) -> Vec<Option<Operand>> {
        self.places
    }

    fn column(&self, place: usize) -> &Column {
        self.form.columns().nth(place).expect("a place of this form")
    }

    fn input_named(&self, name: &str) -> usize {
        place_of("input", &self.form.inputs, name)
    }

    /// The extents of a column in a pass.
    fn shape(&self, place: usize) -> Shape {
        let extents = self.column(place).shape.iter().copied();
        std::iter::once(self.examples).chain(extents).collect::<Vec<_>>().into()
    }

    /// A column's words, as a kernel binds them.
    fn words(&mut self, tape: &mut Tape, place: usize, kind: &str) -> Operand {
        let (name, words) = (self.column(place).name.clone(), self.column(place).words());
        let bytes = (4 * self.examples * words) as u64;
        *self.places[place].get_or_insert_with(|| tape.buffer(&format!("{kind}.{name}"), bytes).into())
    }

    /// An input's words.
    pub(super) fn input(&mut self, tape: &mut Tape, place: usize) -> Operand {
        self.words(tape, place, "input")
    }

    /// An input called `name`, if the data have it.
    pub(super) fn optional_input(&mut self, tape: &mut Tape, name: &str) -> Option<Operand> {
        let place = self.form.inputs.iter().position(|column| column.name == name)?;
        Some(self.input(tape, place))
    }

    /// A target's words.
    ///
    /// # Panics
    /// If the data have no target of this name.
    pub(super) fn target(&mut self, tape: &mut Tape, name: &str) -> Operand {
        let place = self.form.inputs.len() + place_of("target", &self.form.targets, name);
        self.words(tape, place, "target")
    }

    /// An input of numbers, as an activation that the host writes.
    pub(super) fn values(&mut self, tape: &mut Tape, name: &str) -> Var {
        let place = self.input_named(name);
        let (column, shape) = (self.column(place), self.shape(place));
        assert!(column.element == Element::F32, "{name}: expected numbers (F32), found {:?}", column.element);
        match self.places[place] {
            Some(Operand::Value(var)) => var,
            _ => {
                let var = tape.leaf(&format!("input.{name}"), shape, false);
                self.places[place] = Some(Operand::Value(var));
                var
            }
        }
    }

    /// An input of whole numbers.
    pub(super) fn ids(&mut self, tape: &mut Tape, name: &str) -> Ids {
        let place = self.input_named(name);
        let (column, shape) = (self.column(place), self.shape(place));
        assert!(column.element == Element::U32, "{name}: expected whole numbers (U32), found {:?}", column.element);
        match self.input(tape, place) {
            Operand::Buffer(buffer) => Ids { buffer, shape },
            other => unreachable!("{name} is {other:?}"),
        }
    }
}
