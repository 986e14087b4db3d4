//! Each operation in the operators of ONNX.

use super::Exporter;
use super::proto::Value::{Float, Int, Ints, Text};
use crate::error::{Error, Result};
use crate::ops::batch_norm::EPSILON;
use crate::tape::{Node, Operand};
use std::f32::consts::FRAC_1_SQRT_2;

fn integers(numbers: &[f64]) -> Vec<i64> {
    numbers.iter().map(|&number| number as i64).collect()
}

/// Padding before, then after, of each axis.
fn pads(padding: &[f64]) -> Vec<i64> {
    integers(&[padding, padding].concat())
}

/// The normalised Gaussian of width 3 in one dimension.
fn gaussian(sigma: f64) -> [f64; 3] {
    let e = (-0.5 / (sigma * sigma)).exp();
    [e, 1.0, e].map(|weight| weight / (1.0 + 2.0 * e))
}

impl Exporter<'_> {
    /// The tensor that a node computes.
    pub(super) fn translated(&mut self, node: &Node) -> Result<String> {
        let name = node.name.as_str();
        if node.op == "pixels" {
            return Ok(self.pixels(node));
        }
        if node.op == "batch_norm" {
            return self.batch_norm(node);
        }
        let inputs = node.inputs.iter().map(|input| self.operand(*input)).collect::<Result<Vec<_>>>()?;
        let x = &inputs[0];
        Ok(match node.op {
            "conv2d" => {
                let attributes = [
                    ("strides", Ints(integers(node.numbers("stride")))),
                    ("pads", Ints(pads(node.numbers("padding")))),
                    ("group", Int(node.numbers("groups")[0] as i64)),
                ];
                self.graph.node("Conv", name, &inputs, &attributes)
            }
            "max_pool" => {
                let [kernel, stride, padding] =
                    ["kernel", "stride", "padding"].map(|option| [node.numbers(option)[0]; 2]);
                let attributes = [
                    ("kernel_shape", Ints(integers(&kernel))),
                    ("strides", Ints(integers(&stride))),
                    ("pads", Ints(pads(&padding))),
                ];
                self.graph.node("MaxPool", name, &inputs, &attributes)
            }
            "mean_pool" => {
                let attributes = [
                    ("kernel_shape", Ints(integers(node.numbers("kernel")))),
                    ("strides", Ints(integers(&[node.numbers("stride")[0]; 2]))),
                ];
                self.graph.node("AveragePool", name, &inputs, &attributes)
            }
            "linear" => self.linear(node, &inputs),
            "relu" => self.graph.node("Relu", name, &inputs, &[]),
            "tanh" => self.graph.node("Tanh", name, &inputs, &[]),
            "sigmoid" => self.graph.node("Sigmoid", name, &inputs, &[]),
            "gelu" => self.gelu(name, x),
            "quick_gelu" => {
                let scaled = self.times(&format!("{name}.scaled"), x, 1.702);
                let gate = self.graph.node("Sigmoid", &format!("{name}.gate"), &[scaled], &[]);
                self.graph.node("Mul", name, &[x.clone(), gate], &[])
            }
            "add" => self.graph.node("Add", name, &inputs, &[]),
            "product" => self.graph.node("Einsum", name, &inputs, &[("equation", Text(node.equation.clone()))]),
            "softmax" => {
                let scaled = self.times(&format!("{name}.scaled"), x, node.numbers("scale")[0] as f32);
                self.graph.node("Softmax", name, &[scaled], &[("axis", Int(-1))])
            }
            "attention" => self.attention(node, &inputs),
            "layer_norm" => {
                let attributes = [("axis", Int(-1)), ("epsilon", Float(node.numbers("epsilon")[0] as f32))];
                self.graph.node("LayerNormalization", name, &inputs, &attributes)
            }
            "transpose" => {
                let others = node.numbers("extent")[1..].iter().map(|&extent| extent as usize).collect::<Vec<_>>();
                let x = self.reshape(&format!("{name}.axes"), x, &others);
                self.graph.node("Transpose", name, &[x], &[("perm", Ints(vec![0, 2, 1, 3]))])
            }
            "slice" => {
                let [start, end] = [0, 1].map(|i| node.numbers("range")[i] as i64);
                self.slice(name, x, 1, [start, end])
            }
            "prepend" => self.prepend(node, &inputs),
            "position" => {
                let (shape, tokens) = (self.shape_of(node.inputs[1]), node.numbers("tokens")[0] as i64);
                let [rows, width] = [shape.iter().rev().skip(1).product::<usize>(), shape[shape.len() - 1]];
                let name_of = |what: &str| format!("{name}.{what}");
                let table = self.fixed(&name_of("table"), &inputs[1], &[rows, width]);
                let table = self.slice(&name_of("rows"), &table, 0, [0, tokens]);
                self.graph.node("Add", name, &[x.clone(), table], &[])
            }
            "blur" => {
                let channels = self.shape_of(node.inputs[0])[1];
                let g = gaussian(self.sigma);
                let kernel: Vec<f32> = g.iter().flat_map(|a| g.map(|b| (a * b) as f32)).collect();
                let kernel =
                    self.graph.floats(&format!("{name}.kernel"), &[channels, 1, 3, 3], &kernel.repeat(channels));
                let attributes = [("pads", Ints(vec![1; 4])), ("group", Int(channels as i64))];
                self.graph.node("Conv", name, &[x.clone(), kernel], &attributes)
            }
            "blur_tokens" => self.blur_tokens(node, x),
            other => {
                return Err(Error::setting("model", format!("{name}: {other} has no operator of ONNX here")));
            }
        })
    }

    fn shape_of(&self, operand: Operand) -> Vec<usize> {
        match operand {
            Operand::Value(var) => self.tape.shape(var).dims().to_vec(),
            Operand::Parameter(parameter) => self.tape.declared(parameter).shape.dims().to_vec(),
            other => unreachable!("{other:?} is no input of a node"),
        }
    }

    /// (bytes / 255 - mean) / std.
    fn pixels(&mut self, node: &Node) -> String {
        let (name, shape) = (&node.name, self.tape.shape(node.output).dims()[1..].to_vec());
        let input = self.graph.input(name, &shape);
        let constant = |values: Vec<f32>| (vec![1, values.len(), 1, 1], values);
        let (shape, mean) = constant(node.numbers("mean").iter().map(|mean| (255.0 * mean) as f32).collect());
        let mean = self.graph.floats(&format!("{name}.mean"), &shape, &mean);
        let (shape, std) = constant(node.numbers("std").iter().map(|std| (255.0 * std) as f32).collect());
        let std = self.graph.floats(&format!("{name}.std"), &shape, &std);
        let centred = self.graph.node("Sub", &format!("{name}.centred"), &[input, mean], &[]);
        self.graph.node("Div", &format!("{name}.normalised"), &[centred, std], &[])
    }

    /// Normalisation, then the residual and the activation.
    fn batch_norm(&mut self, node: &Node) -> Result<String> {
        let (name, channels) = (node.name.as_str(), node.numbers("channels")[0] as usize);
        let Operand::Value(x) = node.inputs[0] else { unreachable!("it normalises an activation") };
        let base = self.tape.base(x);
        // The layers of a dense block read the channels that were written so far.
        let x = match self.parts.contains_key(&base) {
            true => self.channels(base, channels),
            false => self.value(x),
        };
        let others = node.inputs[1..].iter().map(|input| self.operand(*input)).collect::<Result<Vec<_>>>()?;
        let inputs = [&[x], &others[..4]].concat();
        let mut y = self.graph.node("BatchNormalization", name, &inputs, &[("epsilon", Float(EPSILON))]);
        if let Some(residual) = others.get(4) {
            y = self.graph.node("Add", &format!("{name}.sum"), &[y, residual.clone()], &[]);
        }
        Ok(match node.numbers("activation")[0] as usize {
            0 => y,
            1 => self.graph.node("Relu", &format!("{name}.relu"), &[y], &[]),
            _ => {
                let [low, high] =
                    [("low", 0.0), ("high", 6.0)].map(|(what, value)| self.scalar(&format!("{name}.{what}"), value));
                self.graph.node("Clip", &format!("{name}.relu6"), &[y, low, high], &[])
            }
        })
    }

    fn scalar(&mut self, name: &str, value: f32) -> String {
        self.graph.floats(name, &[], &[value])
    }

    fn times(&mut self, name: &str, x: &str, factor: f32) -> String {
        let factor = self.scalar(&format!("{name}.factor"), factor);
        self.graph.node("Mul", name, &[x.to_owned(), factor], &[])
    }

    /// A tensor that does not depend on the examples, in another shape.
    fn fixed(&mut self, name: &str, tensor: &str, shape: &[usize]) -> String {
        let extents: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
        let extents = self.graph.integers(&format!("{name}.shape"), &extents);
        self.graph.node("Reshape", name, &[tensor.to_owned(), extents], &[])
    }

    fn slice(&mut self, name: &str, x: &str, axis: i64, [start, end]: [i64; 2]) -> String {
        let bounds = [("start", start), ("end", end), ("axis", axis)];
        let bounds = bounds.map(|(what, value)| self.graph.integers(&format!("{name}.{what}"), &[value]));
        self.graph.node("Slice", name, &[&[x.to_owned()], &bounds[..]].concat(), &[])
    }

    fn linear(&mut self, node: &Node, inputs: &[String]) -> String {
        let name = node.name.as_str();
        if let ([_, _], [_, _, _]) = (self.shape_of(node.inputs[0]).as_slice(), inputs) {
            return self.graph.node("Gemm", name, inputs, &[("transB", Int(1))]);
        }
        let weight = format!("{name}.transposed");
        let weight = self.graph.node("Transpose", &weight, &[inputs[1].clone()], &[("perm", Ints(vec![1, 0]))]);
        let y = self.graph.node("MatMul", &format!("{name}.product"), &[inputs[0].clone(), weight], &[]);
        match inputs.get(2) {
            Some(bias) => self.graph.node("Add", name, &[y, bias.clone()], &[]),
            None => y,
        }
    }

    /// x (1 + erf(x / sqrt 2)) / 2.
    fn gelu(&mut self, name: &str, x: &str) -> String {
        let scaled = self.times(&format!("{name}.scaled"), x, FRAC_1_SQRT_2);
        let erf = self.graph.node("Erf", &format!("{name}.erf"), &[scaled], &[]);
        let one = self.scalar(&format!("{name}.one"), 1.0);
        let sum = self.graph.node("Add", &format!("{name}.sum"), &[erf, one], &[]);
        let half = self.times(&format!("{name}.half"), x, 0.5);
        self.graph.node("Mul", name, &[half, sum], &[])
    }

    /// Attention in one launch, as products of heads.
    fn attention(&mut self, node: &Node, inputs: &[String]) -> String {
        let name = node.name.as_str();
        let [t, s, h, d] = [0, 1, 2, 3].map(|i| node.numbers("extent")[i] as usize);
        let parts = [("q", t), ("k", s), ("v", s)];
        let mut heads = vec![];
        for ((part, rows), input) in parts.into_iter().zip(inputs) {
            heads.push(self.reshape(&format!("{name}.{part}"), input, &[rows, h, d]));
        }
        let einsum = |equation: &str| [("equation", Text(equation.to_owned()))];
        let equation = einsum("nthd,nshd->nhts");
        let scores = self.graph.node("Einsum", &format!("{name}.scores"), &heads[..2], &equation);
        let scaled = self.times(&format!("{name}.scaled"), &scores, node.numbers("scale")[0] as f32);
        let kept = self.graph.node("Softmax", &format!("{name}.probabilities"), &[scaled], &[("axis", Int(-1))]);
        let inputs = [kept, heads[2].clone()];
        let y = self.graph.node("Einsum", &format!("{name}.heads"), &inputs, &einsum("nhts,nshd->nthd"));
        self.reshape(name, &y, &[t, h * d])
    }

    /// A token in front of each sequence: repeated for each of them, or for several in a row.
    fn prepend(&mut self, node: &Node, inputs: &[String]) -> String {
        let name = node.name.as_str();
        let width = *self.shape_of(node.inputs[0]).last().expect("sequences have a width");
        let repeat = node.numbers("repeat")[0] as usize;
        let token = match node.inputs[1] {
            // Zeros of the right number, plus the token.
            Operand::Parameter(_) => {
                let first = self.slice(&format!("{name}.first"), &inputs[0], 1, [0, 1]);
                let zeros = self.times(&format!("{name}.zeros"), &first, 0.0);
                let token = self.fixed(&format!("{name}.row"), &inputs[1], &[1, 1, width]);
                self.graph.node("Add", &format!("{name}.token"), &[zeros, token], &[])
            }
            _ => {
                let rows = self.reshape(&format!("{name}.row"), &inputs[1], &[1, width]);
                let copies = vec![rows.as_str(); repeat];
                let all = self.graph.node("Concat", &format!("{name}.copies"), &copies, &[("axis", Int(1))]);
                self.reshape(&format!("{name}.token"), &all, &[1, width])
            }
        };
        self.graph.node("Concat", name, &[token, inputs[0].clone()], &[("axis", Int(1))])
    }

    /// The blur along tokens, as a convolution of a plane.
    fn blur_tokens(&mut self, node: &Node, x: &str) -> String {
        let name = node.name.as_str();
        let shape = self.shape_of(node.inputs[0]);
        let plane = self.reshape(&format!("{name}.plane"), x, &[1, shape[1], shape[2]]);
        let kernel: Vec<f32> = gaussian(self.sigma).map(|weight| weight as f32).to_vec();
        let kernel = self.graph.floats(&format!("{name}.kernel"), &[1, 1, 3, 1], &kernel);
        let y = self.graph.node("Conv", &format!("{name}.rows"), &[plane, kernel], &[("pads", Ints(vec![1, 0, 1, 0]))]);
        self.reshape(name, &y, &shape[1..])
    }
}
