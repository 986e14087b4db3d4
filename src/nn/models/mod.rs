//! The table of models by name.

mod bert;
mod cvt;
mod densenet;
#[cfg(feature = "records")]
mod file;
mod lstm;
mod mobilenet;
mod resnet;
mod septr;
mod small;
mod text;
mod vgg;
mod wide_resnet;
mod yolov5;

use super::{Conv, Model, Net, Output};
use crate::data::{Column, Element, Form, Meaning, plain_form, token_form};
use crate::error::{Error, Result};
use crate::files::text::nearest;
use crate::ops::detection::OBJECT;
use crate::tape::Var;
use bert::Bert;
pub use bert::{BertActivation, BertOptions};
pub use cvt::CvtActivation;
use lstm::LstmClassifier;
use resnet::Block;
use septr::SeptrOptions;
use yolov5::Yolov5;

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

/// How a model is made.
enum Make {
    Images(ImageSize, fn() -> ImageModel),
    Texts(fn() -> Box<dyn Model>),
    /// BERT of this number of blocks and this width.
    Bert(usize, usize),
    Detector(Yolov5),
}

/// A row of the table of models.
pub struct Entry {
    /// The value of `--model`.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    make: Make,
}

impl Entry {
    /// Whether the model reads texts. The others read images.
    pub fn reads_texts(&self) -> bool {
        matches!(self.make, Make::Texts(_) | Make::Bert(..))
    }

    /// Whether the model predicts boxes. The others predict classes or numbers.
    pub fn detects(&self) -> bool {
        matches!(self.make, Make::Detector(_))
    }
}

/// Tokens of an example, where no data set defines them.
const TOKENS: usize = 128;

/// The size of BERT's uncased vocabulary.
const VOCABULARY: usize = 30_522;

/// Any image size.
const ANY_SIZE: ImageSize = ImageSize::AtLeast(1);

/// The name of CvT-13, the model that has an option of its own, [`CvtActivation`].
pub(crate) const CVT_13: &str = "cvt-13";

