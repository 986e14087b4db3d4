//! Dropout: in training y = x / (1 - p) with probability 1 - p, else 0; in evaluation y = x.
//! Stochastic depth (Huang et al. 2016) is the same with one draw for all elements of an example.
//!
//! The random draw is a hash of (seed, step, salt, index); the index is that of the element, or of
//! the example in its step. So a seed gives the same mask on every
//! device, and no mask is stored for the backward pass. The hash is PCG's output function
//! (Jarzynski & Olano, "Hash Functions for GPU Rendering", JCGT 2020).

use super::{Kernels, LANES, record_under_controls, shader};
use crate::gpu::Shader;
use crate::tape::{Mode, Tape, Var, linear_grid};

/// `shaders/dropout.wgsl`.
pub static SHADER: Shader = shader!("dropout");

/// Appends dropout with drop probability `p`, 0 <= p < 1. Layers need different values of `salt`,
/// so that their masks differ.
///
/// # Panics
/// If `p` is outside [0, 1).
pub fn dropout(tape: &mut Tape, name: &str, x: Var, p: f64, salt: u32) -> Var {
    record(tape, (name, "dropout"), x, p, salt, 1)
}

/// Appends stochastic depth: all elements of an example are dropped together, with probability `p`,
/// 0 <= p < 1. `salt` is that of [`dropout`].
///
/// # Panics
/// If `p` is outside [0, 1).
pub fn stochastic_depth(tape: &mut Tape, name: &str, x: Var, p: f64, salt: u32) -> Var {
    let [_, per_example] = tape.shape(x).flat();
    record(tape, (name, "stochastic_depth"), x, p, salt, per_example)
}

/// Appends dropout with one draw for `per_draw` elements.
fn record(tape: &mut Tape, (name, op): (&str, &'static str), x: Var, p: f64, salt: u32, per_draw: usize) -> Var {
    assert!((0.0..1.0).contains(&p), "{name}: {op} needs 0 <= p < 1, found {p}");
    if tape.mode() == Mode::Eval || p == 0.0 {
        return x;
    }
    let [n, per_example] = tape.shape(x).flat();
    let constants = vec![
        ("SALT", salt.into()),
        ("N", n.into()),
        ("PER_EXAMPLE", per_example.into()),
        ("PER_DRAW", per_draw.into()),
        ("DROP_BELOW", reference::threshold(p).into()),
        ("SCALE", (1.0 / (1.0 - p) as f32).into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let grid = linear_grid(n * per_example, LANES);
    record_under_controls(tape, (name, op), x, &kernels, ["forward", "backward"], grid)
}

/// Reference implementation: the exact mask, and values in f64.
pub mod reference {
    /// An element is dropped if its draw is below this.
    pub fn threshold(p: f64) -> u32 {
        (p * 4_294_967_296.0) as u32
    }

    /// PCG's output function on 32 bits.
    pub fn hash(v: u32) -> u32 {
        let state = v.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let word = ((state >> ((state >> 28) + 4)) ^ state).wrapping_mul(277_803_737);
        (word >> 22) ^ word
    }

    /// Whether element `index` is kept.
    pub fn kept(p: f64, seed: u32, step: u32, salt: u32, index: u32) -> bool {
        let key = hash(step ^ hash(seed ^ hash(salt)));
        hash(index ^ key) >= threshold(p)
    }

    /// y from x, or dx from dy.
    pub fn forward(x: &[f64], p: f64, seed: u32, step: u32, salt: u32) -> Vec<f64> {
        stochastic_depth(x, 1, p, seed, step, salt)
    }

    /// y from x, or dx from dy, for examples of `per_example` elements.
    pub fn stochastic_depth(x: &[f64], per_example: usize, p: f64, seed: u32, step: u32, salt: u32) -> Vec<f64> {
        let value = |(i, v): (usize, &f64)| match kept(p, seed, step, salt, (i / per_example) as u32) {
            true => v / (1.0 - p),
            false => 0.0,
        };
        x.iter().enumerate().map(value).collect()
    }
}
