//! The zoo.

mod densenet;
mod mobilenet;
mod resnet;
mod small;
mod vgg;
mod wide_resnet;

use super::{Conv, Model, Net};
use crate::error::{Error, Result};
use crate::tape::Var;
use resnet::Block;

/// The names that [`named`] knows.
pub const NAMES: [&str; 17] = [
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
    "densenet121",
    "densenet121-imagenet",
    "vgg11_bn",
    "vgg11_bn-imagenet",
    "mobilenet_v2",
    "mobilenet_v2-imagenet",
];

/// A model by its name.
///
/// # Errors
/// [`Error::Setting`] listing the names, if there is none of this name.
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
        "densenet121" => densenet::densenet(densenet::Stem::Small, [6, 12, 24, 16]),
        "densenet121-imagenet" => densenet::densenet(densenet::Stem::Large, [6, 12, 24, 16]),
        "vgg11_bn" => Box::new(vgg::small_images),
        "vgg11_bn-imagenet" => Box::new(vgg::large_images),
        "mobilenet_v2" => mobilenet::mobilenet_v2(1),
        "mobilenet_v2-imagenet" => mobilenet::mobilenet_v2(2),
        _ => return Err(Error::setting("model", format!("{name:?} is not known; there are {}", NAMES.join(", ")))),
    })
}

/// The side of square images that a model of [`NAMES`] suits where none are given: 32 pixels, or what it needs.
pub fn usual_side(name: &str) -> usize {
    if name == "vgg11_bn-imagenet" { vgg::UNIT } else { 32 }
}

/// A model by its name, for images of `height` x `width`.
///
/// # Errors
/// [`Error::Setting`] as [`named`], or saying what images the model needs where these do not suit.
pub fn named_for(name: &str, [height, width]: [usize; 2]) -> Result<Model> {
    let (smallest, square) = match name {
        "cnn" => (4, false),
        "lenet" | "densenet121" => (8, false),
        "densenet121-imagenet" | "vgg11_bn" => (32, false),
        "vgg11_bn-imagenet" => (vgg::UNIT, true),
        _ => (1, false),
    };
    let model = named(name)?;
    let needed = match square {
        true if height != width || !height.is_multiple_of(smallest) => {
            format!("square images of a multiple of {smallest} pixels")
        }
        false if height.min(width) < smallest => format!("images of at least {smallest}x{smallest}"),
        _ => return Ok(model),
    };
    Err(Error::setting("model", format!("{name} needs {needed}, found {height}x{width}")))
}

/// Convolution, batch norm, ReLU, called by a number.
fn conv_bn_relu(net: &mut Net, index: &str, x: Var, conv: Conv) -> Var {
    let x = net.conv2d(&format!("conv{index}"), x, conv);
    net.batch_norm_relu(&format!("bn{index}"), x)
}
