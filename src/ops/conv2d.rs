//! Two-dimensional convolution (cross-correlation, as in every framework), with stride, zero padding, groups and bias.
//!
//! `y[n,o,oh,ow]` = `bias[o]` + sum over c,kh,kw of `w[o,c,kh,kw]` `x[n,c,oh*S+kh-PAD,ow*S+kw-PAD]`, c within the group of o.
//! x `[N,C,H,W]`, w `[O,C/GROUPS,KH,KW]`, bias `[O]`, y `[N,O,OH,OW]` with OH = (H + 2 PAD - KH) / S + 1.
//!
//! dx is the same correlation of dy, its elements spread S apart, with w flipped and its channels exchanged: one kernel serves
//! both. dw sums over all pixels of a batch: slices of them side by side, added in a fixed order.

use super::{Kernels, LANES, shader};
use crate::gpu::{Constant, Shader};
use crate::tape::{BufferId, Dispatch, Operand, ParamId, Record, Tape, Var, linear_grid};

/// `shaders/conv2d.wgsl`.
pub static SHADER: Shader = shader!("conv2d");

/// How a kernel moves over its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// S, at least 1.
    pub stride: usize,
    /// PAD, zeros on each side; less than the kernel's extent.
    pub padding: usize,
    /// Input and output channels are cut in this many groups that do not see each other.
    pub groups: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { stride: 1, padding: 0, groups: 1 }
    }
}

/// Output channels of an invocation; `O_TILE` in the shader.
pub const O_TILE: usize = 8;

/// Columns of an invocation.
const COLUMNS: usize = 8;

/// Rows and columns of taps of an invocation of the weight gradient; of a 1x1 kernel it takes as many channels.
const TAPS: usize = 3;

/// Invocations that the weight gradient is spread over, if there are rows enough. More fill a larger GPU; each slice costs a copy
/// of the weights in scratch memory.
const WEIGHT_INVOCATIONS: usize = 4096;

/// All extents of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub n: usize,
    /// Input channels, height, width.
    pub input: [usize; 3],
    /// Output channels, height, width.
    pub output: [usize; 3],
    /// KH, KW.
    pub kernel: [usize; 2],
    /// Stride, padding, groups.
    pub options: Options,
}

impl Geometry {
    /// Checks x `[N,C,H,W]` against w `[O,C/GROUPS,KH,KW]`.
    ///
    /// # Panics
    /// Naming `user`, the dimension and both tensors, if they do not fit.
    pub fn new(user: &str, x: [usize; 4], w: [usize; 4], options: Options) -> Self {
        let ([n, c, h, width], [o, c_group, kh, kw]) = (x, w);
        let Options { stride, padding, groups } = options;
        assert!(stride > 0 && groups > 0, "{user}: stride and groups are at least 1, found {options:?}");
        assert!(kh == kw, "{user}: the kernel must be square, found {kh}x{kw}");
        assert!(padding < kh, "{user}: padding {padding} must be less than the kernel's extent {kh}");
        assert!(c % groups == 0 && o % groups == 0, "{user}: {groups} groups do not divide C {c} and O {o}");
        assert!(c == c_group * groups, "{user}: C is {c} in x {x:?} but {} in w {w:?}", c_group * groups);
        let fits = h + 2 * padding >= kh && width + 2 * padding >= kw;
        assert!(fits, "{user}: a kernel {kh}x{kw} does not fit {h}x{width} with padding {padding}");
        let output = [o, (h + 2 * padding - kh) / stride + 1, (width + 2 * padding - kw) / stride + 1];
        Self { n, input: [c, h, width], output, kernel: [kh, kw], options }
    }

    /// The shape of y.
    pub fn y(&self) -> [usize; 4] {
        let [o, oh, ow] = self.output;
        [self.n, o, oh, ow]
    }

    fn weights(&self) -> usize {
        self.output[0] * self.input[0] / self.options.groups * self.kernel[0] * self.kernel[1]
    }
}

/// A correlation as the shader computes it, forward or of dy.
struct Correlation {
    n: usize,
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 2],
    groups: usize,
    stride: usize,
    dilation: usize,
    padding: usize,
    transposed: bool,
    bias: bool,
    slices: Slices,
}

/// How the weight gradient is spread over invocations.
#[derive(Clone, Copy)]
struct Slices {
    count: usize,
    rows: usize,
    invocations: usize,
}

impl Slices {
    fn of(g: &Geometry) -> Self {
        let (c_group, o_group) = (g.input[0] / g.options.groups, g.output[0] / g.options.groups);
        let c_tile = if g.kernel[0] == 1 { TAPS * TAPS } else { 1 };
        let k_tiles = g.kernel[0].div_ceil(TAPS);
        let per_slice = g.options.groups * o_group.div_ceil(O_TILE) * c_group.div_ceil(c_tile) * k_tiles * k_tiles;
        let all_rows = g.n * g.output[1];
        let rows = all_rows.div_ceil((WEIGHT_INVOCATIONS / per_slice).clamp(1, all_rows));
        let count = all_rows.div_ceil(rows);
        Self { count, rows, invocations: count * per_slice }
    }
}

