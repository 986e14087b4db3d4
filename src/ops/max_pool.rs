//! Max pooling: `y[n,c,oh,ow]` = max over kh,kw < K of `x[n,c,oh*S+kh-PAD,ow*S+kw-PAD]`, with
//! OH = (H + 2 PAD - K) / S + 1, and OW likewise.
//! dy goes to the first of equal maxima, as in PyTorch.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/max_pool.wgsl`.
pub static SHADER: Shader = shader!("max_pool");

/// Windows of `kernel` x `kernel` at distances of `stride`, over planes with `padding` on each
/// side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Extent K of a window.
    pub kernel: usize,
    /// Stride S.
    pub stride: usize,
    /// Padding PAD, less than K.
    pub padding: usize,
}

impl Window {
    /// Windows that do not overlap: the stride equals the kernel, without padding.
    pub fn square(kernel: usize) -> Self {
        Self { kernel, stride: kernel, padding: 0 }
    }

    /// Number of windows along an extent.
    ///
    /// # Panics
    /// If no window fits, or the stride, padding or kernel is invalid. The message names `user`.
    pub fn outputs(&self, user: &str, extent: usize) -> usize {
        let Self { kernel, stride, padding } = *self;
        let valid = stride > 0 && padding < kernel && kernel <= 15;
        assert!(valid, "{user}: needs stride > 0 and padding < kernel <= 15, found {self:?}");
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
    let argmax = tape.buffer(&format!("{name}.argmax"), 4 * quads as u64);
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
    let is_2x2 = window == Window::square(2) && h.is_multiple_of(2) && w.is_multiple_of(8);
    let per_quad = linear_grid(quads, LANES);
    let bindings = vec![Operand::from(x).read(), Operand::from(y).write(), Operand::from(argmax).write()];
    let entry = if is_2x2 { "forward_2x2" } else { "forward" };
    let forward = vec![kernels.dispatch(entry, bindings, per_quad)];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let bindings = vec![Operand::Gradient(y).read(), Operand::from(argmax).read(), Operand::Gradient(x).write()];
        let (entry, grid) = match is_2x2 {
            true => ("backward_2x2", per_quad),
            false => ("backward", linear_grid(n * c * h * w, LANES)),
        };
        backward.push(kernels.dispatch(entry, bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "max_pool", result: Some(y), forward, backward });
    let Window { kernel, stride, padding } = window;
    tape.node(&[x.into()], &[("kernel", &[kernel]), ("stride", &[stride]), ("padding", &[padding])]);
    y
}

/// Reference implementation in f64.
pub mod reference {
    use super::Window;

    /// The index in `x` of each window's maximum. `x` holds planes of `h` x `w`.
    pub fn argmax(x: &[f64], h: usize, w: usize, window: Window) -> Vec<usize> {
        let Window { kernel, stride, padding } = window;
        let (oh, ow) = (window.outputs("reference", h), window.outputs("reference", w));
        let mut argmax = vec![];
        for plane in 0..x.len() / (h * w) {
            for o in 0..oh * ow {
                let mut best: Option<usize> = None;
                for k in 0..kernel * kernel {
                    let row = (o / ow * stride + k / kernel).wrapping_sub(padding);
                    let column = (o % ow * stride + k % kernel).wrapping_sub(padding);
                    let at = ((plane * h + row.min(h)) * w).wrapping_add(column);
                    let is_larger = |b: usize| x[at] > x[b] || (x[at].is_nan() && !x[b].is_nan());
                    if row < h && column < w && best.is_none_or(is_larger) {
                        best = Some(at);
                    }
                }
                argmax.push(best.expect("padding is less than the kernel, so a window overlaps the plane"));
            }
        }
        argmax
    }

    /// y.
    pub fn forward(x: &[f64], h: usize, w: usize, window: Window) -> Vec<f64> {
        argmax(x, h, w, window).into_iter().map(|at| x[at]).collect()
    }

    /// dx.
    pub fn backward(x: &[f64], dy: &[f64], h: usize, w: usize, window: Window) -> Vec<f64> {
        let mut dx = vec![0.0; x.len()];
        argmax(x, h, w, window).into_iter().zip(dy).for_each(|(at, g)| dx[at] += g);
        dx
    }
}
