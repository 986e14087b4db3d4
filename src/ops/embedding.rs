//! Rows of a table by their numbers: `y[n] = weight[ids[n]]`, weight `[V,D]`, ids of any shape
//! `[...]`, y `[...,D]`. A number that is no row gives NaN. ids have no gradient. `dweight[v]` is
//! the sum of `dy[n]` over all n with `ids[n] = v`, in ascending order of n.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Dispatch, Mode, Operand, ParamId, Record, Tape, Var, linear_grid};
use crate::tensor::Shape;

/// `shaders/embedding.wgsl`.
pub static SHADER: Shader = shader!("embedding");

/// Positions per chunk. An invocation adds up one chunk.
const CHUNK: usize = 64;

/// Positions per block that is sorted by comparing all pairs.
const BLOCK: usize = 64;

/// The dispatches that sort the positions of `ids` by their row, and the buffer with the result.
fn sorted(tape: &mut Tape, name: &str, kernels: &Kernels, n: usize, ids: Operand) -> (Vec<Dispatch>, Operand) {
    let mut scratch = |which| Operand::from(tape.buffer(&format!("{name}.{which}"), 4 * n as u64));
    let [mut from, mut to] = ["sorted", "merged"].map(&mut scratch);
    let mut launches = vec![kernels.dispatch("sort", vec![ids.read(), from.write()], linear_grid(n, LANES))];
    let mut width = BLOCK;
    while width < n {
        let mut kernels = kernels.clone();
        kernels.constants.retain(|(name, _)| *name != "WIDTH");
        kernels.constants.push(("WIDTH", width.into()));
        let bindings = vec![ids.read(), from.read(), to.write()];
        launches.push(kernels.dispatch("merge", bindings, linear_grid(n, LANES)));
        [from, to] = [to, from];
        width *= 2;
    }
    (launches, from)
}

/// Appends the rows of weight with the numbers `ids`, u32 of this shape. The row `padding` gets no
/// gradient, like PyTorch's `padding_idx`.
///
/// # Panics
/// If weight is not `[V,D]`, or has no row `padding`.
pub fn embedding(
    tape: &mut Tape,
    name: &str,
    (ids, shape): (Operand, &Shape),
    weight: ParamId,
    padding: Option<usize>,
) -> Var {
    let table = tape.declared(weight).shape.clone();
    let &[v, d] = table.dims() else { panic!("{name}: expected weight [V,D], found {table}") };
    assert!(padding.is_none_or(|row| row < v), "{name}: weight {table} has no row {padding:?} for padding");
    let n = shape.count();
    let chunks = n.div_ceil(CHUNK);
    let constants = vec![
        ("N", n.into()),
        ("V", v.into()),
        ("D", d.into()),
        ("PADDING", padding.map_or(u32::MAX, |row| row as u32).into()),
        ("CHUNK", CHUNK.into()),
        ("CHUNKS", chunks.into()),
        ("BLOCK", BLOCK.into()),
        ("WIDTH", BLOCK.into()),
        ("HALF", n.next_power_of_two().into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let launch = |entry, bindings, count| kernels.dispatch(entry, bindings, linear_grid(count, LANES));
    let y = tape.result(name, [shape.dims(), &[d]].concat(), &[], true);
    let bindings = vec![ids.read(), Operand::from(weight).read(), Operand::from(y).write()];
    let forward = vec![launch("forward", bindings, n * d)];
    let mut backward = vec![];
    if tape.mode() == Mode::Train {
        let (launches, sorted) = sorted(tape, name, &kernels, n, ids);
        let mut scratch =
            |which, words: usize| Operand::from(tape.buffer(&format!("{name}.{which}"), 4 * words as u64));
        let (firsts, partials) = (scratch("firsts", v + 1), scratch("partials", chunks * d));
        let (dy, dweight) = (Operand::Gradient(y).read(), Operand::ParameterGradient(weight).write());
        let (entries, width) = match d.is_multiple_of(4) {
            true => (["partial_quads", "backward_quads"], d / 4),
            false => (["partial", "backward"], d),
        };
        backward = launches;
        backward.push(launch("find", vec![ids.read(), sorted.read(), firsts.write()], v + 1));
        backward.push(launch(entries[0], vec![ids.read(), sorted.read(), dy, partials.write()], chunks * width));
        let bindings = vec![firsts.read(), sorted.read(), dy, partials.read(), dweight];
        backward.push(launch(entries[1], bindings, v * width));
    }
    tape.record(Record { name: name.into(), op: "embedding", result: Some(y), forward, backward });
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// y of the rows of length `d`.
    pub fn forward(ids: &[u32], weight: &[f64], d: usize) -> Vec<f64> {
        ids.iter().flat_map(|&id| &weight[id as usize * d..][..d]).copied().collect()
    }

    /// dweight of `v` rows.
    pub fn backward(ids: &[u32], dy: &[f64], [v, d]: [usize; 2], padding: Option<usize>) -> Vec<f64> {
        let mut dweight = vec![0.0; v * d];
        for (&id, dy) in ids.iter().zip(dy.chunks(d)) {
            if padding != Some(id as usize) {
                dweight[id as usize * d..].iter_mut().zip(dy).for_each(|(sum, g)| *sum += g);
            }
        }
        dweight
    }
}
