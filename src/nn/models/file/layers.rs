//! The layers of a file, and the order in which they are recorded.

use crate::nn::{Conv, Net};
use crate::ops::batch_norm::{Activation, After, Norm};
use crate::ops::max_pool::Window;
use crate::tape::Var;
use std::collections::HashMap;

/// The name of the input of a list of layers.
pub(super) const INPUT: &str = "input";

/// The name of the shortcut of a block.
pub(super) const SHORTCUT: &str = "shortcut";

/// A fault in the file, at this byte.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

/// A layer with its place in the file.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) offset: usize,
    pub(super) name: String,
    /// The layer whose result it reads; the one before it by default.
    pub(super) from: Option<String>,
    pub(super) op: Op,
}

/// The number of outputs of a linear layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outputs {
    /// As many as the data have classes.
    Classes,
    Number(usize),
}

/// What a layer computes.
#[derive(Debug)]
pub(super) enum Op {
    /// With `norm`, conv(relu(batch_norm(x))).
    Conv {
        conv: Conv,
        norm: Option<String>,
    },
    /// With `add`, the result of that layer is added before the activation.
    BatchNorm {
        activation: Activation,
        add: Option<String>,
    },
    Relu,
    Gelu,
    MaxPool(Window),
    MeanPool {
        kernel: usize,
        stride: usize,
    },
    GlobalMeanPool,
    Flatten,
    Linear(Outputs),
    Dropout(f64),
    Add(String),
    Concat(Vec<String>),
    Block(Block),
}

/// A block. Its layers share a block depth, and may read its shortcut.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) layers: Vec<Item>,
    /// The layers of the shortcut where the block changes the shape.
    pub(super) shortcut: Vec<Item>,
    pub(super) shortcut_name: String,
}

impl Item {
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { offset: self.offset, message: format!("layer {}: {}", self.name, message.into()) }
    }
}

/// What layers are recorded on: a net, or the shapes alone.
pub(super) trait Backend {
    type Value: Clone;

    /// The shape of an example.
    fn shape(&self, x: &Self::Value) -> Vec<usize>;

    /// Declares the parameters of a batch normalisation of x.
    fn norm(&mut self, name: &str, x: &Self::Value) -> Result<Option<Norm>, String>;

    /// Normalises x, adds the residual, and applies the activation.
    fn normalise(
        &mut self,
        name: &str,
        x: Self::Value,
        norm: Option<Norm>,
        after: (Activation, Option<Self::Value>),
    ) -> Result<Self::Value, String>;

    /// Any other operation. `others` are what it reads besides x.
    /// `classes` is the number of outputs that the data need.
    fn apply(
        &mut self,
        item: &Item,
        x: Self::Value,
        others: &[Self::Value],
        classes: usize,
    ) -> Result<Self::Value, String>;

    fn block<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T;

    fn shortcut<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T;
}

/// Records layers in order, for data with this number of classes. `block` is the block whose layers
/// they are.
pub(super) fn record<B: Backend>(
    backend: &mut B,
    (layers, classes): (&[Item], usize),
    input: B::Value,
    block: Option<&Block>,
) -> Result<B::Value, Fault> {
    let mut results: HashMap<&str, B::Value> = HashMap::from([(INPUT, input.clone())]);
    let mut x = input.clone();
    for item in layers {
        let result = |name: &str, results: &HashMap<&str, B::Value>| {
            let found = results.get(name).cloned();
            found.ok_or_else(|| item.fault(format!("{name} is no layer before it in this list")))
        };
        let source = match &item.from {
            Some(from) => result(from, &results)?,
            None => x,
        };
        // The residual may be the block's shortcut, which is recorded here.
        let other = |backend: &mut B, name: &str| match (name, block) {
            (SHORTCUT, Some(block)) => shortcut(backend, (item, classes), block, &input, &source),
            _ => result(name, &results),
        };
        x = match &item.op {
            Op::Block(inner) => {
                backend.block(&item.name, |backend| record(backend, (&inner.layers, classes), source, Some(inner)))?
            }
            Op::BatchNorm { activation, add } => {
                let norm = backend.norm(&item.name, &source).map_err(|message| item.fault(message))?;
                let residual = add.as_ref().map(|name| other(backend, name)).transpose()?;
                let done = backend.normalise(&item.name, source, norm, (*activation, residual));
                done.map_err(|message| item.fault(message))?
            }
            op => {
                let names = match op {
                    Op::Add(name) => std::slice::from_ref(name),
                    Op::Concat(names) => names.as_slice(),
                    _ => &[],
                };
                let others = names.iter().map(|name| other(backend, name)).collect::<Result<Vec<_>, _>>()?;
                backend.apply(item, source, &others, classes).map_err(|message| item.fault(message))?
            }
        };
        results.insert(&item.name, x.clone());
    }
    Ok(x)
}

