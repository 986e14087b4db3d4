//! YOLOv5 v7.0 (Jocher et al. 2022) with the names of its public state dict.

use crate::nn::{Conv, Model, Net, Output};
use crate::ops::batch_norm::{Activation, After, Norm};
use crate::ops::conv2d::Conv2dOptions;
use crate::ops::detection::{ANCHORS, Head, LEVELS};
use crate::ops::max_pool::Window;
use crate::tape::{Init, Var};

/// Height and width are a multiple of this, the largest stride of the head.
pub(super) const UNIT: usize = 32;

/// Epsilon of the batch normalisations, and the weight of a batch in their running statistics.
const EPSILON: f32 = 1e-3;
const MOMENTUM: f32 = 0.03;

/// The size of a YOLOv5, as multiples of the size of `yolov5l`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Yolov5 {
    /// Of the bottlenecks of a C3 module.
    pub(super) depth: f64,
    /// Of the channels.
    pub(super) width: f64,
}

impl Model for Yolov5 {
    /// The 25 modules. A module is a block and a level of depth; the paper does not say how it
    /// divides the model into layers.
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let x = net.pixels();
        let [_, _, side, _] = net.shape(x).nchw("YOLOv5");
        let fields = wanted[0].width / Head::yolov5(side, 0, 1).predictions(0);
        let x = net.module("model.0", 0, |net| conv(net, "", x, self.channels(64), (6, 2, 2)));
        let x = self.conv(net, 1, x, 128, (3, 2));
        let x = self.c3(net, 2, x, (128, 3), true);
        let x = self.conv(net, 3, x, 256, (3, 2));
        let of_4 = self.c3(net, 4, x, (256, 6), true);
        let x = self.conv(net, 5, of_4, 512, (3, 2));
        let of_6 = self.c3(net, 6, x, (512, 9), true);
        let x = self.conv(net, 7, of_6, 1024, (3, 2));
        let x = self.c3(net, 8, x, (1024, 3), true);
        let x = net.module("model.9", 9, |net| pyramid(net, x));
        let of_10 = self.conv(net, 10, x, 512, (1, 1));
        let x = with_upsampled(net, 12, of_10, of_6);
        let x = self.c3(net, 13, x, (512, 3), false);
        let of_14 = self.conv(net, 14, x, 256, (1, 1));
        let x = with_upsampled(net, 16, of_14, of_4);
        let of_17 = self.c3(net, 17, x, (256, 3), false);
        let x = self.conv(net, 18, of_17, 256, (3, 2));
        let x = concat(net, "model.19", &[x, of_14]);
        let of_20 = self.c3(net, 20, x, (512, 3), false);
        let x = self.conv(net, 21, of_20, 512, (3, 2));
        let x = concat(net, "model.22", &[x, of_10]);
        let of_23 = self.c3(net, 23, x, (1024, 3), false);
        net.module("model.24", 24, |net| detect(net, [of_17, of_20, of_23], side, fields))
    }
}

impl Yolov5 {
    /// Channels of this size of the model: a multiple of 8.
    fn channels(&self, channels: usize) -> usize {
        (channels as f64 * self.width / 8.0).ceil() as usize * 8
    }

    /// The module `index`, a convolution with this kernel and stride.
    fn conv(&self, net: &mut Net, index: usize, x: Var, channels: usize, (kernel, stride): (usize, usize)) -> Var {
        let channels = self.channels(channels);
        net.module(&format!("model.{index}"), index, |net| conv(net, "", x, channels, (kernel, stride, kernel / 2)))
    }

    /// The module `index`: cv3(concat(m(cv1(x)), cv2(x))), where m are bottlenecks, with shortcuts
    /// in the backbone.
    fn c3(&self, net: &mut Net, index: usize, x: Var, (channels, repeats): (usize, usize), shortcut: bool) -> Var {
        let channels = self.channels(channels);
        let repeats = ((repeats as f64 * self.depth).round() as usize).max(1);
        net.module(&format!("model.{index}"), index, |net| {
            let mut y = conv(net, "cv1.", x, channels / 2, (1, 1, 0));
            for i in 0..repeats {
                y = net.scope(&format!("m.{i}"), |net| bottleneck(net, y, shortcut));
            }
            let other = conv(net, "cv2.", x, channels / 2, (1, 1, 0));
            let both = concat(net, "concat", &[y, other]);
            conv(net, "cv3.", both, channels, (1, 1, 0))
        })
    }
}

