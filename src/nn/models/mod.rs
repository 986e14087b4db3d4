//! The table of models by name.

mod densenet;
mod mobilenet;
mod resnet;
mod small;
mod vgg;
mod wide_resnet;

use super::{Conv, Model, Net, Output};
use crate::data::Form;
use crate::error::{Error, Result};
use crate::files::text::nearest;
use crate::tape::Var;
use resnet::Block;

/// A model that maps images `[N,C,H,W]` to outputs `[N,K]`.
type ImageModel = Box<dyn Fn(&mut Net, Var, usize) -> Var + Send + Sync>;

/// The image sizes that a model accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ImageSize {
    /// Height and width are at least this.
    AtLeast(usize),
    /// Height and width are equal, and a multiple of this.
    SquareOf(usize),
}

/// A row of the table of models.
pub struct Entry {
    /// The value of `--model`.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    image_size: ImageSize,
    make: fn() -> ImageModel,
}

/// Any image size.
const ANY_SIZE: ImageSize = ImageSize::AtLeast(1);

/// All models that can be selected by name.
pub static MODELS: [Entry; 17] = [
    Entry {
        name: "cnn",
        about: "three convolutions, 24,346 parameters",
        image_size: ImageSize::AtLeast(4),
        make: || Box::new(small::cnn),
    },
    Entry {
        name: "lenet",
        about: "LeNet-5 with ReLU and max pooling",
        image_size: ImageSize::AtLeast(8),
        make: || Box::new(small::lenet),
    },
    Entry {
        name: "resnet8",
        about: "residual network of 8 layers for small images",
        image_size: ANY_SIZE,
        make: || resnet::resnet_of_6n_plus_2(1),
    },
    Entry {
        name: "resnet20",
        about: "residual network of 20 layers for small images",
        image_size: ANY_SIZE,
        make: || resnet::resnet_of_6n_plus_2(3),
    },
    Entry {
        name: "resnet18",
        about: "ResNet-18 of the published LeRaC code, for small images",
        image_size: ANY_SIZE,
        make: || resnet::small_images("1_initial", &[64, 128, 256, 512], 2),
    },
    Entry {
        name: "resnet18-imagenet",
        about: "torchvision's ResNet-18",
        image_size: ANY_SIZE,
        make: || resnet::large_images([2, 2, 2, 2], Block::Basic),
    },
    Entry {
        name: "resnet34",
        about: "torchvision's ResNet-34",
        image_size: ANY_SIZE,
        make: || resnet::large_images([3, 4, 6, 3], Block::Basic),
    },
    Entry {
        name: "resnet50",
        about: "torchvision's ResNet-50",
        image_size: ANY_SIZE,
        make: || resnet::large_images([3, 4, 6, 3], Block::Bottleneck { widen: 1 }),
    },
    Entry {
        name: "wide_resnet50_2",
        about: "torchvision's Wide ResNet-50-2",
        image_size: ANY_SIZE,
        make: || resnet::large_images([3, 4, 6, 3], Block::Bottleneck { widen: 2 }),
    },
    Entry {
        name: "wide_resnet52-2",
        about: "Wide ResNet-52-2 of the published LeRaC code",
        image_size: ANY_SIZE,
        make: || wide_resnet::wide_resnet(52, 2, 0.3),
    },
    Entry {
        name: "wide_resnet28-10",
        about: "Wide ResNet-28-10 of the published LeRaC code",
        image_size: ANY_SIZE,
        make: || wide_resnet::wide_resnet(28, 10, 0.3),
    },
    Entry {
        name: "densenet121",
        about: "DenseNet-121 for small images",
        image_size: ImageSize::AtLeast(8),
        make: || densenet::densenet(densenet::Stem::Small, [6, 12, 24, 16]),
    },
    Entry {
        name: "densenet121-imagenet",
        about: "torchvision's DenseNet-121",
        image_size: ImageSize::AtLeast(32),
        make: || densenet::densenet(densenet::Stem::Large, [6, 12, 24, 16]),
    },
    Entry {
        name: "vgg11_bn",
        about: "VGG-11 with batch norm for small images",
        image_size: ImageSize::AtLeast(32),
        make: || Box::new(vgg::small_images),
    },
    Entry {
        name: "vgg11_bn-imagenet",
        about: "torchvision's VGG-11 with batch norm",
        image_size: ImageSize::SquareOf(vgg::UNIT),
        make: || Box::new(vgg::large_images),
    },
    Entry {
        name: "mobilenet_v2",
        about: "MobileNetV2 for small images",
        image_size: ANY_SIZE,
        make: || mobilenet::mobilenet_v2(1),
    },
    Entry {
        name: "mobilenet_v2-imagenet",
        about: "torchvision's MobileNetV2",
        image_size: ANY_SIZE,
        make: || mobilenet::mobilenet_v2(2),
    },
];

/// A model of the table. It accepts images of the sizes of its [`Entry`].
pub struct Named {
    entry: &'static Entry,
    record: ImageModel,
}

impl Model for Named {
    fn accepts(&self, form: &Form) -> Result<()> {
        let name = self.entry.name;
        self.record
            .accepts(form)
            .map_err(|_| Error::setting("model", format!("{name} needs images, and the data have none")))?;
        let [_, height, width] = form.pixels().expect("the closure accepts images only").image;
        let needed = match self.entry.image_size {
            ImageSize::AtLeast(least) if height.min(width) < least => format!("images of at least {least}x{least}"),
            ImageSize::SquareOf(unit) if height != width || !height.is_multiple_of(unit) => {
                format!("square images of a multiple of {unit} pixels")
            }
            _ => return Ok(()),
        };
        Err(Error::setting("model", format!("{name} needs {needed}, found {height}x{width}")))
    }

    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        self.record.record(net, wanted)
    }
}

fn entry(name: &str) -> Result<&'static Entry> {
    MODELS.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names = MODELS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
        let hint = nearest(name, MODELS.iter().map(|entry| entry.name));
        Error::setting("model", format!("unknown model {name:?}; expected one of {names}{hint}"))
    })
}

/// A model by its name.
///
/// # Errors
/// [`Error::Setting`] with all names, if the name is unknown.
pub fn named(name: &str) -> Result<Named> {
    let entry = entry(name)?;
    Ok(Named { entry, record: (entry.make)() })
}

/// Height and width of the images of a model where no data set defines them: 32, or the least
/// multiple that the model needs.
pub fn usual_side(name: &str) -> usize {
    match entry(name).map(|entry| entry.image_size) {
        Ok(ImageSize::SquareOf(unit)) => unit,
        _ => 32,
    }
}

/// Convolution `conv{index}`, batch norm `bn{index}` and ReLU.
fn conv_bn_relu(net: &mut Net, index: &str, x: Var, conv: Conv) -> Var {
    let x = net.conv2d(&format!("conv{index}"), x, conv);
    net.batch_norm_relu(&format!("bn{index}"), x)
}
