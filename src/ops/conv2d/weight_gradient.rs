//! dw and dbias. dw sums over all pixels of a batch: slices of them side by side, added in a fixed order.

use super::correlation::Correlation;
use super::{Geometry, SHADER, WIDE_SHADER};
use crate::gpu::Shader;
use crate::ops::{LANES, WIDE_LANES};
use crate::tape::{BufferId, Dispatch, Operand, ParamId, Target, linear_grid};

/// Rows and columns of taps of an invocation.
const TAPS: usize = 3;

/// Input channels of an invocation of the wide kernel.
const WIDE_CHANNELS: usize = 2;

/// Invocations that the sum is spread over, if there are rows enough. More fill a larger GPU; each slice costs a copy of the
/// weights in scratch memory.
const INVOCATIONS: usize = 4096;

/// The same of the wide kernel: enough to keep the cores of a processor equally busy.
const WIDE_INVOCATIONS: usize = 1024;

/// How the sum is spread over invocations.
pub(super) struct WeightGradient {
    correlation: Correlation,
    shader: &'static Shader,
    /// How many there are, and the rows (of the wide kernel: images) in each.
    slices: (usize, usize),
    grid: [u32; 3],
    weights: usize,
    multiply_adds: usize,
}

/// Divides `all` into slices of equal length but the last, about as many as there should be: (slices, length).
fn divide(all: usize, wanted: usize) -> (usize, usize) {
    let length = all.div_ceil(wanted.clamp(1, all));
    (all.div_ceil(length), length)
}

impl WeightGradient {
    pub(super) fn of(g: &Geometry, target: Target) -> Self {
        let correlation = Correlation::forward(g, false);
        let c_group = g.input[0] / g.options.groups;
        // Of a 1x1 kernel an invocation takes as many channels as it has taps otherwise.
        let taps = if g.kernel[0] == 1 { TAPS * TAPS } else { 1 };
        let (shader, slices, grid) = match (target, correlation.wide()) {
            (Target::Processor, Some(_)) => {
                let per_slice = correlation.o_tiles() * c_group.div_ceil(WIDE_CHANNELS * taps);
                let slices = divide(g.n, WIDE_INVOCATIONS / per_slice);
                (&WIDE_SHADER, slices, linear_grid(slices.0 * per_slice, WIDE_LANES))
            }
            _ => {
                let k_tiles = g.kernel[0].div_ceil(TAPS);
                let per_slice = correlation.o_tiles() * c_group.div_ceil(taps) * k_tiles * k_tiles;
                let slices = divide(g.n * g.output[1], INVOCATIONS / per_slice);
                (&SHADER, slices, linear_grid(slices.0 * per_slice, LANES))
            }
        };
        Self { correlation, shader, slices, grid, weights: g.weights(), multiply_adds: g.multiply_adds() }
    }

    /// Elements of all slices.
    pub(super) fn partials(&self) -> usize {
        self.slices.0 * self.weights
    }

    /// The slices of `dy` and `x` into `partials`, then their sum into the gradient of `w`.
    pub(super) fn dispatches(&self, x: Operand, dy: Operand, partials: BufferId, w: ParamId) -> [Dispatch; 2] {
        let partials = Operand::from(partials);
        let bindings = vec![partials.read(), Operand::ParameterGradient(w).write()];
        [
            self.correlation
                .kernels(self.shader, self.slices)
                .dispatch("weight_partial", vec![x.read(), dy.read(), partials.write()], self.grid)
                .with_work(self.multiply_adds),
            self.correlation.kernels(&SHADER, self.slices).dispatch(
                "weight_reduce",
                bindings,
                linear_grid(self.weights, LANES),
            ),
        ]
    }

    /// The sum of `dy` over all pixels into the gradient of `bias`.
    pub(super) fn of_bias(&self, dy: Operand, bias: ParamId) -> Dispatch {
        let bindings = vec![dy.read(), Operand::ParameterGradient(bias).write()];
        let channels = self.correlation.output[0] as u32;
        self.correlation.kernels(&SHADER, (1, 1)).dispatch("backward_bias", bindings, [channels, 1, 1])
    }
}
