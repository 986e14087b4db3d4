//! The correlation that gives y of x and, with w flipped and its channels exchanged, dx of dy.

use super::{DEPTHWISE_SHADER, DILATED_SHADER, Geometry, SHADER, SHARED_SHADER, UNEVEN_SHADER, WIDE_SHADER};
use crate::gpu::{Constant, Shader};
use crate::ops::{Kernels, LANES, WIDE_LANES};
use crate::tape::{Dispatch, Operand, ParamId, Tape, Target, Variant, linear_grid};

/// Output channels of an invocation; `O_TILE` in the shader.
pub const O_TILE: usize = 8;

/// Columns of an invocation.
const COLUMNS: usize = 8;

/// Output channels of a workgroup of the wide kernel; `O_TILE` in the shader.
pub const WIDE_CHANNELS: usize = 16;

/// Groups of four columns of an invocation of the wide kernel.
const GROUPS: usize = 4;

/// The same two of the kernel for spread out gradients; its `O_TILE`.
pub const DILATED_CHANNELS: usize = 8;
const DILATED_GROUPS: usize = 2;

/// Rows and columns of the result of a workgroup of the kernel with shared tiles.
const SHARED_ROWS: usize = 32;
pub(super) const SHARED_COLUMNS: usize = 128;

/// Output channels of a group from which on GPUs use it: fewer fill too little of the rows.
const SHARED_CHANNELS: usize = 24;

/// Rows of an invocation of the kernel for channels by themselves.
const STRIP: usize = 8;

/// The wide kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wide {
    /// Rows of whole vec4, so many of which lie beside each other in the tile of an invocation.
    Even(usize),
    /// The same of gradients that are spread out.
    Dilated(usize),
    /// Any others.
    Uneven,
}

impl Wide {
    pub(super) fn shader(self) -> &'static Shader {
        match self {
            Self::Even(_) => &WIDE_SHADER,
            Self::Dilated(_) => &DILATED_SHADER,
            Self::Uneven => &UNEVEN_SHADER,
        }
    }

    fn groups_per_row(self) -> usize {
        match self {
            Self::Even(groups) | Self::Dilated(groups) => groups,
            Self::Uneven => 1,
        }
    }
}

/// A correlation as the shaders compute it.
pub(super) struct Correlation {
    n: usize,
    input: [usize; 3],
    pub(super) output: [usize; 3],
    kernel: [usize; 2],
    groups: usize,
    stride: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
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
            dilation: [1, 1],
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
            stride: [1, 1],
            dilation: g.options.stride,
            padding: [0, 1].map(|axis| g.kernel[axis] - 1 - g.options.padding[axis]),
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

    /// Tiles of output channels of the wide kernel, over all groups.
    pub(super) fn wide_tiles(&self) -> usize {
        self.groups * (self.output[0] / self.groups).div_ceil(WIDE_CHANNELS)
    }

    /// Terms that the wide kernels add for an output: three taps in a row of one channel each, or three channels of a 1x1 kernel.
    pub(super) fn wide_terms(&self) -> usize {
        let c_group = self.input[0] / self.groups;
        let [kh, kw] = self.kernel;
        if self.is_pointwise() { c_group.div_ceil(3) } else { c_group * kh * kw.div_ceil(3) }
    }

    /// The vec4 of weights that they read.
    fn wide_packed(&self) -> usize {
        self.wide_tiles() * self.wide_terms() * WIDE_CHANNELS
    }

    /// Tiles of rows of the kernel with shared tiles, over all groups.
    pub(super) fn shared_rows(&self) -> usize {
        self.groups * (self.output[0] / self.groups).div_ceil(SHARED_ROWS)
    }

    /// Whether each channel is a group by itself, and the kernel for that applies.
    pub(super) fn is_depthwise(&self) -> bool {
        let alone = self.groups == self.input[0] && self.groups == self.output[0];
        alone && self.kernel == [3, 3] && self.padding == [1, 1] && matches!(self.steps(), [1, 1] | [2, 2])
    }

