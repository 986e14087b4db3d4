//! Gaussian error linear unit, exact: y = x Phi(x) with Phi(x) = (1 + erf(x / sqrt 2)) / 2.
//! dx = dy (Phi(x) + x phi(x)) with phi(x) = exp(-x^2 / 2) / sqrt(2 pi). NaN stays NaN.

use super::{Kernels, record_elementwise, shader};
use crate::gpu::Shader;
use crate::tape::{Tape, Var};

/// `shaders/gelu.wgsl`.
pub static SHADER: Shader = shader!("gelu");

/// Appends y = gelu(x), of the shape of x.
pub fn gelu(tape: &mut Tape, name: &str, x: Var) -> Var {
    let kernels = Kernels { shader: &SHADER, constants: vec![] };
    record_elementwise(tape, (name, "gelu"), x, &kernels, false)
}

/// Reference implementation in f64.
pub mod reference {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    /// Phi, computed with erfc, which is accurate for large negative x.
    fn distribution(x: f64) -> f64 {
        0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
    }

    /// phi.
    fn density(x: f64) -> f64 {
        (-0.5 * x * x).exp() / (2.0 * PI).sqrt()
    }

    /// y.
    pub fn forward(x: &[f64]) -> Vec<f64> {
        x.iter().map(|&v| v * distribution(v)).collect()
    }

    /// dx.
    pub fn backward(x: &[f64], dy: &[f64]) -> Vec<f64> {
        x.iter().zip(dy).map(|(&v, &g)| g * (distribution(v) + v * density(v))).collect()
    }
}
