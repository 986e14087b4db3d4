//! Layers of [`Net`] for text and attention. Sequences are `[N,T,C]`: examples, tokens, elements.

use super::{Ids, Net};
use crate::ops;
use crate::ops::activation::Nonlinearity;
use crate::ops::lstm::{LstmOutputs, LstmWeights};
use crate::tape::{Group, Init, Operand, Var};
use crate::tensor::Shape;
use std::ops::Range;

/// The options of [`Net::attention`].
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Heads, H.
    pub heads: usize,
    /// Factor of the scores; by default 1 / sqrt(D) for heads of D elements.
    pub scale: Option<f64>,
    /// Drop probability of the attention probabilities.
    pub dropout: f64,
}

/// The options of [`Net::lstm`].
#[derive(Clone, Copy, Debug)]
pub struct Lstm {
    /// Elements of h, H.
    pub hidden: usize,
    /// Number of layers. Each reads the sequence of the previous one.
    pub layers: usize,
    /// Whether each layer has a second, reverse direction.
    pub bidirectional: bool,
    /// Drop probability between two layers.
    pub dropout: f64,
}

impl Ids {
    /// The operand for an operation.
    pub fn operand(&self) -> Operand {
        self.buffer.into()
    }
}

impl Net<'_> {
    /// Layer normalisation over the last axis, part of the current layer. `weight` 1, `bias` 0.
    /// PyTorch's `epsilon` is 1e-5, BERT's 1e-12.
    pub fn layer_norm(&mut self, name: &str, x: Var, epsilon: f32) -> Var {
        let [_, c] = self.shape(x).last_axis();
        let weight = self.parameter(&format!("{name}.weight"), [c], Init::Ones, Group::Norm);
        let bias = self.parameter(&format!("{name}.bias"), [c], Init::Zeros, Group::NormBias);
        let full = self.full_name(name);
        ops::layer_norm::layer_norm(self.tape(), &full, x, weight, bias, epsilon)
    }

    /// A linear layer with bias over the last axis, part of the current layer: `[...,C]` becomes
    /// `[...,outputs]`. Weights: normal with mean 0 and this `deviation`, bias 0, as transformers
    /// have it. [`Net::linear`] begins a layer instead.
    pub fn dense(&mut self, name: &str, x: Var, outputs: usize, deviation: f64) -> Var {
        self.dense_of(name, x, outputs, [Init::Normal(deviation), Init::Zeros])
    }

    /// [`Net::dense`] with these initial values of weight and bias.
    pub fn dense_of(&mut self, name: &str, x: Var, outputs: usize, [weight, bias]: [Init; 2]) -> Var {
        let [_, c] = self.shape(x).last_axis();
        let weight = self.parameter(&format!("{name}.weight"), [outputs, c], weight, Group::Weight);
        let bias = self.parameter(&format!("{name}.bias"), [outputs], bias, Group::Bias);
        let full = self.full_name(name);
        ops::linear::linear(self.tape(), &full, x, weight, bias)
    }

    /// [`Net::dense`] without bias; `init` are the initial values of the weight.
    pub fn dense_without_bias(&mut self, name: &str, x: Var, outputs: usize, init: Init) -> Var {
        let [_, c] = self.shape(x).last_axis();
        let weight = self.parameter(&format!("{name}.weight"), [outputs, c], init, Group::Weight);
        let full = self.full_name(name);
        ops::linear::linear(self.tape(), &full, x, weight, None)
    }

    /// The blur of Curriculum by Smoothing along the tokens of x `[N,T,C]`, part of the current
    /// layer; x itself without [`super::NetOptions::blur`].
    pub fn blur_tokens(&mut self, name: &str, x: Var) -> Var {
        match self.options.blur {
            true => {
                let full = self.full_name(name);
                ops::blur::blur_tokens(self.tape(), &full, x)
            }
            false => x,
        }
    }

    /// A smooth function of each element: tanh, sigmoid, silu, gelu's tanh form, QuickGELU.
    pub fn activation(&mut self, name: &str, x: Var, function: Nonlinearity) -> Var {
        let full = self.full_name(name);
        ops::activation::activation(self.tape(), &full, x, function)
    }

    /// Softmax of scale x along the last axis. `lengths` is a column with one number per example;
    /// from that element on, the result is 0.
    pub fn softmax(&mut self, name: &str, x: Var, scale: f64, lengths: Option<&Ids>) -> Var {
        let full = self.full_name(name);
        ops::softmax::softmax(self.tape(), &full, x, scale, lengths.map(Ids::operand))
    }

    /// Rows of a table by their numbers, part of the current layer: ids `[N,T]` become
    /// `[N,T,width]`. `weight` is `[rows,width]`; initial values are normal with mean 0 and this
    /// `deviation` (PyTorch's is 1, BERT's 0.02). The row `padding` is not trained.
    pub fn embedding(
        &mut self,
        name: &str,
        ids: &Ids,
        [rows, width]: [usize; 2],
        deviation: f64,
        padding: Option<usize>,
    ) -> Var {
        let init = Init::Normal(deviation);
        let weight = self.parameter(&format!("{name}.weight"), [rows, width], init, Group::Weight);
        let full = self.full_name(name);
        ops::embedding::embedding(self.tape(), &full, (ids.operand(), &ids.shape), weight, padding)
    }

    /// x `[N,T,D]` plus learned position embeddings, part of the current layer. `weight` is
    /// `[positions,D]`; its first T rows are added. Initial values are normal with mean 0 and this
    /// `deviation`.
    pub fn position_embedding(&mut self, name: &str, x: Var, positions: usize, deviation: f64) -> Var {
        let [_, width] = self.shape(x).last_axis();
        let init = Init::Normal(deviation);
        let weight = self.parameter(&format!("{name}.weight"), [positions, width], init, Group::Weight);
        let full = self.full_name(name);
        ops::position::position(self.tape(), &full, x, weight)
    }

    /// x `[N,T,D]` plus a learned embedding of each position, part of the current layer. The tensor
    /// is called `name`; its `shape` is `[T,D]` after axes of extent 1.
    pub fn position_embedding_of(&mut self, name: &str, x: Var, shape: impl Into<Shape>, init: Init) -> Var {
        let weight = self.parameter(name, shape, init, Group::Weight);
        let full = self.full_name(name);
        ops::position::position(self.tape(), &full, x, weight)
    }

    /// The `tokens` of each example of x `[N,T,...]`, such as `0..1`: `[N,count,...]`.
    pub fn slice(&mut self, name: &str, x: Var, tokens: Range<usize>) -> Var {
        let full = self.full_name(name);
        ops::slice::slice(self.tape(), &full, x, tokens)
    }

    /// Attention of q `[N,T,C]` over k and v `[N,S,C]`: `[N,T,C]`. `lengths` is a column with one
    /// number per example; keys from there on are masked. It has no parameters: q, k and v come
    /// from linear layers.
    pub fn attention(&mut self, name: &str, [q, k, v]: [Var; 3], attention: Attention, lengths: Option<&Ids>) -> Var {
        let Attention { heads, scale, dropout } = attention;
        let [_, width] = self.shape(q).last_axis();
        let options = ops::attention::AttentionOptions {
            heads,
            scale: scale.unwrap_or_else(|| 1.0 / (width as f64 / heads as f64).sqrt()),
            lengths: lengths.map(Ids::operand),
            dropout,
            salt: self.next_salt(),
        };
        let full = self.full_name(name);
        ops::attention::attention(self.tape(), &full, [q, k, v], options)
    }

    /// An LSTM over x `[N,T,C]`. Each of its layers begins a layer of the net, and reads its input
    /// through [`Net::blur_tokens`]. Parameters have
    /// PyTorch's names, `weight_ih_l0` to `bias_hh_l1_reverse`, and its initial values, uniform
    /// within 1 / sqrt(H). `lengths` is a column with one number per example; positions from there
    /// on are padding.
    pub fn lstm(&mut self, name: &str, x: Var, lstm: Lstm, lengths: Option<&Ids>) -> LstmOutputs {
        let mut outputs = self.lstm_layer(name, x, lstm, 0, lengths);
        for layer in 1..lstm.layers {
            let x = self.dropout(&format!("{name}.dropout_l{layer}"), outputs.sequence, lstm.dropout);
            outputs = self.lstm_layer(name, x, lstm, layer, lengths);
        }
        outputs
    }

    fn lstm_layer(&mut self, name: &str, x: Var, lstm: Lstm, layer: usize, lengths: Option<&Ids>) -> LstmOutputs {
        let (Lstm { hidden: h, .. }, [_, c]) = (lstm, self.shape(x).last_axis());
        let init = Init::Uniform(1.0 / (h as f64).sqrt());
        self.layer(&format!("{name}.l{layer}"), |net| {
            let x = net.blur_tokens(&format!("{name}.blur_l{layer}"), x);
            let suffixes = if lstm.bidirectional { &["", "_reverse"][..] } else { &[""] };
            let directions: Vec<LstmWeights> = suffixes
                .iter()
                .map(|suffix| {
                    let mut parameter = |which: &str, shape: Shape, group| {
                        net.parameter(&format!("{name}.{which}_l{layer}{suffix}"), shape, init, group)
                    };
                    LstmWeights {
                        input: parameter("weight_ih", [4 * h, c].into(), Group::Weight),
                        hidden: parameter("weight_hh", [4 * h, h].into(), Group::Weight),
                        input_bias: parameter("bias_ih", [4 * h].into(), Group::Bias),
                        hidden_bias: parameter("bias_hh", [4 * h].into(), Group::Bias),
                    }
                })
                .collect();
            let full = net.full_name(&format!("{name}.l{layer}"));
            ops::lstm::lstm(net.tape(), &full, x, &directions, lengths.map(Ids::operand))
        })
    }
}
