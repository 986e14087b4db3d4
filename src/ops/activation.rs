//! Smooth functions of each element: tanh, sigmoid, silu, and gelu in its tanh form and as
//! QuickGELU. NaN stays NaN. [`gelu`](super::gelu) is the exact form, [`relu`](super::relu) has a
//! kink.

use super::{Kernels, record_elementwise, shader};
use crate::gpu::Shader;
use crate::tape::{Tape, Var};

/// `shaders/activation.wgsl`.
pub static SHADER: Shader = shader!("activation");

/// The function, with sigma(u) = 1 / (1 + exp(-u)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonlinearity {
    /// tanh(x).
    Tanh,
    /// sigma(x).
    Sigmoid,
    /// x sigma(x) (Elfwing, Uchibe & Doya 2018), also called swish.
    Silu,
    /// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (Hendrycks & Gimpel 2016): PyTorch's
    /// `approximate="tanh"`, Hugging Face's `gelu_new`.
    GeluTanh,
    /// x sigma(1.702 x) (Hendrycks & Gimpel 2016).
    QuickGelu,
}

impl Nonlinearity {
    /// All functions. The index is the number in the shader.
    pub const ALL: [Self; 5] = [Self::Tanh, Self::Sigmoid, Self::Silu, Self::GeluTanh, Self::QuickGelu];

    /// The name in PyTorch, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::GeluTanh => "gelu_tanh",
            Self::QuickGelu => "quick_gelu",
        }
    }
}

/// Appends y = f(x), of the shape of x.
pub fn activation(tape: &mut Tape, name: &str, x: Var, function: Nonlinearity) -> Var {
    let kernels = Kernels { shader: &SHADER, constants: vec![("FUNCTION", (function as u32).into())] };
    let reads_result = matches!(function, Nonlinearity::Tanh | Nonlinearity::Sigmoid);
    record_elementwise(tape, (name, function.name()), x, &kernels, reads_result)
}

/// Reference implementation in f64.
pub mod reference {
    use super::Nonlinearity;
    use std::f64::consts::FRAC_2_PI;

    fn sigmoid(u: f64) -> f64 {
        1.0 / (1.0 + (-u).exp())
    }

    /// u and its derivative, where y = x sigma(u).
    fn inner(x: f64, function: Nonlinearity) -> (f64, f64) {
        let slope = 2.0 * FRAC_2_PI.sqrt();
        match function {
            Nonlinearity::GeluTanh => (slope * (x + 0.044715 * x.powi(3)), slope * (1.0 + 3.0 * 0.044715 * x * x)),
            Nonlinearity::QuickGelu => (1.702 * x, 1.702),
            _ => (x, 1.0),
        }
    }

    fn value(x: f64, function: Nonlinearity) -> f64 {
        match function {
            Nonlinearity::Tanh => x.tanh(),
            Nonlinearity::Sigmoid => sigmoid(x),
            _ => x * sigmoid(inner(x, function).0),
        }
    }

    fn slope(x: f64, function: Nonlinearity) -> f64 {
        let (u, du) = inner(x, function);
        match function {
            Nonlinearity::Tanh => 1.0 - x.tanh().powi(2),
            Nonlinearity::Sigmoid => sigmoid(x) * sigmoid(-x),
            _ => sigmoid(u) + x * sigmoid(u) * sigmoid(-u) * du,
        }
    }

    /// y.
    pub fn forward(x: &[f64], function: Nonlinearity) -> Vec<f64> {
        x.iter().map(|&v| value(v, function)).collect()
    }

    /// dx.
    pub fn backward(x: &[f64], dy: &[f64], function: Nonlinearity) -> Vec<f64> {
        x.iter().zip(dy).map(|(&v, &g)| g * slope(v, function)).collect()
    }
}
