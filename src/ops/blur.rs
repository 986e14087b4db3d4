//! The blur of Curriculum by Smoothing (Sinha et al., NeurIPS 2020).
//!
//! Each plane is convolved with the 3x3 Gaussian `k[i,j]` = exp(-(i^2 + j^2) / (2 sigma^2)),
//! normalised to sum 1, with zero padding. Sequences are convolved along their tokens, with a
//! Gaussian of width 3. The operations are their own adjoints. sigma > 0 comes from
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

/// Appends the blur of x `[N,T,C]` along T, with the Gaussian of width 3 `k[i]` =
/// exp(-i^2 / (2 sigma^2)), normalised to sum 1, and zero padding.
pub fn blur_tokens(tape: &mut Tape, name: &str, x: Var) -> Var {
    let shape = tape.shape(x).clone();
    let &[_, tokens, width] = shape.dims() else { panic!("{name}: expected [N,T,C], found {shape}") };
    let constants = vec![("COUNT", shape.count().into()), ("H", tokens.into()), ("W", width.into())];
    let kernels = Kernels { shader: &SHADER, constants };
    let grid = linear_grid(shape.count(), LANES);
    record_under_controls(tape, (name, "blur_tokens"), x, &kernels, ["forward_tokens", "backward_tokens"], grid)
}

/// Reference implementation in f64.
pub mod reference {
    /// y of [`super::blur_tokens`] from x, or dx from dy. `x` holds sequences of `tokens` x
    /// `width`.
    pub fn along_tokens(x: &[f64], tokens: usize, width: usize, sigma: f64) -> Vec<f64> {
        let e = (-0.5 / (sigma * sigma)).exp();
        let element = |index: usize| {
            let token = index / width % tokens;
            let before = if token == 0 { 0.0 } else { x[index - width] };
            let after = if token + 1 == tokens { 0.0 } else { x[index + width] };
            (x[index] + e * (before + after)) / (1.0 + 2.0 * e)
        };
        (0..x.len()).map(element).collect()
    }

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
