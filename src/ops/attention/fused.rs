//! Attention that does not store its probabilities: each row visits the keys in order, with a
//! running maximum and sum.

use super::{AttentionOptions, Extent, extent};
use crate::gpu::Shader;
use crate::ops::dropout::reference::threshold;
use crate::ops::{Kernels, LANES, WIDE_LANES, shader};
use crate::tape::{Mode, Operand, Record, Tape, Target, Var, linear_grid};

/// `shaders/attention.wgsl`.
pub static SHADER: Shader = shader!("attention");

/// Most elements of a head. An invocation holds three rows of a head in registers.
const LARGEST_HEAD: usize = 128;

/// Whether [`fused`] supports this extent: a head consists of whole vec4 and is not too large.
pub fn is_fusible(extent: Extent) -> bool {
    extent.d.is_multiple_of(4) && extent.d <= LARGEST_HEAD
}

fn kernels(extent: Extent, options: AttentionOptions, drops: bool, lanes: usize) -> Kernels {
    let Extent { n, t, s, h, d } = extent;
    let sizes = [("N", n), ("T", t), ("S", s), ("H", h), ("D", d), ("LANES", lanes)];
    let others = [
        ("SCALE", (options.scale as f32).into()),
        ("MASKED", options.lengths.is_some().into()),
        ("DROPOUT", drops.into()),
        ("SALT", options.salt.into()),
        ("DROP_BELOW", threshold(options.dropout).into()),
        ("KEPT", (1.0 / (1.0 - options.dropout) as f32).into()),
    ];
    let sizes = sizes.into_iter().map(|(name, size)| (name, size.into()));
    Kernels { shader: &SHADER, constants: sizes.chain(others).collect() }
}

/// Appends attention in one launch, whose backward pass computes the probabilities again.
///
/// # Panics
/// In the cases of [`super::attention`], and if [`is_fusible`] is false.
pub fn fused(tape: &mut Tape, name: &str, qkv: [Var; 3], options: AttentionOptions) -> Var {
    let of = extent(tape, name, qkv, options.heads);
    let (p, d) = (options.dropout, of.d);
    assert!((0.0..1.0).contains(&p), "{name}: dropout needs 0 <= p < 1, found {p}");
    assert!(
        is_fusible(of),
        "{name}: fused attention needs heads of whole vec4 and at most {LARGEST_HEAD} elements, found {d}"
    );
    let lanes = match tape.target() {
        Target::Gpu => LANES,
        Target::Processor => WIDE_LANES,
    };
    let kernels = kernels(of, options, tape.mode() == Mode::Train && p > 0.0, lanes);
    let work = of.n * of.h * of.t * of.s * d;
    let controls = Operand::from(tape.controls()).uniform();
    let [q, k, v] = qkv.map(Operand::from);
    let lengths = options.lengths.unwrap_or(k).read();
    let grid = |rows: usize| linear_grid(of.n * of.h * rows.div_ceil(lanes), 1);

    let y = tape.result(name, tape.shape(qkv[0]).clone(), &qkv, false);
    let mut scratch = |which| Operand::from(tape.buffer(&format!("{name}.{which}"), 4 * (of.n * of.h * of.t) as u64));
    let logsum = scratch("logsum");
    let bindings = vec![controls, lengths, k.read(), v.read(), q.read(), logsum.write(), Operand::from(y).write()];
    let forward = vec![kernels.dispatch("forward", bindings, grid(of.t)).with_work(2 * work)];
    let mut backward = vec![];
    if tape.needs_gradient(y) {
        let delta = Operand::from(tape.buffer(&format!("{name}.delta"), 4 * (of.n * of.h * of.t) as u64));
        let dy = Operand::Gradient(y);
        let bindings = vec![Operand::from(y).read(), dy.read(), delta.write()];
        backward.push(kernels.dispatch("backward_delta", bindings, linear_grid(of.n * of.h * of.t, LANES)));
        // Entry; the two tensors that are visited, the row's tensor and its companion; rows;
        // products per pair of rows.
        let parts = [
            ("backward_q", [k, v, q, dy], of.t, 3),
            ("backward_k", [q, dy, k, v], of.s, 3),
            ("backward_v", [q, dy, k, v], of.s, 2),
        ];
        for ((entry, operands, rows, products), to) in parts.into_iter().zip(qkv) {
            if tape.needs_gradient(to) {
                let mut bindings = vec![controls, lengths];
                bindings.extend(operands.into_iter().chain([logsum, delta]).map(Operand::read));
                bindings.push(Operand::Gradient(to).write());
                backward.push(kernels.dispatch(entry, bindings, grid(rows)).with_work(products * work));
            }
        }
    }
    tape.record(Record { name: name.into(), op: "attention", result: Some(y), forward, backward });
    if options.lengths.is_none() {
        let numbers = vec![
            ("extent", [of.t, of.s, of.h, of.d].map(|extent| extent as f64).to_vec()),
            ("scale", vec![options.scale]),
        ];
        tape.node_with(&[q, k, v], numbers, String::new());
    }
    y
}
