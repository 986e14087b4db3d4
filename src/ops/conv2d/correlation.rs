//! The correlation that gives y of x and, with w flipped and its channels exchanged, dx of dy.

use super::{Geometry, SHADER, WIDE_SHADER};
use crate::gpu::{Constant, Shader};
use crate::ops::{Kernels, LANES, WIDE_LANES};
use crate::tape::{BufferId, Dispatch, Operand, ParamId, Target, linear_grid};

/// Output channels of an invocation; `O_TILE` in the shader.
pub const O_TILE: usize = 8;

/// Columns of an invocation.
const COLUMNS: usize = 8;

/// Groups of four columns of an invocation of the wide kernel.
const GROUPS: usize = 8;

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

    /// Groups of four columns that lie in a row of the wide kernel's tile; `None` where that kernel does not apply.
    pub(super) fn groups_per_row(&self) -> Option<usize> {
        let [k, _] = self.kernel;
        let applies = self.stride == 1 && self.dilation == 1 && (k == 1 || k == 3) && self.padding == (k - 1) / 2;
        let columns = self.input[2];
        let fits = |groups: &usize| (columns / 4).is_multiple_of(*groups);
        (applies && columns.is_multiple_of(4)).then(|| (1..=GROUPS).rev().find(fits)).flatten()
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
            ("GROUPS_PER_ROW", self.groups_per_row().unwrap_or(1).into()),
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
        let (shader, [columns, rows, _]) = match (target, self.groups_per_row()) {
            (Target::Processor, Some(groups)) => {
                let tiles = self.n * oh.div_ceil(GROUPS / groups) * (ow / 4 / groups);
                (&WIDE_SHADER, linear_grid(tiles, WIDE_LANES))
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
            self.kernels(shader, (1, 1)).dispatch(
                "forward",
                vec![x.read(), packed.read(), y.write(), bias.read()],
                grid,
            ),
        ]
    }
}
