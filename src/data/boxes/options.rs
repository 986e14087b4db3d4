//! The options of sets of boxes: which files are read, and the augmentation of training images.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What becomes of objects that are marked as difficult.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Difficult {
    /// They are left out, as in YOLOv5: finding one counts as an error.
    #[default]
    Drop,
    /// They are kept and marked: they count neither as found nor as missed, as in VOC's measure.
    Ignore,
}

/// The years of PASCAL VOC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum VocYears {
    /// Only VOC 2007.
    #[serde(rename = "2007")]
    #[cfg_attr(feature = "cli", value(name = "2007"))]
    Of2007,
    /// Only VOC 2012.
    #[serde(rename = "2012")]
    #[cfg_attr(feature = "cli", value(name = "2012"))]
    Of2012,
    /// Both.
    #[serde(rename = "both")]
    Both,
}

/// The lists of training images of PASCAL VOC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum VocTrain {
    /// `train`; `val` is for validation.
    #[default]
    Train,
    /// `trainval`: both are for training, as in most papers.
    Trainval,
}

/// Random changes of training images that move boxes, or mix images with others. The default
/// changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BoxAugmentation {
    /// Resize by a factor between 1 - scale and 1 + scale.
    pub scale: f64,
    /// Move by up to this fraction of the side each way.
    pub translate: f64,
    /// The probability of a mosaic of four images.
    pub mosaic: f64,
    /// The probability of a mixture with another image.
    pub mixup: f64,
    /// Multiply hue, saturation and value by random factors. Each number is the largest distance of
    /// a factor from 1.
    pub hsv: [f64; 3],
}

/// How sets of boxes are read. An option that is `None` has its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BoxOptions {
    /// `voc`: the years to read; by default all that are there.
    pub voc_years: Option<VocYears>,
    /// `voc`: the lists of training images.
    pub voc_train: Option<VocTrain>,
    /// `voc`: what becomes of difficult objects.
    pub difficult: Option<Difficult>,
    /// Augmentation of training images.
    pub augmentation: BoxAugmentation,
}

impl BoxOptions {
    /// The options that are given.
    pub(in crate::data) fn given(&self) -> impl Iterator<Item = &'static str> {
        let BoxAugmentation { scale, translate, mosaic, mixup, hsv } = self.augmentation;
        let given = [
            ("voc_years", self.voc_years.is_some()),
            ("voc_train", self.voc_train.is_some()),
            ("difficult", self.difficult.is_some()),
            ("scale", scale != 0.0),
            ("translate", translate != 0.0),
            ("mosaic", mosaic != 0.0),
            ("box_mixup", mixup != 0.0),
            ("hsv", hsv != [0.0; 3]),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(field, _)| field)
    }

    /// Checks every option that can be checked without files.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the option, what was expected and what was found.
    pub fn check(&self) -> Result<()> {
        let BoxAugmentation { scale, translate, mosaic, mixup, hsv } = self.augmentation;
        let require = |field, value: f64, holds: bool, expected: &str| match holds {
            true => Ok(()),
            false => Err(Error::setting(field, format!("expected {expected}, found {value}"))),
        };
        let unit = |value: f64| (0.0..=1.0).contains(&value);
        require("scale", scale, (0.0..=0.95).contains(&scale), "0 to 0.95")?;
        require("translate", translate, unit(translate), "0 to 1")?;
        require("mosaic", mosaic, unit(mosaic), "a probability, 0 to 1")?;
        require("box_mixup", mixup, unit(mixup), "a probability, 0 to 1")?;
        hsv.into_iter().try_for_each(|gain| require("hsv", gain, unit(gain), "numbers from 0 to 1"))
    }
}
