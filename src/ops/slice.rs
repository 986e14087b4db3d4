//! A range of the tokens of each example: `y[n,t] = x[n,first+t]`, x `[N,T,...]`,
//! y `[N,count,...]`. The gradient of all other tokens is 0.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};
use std::ops::Range;

/// `shaders/slice.wgsl`.
pub static SHADER: Shader = shader!("slice");

/// Appends the `tokens` of x along its second axis.
///
/// # Panics
/// If x has no second axis, or if the range is empty or ends after T.
pub fn slice(tape: &mut Tape, name: &str, x: Var, tokens: Range<usize>) -> Var {
    let shape = tape.shape(x).clone();
    let &[n, t, ref inner @ ..] = shape.dims() else { panic!("{name}: expected x [N,T,...], found {shape}") };
    assert!(!tokens.is_empty() && tokens.end <= t, "{name}: x {shape} has {t} tokens, found the range {tokens:?}");
    let row: usize = inner.iter().product();
    let [part, whole] = [tokens.len() * row, t * row];
    let sizes = [("N", n), ("PART", part), ("WHOLE", whole), ("OFFSET", tokens.start * row)];
    let kernels = Kernels { shader: &SHADER, constants: sizes.map(|(name, size)| (name, size.into())).to_vec() };
    let y = tape.result(name, [&[n, tokens.len()], inner].concat(), &[x], false);
    let launch = |entry, from: Operand, to: Operand, count| {
        vec![kernels.dispatch(entry, vec![from.read(), to.write()], linear_grid(count, LANES))]
    };
    let forward = launch("forward", x.into(), y.into(), n * part);
    let backward = match tape.needs_gradient(x) {
        true => launch("backward", Operand::Gradient(y), Operand::Gradient(x), n * whole),
        false => vec![],
    };
    tape.record(Record { name: name.into(), op: "slice", result: Some(y), forward, backward });
    tape.node(&[x.into()], &[("range", &[tokens.start, tokens.end])]);
    y
}

/// Reference implementation in f64, for examples of `whole` elements.
pub mod reference {
    use std::ops::Range;

    /// The elements `part` of each example.
    pub fn forward(x: &[f64], whole: usize, part: Range<usize>) -> Vec<f64> {
        x.chunks(whole).flat_map(|x| &x[part.clone()]).copied().collect()
    }

    /// dx.
    pub fn backward(dy: &[f64], whole: usize, part: Range<usize>) -> Vec<f64> {
        let of_example = |dy: &[f64]| {
            let mut dx = vec![0.0; whole];
            dx[part.clone()].copy_from_slice(dy);
            dx
        };
        dy.chunks(part.len()).flat_map(of_example).collect()
    }
}
