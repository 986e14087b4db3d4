//! VGG-11 with batch norm (Simonyan & Zisserman 2015, configuration A) with torchvision's names.

use crate::nn::{Conv, Net};
use crate::ops::max_pool::Window;
use crate::tape::Var;

/// Channels of the convolutions of each stage. A max-pool ends each stage and halves height and
/// width.
const STAGES: [&[usize]; 5] = [&[64], &[128], &[256, 256], &[512, 512], &[512, 512]];

/// Outputs of the hidden linear layers for large images.
const HIDDEN: usize = 4096;

/// Height and width of the pooled features for large images.
const POOLED: usize = 7;

/// Height and width of large images must be a multiple of this.
pub(super) const UNIT: usize = POOLED << STAGES.len();

/// VGG-11 for images of 32x32: one linear layer on the global mean of the features.
pub(super) fn small_images(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = features(net, x);
    let x = net.global_mean_pool("avgpool", x);
    net.linear("classifier", x, classes)
}

/// torchvision's VGG-11: 132,868,840 parameters for 1,000 classes. Images must be square with a
/// side that is a multiple of [`UNIT`], so that the windows of the pooling to 7x7 are equal.
pub(super) fn large_images(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = features(net, x);
    let [_, _, h, _] = net.shape(x).nchw("avgpool");
    let x = net.mean_pool("avgpool", x, h / POOLED, h / POOLED);
    let mut x = net.flatten(x);
    for name in ["0", "3"] {
        x = net.linear(&format!("classifier.{name}"), x, HIDDEN);
        x = net.relu(&format!("classifier.{name}.relu"), x);
        x = net.dropout(&format!("classifier.{name}.dropout"), x, 0.5);
    }
    net.linear("classifier.6", x, classes)
}

/// Convolutions with bias, batch norm and ReLU. Their names have torchvision's indices, which also
/// count activations and pools.
fn features(net: &mut Net, mut x: Var) -> Var {
    let mut index = 0;
    for channels in STAGES {
        for &channels in channels {
            x = net.conv2d(&format!("features.{index}"), x, Conv { bias: true, ..Conv::same3x3(channels, 1) });
            x = net.batch_norm_relu(&format!("features.{}", index + 1), x);
            index += 3;
        }
        x = net.max_pool(&format!("features.{index}"), x, Window::square(2));
        index += 1;
    }
    x
}
