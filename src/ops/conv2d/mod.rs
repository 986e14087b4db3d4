//! Two-dimensional convolution with stride, zero padding, groups and bias. As in PyTorch, it is a
//! cross-correlation.
//!
//! `y[n,o,oh,ow]` = `bias[o]` + sum over c,kh,kw of
//! `w[o,c,kh,kw]` `x[n,c,oh*SH+kh-PAD_H,ow*SW+kw-PAD_W]`, with c in the group of o.
//! x `[N,C,H,W]`, w `[O,C/GROUPS,KH,KW]`, bias `[O]`, y `[N,O,OH,OW]` with
//! OH = (H + 2 PAD_H - KH) / SH + 1, and OW likewise.
//!
//! dx is a correlation too, so the same kernels compute it. Its input is dy dilated by the stride,
//! that is, with SH - 1 and SW - 1 zeros between its elements. Its weights are w flipped in both
//! axes, with input and output channels swapped.
//!
//! dw is a sum over all pixels of a batch. It is cut into slices, which are computed in parallel
//! and then added in a fixed order.

mod correlation;
pub mod reference;
mod weight_gradient;

use super::shader;
use crate::gpu::Shader;
use crate::tape::{Mode, Operand, ParamId, Record, Tape, Var};
use correlation::Correlation;

/// `shaders/conv2d.wgsl`.
pub static SHADER: Shader = shader!("conv2d");

/// `shaders/conv2d_wide.wgsl`.
pub static WIDE_SHADER: Shader = shader!("conv2d_wide");

/// `shaders/conv2d_dilated.wgsl`.
pub static DILATED_SHADER: Shader = shader!("conv2d_dilated");

/// `shaders/conv2d_uneven.wgsl`.
pub static UNEVEN_SHADER: Shader = shader!("conv2d_uneven");

/// `shaders/conv2d_shared.wgsl`.
pub static SHARED_SHADER: Shader = shader!("conv2d_shared");

/// `shaders/conv2d_depthwise.wgsl`.
pub static DEPTHWISE_SHADER: Shader = shader!("conv2d_depthwise");

pub use correlation::{DILATED_CHANNELS, O_TILE, WIDE_CHANNELS};

/// Stride, padding and groups of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// SH and SW, at least 1.
    pub stride: [usize; 2],
    /// PAD_H and PAD_W, the zeros on each side; each less than the kernel's extent.
    pub padding: [usize; 2],
    /// Number of groups. An output channel depends only on the input channels of its group.
    pub groups: usize,
}

impl Conv2dOptions {
    /// The same stride and padding for both axes, and one group.
    pub fn square(stride: usize, padding: usize) -> Self {
        Self { stride: [stride; 2], padding: [padding; 2], groups: 1 }
    }
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self::square(1, 0)
    }
}

/// The extents and options of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Number of images.
    pub n: usize,
    /// Input channels, height, width.
    pub input: [usize; 3],
    /// Output channels, height, width.
    pub output: [usize; 3],
    /// KH, KW.
    pub kernel: [usize; 2],
    /// Stride, padding, groups.
    pub options: Conv2dOptions,
}

impl Geometry {
    /// The geometry for x `[N,C,H,W]` and w `[O,C/GROUPS,KH,KW]`.
    ///
    /// # Panics
    /// If the shapes do not fit. The message names `user`, the dimension and both tensors.
    pub fn new(user: &str, x: [usize; 4], w: [usize; 4], options: Conv2dOptions) -> Self {
        let ([n, c, h, width], [o, c_group, kh, kw]) = (x, w);
        let Conv2dOptions { stride: [sh, sw], padding: [ph, pw], groups } = options;
        assert!(sh > 0 && sw > 0 && groups > 0, "{user}: strides and groups are at least 1, found {options:?}");
        assert!(ph < kh && pw < kw, "{user}: padding {ph}x{pw} must be less than the kernel's extents {kh}x{kw}");
        assert!(c % groups == 0 && o % groups == 0, "{user}: {groups} groups do not divide C {c} and O {o}");
        assert!(c == c_group * groups, "{user}: C is {c} in x {x:?} but {} in w {w:?}", c_group * groups);
        let fits = h + 2 * ph >= kh && width + 2 * pw >= kw;
        assert!(fits, "{user}: a kernel {kh}x{kw} does not fit {h}x{width} with padding {ph}x{pw}");
        let output = [o, (h + 2 * ph - kh) / sh + 1, (width + 2 * pw - kw) / sw + 1];
        Self { n, input: [c, h, width], output, kernel: [kh, kw], options }
    }

    /// The shape of y.
    pub fn y(&self) -> [usize; 4] {
        let [o, oh, ow] = self.output;
        [self.n, o, oh, ow]
    }

    /// An equivalent geometry whose rows are a multiple of 4, if possible. A 1x1 kernel with stride
    /// 1 may treat a plane as one row.
    fn with_vec4_rows(self) -> Self {
        let [c, h, w] = self.input;
        let pointwise = self.kernel == [1, 1] && self.options.stride == [1, 1];
        match pointwise && !w.is_multiple_of(4) && (h * w).is_multiple_of(4) {
            true => Self { input: [c, 1, h * w], output: [self.output[0], 1, h * w], ..self },
            false => self,
        }
    }

    /// Multiply-adds of y, and also of dx and of dw. Those with padding are included.
    fn multiply_adds(&self) -> usize {
        self.n * self.output[1] * self.output[2] * self.weights()
    }

    /// Number of elements of w.
    fn weights(&self) -> usize {
        self.output[0] * self.input[0] / self.options.groups * self.kernel[0] * self.kernel[1]
    }
}

/// Appends the convolution of x `[N,C,H,W]` with w `[O,C/GROUPS,KH,KW]`, plus bias `[O]` if given.
///
/// # Panics
/// If the shapes do not fit.
pub fn conv2d(tape: &mut Tape, name: &str, x: Var, w: ParamId, bias: Option<ParamId>, options: Conv2dOptions) -> Var {
    let weight = tape.declared(w).shape.clone();
    let dims = weight.dims().try_into().unwrap_or_else(|_| panic!("{name}: expected w [O,C,KH,KW], found {weight}"));
    let geometry = Geometry::new(name, tape.shape(x).nchw(name), dims, options);
    let y = tape.result(name, geometry.y(), &[x], true);
    let geometry = geometry.with_vec4_rows();

    // Without a bias, the weights are bound in its place and not read.
    let bias_in = Operand::from(bias.unwrap_or(w));
    let forward = Correlation::forward(&geometry, bias.is_some());
    let forward = forward.dispatches(tape, (name, "forward"), x.into(), w, y.into(), bias_in);

    let mut backward = vec![];
    if tape.mode() == Mode::Train {
        let dy = Operand::Gradient(y);
        backward.extend(weight_gradient::dispatches(tape, name, &geometry, x.into(), dy, w));
        backward.extend(bias.map(|bias| weight_gradient::bias_gradient(&geometry, dy, bias)));
        if tape.needs_gradient(x) {
            let input_gradient = Correlation::input_gradient(&geometry);
            backward.extend(input_gradient.dispatches(tape, (name, "dx"), dy, w, Operand::Gradient(x), w.into()));
        }
    }
    tape.record(Record { name: name.into(), op: "conv2d", result: Some(y), forward, backward });
    let inputs: Vec<Operand> = [x.into(), w.into()].into_iter().chain(bias.map(Operand::from)).collect();
    let Conv2dOptions { stride, padding, groups } = options;
    tape.node(&inputs, &[("stride", &stride), ("padding", &padding), ("groups", &[groups])]);
    y
}
