//! Mixup (Zhang et al., ICLR 2018): `y[n]` = m `x[n]` + (1 - m) `x[N-1-n]`, with m from [`crate::tape::Controls`]; the loss mixes the labels
//! alike. In a batch of random order the example from the other end is as good as one drawn at random. It is its own adjoint.

use super::{Kernels, LANES, record_under_controls, shader};
use crate::gpu::Shader;
use crate::tape::{Tape, Var, linear_grid};

/// `shaders/mixup.wgsl`.
pub static SHADER: Shader = shader!("mixup");

/// Appends the mixture of x `[N,...]`, of its shape.
pub fn mixup(tape: &mut Tape, name: &str, x: Var) -> Var {
    let [n, extent] = tape.shape(x).flat();
    let kernels = Kernels { shader: &SHADER, constants: vec![("N", n.into()), ("EXTENT", extent.into())] };
    record_under_controls(tape, (name, "mixup"), x, &kernels, ["forward", "backward"], linear_grid(n * extent, LANES))
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
