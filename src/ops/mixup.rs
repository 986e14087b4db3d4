//! Mixup (Zhang et al., ICLR 2018): `y[n]` = m `x[n]` + (1 - m) `x[N-1-n]`.
//!
//! The weight m comes from [`crate::tape::Controls`]. The loss mixes the labels in the same way.
//! Batches are in random order, so the partner N-1-n is a random example. The operation is its own
//! adjoint.

use super::{Kernels, LANES, record_under_controls, shader};
use crate::gpu::Shader;
use crate::tape::{Tape, Var, linear_grid};

/// `shaders/mixup.wgsl`.
pub static SHADER: Shader = shader!("mixup");

/// Appends the mixture of the examples of x `[N,...]`. y has the shape of x.
pub fn mixup(tape: &mut Tape, name: &str, x: Var) -> Var {
    let [n, extent] = tape.shape(x).flat();
    let kernels = Kernels { shader: &SHADER, constants: vec![("N", n.into()), ("EXTENT", extent.into())] };
    record_under_controls(tape, (name, "mixup"), x, &kernels, ["forward", "backward"], linear_grid(n * extent, LANES))
}

/// Reference implementation in f64.
pub mod reference {
    /// y from x, or dx from dy, both of `n` rows.
    pub fn forward(x: &[f64], n: usize, mix: f64) -> Vec<f64> {
        let rows = || x.chunks(x.len() / n);
        let mixed = |(a, b): (&[f64], &[f64])| -> Vec<f64> {
            a.iter().zip(b).map(|(a, b)| mix * a + (1.0 - mix) * b).collect()
        };
        rows().zip(rows().rev()).flat_map(mixed).collect()
    }
}
