//! Maximum over windows: `y[n,c,oh,ow]` = max over kh,kw < K of `x[n,c,oh*S+kh-PAD,ow*S+kw-PAD]`, OH = (H + 2 PAD - K) / S + 1.
//! dy goes to the first of equal winners, as in PyTorch.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/max_pool.wgsl`.
pub static SHADER: Shader = shader!("max_pool");

/// Windows of `kernel` x `kernel`, `stride` apart, over planes with `padding` around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// K.
    pub kernel: usize,
    /// S.
    pub stride: usize,
    /// PAD, less than K.
    pub padding: usize,
}

impl Window {
    /// Windows side by side.
    pub fn square(kernel: usize) -> Self {
        Self { kernel, stride: kernel, padding: 0 }
    }

    /// Windows along an extent.
    ///
    /// # Panics
    /// Naming `user`, if not even one fits.
    pub fn outputs(&self, user: &str, extent: usize) -> usize {
        let Self { kernel, stride, padding } = *self;
        let sound = stride > 0 && padding < kernel && kernel <= 15;
        assert!(sound, "{user}: needs stride > 0 and padding < kernel <= 15, found {self:?}");
        assert!(extent + 2 * padding >= kernel, "{user}: a window of {kernel} does not fit an extent of {extent}");
        (extent + 2 * padding - kernel) / stride + 1
    }
}

/// Appends max pooling of x `[N,C,H,W]`.
pub fn max_pool(tape: &mut Tape, name: &str, x: Var, window: Window) -> Var {
    let [n, c, h, w] = tape.shape(x).nchw(name);
    let (oh, ow) = (window.outputs(name, h), window.outputs(name, w));
    let y = tape.result(name, [n, c, oh, ow], &[x], false);
    let quads = (n * c * oh * ow).div_ceil(4);
    let winner = tape.buffer(&format!("{name}.winner"), 4 * quads as u64);
    let constants = vec![
        ("PLANES", (n * c).into()),
        ("H", h.into()),
        ("W", w.into()),
        ("OH", oh.into()),
        ("OW", ow.into()),
        ("K", window.kernel.into()),
        ("S", window.stride.into()),
        ("PAD", window.padding.into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let halves = window == Window::square(2) && h.is_multiple_of(2) && w.is_multiple_of(8);
    let per_quad = linear_grid(quads, LANES);
    let bindings = vec![Operand::from(x).read(), Operand::from(y).write(), Operand::from(winner).write()];
    let entry = if halves { "forward_halves" } else { "forward" };
    let forward = vec![kernels.dispatch(entry, bindings, per_quad)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let bindings = vec![Operand::Gradient(y).read(), Operand::from(winner).read(), Operand::Gradient(x).write()];
        let (entry, grid) = match halves {
            true => ("backward_halves", per_quad),
            false => ("backward", linear_grid(n * c * h * w, LANES)),
        };
        backward.push(kernels.dispatch(entry, bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "max_pool", result: Some(y), forward, backward });
    y
}

/// The same in f64.
pub mod reference {
    use super::Window;

    /// Where each window's winner lies in `x`, which holds planes of `h` x `w`.
    pub fn winners(x: &[f64], h: usize, w: usize, window: Window) -> Vec<usize> {
        let Window { kernel, stride, padding } = window;
        let (oh, ow) = (window.outputs("reference", h), window.outputs("reference", w));
        let mut winners = vec![];
        for plane in 0..x.len() / (h * w) {
            for o in 0..oh * ow {
                let mut best: Option<usize> = None;
                for k in 0..kernel * kernel {
                    let row = (o / ow * stride + k / kernel).wrapping_sub(padding);
                    let column = (o % ow * stride + k % kernel).wrapping_sub(padding);
                    let at = (plane * h + row.min(h)) * w + column;
                    let wins = |b: usize| x[at] > x[b] || (x[at].is_nan() && !x[b].is_nan());
                    if row < h && column < w && best.is_none_or(wins) {
                        best = Some(at);
                    }
                }
                winners.push(best.expect("padding is less than the kernel, so a window meets the plane"));
            }
        }
        winners
    }

    /// y.
    pub fn forward(x: &[f64], h: usize, w: usize, window: Window) -> Vec<f64> {
        winners(x, h, w, window).into_iter().map(|at| x[at]).collect()
    }

    /// dx.
    pub fn backward(x: &[f64], dy: &[f64], h: usize, w: usize, window: Window) -> Vec<f64> {
        let mut dx = vec![0.0; x.len()];
        winners(x, h, w, window).into_iter().zip(dy).for_each(|(at, g)| dx[at] += g);
        dx
    }
}
