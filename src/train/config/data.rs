//! The data set, its split, and the augmentation of training examples.

#[cfg(feature = "cli")]
use super::whole_number;
use super::{check_integers, check_paths, require};
use crate::data::{Augmentation, Normalise, Source, TextOptions};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The data set, its split, and augmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataOptions {
    /// Data set: shapes, fashion-mnist, mnist, cifar10, cifar100, cifar100-coarse, imagefolder,
    /// tiny-imagenet, food-101, utkface-gender, utkface-age, rte, qnli, boolq or text-pairs
    #[cfg_attr(
        feature = "cli",
        arg(id = "data", long = "data", value_name = "DATA", default_value = "shapes", help_heading = "Data")
    )]
    pub name: String,
    /// Directory of the data set's files [default: LERAC_DATA, then the usual places]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Image folders: side of the square that images are resized to [default: 64]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// Image folders: shorter side of an image before the square is cropped [default: the image
    /// size]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// imagefolder, text-pairs: use only the classes listed in this file, one per line
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_list: Option<PathBuf>,
    /// Image folders: decode every image once and store it in this file
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Image folders, texts: check every image or row first, and leave bad ones out with a warning.
    /// predict: print the others, and exit with 1
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    pub skip_bad: bool,
    /// Mean and standard deviation for normalisation: 0.5 for both, ImageNet's, or those of the
    /// training images
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value = "half", help_heading = "Data"))]
    pub normalise: Normalise,
    /// Train on this many examples only, chosen by the seed [default: all]
    #[cfg_attr(feature = "cli", arg(long, alias = "train-images", value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(alias = "train-images", skip_serializing_if = "Option::is_none")]
    pub train_examples: Option<usize>,
    /// Training examples held out for validation, which selects the best epoch; 0 keeps the last
    /// epoch
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, default_value_t = DataOptions::default().validation, help_heading = "Data"))]
    pub validation: usize,
    /// Flip half of the training images left to right
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    pub flip: bool,
    /// Shift training images by up to this many pixels each way
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::value_parser!(u8).range(..=127), default_value_t = 0, help_heading = "Data"))]
    pub shift: u8,
    /// Crop a random part of each training image and resize it; its least area as a fraction,
    /// usually 0.08
    #[cfg_attr(feature = "cli", arg(long, allow_negative_numbers = true, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_resized_crop: Option<f64>,
    /// Largest random change of brightness, contrast and saturation of training images: three
    /// numbers
    #[cfg_attr(feature = "cli", arg(long, value_delimiter = ',', allow_hyphen_values = true, help_heading = "Data"))]
    pub jitter: Vec<f64>,
    /// Side of a square that is cut out of training images, pixels
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, help_heading = "Data"))]
    pub cutout: u16,
    /// Texts: WordPiece vocabulary, a vocab.txt or tokenizer.json [default: the words of the
    /// training part]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab: Option<PathBuf>,
    /// Texts: tokens per example, special tokens included; longer texts are truncated
    /// [default: 128]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Texts without --vocab: largest size of the vocabulary [default: 30000]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocab_size: Option<usize>,
    /// Texts without --vocab: least number of occurrences of a word [default: 2]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_count: Option<usize>,
    /// text-pairs: names of the columns of one or two texts
    #[cfg_attr(feature = "cli", arg(long, value_name = "A[,B]", value_delimiter = ',', help_heading = "Data"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub text_columns: Vec<String>,
    /// text-pairs: name of the column of labels [default: label]
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME", help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_column: Option<String>,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            name: "shapes".into(),
            data_dir: None,
            image_size: None,
            resize: None,
            class_list: None,
            cache: None,
            skip_bad: false,
            normalise: Normalise::Half,
            train_examples: None,
            validation: 1000,
            flip: false,
            shift: 0,
            random_resized_crop: None,
            jitter: vec![],
            cutout: 0,
            vocab: None,
            max_length: None,
            vocab_size: None,
            min_count: None,
            text_columns: vec![],
            label_column: None,
        }
    }
}

impl DataOptions {
    /// Checks every option that can be checked without the data.
    ///
    /// # Errors
    /// [`Error::Setting`] with the option, the expected and the found value.
    pub fn check(&self) -> Result<()> {
        self.check_storable()?;
        self.text().check()?;
        let examples = self.train_examples.unwrap_or(1);
        require("train_examples", examples, examples > 0, "at least 1")?;
        require("shift", self.shift, self.shift <= 127, "at most 127 pixels")?;
        let least = self.random_resized_crop.unwrap_or(1.0);
        require("random_resized_crop", least, least > 0.0 && least <= 1.0, "more than 0 and at most 1")?;
        if !matches!(self.jitter.len(), 0 | 3) {
            let message = format!("expected BRIGHTNESS,CONTRAST,SATURATION, found {} numbers", self.jitter.len());
            return Err(Error::setting("jitter", message));
        }
        for &strength in &self.jitter {
            require("jitter", strength, (0.0..=1.0).contains(&strength), "numbers from 0 to 1")?;
        }
        require("cutout", self.cutout, self.cutout <= 1024, "at most 1024 pixels")
    }

    pub(super) fn check_storable(&self) -> Result<()> {
        check_integers(&[
            ("validation", self.validation as u64),
            ("train_examples", self.train_examples.unwrap_or(0) as u64),
            ("image_size", self.image_size.unwrap_or(0) as u64),
            ("resize", self.resize.unwrap_or(0) as u64),
            ("max_length", self.max_length.unwrap_or(0) as u64),
            ("vocab_size", self.vocab_size.unwrap_or(0) as u64),
            ("min_count", self.min_count.unwrap_or(0) as u64),
        ])?;
        check_paths(&[
            ("data_dir", &self.data_dir),
            ("class_list", &self.class_list),
            ("cache", &self.cache),
            ("vocab", &self.vocab),
        ])
    }

    /// The data set, and how its files are read.
    pub fn source(&self) -> Source<'_> {
        Source {
            name: &self.name,
            dir: self.data_dir.as_deref(),
            normalise: self.normalise,
            image_size: self.image_size,
            resize: self.resize,
            class_list: self.class_list.as_deref(),
            cache: self.cache.as_deref(),
            skip_bad: self.skip_bad,
            augmentation: self.augmentation(),
            text: self.text(),
        }
    }

    /// How texts are read.
    fn text(&self) -> TextOptions<'_> {
        TextOptions {
            vocab: self.vocab.as_deref(),
            max_length: self.max_length,
            vocab_size: self.vocab_size,
            min_count: self.min_count,
            columns: &self.text_columns,
            label_column: self.label_column.as_deref(),
        }
    }

    /// The augmentation of training images.
    pub fn augmentation(&self) -> Augmentation {
        Augmentation {
            flip: self.flip,
            shift: self.shift,
            random_resized_crop: self.random_resized_crop,
            jitter: std::array::from_fn(|i| self.jitter.get(i).map_or(0.0, |&strength| strength as f32)),
            cutout: self.cutout,
        }
    }
}
