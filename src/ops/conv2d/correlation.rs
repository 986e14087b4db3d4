//! The correlation that computes y from x and w, or dx from dy and w.

use super::{DEPTHWISE_SHADER, DILATED_SHADER, Geometry, SHADER, SHARED_SHADER, UNEVEN_SHADER, WIDE_SHADER};
use crate::gpu::{Constant, Shader};
use crate::ops::{Kernels, LANES, WIDE_LANES};
use crate::tape::{Dispatch, Operand, ParamId, Tape, Target, Variant, linear_grid};

/// Output channels per invocation of `conv2d.wgsl`, its `O_TILE`.
pub const O_TILE: usize = 8;

/// Columns per invocation of `conv2d.wgsl`.
const COLUMNS: usize = 8;

/// Output channels per workgroup of `conv2d_wide.wgsl`, its `O_TILE`.
pub const WIDE_CHANNELS: usize = 16;

/// Groups of four columns per invocation of `conv2d_wide.wgsl`.
const GROUPS: usize = 4;

/// Output channels per workgroup of `conv2d_dilated.wgsl`, its `O_TILE`.
pub const DILATED_CHANNELS: usize = 8;

/// Groups of four columns per invocation of `conv2d_dilated.wgsl`.
const DILATED_GROUPS: usize = 2;

/// Output channels per workgroup of `conv2d_shared.wgsl`.
const SHARED_ROWS: usize = 32;

/// Pixels per workgroup of `conv2d_shared.wgsl`, or terms of its weight gradient.
pub(super) const SHARED_COLUMNS: usize = 128;

/// The shared kernel is the default on GPUs from this many output channels per group on. With
/// fewer, too many of its rows are empty.
const MIN_SHARED_CHANNELS: usize = 24;

/// Rows per invocation of `conv2d_depthwise.wgsl`.
const STRIP: usize = 8;

/// The wide kernels. The number is [`Wide::groups_per_row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wide {
    /// `conv2d_wide.wgsl`, for rows that are a multiple of 4.
    Even(usize),
    /// `conv2d_dilated.wgsl`, for dx of stride 2 with such rows.
    Dilated(usize),
    /// `conv2d_uneven.wgsl`, for all other extents.
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

    /// How many of an invocation's groups of four columns are in the same row.
    fn groups_per_row(self) -> usize {
        match self {
            Self::Even(groups) | Self::Dilated(groups) => groups,
            Self::Uneven => 1,
        }
    }
}

