//! A graph of ONNX that is being built.

use super::proto::{Value, attribute, floats, integers, value_info};
use crate::files::Message;
use std::collections::HashSet;

/// The version of the format, and that of the operators.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;

/// Nodes, constants, inputs and outputs.
#[derive(Default)]
pub(super) struct Graph {
    nodes: Vec<Message>,
    constants: Vec<Message>,
    inputs: Vec<Message>,
    outputs: Vec<Message>,
    names: HashSet<String>,
}

impl Graph {
    /// A name that no other tensor has.
    fn unique(&mut self, name: &str) -> String {
        let mut found = name.to_owned();
        let mut count = 1;
        while !self.names.insert(found.clone()) {
            count += 1;
            found = format!("{name}.{count}");
        }
        found
    }

    /// Adds a node with one result, whose name is returned.
    pub(super) fn node(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[impl AsRef<str>],
        attributes: &[(&str, Value)],
    ) -> String {
        let output = self.unique(name);
        let inputs = inputs.iter().fold(Message::default(), |node, input| node.text(1, input.as_ref()));
        let node = inputs.text(2, &output).text(3, &output).text(4, op);
        let node = attributes.iter().fold(node, |node, (name, value)| node.message(5, attribute(name, value)));
        self.nodes.push(node);
        output
    }

    /// Adds a constant of floats.
    pub(super) fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let name = self.unique(name);
        self.constants.push(floats(&name, shape, values));
        name
    }

    /// Adds a constant of whole numbers.
    pub(super) fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let name = self.unique(name);
        self.constants.push(integers(&name, values));
        name
    }

    /// Adds an input of `N` examples of this shape.
    pub(super) fn input(&mut self, name: &str, shape: &[usize]) -> String {
        let name = self.unique(name);
        self.inputs.push(value_info(&name, shape));
        name
    }

    /// Makes a tensor an output, under this name.
    pub(super) fn output(&mut self, name: &str, of: &str, shape: &[usize]) {
        let name = self.node("Identity", name, &[of], &[]);
        self.outputs.push(value_info(&name, shape));
    }

    /// The file. `metadata` are texts by name.
    pub(super) fn into_bytes(self, name: &str, metadata: &[(&str, String)]) -> Vec<u8> {
        let add = |field, messages: Vec<Message>| {
            move |graph: Message| messages.into_iter().fold(graph, |graph, message| graph.message(field, message))
        };
        let graph = add(1, self.nodes)(Message::default()).text(2, name);
        let graph = add(12, self.outputs)(add(11, self.inputs)(add(5, self.constants)(graph)));
        let model = Message::default()
            .int(1, IR_VERSION)
            .text(2, "lerac")
            .text(3, env!("CARGO_PKG_VERSION"))
            .message(7, graph)
            .message(8, Message::default().text(1, "").int(2, OPSET));
        let entry = |(key, value): &(&str, String)| Message::default().text(1, key).text(2, value);
        metadata.iter().map(entry).fold(model, |model, entry| model.message(14, entry)).into_bytes()
    }
}
