//! An operation with its kernel: softsign over lists of different lengths.

use lerac::gpu::Shader;
use lerac::ops::{Kernels, LANES};
use lerac::tape::{Operand, Record, Tape, Var, linear_grid};

static SHADER: Shader = Shader::new("softsign", include_str!("softsign.wgsl"));

/// Appends y = x / (1 + |x|) of x `[N,L]`. Row n has `counts[n]` elements; the others become 0.
pub fn softsign(tape: &mut Tape, name: &str, x: Var, counts: Operand) -> Var {
    let [n, l] = tape.shape(x).last_axis();
    let kernels = Kernels { shader: &SHADER, constants: vec![("N", n.into()), ("L", l.into())] };
    let y = tape.result(name, [n, l], &[x], false);
    let grid = linear_grid(n * l, LANES);
    let read = [Operand::from(x).read(), counts.read()];
    let forward = vec![kernels.dispatch("forward", [&read[..], &[Operand::from(y).write()]].concat(), grid)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let gradients = [Operand::Gradient(y).read(), Operand::Gradient(x).write()];
        backward.push(kernels.dispatch("backward", [&read[..], &gradients].concat(), grid));
    }
    tape.record(Record { name: name.into(), op: "softsign", result: Some(y), forward, backward });
    y
}

/// The equations in f64. Rows have `l` elements, of which the first `count` are used.
pub mod reference {
    /// The forward pass: y from x.
    pub fn forward(x: &[f64], l: usize, count: usize) -> Vec<f64> {
        let element = |(i, x): (usize, &f64)| if i % l < count { x / (1.0 + x.abs()) } else { 0.0 };
        x.iter().enumerate().map(element).collect()
    }

    /// The backward pass: dx from x and dy.
    pub fn backward(x: &[f64], dy: &[f64], l: usize, count: usize) -> Vec<f64> {
        let slope = |x: f64| 1.0 / (1.0 + x.abs()).powi(2);
        let element = |(i, (x, dy)): (usize, (&f64, &f64))| if i % l < count { dy * slope(*x) } else { 0.0 };
        x.iter().zip(dy).enumerate().map(element).collect()
    }
}
