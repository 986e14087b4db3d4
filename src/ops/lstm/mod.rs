//! Long short-term memory (Hochreiter & Schmidhuber 1997; Gers et al. 2000) over x `[N,T,C]`, one
//! layer of one or two directions, with PyTorch's conventions: gates in the order i, f, g, o, two
//! bias vectors, and packed sequences where examples have lengths.
//!
//! W_ih x + b_ih is one product over all positions. Each step is a product with W_hh and a dispatch
//! of `shaders/lstm.wgsl`, so that every dispatch is short. The output is 0 from an example's
//! length on. The reverse direction begins at its last token.

pub mod reference;

use super::product::{Equation, Product};
use super::{Kernels, LANES, linear, shader};
use crate::gpu::Shader;
use crate::tape::{Dispatch, Mode, Operand, ParamId, Record, Tape, Var, linear_grid};
use crate::tensor::Shape;

/// `shaders/lstm.wgsl`.
pub static SHADER: Shader = shader!("lstm");

/// The parameters of one direction.
#[derive(Clone, Copy, Debug)]
pub struct LstmWeights {
    /// `weight_ih`, `[4H,C]`.
    pub input: ParamId,
    /// `weight_hh`, `[4H,H]`.
    pub hidden: ParamId,
    /// `bias_ih`, `[4H]`.
    pub input_bias: ParamId,
    /// `bias_hh`, `[4H]`.
    pub hidden_bias: ParamId,
}

/// The outputs of an LSTM.
#[derive(Clone, Copy, Debug)]
pub struct LstmOutputs {
    /// h at each position, `[N,T,H]`, or `[N,T,2H]` with the reverse direction after the forward
    /// one.
    pub sequence: Var,
    /// h after the last step of each direction, `[N,H]`, or `[N,2H]`.
    pub last: Var,
}

/// One direction on a tape.
struct Direction<'a> {
    name: String,
    kernels: Kernels,
    weights: LstmWeights,
    lengths: Operand,
    sequence: Var,
    gates: Var,
    extent: &'a Extent,
}

/// N, T and H.
struct Extent {
    n: usize,
    t: usize,
    h: usize,
}

/// A dispatch that sets a buffer of this many words to 0.
fn clear(kernels: &Kernels, buffer: Operand, words: usize) -> Dispatch {
    kernels.dispatch("clear", vec![buffer.write()], linear_grid(words.next_multiple_of(4), LANES))
}

impl Direction<'_> {
    fn scratch(&self, tape: &mut Tape, which: &str, words: usize) -> Operand {
        tape.buffer(&format!("{}.{which}", self.name), 4 * words as u64).into()
    }

    /// The product of a step. Steps read two buffers in turn, so there is one dispatch for each.
    fn product(
        &self,
        tape: &mut Tape,
        (part, equation): (&str, &str),
        (from, shape): ([Operand; 2], [usize; 2]),
        to: Operand,
        bias: Option<Operand>,
    ) -> [Dispatch; 2] {
        let weight = self.weights.hidden;
        let shapes = [&Shape::from(shape), &tape.declared(weight).shape];
        let product = Product::new(&self.name, &Equation::parse(&self.name, equation), shapes);
        let task = format!("lstm {part} {} x {}", shapes[0], shapes[1]);
        let first = product.dispatch(tape, task, [from[0], weight.into()], to, bias);
        let mut second = first.clone();
        for binding in &mut second.bindings {
            if binding.operand == from[0] {
                binding.operand = from[1];
            }
        }
        [first, second]
    }

    /// The forward pass. `before` receives h and c before each step, for the backward pass.
    fn forward(&self, tape: &mut Tape, before: [Operand; 2]) -> Vec<Dispatch> {
        let Extent { n, t, h } = *self.extent;
        let words = 2 * n * h + 1;
        let states = ["state", "next_state"].map(|which| self.scratch(tape, which, words));
        let recurrent = self.scratch(tape, "recurrent", 4 * n * h);
        let bias = Some(self.weights.hidden_bias.into());
        let products = self.product(tape, ("forward", "nk,gk->ng"), (states, [n, h]), recurrent, bias);
        let mut launches = vec![clear(&self.kernels, states[0], words)];
        for step in 0..t {
            let (from, to) = (step % 2, 1 - step % 2);
            launches.push(products[from].clone());
            let read = [self.lengths, recurrent, states[from]].map(Operand::read);
            let written =
                [self.gates.into(), states[to], self.sequence.into(), before[0], before[1]].map(Operand::write);
            let bindings = [&read[..], &written].concat();
            launches.push(self.kernels.dispatch("forward", bindings, linear_grid(n * h, LANES)));
        }
        launches
    }

    /// The backward pass: all steps in reverse, then the gradients of the recurrent weights.
    fn backward(&self, tape: &mut Tape, before: [Operand; 2]) -> Vec<Dispatch> {
        let Extent { n, t, h } = *self.extent;
        let words = 5 * n * h + 1;
        let carries = ["carry", "next_carry"].map(|which| self.scratch(tape, which, words));
        let dh = self.scratch(tape, "dh", n * h);
        let products = self.product(tape, ("dh", "ng,gk->nk"), (carries, [n, 4 * h]), dh, None);
        let mut launches = vec![clear(&self.kernels, carries[0], words), clear(&self.kernels, dh, n * h)];
        let dgates = Operand::Gradient(self.gates);
        for step in 0..t {
            let (from, to) = (step % 2, 1 - step % 2);
            if step > 0 {
                launches.push(products[from].clone());
            }
            let dy = Operand::Gradient(self.sequence);
            let read = [self.lengths, self.gates.into(), before[1], dy, carries[from], dh].map(Operand::read);
            let bindings = [&read[..], &[carries[to].write(), dgates.write()]].concat();
            launches.push(self.kernels.dispatch("backward", bindings, linear_grid(n * h, LANES)));
        }
        launches.push(self.weight_gradient(tape, before[0]));
        launches.extend(linear::bias_gradient(
            tape,
            &format!("{}.hidden_bias", self.name),
            [n * t, 4 * h],
            dgates,
            self.weights.hidden_bias,
        ));
        launches
    }

    /// The gradient of `weight_hh`: the sum over all positions of dgates times the h before them.
    fn weight_gradient(&self, tape: &mut Tape, h_before: Operand) -> Dispatch {
        let Extent { n, t, h } = *self.extent;
        let shapes = [Shape::from([n * t, 4 * h]), Shape::from([n * t, h])];
        let equation = Equation::parse(&self.name, "no,nc->oc");
        let product = Product::new(&self.name, &equation, [&shapes[0], &shapes[1]]);
        let task = format!("lstm dw {} x {}", shapes[0], shapes[1]);
        let operands = [Operand::Gradient(self.gates), h_before];
        product.dispatch(tape, task, operands, Operand::ParameterGradient(self.weights.hidden), None)
    }

    fn record(&self, tape: &mut Tape) {
        let Extent { n, t, h } = *self.extent;
        let before = ["h_before", "c_before"].map(|which| self.scratch(tape, which, n * t * h));
        let forward = self.forward(tape, before);
        let backward = if tape.mode() == Mode::Train { self.backward(tape, before) } else { vec![] };
        tape.record(Record { name: self.name.clone(), op: "lstm", result: Some(self.sequence), forward, backward });
    }
}

