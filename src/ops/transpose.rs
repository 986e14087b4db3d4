//! Exchange of two axes: `y[a,c,b,d] = x[a,b,c,d]`, x `[A,B,C,D]`. dx is the transpose of dy.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Operand, Record, Tape, Var, linear_grid};

/// `shaders/transpose.wgsl`.
pub static SHADER: Shader = shader!("transpose");

/// Appends the transpose of x, read as `[A,B,C,D]`: y `[A,C,B,D]`.
///
/// # Panics
/// If x has another number of elements.
pub fn transpose(tape: &mut Tape, name: &str, x: Var, extent: [usize; 4]) -> Var {
    let ([a, b, c, d], count) = (extent, extent.iter().product::<usize>());
    let shape = tape.shape(x);
    assert!(shape.count() == count, "{name}: x {shape} has another number of elements than {extent:?}");
    let y = tape.result(name, [a, c, b, d], &[x], false);
    let launch = |entry, [b, c]: [usize; 2], from: Operand, to: Operand| {
        let constants = vec![("A", a.into()), ("B", b.into()), ("C", c.into()), ("D", d.into())];
        let kernels = Kernels { shader: &SHADER, constants };
        vec![kernels.dispatch(entry, vec![from.read(), to.write()], linear_grid(count, LANES))]
    };
    let forward = launch("forward", [b, c], x.into(), y.into());
    let backward = match tape.needs_gradient(x) {
        true => launch("backward", [c, b], Operand::Gradient(y), Operand::Gradient(x)),
        false => vec![],
    };
    tape.record(Record { name: name.into(), op: "transpose", result: Some(y), forward, backward });
    tape.node(&[x.into()], &[("extent", &extent)]);
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// y of x `[A,B,C,D]`. dx is that of dy `[A,C,B,D]`.
    pub fn forward(x: &[f64], [a, b, c, d]: [usize; 4]) -> Vec<f64> {
        let mut y = vec![0.0; a * b * c * d];
        for (i, v) in x.iter().enumerate() {
            let (of_a, of_b, of_c, of_d) = (i / (b * c * d), i / (c * d) % b, i / d % c, i % d);
            y[((of_a * c + of_c) * b + of_b) * d + of_d] = *v;
        }
        y
    }
}
