//! Average pooling: `y[n,c,oh,ow]` = mean over kh < KH, kw < KW of `x[n,c,oh*S+kh,ow*S+kw]`.
//! Global average pooling has one window.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/mean_pool.wgsl`.
pub static SHADER: Shader = shader!("mean_pool");

/// Appends average pooling of x `[N,C,H,W]` over windows of `kernel` x `kernel`.
pub fn mean_pool(tape: &mut Tape, name: &str, x: Var, kernel: usize, stride: usize) -> Var {
    pool(tape, name, x, [kernel, kernel], stride)
}

/// Appends global average pooling of x `[N,C,H,W]`, the mean over each plane: y `[N,C]`.
pub fn global_mean_pool(tape: &mut Tape, name: &str, x: Var) -> Var {
    let [n, c, h, w] = tape.shape(x).nchw(name);
    let y = pool(tape, name, x, [h, w], 1);
    tape.view(y, [n, c])
}

fn pool(tape: &mut Tape, name: &str, x: Var, [kh, kw]: [usize; 2], stride: usize) -> Var {
    let [n, c, h, w] = tape.shape(x).nchw(name);
    assert!(
        stride > 0 && (1..=h).contains(&kh) && (1..=w).contains(&kw),
        "{name}: a window {kh}x{kw} does not fit {h}x{w}"
    );
    let (oh, ow) = ((h - kh) / stride + 1, (w - kw) / stride + 1);
    let y = tape.result(name, [n, c, oh, ow], &[x], false);
    let constants = vec![
        ("PLANES", (n * c).into()),
        ("H", h.into()),
        ("W", w.into()),
        ("OH", oh.into()),
        ("OW", ow.into()),
        ("KH", kh.into()),
        ("KW", kw.into()),
        ("S", stride.into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let bindings = vec![Operand::from(x).read(), Operand::from(y).write()];
    let forward = vec![kernels.dispatch("forward", bindings, linear_grid(n * c * oh * ow, LANES))];
    let mut backward = vec![];
    if tape.needs_gradient(x) {
        let bindings = vec![Operand::Gradient(y).read(), Operand::Gradient(x).write()];
        let elements = n * c * h * w;
        let (entry, count) = match [kh, kw] == [h, w] && (h * w).is_multiple_of(4) {
            true => ("backward_quads", elements / 4),
            false => ("backward", elements),
        };
        backward.push(kernels.dispatch(entry, bindings, linear_grid(count, LANES)));
    }
    tape.record(Record { name: name.into(), op: "mean_pool", result: Some(y), forward, backward });
    tape.node(&[x.into()], &[("kernel", &[kh, kw]), ("stride", &[stride])]);
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// For each window over planes of `h` x `w`, the indices of its elements in `x`.
    fn windows(planes: usize, [h, w]: [usize; 2], [kh, kw]: [usize; 2], stride: usize) -> Vec<Vec<usize>> {
        let (oh, ow) = ((h - kh) / stride + 1, (w - kw) / stride + 1);
        let covered = |plane: usize, o: usize| {
            let (top, left) = (o / ow * stride, o % ow * stride);
            (0..kh * kw).map(|k| (plane * h + top + k / kw) * w + left + k % kw).collect()
        };
        (0..planes).flat_map(|plane| (0..oh * ow).map(move |o| covered(plane, o))).collect()
    }

    /// y.
    pub fn forward(x: &[f64], extent: [usize; 2], kernel: [usize; 2], stride: usize) -> Vec<f64> {
        let planes = x.len() / (extent[0] * extent[1]);
        let mean = |window: Vec<usize>| window.iter().map(|&at| x[at]).sum::<f64>() / window.len() as f64;
        windows(planes, extent, kernel, stride).into_iter().map(mean).collect()
    }

    /// dx from `dy`, for `planes` planes.
    pub fn backward(dy: &[f64], planes: usize, extent: [usize; 2], kernel: [usize; 2], stride: usize) -> Vec<f64> {
        let mut dx = vec![0.0; planes * extent[0] * extent[1]];
        for (window, g) in windows(planes, extent, kernel, stride).into_iter().zip(dy) {
            window.iter().for_each(|&at| dx[at] += g / window.len() as f64);
        }
        dx
    }
}
