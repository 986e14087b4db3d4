//! VGG-11 with batch norm (Simonyan & Zisserman 2015, configuration A) with torchvision's names.

use crate::nn::{Conv, Net};
use crate::ops::max_pool::Window;
use crate::tape::Var;

/// Channels of the convolutions of each stage, at whose end the image is halved.
const STAGES: [&[usize]; 5] = [&[64], &[128], &[256, 256], &[512, 512], &[512, 512]];

/// Outputs of the hidden linear layers for large images.
const HIDDEN: usize = 4096;

/// Height and width of the pooled features for large images.
const POOLED: usize = 7;

/// What height and width of large images are a multiple of.
pub(super) const UNIT: usize = POOLED << STAGES.len();

/// One linear layer over the mean of the features, as is usual for images of 32 pixels.
pub(super) fn small_images(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = features(net, x);
    let x = net.global_mean_pool("avgpool", x);
    net.linear("classifier", x, classes)
}

/// torchvision's network, 132,868,840 parameters for 1,000 classes, for square images of a multiple of [`UNIT`] pixels, for which its
/// pooling to 7x7 has equal windows.
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

/// Convolutions with bias, batch norm and ReLU, named by their places in one list with the activations and pools.
fn features(net: &mut Net, mut x: Var) -> Var {
    let mut at = 0;
    for channels in STAGES {
        for &channels in channels {
            x = net.conv2d(&format!("features.{at}"), x, Conv { bias: true, ..Conv::same3x3(channels, 1) });
            x = net.batch_norm_relu(&format!("features.{}", at + 1), x);
            at += 3;
        }
        x = net.max_pool(&format!("features.{at}"), x, Window::square(2));
        at += 1;
    }
    x
}