/// The input of a block in the shape of y: itself, or the result of the shortcut's layers.
fn shortcut<B: Backend>(
    backend: &mut B,
    (item, classes): (&Item, usize),
    block: &Block,
    input: &B::Value,
    y: &B::Value,
) -> Result<B::Value, Fault> {
    let (from, to) = (backend.shape(input), backend.shape(y));
    if from == to {
        return Ok(input.clone());
    }
    if block.shortcut.is_empty() {
        let message = format!("the block changes {from:?} into {to:?}, so its shortcut needs layers of its own");
        return Err(item.fault(message));
    }
    backend.shortcut(&block.shortcut_name, |backend| record(backend, (&block.shortcut, classes), input.clone(), None))
}

impl Outputs {
    pub(super) fn count(self, classes: usize) -> usize {
        match self {
            Self::Classes => classes,
            Self::Number(count) => count,
        }
    }
}

impl Backend for Net<'_> {
    type Value = Var;

    fn shape(&self, x: &Var) -> Vec<usize> {
        Net::shape(self, *x).dims()[1..].to_vec()
    }

    fn norm(&mut self, name: &str, x: &Var) -> Result<Option<Norm>, String> {
        let [_, channels, _, _] = Net::shape(self, *x).nchw(name);
        Ok(Some(Net::norm(self, name, channels)))
    }

    fn normalise(
        &mut self,
        name: &str,
        x: Var,
        norm: Option<Norm>,
        (activation, residual): (Activation, Option<Var>),
    ) -> Result<Var, String> {
        let norm = norm.expect("it was declared");
        Ok(Net::normalise(self, name, x, norm, After { activation, residual }))
    }

    fn apply(&mut self, item: &Item, x: Var, others: &[Var], classes: usize) -> Result<Var, String> {
        let (net, name) = (self, item.name.as_str());
        Ok(match &item.op {
            Op::Conv { conv, norm: None } => net.conv2d(name, x, *conv),
            Op::Conv { conv, norm: Some(norm) } => net.norm_relu_conv(norm, name, x, *conv),
            Op::Relu => net.relu(name, x),
            Op::Gelu => net.gelu(name, x),
            Op::MaxPool(window) => net.max_pool(name, x, *window),
            Op::MeanPool { kernel, stride } => net.mean_pool(name, x, *kernel, *stride),
            Op::GlobalMeanPool => net.global_mean_pool(name, x),
            Op::Flatten => net.flatten(x),
            Op::Linear(outputs) => net.linear(name, x, outputs.count(classes)),
            Op::Dropout(p) => net.dropout(name, x, *p),
            Op::Add(_) => net.add(name, x, others[0]),
            Op::Concat(_) => concat(net, name, x, others),
            Op::BatchNorm { .. } | Op::Block(_) => unreachable!("they are recorded by their own methods"),
        })
    }

    fn block<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        Net::block(self, name, record)
    }

    fn shortcut<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        Net::shortcut(self, name, record)
    }
}

/// The channels of x, then those of the others.
fn concat(net: &mut Net, name: &str, x: Var, others: &[Var]) -> Var {
    let parts: Vec<Var> = std::iter::once(x).chain(others.iter().copied()).collect();
    let [n, _, h, w] = net.shape(x).nchw(name);
    let channels = parts.iter().map(|part| net.shape(*part).dims()[1]);
    let whole = net.allocate(name, [n, channels.sum(), h, w]);
    let mut first = 0;
    for (index, part) in parts.into_iter().enumerate() {
        net.write_channels(&format!("{name}.{index}"), whole, first, part);
        first += net.shape(part).dims()[1];
    }
    whole
}
