//! Reads the layers of a file. Blocks are written out where they are used, with their arguments in
//! place of the names.

use super::layers::{Block, Fault, INPUT, Item, Op, Outputs, SHORTCUT};
use crate::files::text::nearest;
use crate::nn::Conv;
use crate::ops::batch_norm::Activation;
use crate::ops::conv2d::Conv2dOptions;
use crate::ops::max_pool::Window;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use toml::{Spanned, Table, Value};

/// A file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    layers: Vec<Spanned<Table>>,
    #[serde(default)]
    block: BTreeMap<String, Template>,
}

/// A block as it is written. Its numbers may be names of arguments.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Template {
    layers: Vec<Spanned<Table>>,
    #[serde(default)]
    shortcut: Vec<Spanned<Table>>,
    #[serde(default = "default_shortcut_name")]
    shortcut_name: String,
}

fn default_shortcut_name() -> String {
    SHORTCUT.to_owned()
}

/// The operations with their keys. The first key of a layer is that of its operation, with the name
/// of the layer as its value.
const OPERATIONS: [(&str, &[&str]); 13] = [
    ("conv2d", &["channels", "kernel", "stride", "padding", "groups", "bias", "norm"]),
    ("batch-norm", &["activation", "add"]),
    ("relu", &[]),
    ("gelu", &[]),
    ("max-pool", &["kernel", "stride", "padding"]),
    ("mean-pool", &["kernel", "stride"]),
    ("global-mean-pool", &[]),
    ("flatten", &[]),
    ("linear", &["outputs"]),
    ("dropout", &["p"]),
    ("add", &["with"]),
    ("concat", &["with"]),
    ("block", &["use"]),
];

/// Most channels, outputs, and layers after blocks are written out.
const MOST_CHANNELS: i64 = 1 << 20;
const MOST_LAYERS: usize = 10_000;

/// The largest kernel of a convolution, and of a max-pool.
const MOST_KERNEL: i64 = 255;
const MOST_WINDOW: i64 = 15;

/// Parses a file.
pub(super) fn parse(text: &str) -> Result<Vec<Item>, Fault> {
    let file: File = toml::from_str(text).map_err(|error| Fault {
        offset: error.span().map_or(0, |span| span.start.min(text.len())),
        message: error.message().to_owned(),
    })?;
    let mut left = MOST_LAYERS;
    let mut reader = Reader { blocks: &file.block, arguments: None, left: &mut left };
    let layers = reader.list(&file.layers)?;
    match layers.is_empty() {
        true => Err(Fault { offset: 0, message: "layers: expected at least one layer".to_owned() }),
        false => Ok(layers),
    }
}

/// Reads lists of layers.
struct Reader<'f> {
    blocks: &'f BTreeMap<String, Template>,
    /// Within a block: its arguments.
    arguments: Option<&'f Table>,
    /// Layers that may still follow.
    left: &'f mut usize,
}

/// A layer that is being read.
struct Layer<'f> {
    offset: usize,
    name: String,
    table: &'f Table,
    arguments: Option<&'f Table>,
}

