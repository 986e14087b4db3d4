//! Learned position embeddings: `y[n,t] = x[n,t] + weight[t]`, x `[N,T,D]`, weight `[P,D]` with
//! P >= T; axes of extent 1 may precede them. dx = dy, `dweight[t]` is the sum of `dy[n,t]` over n.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Mode, Operand, ParamId, Record, Tape, Var, linear_grid};

/// `shaders/position.wgsl`.
pub static SHADER: Shader = shader!("position");

/// Appends y = x + the first T rows of weight.
///
/// # Panics
/// If the shapes do not fit.
pub fn position(tape: &mut Tape, name: &str, x: Var, weight: ParamId) -> Var {
    let (shape, table) = (tape.shape(x).clone(), tape.declared(weight).shape.clone());
    let &[n, t, d] = shape.dims() else { panic!("{name}: expected x [N,T,D], found {shape}") };
    let [p, wd] = table.last_axis();
    assert!(d == wd && t <= p, "{name}: weight {table} needs at least {t} rows of {d} elements for x {shape}");
    let constants = vec![("N", n.into()), ("T", t.into()), ("D", d.into()), ("P", p.into())];
    let kernels = Kernels { shader: &SHADER, constants };
    let launch = |entry, bindings, count| kernels.dispatch(entry, bindings, linear_grid(count, LANES));
    let y = tape.result(name, shape, &[x], true);
    let bindings = vec![Operand::from(x).read(), Operand::from(weight).read(), Operand::from(y).write()];
    let forward = vec![launch("forward", bindings, n * t * d)];
    let (dy, dweight) = (Operand::Gradient(y).read(), Operand::ParameterGradient(weight).write());
    let mut backward = vec![];
    if tape.mode() == Mode::Train {
        backward.push(launch("backward_weight", vec![dy, dweight], p * d));
    }
    if tape.needs_gradient(x) {
        backward.push(launch("backward", vec![dy, Operand::Gradient(x).write()], n * t * d));
    }
    tape.record(Record { name: name.into(), op: "position", result: Some(y), forward, backward });
    tape.node(&[x.into(), weight.into()], &[("tokens", &[t])]);
    y
}

/// Reference implementation in f64.
pub mod reference {
    /// y of x `[N,count]`. `count` is T D; weight has at least as many elements.
    pub fn forward(x: &[f64], weight: &[f64], count: usize) -> Vec<f64> {
        x.iter().enumerate().map(|(i, v)| v + weight[i % count]).collect()
    }

    /// dweight with P D `elements`. dx is dy.
    pub fn backward_weight(dy: &[f64], count: usize, elements: usize) -> Vec<f64> {
        let mut dweight = vec![0.0; elements];
        dy.iter().enumerate().for_each(|(i, g)| dweight[i % count] += g);
        dweight
    }
}
