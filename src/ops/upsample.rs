//! Nearest-neighbour upsampling by 2, written into the channels of a larger tensor, so that a
//! concatenation needs no further copy.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/upsample.wgsl`.
pub static SHADER: Shader = shader!("upsample");

/// Appends the write of `part` `[N,K,H,W]`, each element four times, to channels `first` to
/// `first + K - 1` of `whole` `[N,C,2H,2W]`, which [`super::concat::allocate`] makes.
///
/// # Panics
/// If the extents differ, or `whole` has too few channels.
pub fn write_upsampled(tape: &mut Tape, name: &str, whole: Var, first: usize, part: Var) {
    let (to, [n, k, h, w]) = (tape.shape(whole).nchw(name), tape.shape(part).nchw(name));
    let c = to[1];
    let fits = to == [n, c, 2 * h, 2 * w] && first + k <= c;
    assert!(fits, "{name}: twice {:?} does not fit {to:?} at channel {first}", [n, k, h, w]);
    let extents = [("N", n), ("K", k), ("H", h), ("W", w), ("C", c), ("FIRST", first)];
    let kernels = Kernels { shader: &SHADER, constants: extents.map(|(name, extent)| (name, extent.into())).to_vec() };
    let grid = linear_grid(n * k * h * w, LANES);
    let bindings = vec![Operand::from(part).read(), Operand::from(whole).write()];
    let forward = vec![kernels.dispatch("forward", bindings, grid)];
    let mut backward = vec![];
    if tape.needs_gradient(part) {
        let bindings = vec![Operand::Gradient(whole).read(), Operand::Gradient(part).write()];
        backward.push(kernels.dispatch("backward", bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "upsample", result: Some(whole), forward, backward });
}

/// Reference implementation in f64.
pub mod reference {
    /// Planes of 2h x 2w of planes of h x w.
    pub fn forward(x: &[f64], [h, w]: [usize; 2]) -> Vec<f64> {
        let plane = |plane: &[f64]| -> Vec<f64> {
            (0..4 * h * w).map(|i| plane[i / (2 * w) / 2 * w + i % (2 * w) / 2]).collect()
        };
        x.chunks(h * w).flat_map(plane).collect()
    }

    /// dx of planes of h x w.
    pub fn backward(dy: &[f64], [h, w]: [usize; 2]) -> Vec<f64> {
        let mut dx = vec![0.0; dy.len() / 4];
        for (i, g) in dy.iter().enumerate() {
            let (plane, at) = (i / (4 * h * w), i % (4 * h * w));
            dx[plane * h * w + at / (2 * w) / 2 * w + at % (2 * w) / 2] += g;
        }
        dx
    }
}
