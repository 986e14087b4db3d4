//! Small networks without residuals.

use super::conv_bn_relu;
use crate::nn::{Conv, Net};
use crate::ops::{conv2d::Conv2dOptions, max_pool::Window};
use crate::tape::Var;

/// Three convolutions of 16, 32 and 64 channels and a linear classifier: 24,346 parameters for
/// 3x32x32 and 10 classes.
pub(super) fn cnn(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = conv_bn_relu(net, "1", x, Conv::same3x3(16, 1));
    let x = net.max_pool("pool1", x, Window::square(2));
    let x = conv_bn_relu(net, "2", x, Conv::same3x3(32, 1));
    let x = net.max_pool("pool2", x, Window::square(2));
    let x = conv_bn_relu(net, "3", x, Conv::same3x3(64, 1));
    let x = net.global_mean_pool("pool3", x);
    net.linear("linear", x, classes)
}

/// LeNet-5 (LeCun et al. 1998) with ReLU and max-pooling. It was designed for 32x32; smaller images
/// are padded towards that size.
pub(super) fn lenet(net: &mut Net, x: Var, classes: usize) -> Var {
    let [_, _, h, w] = net.shape(x).nchw("lenet");
    let conv =
        |channels, padding| Conv { channels, kernel: [5, 5], options: Conv2dOptions::square(1, padding), bias: true };
    let x = net.conv2d("conv1", x, conv(6, 32usize.saturating_sub(h.min(w)).div_ceil(2).min(4)));
    let x = net.relu("relu1", x);
    let x = net.max_pool("pool1", x, Window::square(2));
    let x = net.conv2d("conv2", x, conv(16, 0));
    let x = net.relu("relu2", x);
    let x = net.max_pool("pool2", x, Window::square(2));
    let x = net.flatten(x);
    let x = net.linear("fc1", x, 120);
    let x = net.relu("relu3", x);
    let x = net.linear("fc2", x, 84);
    let x = net.relu("relu4", x);
    net.linear("fc3", x, classes)
}
