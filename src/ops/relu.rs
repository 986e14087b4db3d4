//! Rectified linear unit: y = max(x, 0), and NaN stays NaN. dx = dy where y > 0, else 0.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/relu.wgsl`.
pub static SHADER: Shader = shader!("relu");

/// Appends y = relu(x), of the shape of x.
pub fn relu(tape: &mut Tape, name: &str, x: Var) -> Var {
    let shape = tape.shape(x).clone();
    let grid = linear_grid(shape.count().div_ceil(4), LANES);
    let y = tape.result(name, shape, &[x], false);
    let kernels = Kernels { shader: &SHADER, constants: vec![] };
    let forward = vec![kernels.dispatch("forward", vec![Operand::from(x).read(), Operand::from(y).write()], grid)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let bindings = vec![Operand::from(y).read(), Operand::Gradient(y).read(), Operand::Gradient(x).write()];
        backward.push(kernels.dispatch("backward", bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "relu", result: Some(y), forward, backward });
    y
}

/// The same in f64.
pub mod reference {
    /// y.
    pub fn forward(x: &[f64]) -> Vec<f64> {
        x.iter().map(|&v| if v <= 0.0 { 0.0 } else { v }).collect()
    }

    /// dx.
    pub fn backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
        x.iter().zip(dy).map(|(&v, &g)| if v <= 0.0 { 0.0 } else { g }).collect()
    }
}
