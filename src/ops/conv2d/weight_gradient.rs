//! The gradients dw and dbias.
//!
//! dw is a sum over all pixels of a batch. It is cut into slices, which are computed in parallel
//! and then added in a fixed order.

use super::correlation::{Correlation, SHARED_COLUMNS, Wide};
use super::{DEPTHWISE_SHADER, Geometry, SHADER, SHARED_SHADER};
use crate::gpu::Shader;
use crate::ops::{LANES, WIDE_LANES};
use crate::tape::{Dispatch, Operand, ParamId, Tape, Variant, linear_grid};

/// Extent of an invocation's tile of dw, along each kernel axis.
const TAPS: usize = 3;

/// Target number of invocations of the registers and depthwise kernels. More would fill larger
/// GPUs, but each slice needs a copy of the weights in scratch memory.
const INVOCATIONS: usize = 4096;

/// Terms per invocation of `conv2d_uneven.wgsl`.
const WIDE_TERMS: usize = 2;

/// Target number of workgroups of the wide kernels, enough to balance the load of a processor's
/// cores.
const WIDE_WORKGROUPS: usize = 128;

/// Target number of workgroups of the shared kernel.
const SHARED_WORKGROUPS: usize = 512;

/// Terms that the shared kernel adds between barriers, `DEPTH` in the shader.
const SHARED_DEPTH: usize = 8;

/// Divides `all` items into about `target` slices of equal length, the last perhaps shorter.
/// Returns (slices, length).
fn cut_evenly(all: usize, target: usize) -> (usize, usize) {
    let length = all.div_ceil(target.clamp(1, all));
    (all.div_ceil(length), length)
}

/// The shader of a variant, (slices, length of a slice), and the grid. The length is a number of
/// rows of y (registers), images (wide), groups of eight pixels (shared) or of four columns
/// (depthwise).
fn slicing(g: &Geometry, correlation: &Correlation, variant: Variant) -> (&'static Shader, (usize, usize), [u32; 3]) {
    let [o, oh, ow] = g.output;
    let c_group = g.input[0] / g.options.groups;
    // With a 1x1 kernel, an invocation processes nine channels instead of 3x3 taps.
    let taps = if correlation.is_pointwise() { TAPS * TAPS } else { 1 };
    let (shader, all, per_slice, invocations, lanes) = match variant {
        Variant::Registers => {
            let [kh_tiles, kw_tiles] = g.kernel.map(|extent| extent.div_ceil(TAPS));
            let per_slice = correlation.o_tiles() * c_group.div_ceil(taps) * kh_tiles * kw_tiles;
            (&SHADER, g.n * oh, per_slice, INVOCATIONS, LANES)
        }
        Variant::Wide => {
            let wide = correlation.wide().expect("a variant is chosen only if it applies");
            let workgroups = match wide {
                Wide::Uneven => correlation.wide_terms().div_ceil(WIDE_LANES * WIDE_TERMS),
                _ => c_group.div_ceil(WIDE_LANES * taps),
            };
            (wide.shader(), g.n, correlation.wide_tiles() * workgroups, WIDE_WORKGROUPS, 1)
        }
        Variant::Shared => {
            let terms = c_group * g.kernel[0] * g.kernel[1];
            let per_slice = correlation.shared_rows() * terms.div_ceil(SHARED_COLUMNS);
            (&SHARED_SHADER, (g.n * oh * ow).div_ceil(SHARED_DEPTH), per_slice, SHARED_WORKGROUPS, 1)
        }
        Variant::Depthwise => (&DEPTHWISE_SHADER, g.n * ow.div_ceil(4), o, INVOCATIONS, LANES),
    };
    let slices = cut_evenly(all, invocations / per_slice);
    (shader, slices, linear_grid(slices.0 * per_slice, lanes))
}

/// Two dispatches: one computes the slices of dw from `dy` and `x`, the other adds them up into the
/// gradient of `w`.
pub(super) fn dispatches(
    tape: &mut Tape,
    name: &str,
    g: &Geometry,
    x: Operand,
    dy: Operand,
    w: ParamId,
) -> [Dispatch; 2] {
    let correlation = Correlation::forward(g, false);
    let (op, variant) = tape.choose(correlation.op_name("dw"), correlation.variants(tape.target()));
    let (shader, slices, grid) = slicing(g, &correlation, variant);
    let partials = Operand::from(tape.buffer(&format!("{name}.slices"), 4 * (slices.0 * g.weights()) as u64));
    let partial = correlation.kernels(shader, slices);
    let partial = partial.dispatch("weight_partial", vec![x.read(), dy.read(), partials.write()], grid);
    let bindings = vec![partials.read(), Operand::ParameterGradient(w).write()];
    let reduce = correlation.kernels(&SHADER, slices);
    let reduce = reduce.dispatch("weight_reduce", bindings, linear_grid(g.weights(), LANES));
    [partial.with_work(g.multiply_adds()).of_tunable(op), reduce.of_tunable(op)]
}

/// Adds up `dy` over all pixels, into the gradient of `bias`.
pub(super) fn bias_gradient(g: &Geometry, dy: Operand, bias: ParamId) -> Dispatch {
    let bindings = vec![dy.read(), Operand::ParameterGradient(bias).write()];
    let kernels = Correlation::forward(g, false).kernels(&SHADER, (1, 1));
    kernels.dispatch("backward_bias", bindings, [g.output[0] as u32, 1, 1])
}