/// H of `weights`, which must fit x `[N,T,C]`.
///
/// # Panics
/// If they do not.
fn hidden(tape: &Tape, name: &str, c: usize, weights: LstmWeights) -> usize {
    let h = tape.declared(weights.hidden).shape.with_last(1).count() / 4;
    let expected = [
        (weights.input, Shape::from([4 * h, c])),
        (weights.hidden, [4 * h, h].into()),
        (weights.input_bias, [4 * h].into()),
        (weights.hidden_bias, [4 * h].into()),
    ];
    for (param, expected) in expected {
        let declared = tape.declared(param);
        assert!(declared.shape == expected, "{name}: {} is {}, expected {expected}", declared.name, declared.shape);
    }
    h
}

/// Appends one layer over x `[N,T,C]`, with one direction or with a second, reverse one. `lengths`
/// has one u32 per example: the number of its positions that are not padding. A value above T
/// counts as T.
///
/// # Panics
/// If the shapes do not fit, or if there are not one or two directions.
pub fn lstm(tape: &mut Tape, name: &str, x: Var, directions: &[LstmWeights], lengths: Option<Operand>) -> LstmOutputs {
    let shape = tape.shape(x).clone();
    let &[n, t, c] = shape.dims() else { panic!("{name}: expected x [N,T,C], found {shape}") };
    assert!([1, 2].contains(&directions.len()), "{name}: an LSTM has 1 or 2 directions, not {}", directions.len());
    let h = hidden(tape, name, c, directions[0]);
    let width = directions.len() * h;
    let sequence = tape.result(name, [n, t, width], &[x], true);
    let extent = Extent { n, t, h };
    let constants = |direction: usize| {
        let sizes = [("N", n), ("T", t), ("H", h), ("WIDTH", width), ("OFFSET", direction * h)];
        let flags = [("MASKED", lengths.is_some().into()), ("REVERSE", (direction == 1).into())];
        sizes.into_iter().map(|(name, size)| (name, size.into())).chain(flags).collect()
    };
    for (i, &weights) in directions.iter().enumerate() {
        assert!(
            hidden(tape, name, c, weights) == h,
            "{name}: both directions need the same number of hidden elements, {h}"
        );
        let name = if i == 0 { format!("{name}.forward") } else { format!("{name}.reverse") };
        let gates = linear::linear(tape, &format!("{name}.gates"), x, weights.input, weights.input_bias);
        let kernels = Kernels { shader: &SHADER, constants: constants(i) };
        // The binding of `lengths` must not be empty. Without lengths, the kernel does not read it.
        let lengths = lengths.unwrap_or(weights.hidden.into());
        Direction { name, kernels, weights, lengths, sequence, gates, extent: &extent }.record(tape);
    }
    let kernels = Kernels { shader: &SHADER, constants: constants(0) };
    let last = record_last(tape, &format!("{name}.last"), &kernels, sequence, lengths);
    LstmOutputs { sequence, last }
}

/// Appends h after the last step of each direction.
fn record_last(tape: &mut Tape, name: &str, kernels: &Kernels, sequence: Var, lengths: Option<Operand>) -> Var {
    let &[n, t, width] = tape.shape(sequence).dims() else { unreachable!("{name}: a sequence is [N,T,width]") };
    let last = tape.result(name, [n, width], &[sequence], false);
    let from = Operand::from(sequence);
    let bindings = vec![lengths.unwrap_or(from).read(), from.read(), Operand::from(last).write()];
    let forward = vec![kernels.dispatch("forward_last", bindings, linear_grid(n * width, LANES))];
    let mut backward = vec![];
    if tape.needs_gradient(sequence) {
        let (dlast, to) = (Operand::Gradient(last), Operand::Gradient(sequence));
        let bindings = vec![lengths.unwrap_or(dlast).read(), dlast.read(), to.write()];
        backward.push(kernels.dispatch("backward_last", bindings, linear_grid(n * t * width, LANES)));
    }
    tape.record(Record { name: name.into(), op: "last", result: Some(last), forward, backward });
    last
}
