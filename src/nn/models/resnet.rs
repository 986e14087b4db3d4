//! Residual networks: for small images (He et al. 2016, section 4.2; the published LeRaC code), and
//! torchvision's for large ones.

use super::{ImageModel, conv_bn_relu};
use crate::nn::{Conv, Net};
use crate::ops::batch_norm::{Activation, After};
use crate::ops::{conv2d::Conv2dOptions, max_pool::Window};
use crate::tape::Var;

/// 6 n + 2 layers in three stages of 16, 32 and 64 channels, with projection shortcuts.
pub(super) fn resnet_of_6n_plus_2(n: usize) -> ImageModel {
    small_images("1", &[16, 32, 64], n)
}

/// A ResNet for small images: a 3x3 convolution `conv{stem}`, a stage of `blocks` basic blocks for
/// each of `channels`, and a linear classifier. It has no max-pooling.
///
/// Four stages of two blocks with the stem `1_initial` are the ResNet-18 of the published LeRaC
/// code: 11,173,962 parameters for 3x32x32 and 10 classes.
pub(super) fn small_images(stem: &'static str, channels: &'static [usize], blocks: usize) -> ImageModel {
    Box::new(move |net, x, classes| {
        let mut x = conv_bn_relu(net, stem, x, Conv::same3x3(channels[0], 1));
        for (stage, &channels) in channels.iter().enumerate() {
            x = self::stage(net, stage, x, blocks, |net, x, stride| basic(net, x, channels, stride, "shortcut"));
        }
        let x = net.global_mean_pool("pool", x);
        net.linear("linear", x, classes)
    })
}

/// torchvision's ResNets for large images. `blocks` is the number of blocks of each stage.
pub(super) fn large_images(blocks: [usize; 4], block: Block) -> ImageModel {
    Box::new(move |net, x, classes| {
        let stem = Conv { channels: 64, kernel: [7, 7], options: Conv2dOptions::square(2, 3), bias: false };
        let x = conv_bn_relu(net, "1", x, stem);
        let mut x = net.max_pool("maxpool", x, Window { kernel: 3, stride: 2, padding: 1 });
        for (stage, blocks) in blocks.into_iter().enumerate() {
            let channels = 64 << stage;
            x = self::stage(net, stage, x, blocks, |net, x, stride| match block {
                Block::Basic => basic(net, x, channels, stride, "downsample"),
                Block::Bottleneck { widen } => bottleneck(net, x, channels, widen * channels, stride),
            });
        }
        let x = net.global_mean_pool("avgpool", x);
        net.linear("fc", x, classes)
    })
}

/// The residual block of [`large_images`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3 and 1x1 convolutions. The output has 4 times the channels of the stage, the inner
    /// activations have `widen` times.
    Bottleneck { widen: usize },
}

/// A stage of `blocks` blocks. The first block has stride 2, except in stage 0.
fn stage(net: &mut Net, stage: usize, mut x: Var, blocks: usize, block: impl Fn(&mut Net, Var, usize) -> Var) -> Var {
    for index in 0..blocks {
        let stride = if stage > 0 && index == 0 { 2 } else { 1 };
        x = net.block(&format!("layer{}.{index}", stage + 1), |net| block(net, x, stride));
    }
    x
}

/// The shortcut of a block: x where the block keeps its shape, otherwise a 1x1 convolution with
/// batch norm.
fn shortcut(net: &mut Net, name: &str, x: Var, channels: usize, stride: usize) -> Var {
    let [_, c, _, _] = net.shape(x).nchw("block");
    if stride == 1 && c == channels {
        return x;
    }
    net.shortcut(name, |net| {
        let x = net.conv2d("0", x, Conv::pointwise(channels, stride));
        net.batch_norm("1", x)
    })
}

/// relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)).
fn basic(net: &mut Net, x: Var, channels: usize, stride: usize, name: &str) -> Var {
    let y = conv_bn_relu(net, "1", x, Conv::same3x3(channels, stride));
    let y = net.conv2d("conv2", y, Conv::same3x3(channels, 1));
    let norm = net.norm("bn2", channels);
    let residual = Some(shortcut(net, name, x, channels, stride));
    net.normalise("bn2", y, norm, After { residual, activation: Activation::Relu })
}

/// relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x)). conv2 has the stride, as
/// in torchvision.
fn bottleneck(net: &mut Net, x: Var, channels: usize, width: usize, stride: usize) -> Var {
    let y = conv_bn_relu(net, "1", x, Conv::pointwise(width, 1));
    let y = conv_bn_relu(net, "2", y, Conv::same3x3(width, stride));
    let y = net.conv2d("conv3", y, Conv::pointwise(4 * channels, 1));
    let norm = net.norm("bn3", 4 * channels);
    let residual = Some(shortcut(net, "downsample", x, 4 * channels, stride));
    net.normalise("bn3", y, norm, After { residual, activation: Activation::Relu })
}
