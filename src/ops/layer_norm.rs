//! Layer normalisation over the last axis of x `[...,C]` (Ba, Kiros & Hinton 2016), with PyTorch's
//! conventions: the biased variance.
//!
//! y = weight (x - mean) / sqrt(var + epsilon) + bias, mean and variance of each row of C elements.
//! Training and evaluation are the same.

use super::{Kernels, LANES, PROCESSOR_LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Mode, Operand, ParamId, Record, Tape, Target, Var, linear_grid};

/// `shaders/layer_norm.wgsl`.
pub static SHADER: Shader = shader!("layer_norm");

/// Rows per chunk in the sums for the gradients of weight and bias: about as many as chunks.
fn rows_per_chunk(rows: usize) -> usize {
    rows.isqrt().max(1)
}

/// Appends the normalisation of each row of x `[...,C]`; weight and bias are `[C]`.
///
/// # Panics
/// If weight or bias has another shape than `[C]`.
pub fn layer_norm(tape: &mut Tape, name: &str, x: Var, weight: ParamId, bias: ParamId, epsilon: f32) -> Var {
    let shape = tape.shape(x).clone();
    let [m, c] = shape.last_axis();
    for param in [weight, bias] {
        let declared = tape.declared(param);
        let fits = declared.shape.dims() == [c];
        assert!(fits, "{name}: C is {c} in x {shape} but {} is {}", declared.name, declared.shape);
    }
    let rows_per_chunk = rows_per_chunk(m);
    let chunks = m.div_ceil(rows_per_chunk);
    let constants = vec![
        ("M", m.into()),
        ("C", c.into()),
        ("EPSILON", epsilon.into()),
        ("CHUNKS", chunks.into()),
        ("ROWS_PER_CHUNK", rows_per_chunk.into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let (entries, of_rows) = match tape.target() {
        Target::Gpu => (["forward", "backward"], linear_grid(m, 1)),
        Target::Processor => (["forward_serial", "backward_serial"], linear_grid(m, PROCESSOR_LANES)),
    };
    let y = tape.result(name, shape, &[x], true);
    let statistics = Operand::from(tape.buffer(&format!("{name}.statistics"), 8 * m as u64));
    let (x_in, weight_in) = (Operand::from(x).read(), Operand::from(weight).read());
    let bindings = vec![x_in, weight_in, Operand::from(bias).read(), Operand::from(y).write(), statistics.write()];
    let forward = vec![kernels.dispatch(entries[0], bindings, of_rows)];
    let mut backward = vec![];
    if tape.mode() == Mode::Train {
        let partials = Operand::from(tape.buffer(&format!("{name}.partials"), 8 * (chunks * c) as u64));
        let read = vec![x_in, weight_in, statistics.read(), Operand::Gradient(y).read()];
        let with = |last| [read.clone(), vec![last]].concat();
        let [dweight, dbias] = [weight, bias].map(|param| Operand::ParameterGradient(param).write());
        let of_chunks = linear_grid(chunks * c, LANES);
        backward.push(kernels.dispatch("backward_partial", with(partials.write()), of_chunks));
        let bindings = vec![partials.read(), dweight, dbias];
        backward.push(kernels.dispatch("backward_finish", bindings, linear_grid(c, LANES)));
        if tape.needs_gradient(x) {
            backward.push(kernels.dispatch(entries[1], with(Operand::Gradient(x).write()), of_rows));
        }
    }
    tape.record(Record { name: name.into(), op: "layer_norm", result: Some(y), forward, backward });
    let inputs = [x.into(), weight.into(), bias.into()];
    tape.node_with(&inputs, vec![("epsilon", vec![epsilon.into()])], String::new());
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// Mean and 1 / sqrt(var + epsilon) of a row.
    fn statistics(row: &[f64], epsilon: f64) -> (f64, f64) {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
        (mean, 1.0 / (variance + epsilon).sqrt())
    }

    /// y of x in rows of as many elements as `weight` has.
    pub fn forward(x: &[f64], weight: &[f64], bias: &[f64], epsilon: f64) -> Vec<f64> {
        let of_row = |row: &[f64]| {
            let (mean, inverse) = statistics(row, epsilon);
            let affine = row.iter().zip(weight).zip(bias);
            affine.map(|((v, w), b)| (v - mean) * inverse * w + b).collect::<Vec<_>>()
        };
        x.chunks(weight.len()).flat_map(of_row).collect()
    }

    /// (dx, dweight, dbias).
    pub fn backward(x: &[f64], weight: &[f64], dy: &[f64], epsilon: f64) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let c = weight.len();
        let (mut dx, mut dweight, mut dbias) = (vec![], vec![0.0; c], vec![0.0; c]);
        for (row, dy) in x.chunks(c).zip(dy.chunks(c)) {
            let (mean, inverse) = statistics(row, epsilon);
            let normal = |i: usize| (row[i] - mean) * inverse;
            let g = |i: usize| dy[i] * weight[i];
            let of_g = (0..c).map(g).sum::<f64>() / c as f64;
            let of_products = (0..c).map(|i| g(i) * normal(i)).sum::<f64>() / c as f64;
            dx.extend((0..c).map(|i| inverse * (g(i) - of_g - normal(i) * of_products)));
            (0..c).for_each(|i| dweight[i] += dy[i] * normal(i));
            (0..c).for_each(|i| dbias[i] += dy[i]);
        }
        (dx, dweight, dbias)
    }
}
