//! MobileNetV2 (Sandler et al. 2018) with torchvision's names.

use super::ImageModel;
use crate::nn::{Conv, Net};
use crate::ops::batch_norm::{Activation, After};
use crate::tape::Var;

/// Expansion, channels, blocks and stride of the first block of each stage (table 2 of the paper).
const STAGES: [[usize; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Channels of the stem and of the last convolution.
const ENDS: [usize; 2] = [32, 1280];

/// MobileNetV2. The first convolution and the second stage have stride `stride`: 2 in torchvision,
/// 1 for images of 32x32. The parameters are the same.
pub(super) fn mobilenet_v2(stride: usize) -> ImageModel {
    Box::new(move |net, x, classes| {
        let mut x = net.scope("features.0", |net| conv_bn_relu6(net, ["0", "1"], x, Conv::same3x3(ENDS[0], stride)));
        let mut index = 0;
        for (stage, [expansion, channels, blocks, first]) in STAGES.into_iter().enumerate() {
            for block in 0..blocks {
                index += 1;
                let stride = match (stage, block) {
                    (1, 0) => stride,
                    (_, 0) => first,
                    _ => 1,
                };
                let name = format!("features.{index}.conv");
                x = net.block(&name, |net| inverted_residual(net, x, expansion, channels, stride));
            }
        }
        let last = format!("features.{}", index + 1);
        let x = net.scope(&last, |net| conv_bn_relu6(net, ["0", "1"], x, Conv::pointwise(ENDS[1], 1)));
        let x = net.global_mean_pool("pool", x);
        let x = net.dropout("classifier.0", x, 0.2);
        net.linear("classifier.1", x, classes)
    })
}

fn conv_bn_relu6(net: &mut Net, [conv, norm]: [&str; 2], x: Var, options: Conv) -> Var {
    let x = net.conv2d(conv, x, options);
    net.batch_norm_then(norm, x, After { activation: Activation::Relu6, residual: None })
}

/// A 1x1 convolution that expands the channels, a depthwise 3x3 convolution, and a 1x1 convolution
/// without activation; plus x where input and output have the same shape.
fn inverted_residual(net: &mut Net, x: Var, expansion: usize, channels: usize, stride: usize) -> Var {
    let [_, c, _, _] = net.shape(x).nchw("inverted residual");
    let hidden = expansion * c;
    let (mut y, mut index) = (x, 0);
    if expansion > 1 {
        y = net.scope("0", |net| conv_bn_relu6(net, ["0", "1"], y, Conv::pointwise(hidden, 1)));
        index = 1;
    }
    let mut depthwise = Conv::same3x3(hidden, stride);
    depthwise.options.groups = hidden;
    y = net.scope(&index.to_string(), |net| conv_bn_relu6(net, ["0", "1"], y, depthwise));
    let y = net.conv2d(&(index + 1).to_string(), y, Conv::pointwise(channels, 1));
    let residual = (stride == 1 && c == channels).then_some(x);
    net.batch_norm_then(&(index + 2).to_string(), y, After { activation: Activation::Identity, residual })
}