impl Layer<'_> {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { offset: self.offset, message: format!("layer {}: {}", self.name, message.into()) }
    }

    /// The value of a key; within a block, that of the argument that it names.
    fn value(&self, key: &str) -> Option<&Value> {
        let value = self.table.get(key)?;
        let argument = value.as_str().and_then(|name| self.arguments?.get(name));
        Some(argument.unwrap_or(value))
    }

    fn checked(&self, key: &str, value: &Value, range: &RangeInclusive<i64>) -> Result<usize, Fault> {
        match value.as_integer() {
            Some(number) if range.contains(&number) => Ok(number as usize),
            _ => {
                let (least, most) = (range.start(), range.end());
                let hint = if self.arguments.is_some() { " or the name of an argument of the block" } else { "" };
                Err(self.fault(format!("{key}: expected a whole number from {least} to {most}{hint}, found {value}")))
            }
        }
    }

    fn number(&self, key: &str, range: RangeInclusive<i64>, default: Option<usize>) -> Result<usize, Fault> {
        match (self.value(key), default) {
            (Some(value), _) => self.checked(key, value, &range),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.fault(format!("{key} is missing"))),
        }
    }

    /// A number for both axes, or `[height, width]`.
    fn pair(&self, key: &str, range: RangeInclusive<i64>, default: Option<usize>) -> Result<[usize; 2], Fault> {
        match self.value(key) {
            Some(Value::Array(values)) => match values.as_slice() {
                [height, width] => Ok([self.checked(key, height, &range)?, self.checked(key, width, &range)?]),
                _ => Err(self.fault(format!("{key}: expected a number or [height, width], found {values:?}"))),
            },
            _ => self.number(key, range, default).map(|number| [number; 2]),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Fault> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.fault(format!("{key}: expected a name in quotes, found {other}"))),
        }
    }

    fn required(&self, key: &str) -> Result<String, Fault> {
        self.text(key)?.ok_or_else(|| self.fault(format!("{key} is missing")))
    }

    fn conv(&self) -> Result<Op, Fault> {
        let kernel = self.pair("kernel", 1..=MOST_KERNEL, None)?;
        let stride = self.pair("stride", 1..=MOST_KERNEL, Some(1))?;
        let padding = self.pair("padding", 0..=MOST_KERNEL, Some(0))?;
        if padding[0] >= kernel[0] || padding[1] >= kernel[1] {
            return Err(self.fault(format!("padding {padding:?} must be less than the kernel {kernel:?}")));
        }
        let bias = match self.value("bias") {
            None => false,
            Some(Value::Boolean(bias)) => *bias,
            Some(other) => return Err(self.fault(format!("bias: expected true or false, found {other}"))),
        };
        let (channels, groups) = (1..=MOST_CHANNELS, self.number("groups", 1..=MOST_CHANNELS, Some(1))?);
        let options = Conv2dOptions { stride, padding, groups };
        let conv = Conv { channels: self.number("channels", channels, None)?, kernel, options, bias };
        Ok(Op::Conv { conv, norm: self.text("norm")? })
    }

    fn batch_norm(&self) -> Result<Op, Fault> {
        let activation = match self.text("activation")?.as_deref() {
            None => Activation::Identity,
            Some("relu") => Activation::Relu,
            Some("relu6") => Activation::Relu6,
            Some(other) => return Err(self.fault(format!("activation: expected relu or relu6, found {other}"))),
        };
        Ok(Op::BatchNorm { activation, add: self.text("add")? })
    }

    fn max_pool(&self) -> Result<Op, Fault> {
        let kernel = self.number("kernel", 1..=MOST_WINDOW, None)?;
        let stride = self.number("stride", 1..=MOST_WINDOW, Some(kernel))?;
        let padding = self.number("padding", 0..=kernel as i64 - 1, Some(0))?;
        Ok(Op::MaxPool(Window { kernel, stride, padding }))
    }

    fn mean_pool(&self) -> Result<Op, Fault> {
        let kernel = self.number("kernel", 1..=MOST_CHANNELS, None)?;
        Ok(Op::MeanPool { kernel, stride: self.number("stride", 1..=MOST_CHANNELS, Some(kernel))? })
    }

    fn linear(&self) -> Result<Op, Fault> {
        match self.value("outputs").and_then(Value::as_str) {
            Some("classes") => Ok(Op::Linear(Outputs::Classes)),
            Some(other) => Err(self.fault(format!("outputs: expected a number or \"classes\", found {other:?}"))),
            None => Ok(Op::Linear(Outputs::Number(self.number("outputs", 1..=MOST_CHANNELS, None)?))),
        }
    }

    fn dropout(&self) -> Result<Op, Fault> {
        let value = self.value("p").ok_or_else(|| self.fault("p is missing"))?;
        let p = value.as_float().or(value.as_integer().map(|p| p as f64)).filter(|p| (0.0..1.0).contains(p));
        p.map(Op::Dropout)
            .ok_or_else(|| self.fault(format!("p: expected a number from 0 to less than 1, found {value}")))
    }

    /// The names that `with` lists.
    fn with(&self) -> Result<Vec<String>, Fault> {
        let bad = |value: &Value| self.fault(format!("with: expected names of layers in quotes, found {value}"));
        match self.table.get("with") {
            None => Err(self.fault("with is missing")),
            Some(Value::String(name)) => Ok(vec![name.clone()]),
            Some(Value::Array(names)) if !names.is_empty() => {
                names.iter().map(|name| name.as_str().map(str::to_owned).ok_or_else(|| bad(name))).collect()
            }
            Some(other) => Err(bad(other)),
        }
    }
}

