//! The zoo.

mod resnet;
mod small;
mod wide_resnet;

use super::{Conv, Model, Net};
use crate::error::{Error, Result};
use crate::tape::Var;
use resnet::Block;

/// The names that [`named`] knows.
pub const NAMES: [&str; 11] = [
    "cnn",
    "lenet",
    "resnet8",
    "resnet20",
    "resnet18",
    "resnet18-imagenet",
    "resnet34",
    "resnet50",
    "wide_resnet50_2",
    "wide_resnet52-2",
    "wide_resnet28-10",
];

/// A model by its name.
///
/// # Errors
/// [`Error::Option`] listing the names, if there is none of this name.
pub fn named(name: &str) -> Result<Model> {
    Ok(match name {
        "cnn" => Box::new(small::cnn),
        "lenet" => Box::new(small::lenet),
        "resnet8" => resnet::resnet_of_6n_plus_2(1),
        "resnet20" => resnet::resnet_of_6n_plus_2(3),
        "resnet18" => resnet::small_images("1_initial", &[64, 128, 256, 512], 2),
        "resnet18-imagenet" => resnet::large_images([2, 2, 2, 2], Block::Basic),
        "resnet34" => resnet::large_images([3, 4, 6, 3], Block::Basic),
        "resnet50" => resnet::large_images([3, 4, 6, 3], Block::Bottleneck { widen: 1 }),
        "wide_resnet50_2" => resnet::large_images([3, 4, 6, 3], Block::Bottleneck { widen: 2 }),
        "wide_resnet52-2" => wide_resnet::wide_resnet(52, 2, 0.3),
        "wide_resnet28-10" => wide_resnet::wide_resnet(28, 10, 0.3),
        _ => return Err(Error::option("--model", format!("{name:?} is not known; there are {}", NAMES.join(", ")))),
    })
}

/// The height and width that images must have at least for a model of [`NAMES`] to be recorded.
pub fn smallest_image(name: &str) -> usize {
    match name {
        "cnn" => 4,
        "lenet" => 8,
        _ => 1,
    }
}

/// Convolution, batch norm, ReLU, called by a number.
fn conv_bn_relu(net: &mut Net, index: &str, x: Var, conv: Conv) -> Var {
    let x = net.conv2d(&format!("conv{index}"), x, conv);
    net.batch_norm_relu(&format!("bn{index}"), x)
}