/// All models that can be selected by name.
pub static MODELS: [Entry; 31] = [
    Entry {
        name: "cnn",
        about: "three convolutions, 24,346 parameters",
        make: Make::Images(ImageSize::AtLeast(4), || Box::new(small::cnn)),
    },
    Entry {
        name: "lenet",
        about: "LeNet-5 with ReLU and max pooling",
        make: Make::Images(ImageSize::AtLeast(8), || Box::new(small::lenet)),
    },
    Entry {
        name: "resnet8",
        about: "residual network of 8 layers for small images",
        make: Make::Images(ANY_SIZE, || resnet::resnet_of_6n_plus_2(1)),
    },
    Entry {
        name: "resnet20",
        about: "residual network of 20 layers for small images",
        make: Make::Images(ANY_SIZE, || resnet::resnet_of_6n_plus_2(3)),
    },
    Entry {
        name: "resnet18",
        about: "ResNet-18 of the published LeRaC code, for small images",
        make: Make::Images(ANY_SIZE, || resnet::small_images("1_initial", &[64, 128, 256, 512], 2)),
    },
    Entry {
        name: "resnet18-imagenet",
        about: "torchvision's ResNet-18",
        make: Make::Images(ANY_SIZE, || resnet::large_images([2, 2, 2, 2], Block::Basic)),
    },
    Entry {
        name: "resnet34",
        about: "torchvision's ResNet-34",
        make: Make::Images(ANY_SIZE, || resnet::large_images([3, 4, 6, 3], Block::Basic)),
    },
    Entry {
        name: "resnet50",
        about: "torchvision's ResNet-50",
        make: Make::Images(ANY_SIZE, || resnet::large_images([3, 4, 6, 3], Block::Bottleneck { widen: 1 })),
    },
    Entry {
        name: "wide_resnet50_2",
        about: "torchvision's Wide ResNet-50-2",
        make: Make::Images(ANY_SIZE, || resnet::large_images([3, 4, 6, 3], Block::Bottleneck { widen: 2 })),
    },
    Entry {
        name: "wide_resnet52-2",
        about: "Wide ResNet-52-2 of the published LeRaC code",
        make: Make::Images(ANY_SIZE, || wide_resnet::wide_resnet(52, 2, 0.3)),
    },
    Entry {
        name: "wide_resnet28-10",
        about: "Wide ResNet-28-10 of the published LeRaC code",
        make: Make::Images(ANY_SIZE, || wide_resnet::wide_resnet(28, 10, 0.3)),
    },
    Entry {
        name: "densenet121",
        about: "DenseNet-121 for small images",
        make: Make::Images(ImageSize::AtLeast(8), || densenet::densenet(densenet::Stem::Small, [6, 12, 24, 16])),
    },
    Entry {
        name: "densenet121-imagenet",
        about: "torchvision's DenseNet-121",
        make: Make::Images(ImageSize::AtLeast(32), || densenet::densenet(densenet::Stem::Large, [6, 12, 24, 16])),
    },
    Entry {
        name: "vgg11_bn",
        about: "VGG-11 with batch norm for small images",
        make: Make::Images(ImageSize::AtLeast(32), || Box::new(vgg::small_images)),
    },
    Entry {
        name: "vgg11_bn-imagenet",
        about: "torchvision's VGG-11 with batch norm",
        make: Make::Images(ImageSize::SquareOf(vgg::UNIT), || Box::new(vgg::large_images)),
    },
    Entry {
        name: "mobilenet_v2",
        about: "MobileNetV2 for small images",
        make: Make::Images(ANY_SIZE, || mobilenet::mobilenet_v2(1)),
    },
    Entry {
        name: "mobilenet_v2-imagenet",
        about: "torchvision's MobileNetV2",
        make: Make::Images(ANY_SIZE, || mobilenet::mobilenet_v2(2)),
    },
    Entry {
        name: CVT_13,
        about: "CvT-13, attention over images, 20 M parameters",
        // At stride 4, the first grid has an element from 3 pixels on.
        make: Make::Images(ImageSize::AtLeast(3), || cvt::cvt13(CvtActivation::default())),
    },
    Entry {
        name: "septr",
        about: "SepTr, attention over the bands and frames of a spectrogram",
        make: Make::Images(ANY_SIZE, || septr::septr(SeptrOptions::PUBLISHED)),
    },
    Entry {
        name: "septr-tiny",
        about: "SepTr 32 wide with two heads",
        make: Make::Images(ANY_SIZE, || septr::septr(SeptrOptions::TINY)),
    },
    Entry {
        name: "bert",
        about: "BERT of any size, by Hugging Face's config.json; without one that of bert-base",
        make: Make::Bert(12, 768),
    },
    Entry {
        name: "bert-tiny",
        about: "BERT of 2 blocks, 128 wide, 4.4 M parameters with 30,522 words",
        make: Make::Bert(2, 128),
    },
    Entry {
        name: "bert-mini",
        about: "BERT of 4 blocks, 256 wide, 11 M parameters with 30,522 words",
        make: Make::Bert(4, 256),
    },
    Entry {
        name: "bert-small",
        about: "BERT of 4 blocks, 512 wide, 29 M parameters with 30,522 words",
        make: Make::Bert(4, 512),
    },
    Entry {
        name: "bert-medium",
        about: "BERT of 8 blocks, 512 wide, 41 M parameters with 30,522 words",
        make: Make::Bert(8, 512),
    },
    Entry {
        name: "bert-base",
        about: "BERT of 12 blocks, 768 wide, 109 M parameters with 30,522 words",
        make: Make::Bert(12, 768),
    },
    Entry {
        name: "bert-large",
        about: "BERT of 24 blocks, 1024 wide, 335 M parameters with 30,522 words",
        make: Make::Bert(24, 1024),
    },
    Entry {
        name: "lstm",
        about: "embedding, two LSTM layers of 256, two linear layers, after the LeRaC paper",
        make: Make::Texts(|| Box::new(LstmClassifier)),
    },
    Entry {
        name: "yolov5n",
        about: "YOLOv5n, a detector of 1.9 M parameters with 80 classes",
        make: Make::Detector(Yolov5 { depth: 0.33, width: 0.25 }),
    },
    Entry {
        name: "yolov5s",
        about: "YOLOv5s, a detector of 7.2 M parameters with 80 classes",
        make: Make::Detector(Yolov5 { depth: 0.33, width: 0.5 }),
    },
    Entry {
        name: "yolov5m",
        about: "YOLOv5m, a detector of 21 M parameters with 80 classes",
        make: Make::Detector(Yolov5 { depth: 0.67, width: 0.75 }),
    },
];

/// A model of the table, or of a file. An image model of the table accepts images of the sizes of
/// its [`Entry`].
pub struct Named {
    entry: Option<&'static Entry>,
    model: Box<dyn Model>,
}

