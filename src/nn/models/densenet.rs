//! Densely connected networks (Huang et al. 2017) with torchvision's names.

use super::ImageModel;
use crate::nn::{Conv, Net};
use crate::ops::{conv2d::Conv2dOptions, max_pool::Window};
use crate::tape::Var;

/// Channels that a layer adds (the growth rate).
const GROWTH: usize = 32;

/// Channels between the two convolutions of a layer.
const BOTTLENECK: usize = 4 * GROWTH;

/// Channels of the input of the first block.
const STEM: usize = 64;

/// The layers before the first block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stem {
    /// A 3x3 convolution that keeps the image's size.
    Small,
    /// torchvision's: 7x7 at stride 2, batch norm, ReLU and a max-pool.
    Large,
}

/// A DenseNet with `blocks` layers in its dense blocks. A transition between two blocks halves
/// channels, height and width. The last norm belongs to the layer of the last convolution.
pub(super) fn densenet(stem: Stem, blocks: [usize; 4]) -> ImageModel {
    Box::new(move |net, x, classes| {
        let mut x = net.scope("features", |net| self::stem(net, stem, x));
        for (index, layers) in blocks.into_iter().enumerate() {
            x = net.block(&format!("features.denseblock{}", index + 1), |net| dense_block(net, x, layers));
            if index + 1 < blocks.len() {
                x = net.scope(&format!("features.transition{}", index + 1), |net| transition(net, x));
            }
        }
        let x = net.scope("features", |net| net.batch_norm_relu("norm5", x));
        let x = net.global_mean_pool("pool", x);
        net.linear("classifier", x, classes)
    })
}

fn stem(net: &mut Net, stem: Stem, x: Var) -> Var {
    match stem {
        Stem::Small => {
            let x = net.conv2d("conv0", x, Conv::same3x3(STEM, 1));
            net.batch_norm_relu("norm0", x)
        }
        Stem::Large => {
            let options = Conv2dOptions::square(2, 3);
            let x = net.conv2d("conv0", x, Conv { channels: STEM, kernel: [7, 7], options, bias: false });
            let x = net.batch_norm_relu("norm0", x);
            net.max_pool("pool0", x, Window { kernel: 3, stride: 2, padding: 1 })
        }
    }
}

/// The concatenation of x and the output of each layer. A layer reads all channels before its own.
fn dense_block(net: &mut Net, x: Var, layers: usize) -> Var {
    let [n, c, h, w] = net.shape(x).nchw("dense block");
    let features = net.allocate("features", [n, c + layers * GROWTH, h, w]);
    net.write_channels("input", features, 0, x);
    for index in 0..layers {
        let channels = c + index * GROWTH;
        net.scope(&format!("denselayer{}", index + 1), |net| {
            let y = net.norm_relu_conv_of_first(channels, "norm1", "conv1", features, Conv::pointwise(BOTTLENECK, 1));
            let y = net.norm_relu_conv("norm2", "conv2", y, Conv::same3x3(GROWTH, 1));
            net.write_channels("output", features, channels, y);
        });
    }
    features
}

fn transition(net: &mut Net, x: Var) -> Var {
    let [_, c, _, _] = net.shape(x).nchw("transition");
    let x = net.norm_relu_conv("norm", "conv", x, Conv::pointwise(c / 2, 1));
    net.mean_pool("pool", x, 2, 2)
}
