//! Concatenation along the channels. [`allocate`] makes y `[N,C1+C2+...,H,W]`, and
//! [`write_channels`] copies each part into it.
//!
//! An operation that reads only the first channels may run between two writes. So the layers of a
//! dense block share one tensor, and each feature is copied once, not once per layer.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/concat.wgsl`.
pub static SHADER: Shader = shader!("concat");

/// Adds a tensor `[N,C,H,W]`. A channel must be written, by [`write_channels`], before it is read.
pub fn allocate(tape: &mut Tape, name: &str, shape: [usize; 4]) -> Var {
    tape.result(name, shape, &[], true)
}

/// Appends a copy of `part` `[N,K,H,W]` to channels `first` to `first + K - 1` of `whole`
/// `[N,C,H,W]`.
///
/// # Panics
/// If the extents differ, or `whole` has too few channels.
pub fn write_channels(tape: &mut Tape, name: &str, whole: Var, first: usize, part: Var) {
    let (to, from) = (tape.shape(whole).nchw(name), tape.shape(part).nchw(name));
    let ([n, c, h, w], [_, k, ..]) = (to, from);
    assert!(from == [n, k, h, w] && first + k <= c, "{name}: {from:?} does not fit {to:?} at channel {first}");
    let extents = [k * h * w, c * h * w, first * h * w];
    let (unit, entries) = match extents.iter().all(|extent| extent.is_multiple_of(4)) {
        true => (4, ["forward_quads", "backward_quads"]),
        false => (1, ["forward", "backward"]),
    };
    let [part_extent, whole_extent, offset] = extents.map(|extent| extent / unit);
    let constants =
        vec![("N", n.into()), ("PART", part_extent.into()), ("WHOLE", whole_extent.into()), ("OFFSET", offset.into())];
    let kernels = Kernels { shader: &SHADER, constants };
    let grid = linear_grid(n * part_extent, LANES);
    let forward =
        vec![kernels.dispatch(entries[0], vec![Operand::from(part).read(), Operand::from(whole).write()], grid)];
    let mut backward = vec![];
    if tape.needs_gradient(part) {
        let bindings = vec![Operand::Gradient(whole).read(), Operand::Gradient(part).write()];
        backward.push(kernels.dispatch(entries[1], bindings, grid));
    }
    tape.record(Record { name: name.into(), op: "concat", result: Some(whole), forward, backward });
    tape.node(&[part.into()], &[("first", &[first]), ("channels", &[k])]);
}

/// Reference implementation in f64.
pub mod reference {
    /// Concatenates the rows of `a` and `b`, which have these lengths.
    pub fn forward(a: &[f64], b: &[f64], [i, j]: [usize; 2]) -> Vec<f64> {
        let rows = (a.len() + b.len()) / (i + j);
        (0..rows).flat_map(|n| [&a[n * i..(n + 1) * i], &b[n * j..(n + 1) * j]].concat()).collect()
    }

    /// (da, db).
    pub fn backward(dy: &[f64], [a, b]: [usize; 2]) -> (Vec<f64>, Vec<f64>) {
        let rows = || dy.chunks(a + b);
        (rows().flat_map(|row| &row[..a]).copied().collect(), rows().flat_map(|row| &row[a..]).copied().collect())
    }
}
