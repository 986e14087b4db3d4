//! A trained model as a file of ONNX, with its weights.

mod graph;
mod nodes;
mod proto;

use crate::data::{Element, Form};
use crate::error::{Error, Result};
use crate::nn::{self, Model, NetOptions, Objective};
use crate::tape::{Mode, Node, Operand, Tape, Var};
use crate::train::Tensor;
use graph::Graph;
use std::collections::HashMap;

/// The largest file: messages of protocol buffers have signed 32-bit lengths.
const MOST_BYTES: usize = i32::MAX as usize;

/// A model and its weights.
pub struct Exported<'a> {
    /// The model.
    pub model: &'a dyn Model,
    /// Its name in the file.
    pub name: &'a str,
    /// The columns of its data.
    pub form: &'a Form,
    /// Its objective, which names the outputs.
    pub objective: &'a dyn Objective,
    /// Its weights and running statistics, by name.
    pub tensors: &'a [Tensor],
    /// The standard deviation of the blur of Curriculum by Smoothing at these weights; `None`
    /// without blur.
    pub sigma: Option<f64>,
    /// Texts for the metadata of the file, by name.
    pub metadata: Vec<(&'a str, String)>,
}

/// Translates the records of a tape.
struct Exporter<'a> {
    tape: &'a Tape,
    graph: Graph,
    /// The tensor of each activation.
    values: HashMap<Var, String>,
    /// The parts of activations that are written in parts: first channel, channels, tensor.
    parts: HashMap<Var, Vec<(usize, usize, String)>>,
    /// The constants of parameters and states.
    weights: HashMap<&'a str, &'a Tensor>,
    added: HashMap<String, String>,
    sigma: f64,
}

/// The model as a file of ONNX. Its input are the columns of an example: bytes of images as numbers
/// from 0 to 255, which the model normalises itself, or the values of a spectrogram. Its outputs
/// are those of the model, before a softmax.
///
/// # Errors
/// [`Error::Setting`] for a model that ONNX cannot express here, such as one that reads tokens;
/// [`Error::Capacity`] if the file would be larger than 2 GiB.
pub fn onnx(exported: &Exported<'_>) -> Result<Vec<u8>> {
    let Exported { model, form, objective, .. } = exported;
    if let Some(column) = form.inputs.iter().find(|column| column.element == Element::U32 && column.name != "movement")
    {
        let message = format!("only models of images and spectrograms can be exported, this one reads {}", column.name);
        return Err(Error::setting("model", message));
    }
    model.accepts(form)?;
    let options = NetOptions { blur: exported.sigma.is_some(), mixup: false };
    let recorded = nn::record(*model, form, *objective, 1, Tape::new(Mode::Eval), options);
    let tape = &recorded.tape;
    let mut exporter = Exporter {
        tape,
        graph: Graph::default(),
        values: HashMap::new(),
        parts: HashMap::new(),
        weights: exported.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
        added: HashMap::new(),
        sigma: exported.sigma.unwrap_or(1.0),
    };
    for (column, operand) in form.inputs.iter().zip(&recorded.columns) {
        if let Some(Operand::Value(var)) = operand {
            let name = exporter.graph.input(&column.name, &column.shape);
            exporter.values.insert(tape.base(*var), name);
        }
    }
    for (index, record) in tape.records().iter().enumerate() {
        // Losses have no result.
        let Some(_) = record.result else { continue };
        let Some(node) = tape.node_of(index) else {
            let message = format!("{} ({}) cannot be exported", record.name, record.op);
            return Err(Error::setting("model", message));
        };
        exporter.add(node)?;
    }
    for (&output, of) in recorded.outputs.iter().zip(objective.outputs()) {
        let tensor = exporter.value(output);
        exporter.graph.output(&of.name, &tensor, &[of.width]);
    }
    let bytes = exporter.graph.into_bytes(exported.name, &exported.metadata);
    match bytes.len() <= MOST_BYTES {
        true => Ok(bytes),
        false => {
            Err(Error::Capacity(format!("{} has {} bytes, more than the 2 GiB of ONNX", exported.name, bytes.len())))
        }
    }
}

impl Exporter<'_> {
    /// The tensor of an activation in its shape.
    fn value(&mut self, var: Var) -> String {
        let base = self.tape.base(var);
        let (shape, of_base) = (self.tape.shape(var).clone(), self.tape.shape(base).clone());
        let name = match self.parts.contains_key(&base) {
            true => self.channels(base, of_base.dims()[1]),
            false => self.values[&base].clone(),
        };
        match shape == of_base {
            true => name,
            false => self.reshape(&format!("{name}.view"), &name, &shape.dims()[1..]),
        }
    }

    /// A tensor in another shape: the first extent, which depends on the number of examples, and
    /// the others.
    fn reshape(&mut self, name: &str, tensor: &str, others: &[usize]) -> String {
        let extents: Vec<i64> = std::iter::once(-1).chain(others.iter().map(|&extent| extent as i64)).collect();
        let shape = self.graph.integers(&format!("{name}.shape"), &extents);
        self.graph.node("Reshape", name, &[tensor.to_owned(), shape], &[])
    }

    /// The first channels of an activation that is written in parts.
    fn channels(&mut self, base: Var, count: usize) -> String {
        let parts: Vec<String> =
            self.parts[&base].iter().filter(|(first, ..)| *first < count).map(|(.., tensor)| tensor.clone()).collect();
        match parts.as_slice() {
            [one] => one.clone(),
            _ => {
                let name = format!("{}.channels", self.tape.name(base));
                self.graph.node("Concat", &name, &parts, &[("axis", proto::Value::Int(1))])
            }
        }
    }

    /// The tensor of an operand.
    fn operand(&mut self, operand: Operand) -> Result<String> {
        let declared = match operand {
            Operand::Value(var) => return Ok(self.value(var)),
            Operand::Parameter(parameter) => self.tape.declared(parameter),
            Operand::State(state) => &self.tape.states()[state.index()],
            other => unreachable!("{other:?} is no input of a model"),
        };
        if let Some(added) = self.added.get(&declared.name) {
            return Ok(added.clone());
        }
        let Some(tensor) = self.weights.get(declared.name.as_str()) else {
            return Err(Error::setting("init", format!("the weights have no {}", declared.name)));
        };
        let added = self.graph.floats(&tensor.name, &tensor.shape, &tensor.values);
        self.added.insert(declared.name.clone(), added.clone());
        Ok(added)
    }

    /// Translates a node, and notes its result.
    fn add(&mut self, node: &Node) -> Result<()> {
        let output = self.tape.base(node.output);
        if node.op == "concat" {
            let [first, channels] = ["first", "channels"].map(|option| node.numbers(option)[0] as usize);
            let part = self.operand(node.inputs[0])?;
            self.parts.entry(output).or_default().push((first, channels, part));
            return Ok(());
        }
        let tensor = self.translated(node)?;
        self.values.insert(output, tensor);
        Ok(())
    }
}
