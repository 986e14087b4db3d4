//! dw and dbias. dw sums over all pixels of a batch: slices of them side by side, added in a fixed order.

use super::correlation::{Correlation, SHARED_COLUMNS, Wide};
use super::{DEPTHWISE_SHADER, Geometry, SHADER, SHARED_SHADER};
use crate::gpu::Shader;
use crate::ops::{LANES, WIDE_LANES};
use crate::tape::{Dispatch, Operand, ParamId, Tape, Variant, linear_grid};

/// Rows and columns of taps of an invocation.
const TAPS: usize = 3;

/// Invocations that the sum is spread over, if there are rows enough. More fill a larger GPU; each slice costs a copy of the
/// weights in scratch memory.
const INVOCATIONS: usize = 4096;

/// Terms of an invocation of the wide kernel for uneven rows.
const WIDE_TERMS: usize = 2;

/// Workgroups of the wide kernels, likewise: enough to keep the cores of a processor equally busy.
const WIDE_WORKGROUPS: usize = 128;

/// The same of the kernel with shared tiles.
const SHARED_WORKGROUPS: usize = 512;

/// Terms that it adds at a time; `DEPTH` in the shader.
const SHARED_DEPTH: usize = 8;

/// Divides `all` into slices of equal length but the last, about as many as there should be: (slices, length).
fn cut_evenly(all: usize, wanted: usize) -> (usize, usize) {
    let length = all.div_ceil(wanted.clamp(1, all));
    (all.div_ceil(length), length)
}

/// How a variant spreads the sum: its file, how many slices there are and how long they are (rows; of the wide kernel images, of the
/// one with shared tiles eight pixels, of the one for channels by themselves four columns), and its grid.
fn slicing(g: &Geometry, correlation: &Correlation, variant: Variant) -> (&'static Shader, (usize, usize), [u32; 3]) {
    let [o, oh, ow] = g.output;
    let c_group = g.input[0] / g.options.groups;
    // Of a 1x1 kernel an invocation takes as many channels as it has taps otherwise.
    let taps = if correlation.is_pointwise() { TAPS * TAPS } else { 1 };
    let (shader, all, per_slice, invocations, lanes) = match variant {
        Variant::Registers => {
            let [kh_tiles, kw_tiles] = g.kernel.map(|extent| extent.div_ceil(TAPS));
            let per_slice = correlation.o_tiles() * c_group.div_ceil(taps) * kh_tiles * kw_tiles;
            (&SHADER, g.n * oh, per_slice, INVOCATIONS, LANES)
        }
        Variant::Wide => {
            let wide = correlation.wide().expect("chosen where it applies");
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

/// The slices of the sum over `dy` and `x`, then their sum into the gradient of `w`.
pub(super) fn dispatches(
    tape: &mut Tape,
    name: &str,
    g: &Geometry,
    x: Operand,
    dy: Operand,
    w: ParamId,
) -> [Dispatch; 2] {
    let correlation = Correlation::forward(g, false);
    let (task, variant) = tape.choose(correlation.task("dw"), correlation.variants(tape.target()));
    let (shader, slices, grid) = slicing(g, &correlation, variant);
    let partials = Operand::from(tape.buffer(&format!("{name}.slices"), 4 * (slices.0 * g.weights()) as u64));
    let partial = correlation.kernels(shader, slices);
    let partial = partial.dispatch("weight_partial", vec![x.read(), dy.read(), partials.write()], grid);
    let bindings = vec![partials.read(), Operand::ParameterGradient(w).write()];
    let reduce = correlation.kernels(&SHADER, slices);
    let reduce = reduce.dispatch("weight_reduce", bindings, linear_grid(g.weights(), LANES));
    [partial.with_work(g.multiply_adds()).of_tunable(task), reduce.of_tunable(task)]
}

/// The sum of `dy` over all pixels into the gradient of `bias`.
pub(super) fn of_bias(g: &Geometry, dy: Operand, bias: ParamId) -> Dispatch {
    let bindings = vec![dy.read(), Operand::ParameterGradient(bias).write()];
    let kernels = Correlation::forward(g, false).kernels(&SHADER, (1, 1));
    kernels.dispatch("backward_bias", bindings, [g.output[0] as u32, 1, 1])
}
