//! The blur of Curriculum by Smoothing (Sinha et al., NeurIPS 2020).
//!
//! Each plane is convolved with the 3x3 Gaussian `k[i,j]` = exp(-(i^2 + j^2) / (2 sigma^2)),
//! normalised to sum 1, with zero padding. The operation is its own adjoint. sigma > 0 comes from
//! [`crate::tape::Controls`], and may change at every step.

use super::{Kernels, LANES, record_under_controls, shader};
use crate::gpu::Shader;
use crate::tape::{Tape, Var, linear_grid};

/// `shaders/blur.wgsl`.
pub static SHADER: Shader = shader!("blur");

/// Appends the blur of x `[N,C,H,W]`.
pub fn blur(tape: &mut Tape, name: &str, x: Var) -> Var {
    let shape = tape.shape(x).clone();
    let [_, _, h, w] = shape.nchw(name);
    let (grid, entries) = match w.is_multiple_of(4) {
        true => (linear_grid(shape.count() / 4, LANES), ["forward_quads", "backward_quads"]),
        false => (linear_grid(shape.count(), LANES), ["forward", "backward"]),
    };
    let constants = vec![("COUNT", shape.count().into()), ("H", h.into()), ("W", w.into())];
    let kernels = Kernels { shader: &SHADER, constants };
    record_under_controls(tape, (name, "blur"), x, &kernels, entries, grid)
}

/// Reference implementation in f64.
pub mod reference {
    /// y from x, or dx from dy. `x` holds planes of `h` x `w`.
    pub fn forward(x: &[f64], h: usize, w: usize, sigma: f64) -> Vec<f64> {
        let weight = |i: isize, j: isize| (-((i * i + j * j) as f64) / (2.0 * sigma * sigma)).exp();
        let taps: Vec<_> = (-1..=1).flat_map(|i| (-1..=1).map(move |j| (i, j))).collect();
        let total: f64 = taps.iter().map(|&(i, j)| weight(i, j)).sum();
        let element = |index: usize| -> f64 {
            let (plane, row, column) = (index - index % (h * w), index / w % h, index % w);
            taps.iter()
                .map(|&(i, j)| {
                    let (r, c) = (row.wrapping_add_signed(i), column.wrapping_add_signed(j));
                    if r < h && c < w { weight(i, j) / total * x[plane + r * w + c] } else { 0.0 }
                })
                .sum()
        };
        (0..x.len()).map(element).collect()
    }
}
