//! Concatenation along the channels: y `[N,C1+C2+...,H,W]` is [`room`] for all parts, and each is [`put`] in its place once it is
//! there. What reads the first channels alone, as the layers of a dense block do, may read between two puts, so the features of a
//! block are copied once, not again for each layer that sees them.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/concat.wgsl`.
pub static SHADER: Shader = shader!("concat");

/// A tensor `[N,C,H,W]` that nothing fills yet. Whoever reads a channel must have put it there.
pub fn room(tape: &mut Tape, name: &str, shape: [usize; 4]) -> Var {
    tape.result(name, shape, &[], true)
}

/// Appends the copying of `part` `[N,K,H,W]` to the channels from `first` on of `whole` `[N,C,H,W]`.
///
/// # Panics
/// If the extents differ, or there are not so many channels.
pub fn put(tape: &mut Tape, name: &str, whole: Var, first: usize, part: Var) {
    let (to, from) = (tape.shape(whole).nchw(name), tape.shape(part).nchw(name));
    let ([n, c, h, w], [_, k, ..]) = (to, from);
    assert!(from == [n, k, h, w] && first + k <= c, "{name}: {from:?} does not fit {to:?} from channel {first} on");
    let extents = [k * h * w, c * h * w, first * h * w];
    let (unit, entries) = match extents.iter().all(|extent| extent.is_multiple_of(4)) {
        true => (4, ["put_quads", "take_quads"]),
        false => (1, ["put", "take"]),
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
}

/// The same in f64.
pub mod reference {
    /// Two parts of rows of these extents, side by side.
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
