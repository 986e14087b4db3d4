//! The zoo.

use super::{Conv, Model, Net};
use crate::error::{Error, Result};
use crate::ops::{batch_norm::After, conv2d, max_pool::Window};
use crate::tape::Var;

/// The names that [`named`] knows.
pub const NAMES: [&str; 5] = ["cnn", "lenet", "resnet8", "resnet20", "resnet18"];

/// A model by its name.
///
/// # Errors
/// [`Error::Option`] listing the names, if there is none of this name.
pub fn named(name: &str) -> Result<Model> {
    match name {
        "cnn" => Ok(Box::new(cnn)),
        "lenet" => Ok(Box::new(lenet)),
        "resnet8" => Ok(resnet_of_6n_plus_2(1)),
        "resnet20" => Ok(resnet_of_6n_plus_2(3)),
        "resnet18" => Ok(resnet("1_initial", &[64, 128, 256, 512], 2)),
        _ => Err(Error::option("--model", format!("{name:?} is not known; there are {}", NAMES.join(", ")))),
    }
}

/// The height and width that images must have at least for a model of [`NAMES`] to be recorded.
pub fn smallest_image(name: &str) -> usize {
    match name {
        "cnn" => 4,
        "lenet" => 8,
        _ => 1,
    }
}

/// Convolution 3x3, batch norm, ReLU.
fn conv_bn_relu(net: &mut Net, index: &str, x: Var, conv: Conv) -> Var {
    let x = net.conv2d(&format!("conv{index}"), x, conv);
    net.batch_norm_relu(&format!("bn{index}"), x)
}

/// Three convolutions of 16, 32 and 64 channels and a linear classifier: 24,346 parameters for 3x32x32 and 10 classes.
fn cnn(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = conv_bn_relu(net, "1", x, Conv::same3x3(16, 1));
    let x = net.max_pool("pool1", x, Window::square(2));
    let x = conv_bn_relu(net, "2", x, Conv::same3x3(32, 1));
    let x = net.max_pool("pool2", x, Window::square(2));
    let x = conv_bn_relu(net, "3", x, Conv::same3x3(64, 1));
    let x = net.global_mean_pool("pool3", x);
    net.linear("linear", x, classes)
}

/// LeNet-5 (LeCun et al. 1998) with ReLU and max pooling; smaller planes are padded to 32x32, the size it was made for.
fn lenet(net: &mut Net, x: Var, classes: usize) -> Var {
    let [_, _, h, w] = net.shape(x).nchw("lenet");
    let conv = |channels, padding| Conv {
        channels,
        kernel: 5,
        options: conv2d::Options { padding, ..Default::default() },
        bias: true,
    };
    let x = net.conv2d("conv1", x, conv(6, 32usize.saturating_sub(h.min(w)).div_ceil(2).min(4)));
    let x = net.relu("relu1", x);
    let x = net.max_pool("pool1", x, Window::square(2));
    let x = net.conv2d("conv2", x, conv(16, 0));
    let x = net.relu("relu2", x);
    let x = net.max_pool("pool2", x, Window::square(2));
    let x = net.linear("fc1", x, 120);
    let x = net.relu("relu3", x);
    let x = net.linear("fc2", x, 84);
    let x = net.relu("relu4", x);
    net.linear("fc3", x, classes)
}

/// The residual network for small images (He et al. 2016, section 4.2) with projection shortcuts: 6 n + 2 layers in three stages.
fn resnet_of_6n_plus_2(n: usize) -> Model {
    resnet("1", &[16, 32, 64], n)
}

/// A 3x3 stem, as many stages of `blocks` basic blocks as there are `channels`, and a linear classifier. With four stages of two
/// blocks this is ResNet-18 as the published LeRaC code trains it on small images, whose stem is called `conv1_initial`: no
/// max-pooling, 11,173,962 parameters for 3x32x32 and 10 classes.
fn resnet(stem: &'static str, channels: &'static [usize], blocks: usize) -> Model {
    Box::new(move |net, x, classes| {
        let mut x = conv_bn_relu(net, stem, x, Conv::same3x3(channels[0], 1));
        for (stage, &channels) in channels.iter().enumerate() {
            for index in 0..blocks {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", stage + 1);
                x = net.block(&name, |net| basic_block(net, x, channels, stride));
            }
        }
        let x = net.global_mean_pool("pool", x);
        net.linear("linear", x, classes)
    })
}

/// relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)); the shortcut is x itself where shapes allow, else a 1x1 convolution with
/// batch norm.
fn basic_block(net: &mut Net, x: Var, channels: usize, stride: usize) -> Var {
    let [_, c, _, _] = net.shape(x).nchw("block");
    let y = conv_bn_relu(net, "1", x, Conv::same3x3(channels, stride));
    let y = net.conv2d("conv2", y, Conv::same3x3(channels, 1));
    let norm = net.norm("bn2", y);
    let shortcut = if stride == 1 && c == channels {
        x
    } else {
        net.shortcut("shortcut", |net| {
            let x = net.conv2d("0", x, Conv::pointwise(channels, stride));
            net.batch_norm("1", x)
        })
    };
    net.normalise("bn2", y, norm, After { residual: Some(shortcut), relu: true })
}