impl Correlation {
    fn forward(g: &Geometry, bias: bool) -> Self {
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
            slices: Slices::of(g),
        }
    }

    fn of_gradient(g: &Geometry) -> Self {
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

    fn o_tiles(&self) -> usize {
        self.groups * (self.output[0] / self.groups).div_ceil(O_TILE)
    }

    fn packed(&self) -> usize {
        self.o_tiles() * O_TILE * self.input[0] / self.groups * self.kernel[0] * self.kernel[1]
    }

    fn kernels(&self) -> Kernels {
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
            ("SLICES", self.slices.count.into()),
            ("ROWS_PER_SLICE", self.slices.rows.into()),
        ];
        Kernels { shader: &SHADER, constants }
    }

    /// Packs the weights and correlates `x` with them into `y`.
    fn dispatches(&self, x: Operand, w: ParamId, packed: BufferId, y: Operand, bias: Operand) -> [Dispatch; 2] {
        let (kernels, packed) = (self.kernels(), Operand::from(packed));
        let [_, oh, ow] = self.output;
        let tiles = self.n * oh * ow.div_ceil(COLUMNS);
        let [columns, rows, _] = linear_grid(tiles, LANES);
        let grid = [columns, rows, self.o_tiles() as u32];
        [
            kernels.dispatch("pack", vec![Operand::from(w).read(), packed.write()], linear_grid(self.packed(), LANES)),
            kernels.dispatch("forward", vec![x.read(), packed.read(), y.write(), bias.read()], grid),
        ]
    }
}

/// Appends the convolution of x `[N,C,H,W]` with w `[O,C/GROUPS,KH,KW]`, plus bias `[O]` where there is one.
///
/// # Panics
/// If the shapes do not fit.
pub fn conv2d(tape: &mut Tape, name: &str, x: Var, w: ParamId, bias: Option<ParamId>, options: Options) -> Var {
    let weight = tape.declared(w).shape.clone();
    let dims = weight.dims().try_into().unwrap_or_else(|_| panic!("{name}: expected w [O,C,KH,KW], found {weight}"));
    let geometry = Geometry::new(name, tape.shape(x).nchw(name), dims, options);
    let y = tape.result(name, geometry.y(), &[x], true);

    let correlation = Correlation::forward(&geometry, bias.is_some());
    let packed = tape.buffer(&format!("{name}.packed"), 4 * correlation.packed() as u64);
    // Where there is no bias, the weights stand at its binding unread.
    let bias_in = Operand::from(bias.unwrap_or(w));
    let forward = correlation.dispatches(x.into(), w, packed, y.into(), bias_in).to_vec();

    let slices = correlation.slices;
    let partials =
        Operand::from(tape.buffer(&format!("{name}.slices"), 4 * (slices.count * geometry.weights()) as u64));
    let (kernels, dy) = (correlation.kernels(), Operand::Gradient(y));
    let (dw, weights) = (Operand::ParameterGradient(w), geometry.weights());
    let mut backward = vec![
        kernels.dispatch(
            "weight_partial",
            vec![Operand::from(x).read(), dy.read(), partials.write()],
            linear_grid(slices.invocations, LANES),
        ),
        kernels.dispatch("weight_reduce", vec![partials.read(), dw.write()], linear_grid(weights, LANES)),
    ];
    if let Some(bias) = bias {
        let bindings = vec![dy.read(), Operand::ParameterGradient(bias).write()];
        backward.push(kernels.dispatch("backward_bias", bindings, [geometry.output[0] as u32, 1, 1]));
    }
    if tape.needs_gradient(x) {
        let correlation = Correlation::of_gradient(&geometry);
        let packed = tape.buffer(&format!("{name}.packed_transposed"), 4 * correlation.packed() as u64);
        backward.extend(correlation.dispatches(dy, w, packed, Operand::Gradient(x), w.into()));
    }
    tape.record(Record { name: name.into(), op: "conv2d", result: Some(y), forward, backward });
    y
}

/// The same in f64.
pub mod reference {
    use super::Geometry;

    /// Calls `visit(y, x, w)` with the places of each product that the convolution sums.
    fn products(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
        let ([c, h, w], [o, oh, ow], [kh, kw]) = (g.input, g.output, g.kernel);
        let (c_group, o_group) = (c / g.options.groups, o / g.options.groups);
        for y in 0..g.n * o * oh * ow {
            let (image, out, row, column) = (y / (o * oh * ow), y / (oh * ow) % o, y / ow % oh, y % ow);
            for k in 0..c_group * kh * kw {
                let (channel, tap_row, tap_column) = (k / (kh * kw), k / kw % kh, k % kw);
                let at_row = (row * g.options.stride + tap_row).wrapping_sub(g.options.padding);
                let at_column = (column * g.options.stride + tap_column).wrapping_sub(g.options.padding);
                if at_row < h && at_column < w {
                    let plane = image * c + out / o_group * c_group + channel;
                    visit(y, (plane * h + at_row) * w + at_column, out * c_group * kh * kw + k);
                }
            }
        }
    }

    /// y.
    pub fn forward(x: &[f64], w: &[f64], bias: Option<&[f64]>, g: &Geometry) -> Vec<f64> {
        let [o, oh, ow] = g.output;
        let of_bias = |y: usize| bias.map_or(0.0, |bias| bias[y / (oh * ow) % o]);
        let mut result: Vec<f64> = (0..g.n * o * oh * ow).map(of_bias).collect();
        products(g, |y, at, k| result[y] += x[at] * w[k]);
        result
    }

    /// (dx, dw, dbias).
    pub fn backward(x: &[f64], w: &[f64], dy: &[f64], g: &Geometry) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let [o, oh, ow] = g.output;
        let (mut dx, mut dw, mut dbias) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; o]);
        products(g, |y, at, k| {
            dx[at] += dy[y] * w[k];
            dw[k] += dy[y] * x[at];
        });
        dy.iter().enumerate().for_each(|(y, g)| dbias[y / (oh * ow) % o] += g);
        (dx, dw, dbias)
    }
}
