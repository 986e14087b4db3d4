//! Elementwise sum: y = a + b. da = dy, db = dy.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/add.wgsl`.
pub static SHADER: Shader = shader!("add");

/// Appends y = a + b. All three have the same shape.
///
/// # Panics
/// If the shapes differ.
pub fn add(tape: &mut Tape, name: &str, a: Var, b: Var) -> Var {
    let shape = tape.shape(a).clone();
    assert!(shape == *tape.shape(b), "{name}: add needs equal shapes, found a {shape} and b {}", tape.shape(b));
    let grid = linear_grid(shape.count().div_ceil(4), LANES);
    let y = tape.result(name, shape, &[a, b], false);
    let kernels = Kernels { shader: &SHADER, constants: vec![] };
    let bindings = vec![Operand::from(a).read(), Operand::from(b).read(), Operand::from(y).write()];
    let forward = vec![kernels.dispatch("forward", bindings, grid)];
    let inputs = [a, b].into_iter().filter(|&input| tape.needs_gradient(input));
    let bindings = |input| vec![Operand::Gradient(y).read(), Operand::Gradient(input).write()];
    let backward = inputs.map(|input| kernels.dispatch("backward", bindings(input), grid)).collect();
    tape.record(Record { name: name.into(), op: "add", result: Some(y), forward, backward });
    tape.node(&[a.into(), b.into()], &[]);
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// y.
    pub fn forward(a: &[f64], b: &[f64]) -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a + b).collect()
    }

    /// (da, db).
    pub fn backward(dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
        (dy.to_vec(), dy.to_vec())
    }
}
