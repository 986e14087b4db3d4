//! Mixup (Zhang et al., ICLR 2018): `y[n]` = m `x[n]` + (1 - m) `x[N-1-n]`, with m from [`crate::tape::Controls`]; the loss mixes the labels
//! alike. In a batch of random order the image from the other end is as good as one drawn at random. It is its own adjoint.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/mixup.wgsl`.
pub static SHADER: Shader = shader!("mixup");

/// Appends the mixture of x `[N,...]`, of its shape.
pub fn mixup(tape: &mut Tape, name: &str, x: Var) -> Var {
    let shape = tape.shape(x).clone();
    let [n, extent] = shape.rows();
    let grid = linear_grid(shape.count(), LANES);
    let y = tape.result(name, shape, &[x], false);
    let controls = Operand::from(tape.controls()).uniform();
    let kernels = Kernels { shader: &SHADER, constants: vec![("N", n.into()), ("EXTENT", extent.into())] };
    let bindings = vec![controls, Operand::from(x).read(), Operand::from(y).write()];
    let forward = vec![kernels.dispatch("forward", bindings, grid)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let bindings = vec![controls, Operand::Gradient(y).read(), Operand::Gradient(x).write()];
        backward.push(kernels.dispatch("backward", bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "mixup", result: Some(y), forward, backward });
    y
}

/// The same in f64.
pub mod reference {
    /// y of x, and dx of dy, both `n` rows.
    pub fn forward(x: &[f64], n: usize, mix: f64) -> Vec<f64> {
        let rows = || x.chunks(x.len() / n);
        let mixed = |(a, b): (&[f64], &[f64])| -> Vec<f64> {
            a.iter().zip(b).map(|(a, b)| mix * a + (1.0 - mix) * b).collect()
        };
        rows().zip(rows().rev()).flat_map(mixed).collect()
    }
}