impl<'f> Reader<'f> {
    fn list(&mut self, layers: &'f [Spanned<Table>]) -> Result<Vec<Item>, Fault> {
        let mut items: Vec<Item> = vec![];
        for layer in layers {
            let item = self.item(layer)?;
            if items.iter().any(|other| other.name == item.name) {
                return Err(item.fault("an earlier layer of this list has the same name"));
            }
            items.push(item);
        }
        Ok(items)
    }

    fn item(&mut self, layer: &'f Spanned<Table>) -> Result<Item, Fault> {
        let (offset, table) = (layer.span().start, layer.get_ref());
        let at = |message: String| Fault { offset, message };
        *self.left = self.left.checked_sub(1).ok_or_else(|| at(format!("more than {MOST_LAYERS} layers")))?;
        let mut found = OPERATIONS.iter().filter(|(operation, keys)| {
            // `add` is also a key of a batch norm.
            table.contains_key(*operation)
                && !(*operation == "add" && table.contains_key("batch-norm") && keys.len() == 1)
        });
        let Some((operation, keys)) = found.next() else {
            let known = || OPERATIONS.iter().map(|(operation, _)| *operation);
            let hint = table.keys().map(|key| nearest(key, known())).find(|hint| !hint.is_empty()).unwrap_or_default();
            let known = known().collect::<Vec<_>>().join(", ");
            return Err(at(format!("a layer needs one of the keys {known}{hint}")));
        };
        let name = table[*operation].as_str().filter(|name| is_name(name)).ok_or_else(|| {
            at(format!(
                "{operation}: expected a name of letters, digits, . and _ in quotes, found {}",
                table[*operation]
            ))
        })?;
        let layer = Layer { offset, name: name.to_owned(), table, arguments: self.arguments };
        if let Some((second, _)) = found.next() {
            return Err(layer.fault(format!("it is both {operation} and {second}; make them two layers")));
        }
        if [INPUT, SHORTCUT].contains(&name) {
            return Err(layer.fault("this name has a meaning of its own; choose another"));
        }
        let is_known = |key: &str| key == *operation || key == "from" || keys.contains(&key);
        if let Some(key) = table.keys().find(|key| *operation != "block" && !is_known(key)) {
            let hint = nearest(key, keys.iter().copied());
            return Err(layer.fault(format!("unknown key {key}; {operation} has {}, from{hint}", keys.join(", "))));
        }
        let op = match *operation {
            "conv2d" => layer.conv()?,
            "batch-norm" => layer.batch_norm()?,
            "relu" => Op::Relu,
            "gelu" => Op::Gelu,
            "max-pool" => layer.max_pool()?,
            "mean-pool" => layer.mean_pool()?,
            "global-mean-pool" => Op::GlobalMeanPool,
            "flatten" => Op::Flatten,
            "linear" => layer.linear()?,
            "dropout" => layer.dropout()?,
            "add" => match layer.with()?.as_slice() {
                [one] => Op::Add(one.clone()),
                _ => return Err(layer.fault("with: expected one name")),
            },
            "concat" => Op::Concat(layer.with()?),
            _ => Op::Block(self.block(&layer, table)?),
        };
        Ok(Item { offset, from: layer.text("from")?, name: layer.name, op })
    }

    /// The layers of a block, with the other keys of `table` as arguments.
    fn block(&mut self, layer: &Layer<'_>, table: &'f Table) -> Result<Block, Fault> {
        if self.arguments.is_some() {
            return Err(layer.fault("a block cannot be part of a block"));
        }
        let of = layer.required("use")?;
        let Some(template) = self.blocks.get(&of) else {
            let names: Vec<_> = self.blocks.keys().map(String::as_str).collect();
            let names = if names.is_empty() { "no block".to_owned() } else { names.join(", ") };
            return Err(layer.fault(format!("use: there is no [block.{of}]; the file has {names}")));
        };
        let mut inner = Reader { blocks: self.blocks, arguments: Some(table), left: &mut *self.left };
        let layers = inner.list(&template.layers)?;
        let shortcut = inner.list(&template.shortcut)?;
        if layers.is_empty() {
            return Err(layer.fault(format!("[block.{of}] has no layers")));
        }
        Ok(Block { layers, shortcut, shortcut_name: template.shortcut_name.clone() })
    }
}

/// Whether a text can be the name of a layer, and so a part of the name of a tensor.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 100 && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