    /// Whether the kernel is 1x1.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
    }

    /// Strides of the convolution that this is a part of.
    fn steps(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.stride[axis] * self.dilation[axis])
    }

    /// The name of the task that a part of a convolution is.
    pub(super) fn task(&self, part: &str) -> String {
        let Self { n, input: [c, h, w], output: [o, oh, ow], kernel: [kh, kw], groups, padding, .. } = self;
        let (steps, padding) = (one_or_two(self.steps()), one_or_two(*padding));
        format!(
            "conv2d {part} [{n},{c},{h},{w}] -> [{o},{oh},{ow}], {kh}x{kw}/{steps}, padding {padding}, groups {groups}"
        )
    }

    /// The wide kernel of this correlation; `None` where none applies.
    pub(super) fn wide(&self) -> Option<Wide> {
        let (width, out) = (self.input[2], self.output[2]);
        let square = [self.kernel, self.stride, self.dilation, self.padding].iter().all(|[h, w]| h == w);
        let ([k, _], [stride, _], [padding, _]) = (self.kernel, self.stride, self.padding);
        let centred = square && (k == 1 || k == 3) && padding == (k - 1) / 2 && width.is_multiple_of(4 * stride);
        let in_row = |most: usize, row: usize| (1..=most).rev().find(|&groups| (row / 4).is_multiple_of(groups));
        match (self.stride, self.dilation) {
            ([_, 1 | 2], [_, 1]) if centred => in_row(GROUPS, out).map(Wide::Even),
            ([_, 1], [_, 2]) if centred && out == 2 * width => in_row(DILATED_GROUPS, width).map(Wide::Dilated),
            ([_, 1 | 2], _) => Some(Wide::Uneven),
            _ => None,
        }
    }

    /// Invocations of a wide kernel, and tiles of output channels.
    fn wide_grid(&self, wide: Wide) -> (usize, usize) {
        let ([_, h, w], [_, oh, ow]) = (self.input, self.output);
        let tiles = self.wide_tiles();
        match wide {
            Wide::Even(in_row) => (self.n * oh.div_ceil(GROUPS / in_row) * (ow / 4 / in_row), tiles),
            Wide::Dilated(in_row) => (
                self.n * h.div_ceil(DILATED_GROUPS / in_row) * (w / 4 / in_row),
                tiles * WIDE_CHANNELS / DILATED_CHANNELS,
            ),
            Wide::Uneven => ((self.n * oh * ow.div_ceil(4)).div_ceil(GROUPS), tiles),
        }
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
            ("SH", self.stride[0].into()),
            ("SW", self.stride[1].into()),
            ("PAD_H", self.padding[0].into()),
            ("PAD_W", self.padding[1].into()),
            ("DILATION_H", self.dilation[0].into()),
            ("DILATION_W", self.dilation[1].into()),
            ("GROUPS", self.groups.into()),
            ("TRANSPOSED", self.transposed.into()),
            ("BIAS", self.bias.into()),
            ("GROUPS_PER_ROW", self.wide().map_or(1, Wide::groups_per_row).into()),
            ("SLICES", slices.into()),
            ("PER_SLICE", per_slice.into()),
        ];
        Kernels { shader, constants }
    }

    /// Variants that apply, the target's usual one first.
    pub(super) fn variants(&self, target: Target) -> Vec<Variant> {
        let small = self.output[0] / self.groups < SHARED_CHANNELS;
        let idle = self.wide().is_some_and(|wide| wide == Wide::Uneven && self.wide_grid(wide).0 < WIDE_LANES);
        let order = match target {
            Target::Processor if idle => [Variant::Depthwise, Variant::Registers, Variant::Wide, Variant::Shared],
            Target::Processor => [Variant::Depthwise, Variant::Wide, Variant::Registers, Variant::Shared],
            Target::Gpu if small => [Variant::Depthwise, Variant::Registers, Variant::Shared, Variant::Wide],
            Target::Gpu => [Variant::Depthwise, Variant::Shared, Variant::Registers, Variant::Wide],
        };
        let applies = |variant: &Variant| match variant {
            Variant::Depthwise => self.is_depthwise(),
            Variant::Wide => self.wide().is_some(),
            Variant::Registers | Variant::Shared => true,
        };
        order.into_iter().filter(applies).collect()
    }

    /// The kernel for channels by themselves that stores whole vec4 where it can, and its grid.
    fn depthwise(&self) -> (&'static Shader, &'static str, [u32; 3]) {
        let ([c, h, w], [_, oh, ow]) = (self.input, self.output);
        let (entry, rows, columns) = match self.dilation {
            [2, 2] if w.is_multiple_of(4) && ow == 2 * w => ("forward_dilated", h, w),
            _ if ow.is_multiple_of(4) => ("forward_quads", oh, ow),
            _ => ("forward", oh, ow),
        };
        let strips = self.n * c * rows.div_ceil(STRIP) * columns.div_ceil(4);
        (&DEPTHWISE_SHADER, entry, linear_grid(strips, LANES))
    }

    /// Correlates `x` with `w` into `y`, by the variant in force for this `part` of the convolution; some pack the weights first.
    pub(super) fn dispatches(
        &self,
        tape: &mut Tape,
        (name, part): (&str, &str),
        x: Operand,
        w: ParamId,
        y: Operand,
        bias: Operand,
    ) -> Vec<Dispatch> {
        let (task, variant) = tape.choose(self.task(part), self.variants(tape.target()));
        let [_, oh, ow] = self.output;
        let o_tiles = self.o_tiles() as u32;
        let (shader, entry, grid) = match variant {
            Variant::Registers => {
                (&SHADER, "forward", over(linear_grid(self.n * oh * ow.div_ceil(COLUMNS), LANES), o_tiles))
            }
            Variant::Wide => {
                let wide = self.wide().expect("chosen where it applies");
                let (invocations, tiles) = self.wide_grid(wide);
                (wide.shader(), "forward", over(linear_grid(invocations, WIDE_LANES), tiles as u32))
            }
            Variant::Shared => {
                let tiles = (self.n * oh * ow).div_ceil(SHARED_COLUMNS);
                (&SHARED_SHADER, "forward", over(linear_grid(tiles, 1), self.shared_rows() as u32))
            }
            Variant::Depthwise => self.depthwise(),
        };
        let packing = match variant {
            Variant::Shared | Variant::Depthwise => None,
            Variant::Registers => Some((&SHADER, self.packed(), self.packed())),
            Variant::Wide => Some((&WIDE_SHADER, 4 * self.wide_packed(), self.wide_packed())),
        };
        let mut dispatches = vec![];
        let mut weights = Operand::from(w);
        if let Some((shader, floats, invocations)) = packing {
            let packed = Operand::from(tape.buffer(&format!("{name}.{part}.packed"), 4 * floats as u64));
            let bindings = vec![weights.read(), packed.write()];
            let grid = linear_grid(invocations, LANES);
            dispatches.push(self.kernels(shader, (1, 1)).dispatch("pack", bindings, grid).of_tunable(task));
            weights = packed;
        }
        let bindings = vec![x.read(), weights.read(), y.write(), bias.read()];
        let product = self.kernels(shader, (1, 1)).dispatch(entry, bindings, grid);
        dispatches.push(product.with_work(self.multiply_adds).of_tunable(task));
        dispatches
    }
}

/// Extents along both axes as they stand in the name of a task: one number where they are equal.
fn one_or_two([h, w]: [usize; 2]) -> String {
    if h == w { h.to_string() } else { format!("{h}x{w}") }
}

/// A grid of `columns`, once for each of `tiles`.
fn over([x, y, _]: [u32; 3], tiles: u32) -> [u32; 3] {
    [x, y, tiles]
}
