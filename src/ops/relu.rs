//! Rectified linear unit: y = max(x, 0). dx = dy where y > 0, else 0. NaN stays NaN.

use super::{Kernels, record_elementwise, shader};
use crate::gpu::Shader;
use crate::tape::{Tape, Var};

/// `shaders/relu.wgsl`.
pub static SHADER: Shader = shader!("relu");

/// Appends y = relu(x), of the shape of x.
pub fn relu(tape: &mut Tape, name: &str, x: Var) -> Var {
    let kernels = Kernels { shader: &SHADER, constants: vec![] };
    record_elementwise(tape, (name, "relu"), x, &kernels, true)
}

/// Reference implementation in f64.
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
