//! What records compute, apart from how: for formats of other programs.

use super::{Operand, Tape, Var};

/// What a record computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The operation.
    pub op: &'static str,
    /// The name that the model gave it.
    pub name: String,
    /// What it reads, in the order of its definition. Views keep their shapes.
    pub inputs: Vec<Operand>,
    /// What it writes.
    pub output: Var,
    /// Its options by name.
    pub options: Vec<(&'static str, Vec<f64>)>,
    /// The equation of a product.
    pub equation: String,
}

impl Tape {
    /// Says what the latest record computes. `options` are numbers by name.
    ///
    /// # Panics
    /// If there is no record, or if it has no result.
    pub fn node(&mut self, inputs: &[Operand], options: &[(&'static str, &[usize])]) {
        let options = options.iter().map(|(name, values)| (*name, values.iter().map(|&value| value as f64).collect()));
        self.node_with(inputs, options.collect(), String::new());
    }

    /// [`Tape::node`] with options that are no whole numbers, or an equation.
    ///
    /// # Panics
    /// In the cases of [`Tape::node`].
    pub fn node_with(&mut self, inputs: &[Operand], options: Vec<(&'static str, Vec<f64>)>, equation: String) {
        let record = self.records.last().expect("a record was appended");
        let output = record.result.expect("the record has a result");
        let node =
            Node { op: record.op, name: record.name.clone(), inputs: inputs.to_vec(), output, options, equation };
        self.nodes.insert(self.records.len() - 1, node);
    }

    /// What the record at this index computes, if that is known.
    pub fn node_of(&self, record: usize) -> Option<&Node> {
        self.nodes.get(&record)
    }
}

impl Node {
    /// The numbers of an option.
    ///
    /// # Panics
    /// If the node has no such option.
    pub fn numbers(&self, name: &str) -> &[f64] {
        let found = self.options.iter().find(|(option, _)| *option == name);
        &found.unwrap_or_else(|| panic!("{}: {} has no option {name}", self.name, self.op)).1
    }
}
