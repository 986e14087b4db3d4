//! Linear layer along the last axis: y = x w^T + bias, or without bias.
//!
//! x `[...,C]`, w `[O,C]`, bias `[O]`, y `[...,O]`. N is the product of all other axes.
//! dx = dy w, dw = dy^T x, dbias = sum over n of dy.

use super::product::{Equation, Product};
use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Dispatch, Mode, Operand, ParamId, Record, Tape, Var, linear_grid};
use crate::tensor::Shape;

/// `shaders/linear.wgsl`.
pub static SHADER: Shader = shader!("linear");

/// A matrix product of the layer, written to `to`. `part` is `forward`, `dw` or `dx`.
fn product(
    tape: &mut Tape,
    (part, equation): (&str, &str),
    operands: [(Operand, Shape); 2],
    to: Operand,
    bias: Option<Operand>,
) -> Dispatch {
    let [(a, a_shape), (b, b_shape)] = operands;
    let product = Product::new(part, &Equation::parse(part, equation), [&a_shape, &b_shape]);
    let [m, n, k] = product.extent();
    product.dispatch(tape, format!("linear {part} [{m},{k}] x [{k},{n}]"), [a, b], to, bias)
}

/// With more rows than this, the sum over rows is computed in two stages.
const MANY_ROWS: usize = 1024;

/// Adds up dy `[N,O]` over N, into the gradient of `bias`. A buffer of partial sums is named after
/// `name`.
pub(super) fn bias_gradient(
    tape: &mut Tape,
    name: &str,
    [n, o]: [usize; 2],
    dy: Operand,
    bias: ParamId,
) -> Vec<Dispatch> {
    let sum = |rows: usize, chunk: usize, entry, from: Operand, to: Operand, count| {
        let constants = vec![("N", rows.into()), ("O", o.into()), ("CHUNK", chunk.into())];
        let kernels = Kernels { shader: &SHADER, constants };
        kernels.dispatch(entry, vec![from.read(), to.write()], linear_grid(count, LANES))
    };
    let gradient = Operand::ParameterGradient(bias);
    if n <= MANY_ROWS {
        return vec![sum(n, n, "backward_bias", dy, gradient, o)];
    }
    let chunk = n.isqrt();
    let chunks = n.div_ceil(chunk);
    let partials = tape.buffer(&format!("{name}.partials"), 4 * (chunks * o) as u64).into();
    vec![
        sum(n, chunk, "partial_bias", dy, partials, chunks * o),
        sum(chunks, chunks, "backward_bias", partials, gradient, o),
    ]
}

/// Appends y = x w^T + bias.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear(tape: &mut Tape, name: &str, x: Var, w: ParamId, bias: impl Into<Option<ParamId>>) -> Var {
    let (shape, bias) = (tape.shape(x).clone(), bias.into());
    let [n, c] = shape.last_axis();
    let weight = tape.declared(w).shape.clone();
    let &[o, wc] = weight.dims() else { panic!("{name}: expected w [O,C], found {weight}") };
    assert!(c == wc, "{name}: C is {c} in x {shape} but {wc} in w {weight}");
    if let Some(biases) = bias.map(|bias| &tape.declared(bias).shape) {
        assert!(biases.dims() == [o], "{name}: O is {o} in w {weight} but bias is {biases}");
    }
    let y = tape.result(name, shape.with_last(o), &[x], true);

    let rows = (Operand::from(x), [n, c].into());
    let weights = (Operand::from(w), weight);
    let operands = [rows.clone(), weights.clone()];
    let forward = vec![product(tape, ("forward", "nc,oc->no"), operands, y.into(), bias.map(Operand::from))];

    let mut backward = vec![];
    if tape.mode() == Mode::Train {
        let dy = (Operand::Gradient(y), [n, o].into());
        let operands = [dy.clone(), rows];
        backward.push(product(tape, ("dw", "no,nc->oc"), operands, Operand::ParameterGradient(w), None));
        backward.extend(bias.map(|bias| bias_gradient(tape, name, [n, o], dy.0, bias)).unwrap_or_default());
        if tape.needs_gradient(x) {
            backward.push(product(tape, ("dx", "no,oc->nc"), [dy, weights], Operand::Gradient(x), None));
        }
    }
    tape.record(Record { name: name.into(), op: "linear", result: Some(y), forward, backward });
    let inputs: Vec<Operand> = [x.into(), w.into()].into_iter().chain(bias.map(Operand::from)).collect();
    tape.node(&inputs, &[]);
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// y from x `[n,c]`, w `[o,c]`, bias `[o]`.
    pub fn forward(x: &[f64], w: &[f64], bias: &[f64], [n, c, o]: [usize; 3]) -> Vec<f64> {
        let dot = |n: usize, o: usize| (0..c).map(|k| x[n * c + k] * w[o * c + k]).sum::<f64>();
        (0..n * o).map(|i| dot(i / o, i % o) + bias[i % o]).collect()
    }

    /// (dx, dw, dbias).
    pub fn backward(x: &[f64], w: &[f64], dy: &[f64], [n, c, o]: [usize; 3]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let mut dx = vec![0.0; n * c];
        let mut dw = vec![0.0; o * c];
        let mut dbias = vec![0.0; o];
        for (i, g) in dy.iter().enumerate() {
            let (row, out) = (i / o, i % o);
            dbias[out] += g;
            for k in 0..c {
                dx[row * c + k] += g * w[out * c + k];
                dw[out * c + k] += g * x[row * c + k];
            }
        }
        (dx, dw, dbias)
    }
}
