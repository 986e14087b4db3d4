//! Softmax along the last axis of x `[N,...,S]`: y = exp(scale x) / sum of exp(scale x).
//! dx = scale y (dy - sum of y dy). With lengths, elements from an example's length on are masked:
//! y is exactly 0 there, and they are not in the sum. In attention these are the padded keys.

use super::{Kernels, PROCESSOR_LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Target, Var, linear_grid};

/// `shaders/softmax.wgsl`.
pub static SHADER: Shader = shader!("softmax");

/// Appends the softmax of each row of x. `lengths` has one u32 per example: the number of elements
/// of its rows that are not masked. A value above S counts as S. A row of length 0 gives 0.
///
/// # Panics
/// If `scale` is not a positive number.
pub fn softmax(tape: &mut Tape, name: &str, x: Var, scale: f64, lengths: Option<Operand>) -> Var {
    assert!(scale > 0.0 && scale.is_finite(), "{name}: softmax needs a positive scale, found {scale}");
    let shape = tape.shape(x).clone();
    let [rows, s] = shape.last_axis();
    let [n, _] = shape.flat();
    let constants = vec![
        ("ROWS", rows.into()),
        ("S", s.into()),
        ("ROWS_PER_EXAMPLE", rows.div_ceil(n).into()),
        ("SCALE", (scale as f32).into()),
        ("MASKED", lengths.is_some().into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let (entries, grid) = match tape.target() {
        Target::Gpu => (["forward", "backward"], linear_grid(rows, 1)),
        Target::Processor => (["forward_serial", "backward_serial"], linear_grid(rows, PROCESSOR_LANES)),
    };
    let y = tape.result(name, shape, &[x], false);
    let result = Operand::from(y);
    // The binding of `lengths` must not be empty. Without lengths, the kernel does not read it.
    let lengths_or = |other: Operand| lengths.unwrap_or(other).read();
    let bindings = vec![lengths_or(x.into()), Operand::from(x).read(), result.write()];
    let forward = vec![kernels.dispatch(entries[0], bindings, grid)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let (dy, dx) = (Operand::Gradient(y), Operand::Gradient(x));
        let bindings = vec![lengths_or(result), result.read(), dy.read(), dx.write()];
        backward.push(kernels.dispatch(entries[1], bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "softmax", result: Some(y), forward, backward });
    if lengths.is_none() {
        tape.node_with(&[x.into()], vec![("scale", vec![scale])], String::new());
    }
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// The number of elements that are not masked, by row. Each length is that of the same number
    /// of rows; without lengths, no element is masked.
    fn keys(rows: usize, s: usize, lengths: &[u32]) -> impl Fn(usize) -> usize {
        move |row| match lengths.len() {
            0 => s,
            n => s.min(lengths[row * n / rows] as usize),
        }
    }

    /// y of rows of length `s`.
    pub fn forward(x: &[f64], s: usize, scale: f64, lengths: &[u32]) -> Vec<f64> {
        let keys = keys(x.len() / s, s, lengths);
        let of_row = |(row, x): (usize, &[f64])| {
            let x = &x[..keys(row)];
            let top = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = x.iter().map(|v| (scale * (v - top)).exp()).collect();
            let sum: f64 = powers.iter().sum();
            let mut y: Vec<f64> = powers.into_iter().map(|power| power / sum).collect();
            y.resize(s, 0.0);
            y
        };
        x.chunks(s).enumerate().flat_map(of_row).collect()
    }

    /// dx.
    pub fn backward(x: &[f64], dy: &[f64], s: usize, scale: f64, lengths: &[u32]) -> Vec<f64> {
        let keys = keys(x.len() / s, s, lengths);
        let y = forward(x, s, scale, lengths);
        let of_row = |(row, (y, dy)): (usize, (&[f64], &[f64]))| {
            let count = keys(row);
            let products: f64 = (0..count).map(|i| y[i] * dy[i]).sum();
            (0..s).map(|i| if i < count { scale * y[i] * (dy[i] - products) } else { 0.0 }).collect::<Vec<_>>()
        };
        y.chunks(s).zip(dy.chunks(s)).enumerate().flat_map(of_row).collect()
    }
}