/// A correlation, with the extents that the shaders use: for dx, `input` is dy and `output` dx.
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

    pub(super) fn input_gradient(g: &Geometry) -> Self {
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

    /// Tiles of output channels of the registers kernel, over all groups.
    pub(super) fn o_tiles(&self) -> usize {
        self.groups * (self.output[0] / self.groups).div_ceil(O_TILE)
    }

    /// Floats of the packed weights of the registers kernel.
    pub(super) fn packed(&self) -> usize {
        self.o_tiles() * O_TILE * self.input[0] / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Tiles of output channels of the wide kernels, over all groups.
    pub(super) fn wide_tiles(&self) -> usize {
        self.groups * (self.output[0] / self.groups).div_ceil(WIDE_CHANNELS)
    }

    /// Terms that the wide kernels add for an output. A term is three taps in a row of one channel,
    /// or with a 1x1 kernel three channels.
    pub(super) fn wide_terms(&self) -> usize {
        let c_group = self.input[0] / self.groups;
        let [kh, kw] = self.kernel;
        if self.is_pointwise() { c_group.div_ceil(3) } else { c_group * kh * kw.div_ceil(3) }
    }

    /// Number of vec4 in the packed weights of the wide kernels.
    fn wide_packed(&self) -> usize {
        self.wide_tiles() * self.wide_terms() * WIDE_CHANNELS
    }

    /// Tiles of output channels of the shared kernel, over all groups.
    pub(super) fn shared_rows(&self) -> usize {
        self.groups * (self.output[0] / self.groups).div_ceil(SHARED_ROWS)
    }

    /// Whether the depthwise kernel applies: each channel is a group, with a 3x3 kernel, padding 1
    /// and stride 1 or 2.
    pub(super) fn is_depthwise(&self) -> bool {
        let depthwise = self.groups == self.input[0] && self.groups == self.output[0];
        depthwise && self.kernel == [3, 3] && self.padding == [1, 1] && matches!(self.conv_stride(), [1, 1] | [2, 2])
    }

    /// Whether the kernel is 1x1.
    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
    }

    /// The stride of the convolution. For dx it is this correlation's dilation.
    fn conv_stride(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.stride[axis] * self.dilation[axis])
    }

    /// The name of a part of the convolution (`forward`, `dx` or `dw`) as a tunable operation.
    pub(super) fn op_name(&self, part: &str) -> String {
        let Self { n, input: [c, h, w], output: [o, oh, ow], kernel: [kh, kw], groups, padding, .. } = self;
        let (stride, padding) = (one_or_two(self.conv_stride()), one_or_two(*padding));
        format!(
            "conv2d {part} [{n},{c},{h},{w}] -> [{o},{oh},{ow}], {kh}x{kw}/{stride}, padding {padding}, groups {groups}"
        )
    }

    /// The wide kernel for this correlation, if any.
    pub(super) fn wide(&self) -> Option<Wide> {
        let (width, out) = (self.input[2], self.output[2]);
        let square = [self.kernel, self.stride, self.dilation, self.padding].iter().all(|[h, w]| h == w);
        let ([k, _], [stride, _], [padding, _]) = (self.kernel, self.stride, self.padding);
        let centred = square && (k == 1 || k == 3) && padding == (k - 1) / 2 && width.is_multiple_of(4 * stride);
        let in_row = |limit: usize, row: usize| (1..=limit).rev().find(|&groups| (row / 4).is_multiple_of(groups));
        match (self.stride, self.dilation) {
            ([_, 1 | 2], [_, 1]) if centred => in_row(GROUPS, out).map(Wide::Even),
            ([_, 1], [_, 2]) if centred && out == 2 * width => in_row(DILATED_GROUPS, width).map(Wide::Dilated),
            ([_, 1 | 2], _) => Some(Wide::Uneven),
            _ => None,
        }
    }

    /// Invocations of a wide kernel per tile of output channels, and the number of tiles.
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

    /// Kernels of a convolution shader. All expect the same constants. `slices` and the length of a
    /// slice are used only by the weight gradient.
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

    /// The variants that apply, the target's default first.
    pub(super) fn variants(&self, target: Target) -> Vec<Variant> {
        let small = self.output[0] / self.groups < MIN_SHARED_CHANNELS;
        // With fewer invocations than a workgroup has, most of a wide kernel would be idle.
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

    /// The depthwise kernel, which stores vec4 if the extents allow it, and its grid.
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

    /// Dispatches that correlate `x` with `w` into `y`. `part` is `forward` or `dx`. The tape
    /// chooses the variant. Some variants pack the weights first.
    pub(super) fn dispatches(
        &self,
        tape: &mut Tape,
        (name, part): (&str, &str),
        x: Operand,
        w: ParamId,
        y: Operand,
        bias: Operand,
    ) -> Vec<Dispatch> {
        let (op, variant) = tape.choose(self.op_name(part), self.variants(tape.target()));
        let [_, oh, ow] = self.output;
        let o_tiles = self.o_tiles() as u32;
        let (shader, entry, grid) = match variant {
            Variant::Registers => {
                (&SHADER, "forward", with_tiles(linear_grid(self.n * oh * ow.div_ceil(COLUMNS), LANES), o_tiles))
            }
            Variant::Wide => {
                let wide = self.wide().expect("a variant is chosen only if it applies");
                let (invocations, tiles) = self.wide_grid(wide);
                (wide.shader(), "forward", with_tiles(linear_grid(invocations, WIDE_LANES), tiles as u32))
            }
            Variant::Shared => {
                let tiles = (self.n * oh * ow).div_ceil(SHARED_COLUMNS);
                (&SHARED_SHADER, "forward", with_tiles(linear_grid(tiles, 1), self.shared_rows() as u32))
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
            dispatches.push(self.kernels(shader, (1, 1)).dispatch("pack", bindings, grid).of_tunable(op));
            weights = packed;
        }
        let bindings = vec![x.read(), weights.read(), y.write(), bias.read()];
        let product = self.kernels(shader, (1, 1)).dispatch(entry, bindings, grid);
        dispatches.push(product.with_work(self.multiply_adds).of_tunable(op));
        dispatches
    }
}

/// Two extents as text: one number if they are equal.
fn one_or_two([h, w]: [usize; 2]) -> String {
    if h == w { h.to_string() } else { format!("{h}x{w}") }
}

/// A grid with `tiles` as its third dimension.
fn with_tiles([x, y, _]: [u32; 3], tiles: u32) -> [u32; 3] {
    [x, y, tiles]
}
