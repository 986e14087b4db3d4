//! The correlation that gives y of x and, with w flipped and its channels exchanged, dx of dy.

use super::{Geometry, SHADER, SPREAD_SHADER, WIDE_SHADER};
use crate::gpu::{Constant, Shader};
use crate::ops::{Kernels, LANES, WIDE_LANES};
use crate::tape::{BufferId, Dispatch, Operand, ParamId, Target, linear_grid};

/// Output channels of an invocation; `O_TILE` in the shader.
pub const O_TILE: usize = 8;

/// Columns of an invocation.
const COLUMNS: usize = 8;

/// Groups of four columns of an invocation of the wide kernel.
const GROUPS: usize = 8;

/// The same of the kernel for spread out gradients.
const SPREAD_GROUPS: usize = 2;

/// A correlation as the shaders compute it.
pub(super) struct Correlation {
    n: usize,
    input: [usize; 3],
    pub(super) output: [usize; 3],
    kernel: [usize; 2],
    groups: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
    transposed: bool,
    bias: bool,
    multiply_adds: usize,
}

impl Correlation {
    pub(super) fn forward(g: &Geometry, bias: bool) -> Self {
        Self {
            n: g.n,
            input: g.input,
            output: g.output,
            kernel: g.kernel,
            groups: g.options.groups,
            stride: g.options.stride,
            dilation: 1,
            padding: g.options.padding,
            transposed: false,
            bias,
            multiply_adds: g.multiply_adds(),
        }
    }

    pub(super) fn of_gradient(g: &Geometry) -> Self {
        Self {
            input: g.output,
            output: g.input,
            stride: 1,
            dilation: g.options.stride,
            padding: g.kernel[0] - 1 - g.options.padding,
            transposed: true,
            ..Self::forward(g, false)
        }
    }

    /// Tiles of output channels, over all groups.
    pub(super) fn o_tiles(&self) -> usize {
        self.groups * (self.output[0] / self.groups).div_ceil(O_TILE)
    }

    /// Elements of the packed weights.
    pub(super) fn packed(&self) -> usize {
        self.o_tiles() * O_TILE * self.input[0] / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Groups of four columns that lie in a row of the tile of a processor's kernel, and the kernel; `None` where none applies.
    pub(super) fn wide(&self) -> Option<(usize, &'static Shader)> {
        let [k, _] = self.kernel;
        let (width, out) = (self.input[2], self.output[2]);
        let (groups, row, shader) = match (self.stride, self.dilation) {
            (1 | 2, 1) => (GROUPS, out, &WIDE_SHADER),
            (1, 2) if out == 2 * width => (SPREAD_GROUPS, width, &SPREAD_SHADER),
            _ => return None,
        };
        let applies = (k == 1 || k == 3) && self.padding == (k - 1) / 2;
        let fits = |groups: &usize| (row / 4).is_multiple_of(*groups);
        let whole = width.is_multiple_of(4 * self.stride);
        (applies && whole).then(|| (1..=groups).rev().find(fits).map(|groups| (groups, shader))).flatten()
    }

    /// Kernels of one of the files, both of which expect the same constants; `slices` and what each of them holds matter to the
    /// weight gradient alone.
    pub(super) fn kernels(&self, shader: &'static Shader, (slices, per_slice): (usize, usize)) -> Kernels {
        let [c, h, w] = self.input;
        let [o, oh, ow] = self.output;
        let constants: Vec<(_, Constant)> = vec![
            ("N", self.n.into()),
            ("C", c.into()),
            ("H", h.into()),
            ("W", w.into()),
            ("O", o.into()),
            ("OH", oh.into()),
            ("OW", ow.into()),
            ("KH", self.kernel[0].into()),
            ("KW", self.kernel[1].into()),
            ("S", self.stride.into()),
            ("PAD", self.padding.into()),
            ("DILATION", self.dilation.into()),
            ("GROUPS", self.groups.into()),
            ("TRANSPOSED", self.transposed.into()),
            ("BIAS", self.bias.into()),
            ("GROUPS_PER_ROW", self.wide().map_or(1, |(groups, _)| groups).into()),
            ("SLICES", slices.into()),
            ("PER_SLICE", per_slice.into()),
        ];
        Kernels { shader, constants }
    }

    /// Packs the weights and correlates `x` with them into `y`.
    pub(super) fn dispatches(
        &self,
        target: Target,
        x: Operand,
        w: ParamId,
        packed: BufferId,
        y: Operand,
        bias: Operand,
    ) -> [Dispatch; 2] {
        let packed = Operand::from(packed);
        let [_, oh, ow] = self.output;
        let (shader, [columns, rows, _]) = match (target, self.wide()) {
            (Target::Processor, Some((groups, shader))) => {
                let (all, [_, h, w]) = match self.dilation {
                    1 => (GROUPS, self.output),
                    _ => (SPREAD_GROUPS, self.input),
                };
                let tiles = self.n * h.div_ceil(all / groups) * (w / 4 / groups);
                (shader, linear_grid(tiles, WIDE_LANES))
            }
            _ => (&SHADER, linear_grid(self.n * oh * ow.div_ceil(COLUMNS), LANES)),
        };
        let grid = [columns, rows, self.o_tiles() as u32];
        [
            self.kernels(&SHADER, (1, 1)).dispatch(
                "pack",
                vec![Operand::from(w).read(), packed.write()],
                linear_grid(self.packed(), LANES),
            ),
            self.kernels(shader, (1, 1))
                .dispatch("forward", vec![x.read(), packed.read(), y.write(), bias.read()], grid)
                .with_work(self.multiply_adds),
        ]
    }
}