/// silu(batch_norm(conv(x))) with this kernel, stride and padding.
fn conv(net: &mut Net, name: &str, x: Var, channels: usize, (kernel, stride, padding): (usize, usize, usize)) -> Var {
    let options = Conv2dOptions::square(stride, padding);
    let conv = Conv { channels, kernel: [kernel, kernel], options, bias: false };
    net.layer(&format!("{name}conv"), |net| {
        let mut y = net.convolve(&format!("{name}conv"), x, conv);
        if kernel > 1 {
            y = net.blur(&format!("{name}blur"), y);
        }
        let bn = format!("{name}bn");
        let norm = Norm { epsilon: EPSILON, momentum: MOMENTUM, ..net.norm(&bn, channels) };
        net.normalise(&bn, y, norm, After { residual: None, activation: Activation::Silu })
    })
}

/// cv2(cv1(x)), plus x with `shortcut`.
fn bottleneck(net: &mut Net, x: Var, shortcut: bool) -> Var {
    let [_, channels, ..] = net.shape(x).nchw("bottleneck");
    let y = conv(net, "cv1.", x, channels, (1, 1, 0));
    let y = conv(net, "cv2.", y, channels, (3, 1, 1));
    if shortcut { net.add("sum", x, y) } else { y }
}

/// Spatial pyramid pooling: cv2 of cv1(x) and its maxima over 5x5, 9x9 and 13x13 elements.
fn pyramid(net: &mut Net, x: Var) -> Var {
    let [_, channels, ..] = net.shape(x).nchw("pyramid");
    let mut parts = vec![conv(net, "cv1.", x, channels / 2, (1, 1, 0))];
    for i in 1..4 {
        parts.push(net.max_pool(&format!("pool{i}"), parts[i - 1], Window { kernel: 5, stride: 1, padding: 2 }));
    }
    let all = concat(net, "concat", &parts);
    conv(net, "cv2.", all, channels, (1, 1, 0))
}

/// The channels of `parts`, one after the other.
fn concat(net: &mut Net, name: &str, parts: &[Var]) -> Var {
    let shapes: Vec<[usize; 4]> = parts.iter().map(|&part| net.shape(part).nchw(name)).collect();
    let [n, _, h, w] = shapes[0];
    let whole = net.allocate(name, [n, shapes.iter().map(|shape| shape[1]).sum(), h, w]);
    let mut first = 0;
    for (i, (&part, [_, channels, ..])) in parts.iter().zip(shapes).enumerate() {
        net.write_channels(&format!("{name}.{i}"), whole, first, part);
        first += channels;
    }
    whole
}

/// The channels of x, upsampled to twice its height and width, then those of `other`.
fn with_upsampled(net: &mut Net, index: usize, x: Var, other: Var) -> Var {
    let name = format!("model.{index}");
    let ([_, c, ..], [n, more, h, w]) = (net.shape(x).nchw(&name), net.shape(other).nchw(&name));
    let whole = net.allocate(&name, [n, c + more, h, w]);
    net.write_upsampled(&format!("model.{}", index - 1), whole, 0, x);
    net.write_channels(&format!("{name}.1"), whole, c, other);
    whole
}

/// A 1x1 convolution of each level to the logits of its predictions.
fn detect(net: &mut Net, levels: [Var; LEVELS], side: usize, fields: usize) -> Vec<Var> {
    let head = Head::yolov5(side, fields - 5, 1);
    let level = |(level, x): (usize, Var)| {
        let name = format!("m.{level}");
        let conv = Conv { bias: true, ..Conv::pointwise(ANCHORS * fields, 1) };
        // About eight objects in an image of 640x640, and equally frequent classes.
        let cells = 640.0 / head.strides[level] as f64;
        let (object, class) = ((8.0 / (cells * cells)).ln(), (0.6 / (head.classes as f64 - 0.99999)).ln());
        net.layer(&name, |net| {
            net.convolve_of(&name, x, conv, |bound| Init::DetectorBias { bound, fields, object, class })
        })
    };
    levels.into_iter().enumerate().map(level).collect()
}