impl Model for Named {
    fn accepts(&self, form: &Form) -> Result<()> {
        let name = self.entry.map_or("the model of this file", |entry| entry.name);
        match (self.entry.is_some_and(Entry::detects), form.boxes().is_some()) {
            (false, true) => {
                let message =
                    format!("{name} does not predict boxes, which the data have; use yolov5n, yolov5s or yolov5m");
                return Err(Error::setting("model", message));
            }
            (true, false) => {
                return Err(Error::setting("model", format!("{name} needs data with boxes, such as voc")));
            }
            _ => {}
        }
        let size = match self.entry.map(|entry| &entry.make) {
            Some(&Make::Images(size, _)) => size,
            Some(Make::Detector(_)) => ImageSize::SquareOf(yolov5::UNIT),
            _ => return self.model.accepts(form),
        };
        let Some(pixels) = form.pixels() else {
            return Err(Error::setting("model", format!("{name} needs images, and the data have none")));
        };
        let [_, height, width] = pixels.image;
        let needed = match size {
            ImageSize::AtLeast(least) if height.min(width) < least => format!("images of at least {least}x{least}"),
            ImageSize::SquareOf(unit) if height != width || !height.is_multiple_of(unit) => {
                format!("square images of a multiple of {unit} pixels")
            }
            _ => return Ok(()),
        };
        Err(Error::setting("model", format!("{name} needs {needed}, found {height}x{width}")))
    }

    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        self.model.record(net, wanted)
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
    let model = match entry.make {
        Make::Images(_, make) => Box::new(make()) as Box<dyn Model>,
        Make::Texts(make) => make(),
        Make::Bert(blocks, width) => Box::new(Bert(BertOptions::uncased(blocks, width))),
        Make::Detector(yolov5) => Box::new(yolov5),
    };
    Ok(Named { entry: Some(entry), model })
}

/// The image model that the text of a TOML file describes; `path` is for error messages.
///
/// # Errors
/// [`Error::Format`] with the line and the layer at fault.
#[cfg(feature = "records")]
pub fn from_file(path: &std::path::Path, text: &str) -> Result<Named> {
    Ok(Named { entry: None, model: Box::new(file::FileModel::parse(path, text)?) })
}

/// The size of a BERT of the table; `None` for another model.
pub fn bert_options(name: &str) -> Option<BertOptions> {
    match entry(name).ok()?.make {
        Make::Bert(blocks, width) => Some(BertOptions::uncased(blocks, width)),
        _ => None,
    }
}

/// The model `bert` of this size.
///
/// # Errors
/// [`Error::Setting`] if the options describe no model.
pub fn bert(options: &BertOptions) -> Result<Named> {
    options.check().map_err(|message| Error::setting("bert", message))?;
    Ok(Named { entry: Some(entry("bert")?), model: Box::new(Bert(options.clone())) })
}

/// The model `cvt-13` with this activation.
pub fn cvt13(activation: CvtActivation) -> Named {
    Named { entry: Some(entry(CVT_13).expect("the table has it")), model: Box::new(cvt::cvt13(activation)) }
}

/// Image size of a detector where nothing says it: that of YOLOv5.
const DETECTOR_SIDE: usize = 640;

/// The form of a model's input where no data set defines it. Images: three channels, of height and
/// width `side`, or else 32 or the least multiple that the model needs; 640 for a detector. Texts:
/// 128 tokens of BERT's vocabulary. A detector has boxes of the classes of `target`.
pub fn usual_form(name: &str, side: Option<usize>, target: &Meaning) -> Form {
    match entry(name).map(|entry| &entry.make) {
        Ok(Make::Detector(_)) => {
            let classes = match target {
                Meaning::Classes(names) | Meaning::Boxes(names) => names.clone(),
                _ => [].into(),
            };
            let side = side.unwrap_or(DETECTOR_SIDE);
            let boxes = Column::plain("boxes", Element::F32, [1, OBJECT]);
            let targets = vec![Column { meaning: Meaning::Boxes(classes), ..boxes }];
            Form { targets, ..plain_form([3, side, side], target) }
        }
        Ok(Make::Texts(_) | Make::Bert(..)) => token_form(TOKENS, VOCABULARY, target),
        Ok(&Make::Images(ImageSize::SquareOf(unit), _)) => {
            plain_form([3, side.unwrap_or(unit), side.unwrap_or(unit)], target)
        }
        _ => plain_form([3, side.unwrap_or(32), side.unwrap_or(32)], target),
    }
}

/// Convolution `conv{index}`, batch norm `bn{index}` and ReLU.
fn conv_bn_relu(net: &mut Net, index: &str, x: Var, conv: Conv) -> Var {
    let x = net.conv2d(&format!("conv{index}"), x, conv);
    net.batch_norm_relu(&format!("bn{index}"), x)
}
