//! The data set, its split, and the augmentation of training examples.

#[cfg(feature = "cli")]
use super::whole_number;
use super::{check_integers, check_paths, require};
use crate::data::{Difficult, MelScale, Normalise, SplitBy, VocTrain, VocYears};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The data set, its split, and augmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataOptions {
    /// Data set: shapes, fashion-mnist, mnist, cifar10, cifar100, cifar100-coarse, imagefolder,
    /// tiny-imagenet, food-101, utkface-gender, utkface-age, voc, yolo, esc50, crema-d,
    /// audiofolder, rte, qnli, boolq or text-pairs
    #[cfg_attr(
        feature = "cli",
        arg(id = "data", long = "data", value_name = "DATA", default_value = "shapes", help_heading = "Data")
    )]
    pub name: String,
    /// Directory of the data set's files [default: LERAC_DATA, then the usual places]
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Image folders, boxes: side of the square that images are resized to [default: 64, for boxes
    /// 640]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// Image folders: shorter side of an image before the square is cropped [default: the image
    /// size]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// imagefolder, audiofolder, voc, text-pairs: use only the classes listed in this file, one per
    /// line
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_list: Option<PathBuf>,
    /// Image folders, sounds: decode every file once, and store the images or spectrograms in this
    /// file
    #[cfg_attr(feature = "cli", arg(long, help_heading = "Data"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<PathBuf>,
    /// Image folders, boxes, sounds, texts: check every file or row first, and leave bad ones out
    /// with a warning.
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
    /// Sample rate that clips are resampled to, Hz [default: 44100 for esc50, otherwise 16000]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u32>, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_rate: Option<u32>,
    /// Seconds that clips are cut or padded to [default: 5 for esc50, otherwise 4]
    #[cfg_attr(feature = "cli", arg(long, allow_negative_numbers = true, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Samples of the Fourier transform of a frame [default: 1024]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_fft: Option<usize>,
    /// Samples of the Hamming window [default: 512]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_length: Option<usize>,
    /// Samples from one frame to the next; more make fewer frames and faster steps [default: 64 for
    /// crema-d, otherwise 128]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop: Option<usize>,
    /// Number of mel bands [default: 128]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<usize>, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mel_bands: Option<usize>,
    /// Scale of the mel bands [default: slaney]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mel_scale: Option<MelScale>,
    /// Whether the first frame is centred at the first sample [default: true]
    #[cfg_attr(feature = "cli", arg(long, value_name = "BOOL", help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centred: Option<bool>,
    /// esc50: fold for the test, 1 to 5; the others are for training [default: 1]
    #[cfg_attr(feature = "cli", arg(long, value_parser = whole_number::<u32>, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<u32>,
    /// crema-d: what training, validation and test do not share [default: speaker]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_by: Option<SplitBy>,
    /// Add noise to training clips: the largest standard deviation, as a fraction of the clip's
    /// root mean square
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Sounds")
    )]
    #[serde(skip_serializing_if = "is_zero")]
    pub noise: f64,
    /// Shift training clips in time by up to this fraction of the duration each way
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Sounds")
    )]
    #[serde(skip_serializing_if = "is_zero")]
    pub time_shift: f64,
    /// Play training clips up to this many percent faster or slower
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "is_zero")]
    pub speed: u8,
    /// SpecAugment of training clips: two masks of up to this many mel bands
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "is_zero")]
    pub mask_bands: u16,
    /// SpecAugment of training clips: two masks of up to this many frames
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, help_heading = "Sounds"))]
    #[serde(skip_serializing_if = "is_zero")]
    pub mask_frames: u16,
    /// voc: years to read [default: all that are there]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Boxes"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voc_years: Option<VocYears>,
    /// voc: lists of training images; with `trainval` validation images are chosen by the seed
    /// [default: train]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Boxes"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voc_train: Option<VocTrain>,
    /// voc: leave difficult objects out, as YOLOv5 does, or keep them apart [default: drop]
    #[cfg_attr(feature = "cli", arg(long, value_enum, help_heading = "Boxes"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difficult: Option<Difficult>,
    /// Resize training images by a factor of up to this much more or less than 1
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")
    )]
    #[serde(skip_serializing_if = "is_zero")]
    pub scale: f64,
    /// Move training images by up to this fraction of the side each way
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")
    )]
    #[serde(skip_serializing_if = "is_zero")]
    pub translate: f64,
    /// Probability of a mosaic of four training images
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")
    )]
    #[serde(skip_serializing_if = "is_zero")]
    pub mosaic: f64,
    /// Probability of a mixture of two training images, or of two mosaics
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_negative_numbers = true, default_value_t = 0.0, help_heading = "Boxes")
    )]
    #[serde(skip_serializing_if = "is_zero")]
    pub box_mixup: f64,
    /// Largest random change of hue, saturation and value of training images: three numbers
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "H,S,V", value_delimiter = ',', allow_hyphen_values = true, help_heading = "Boxes")
    )]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hsv: Vec<f64>,
}

/// Whether an option has its default 0, which files do not name.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
            sample_rate: None,
            duration: None,
            n_fft: None,
            window_length: None,
            hop: None,
            mel_bands: None,
            mel_scale: None,
            centred: None,
            fold: None,
            split_by: None,
            noise: 0.0,
            time_shift: 0.0,
            speed: 0,
            mask_bands: 0,
            mask_frames: 0,
            voc_years: None,
            voc_train: None,
            difficult: None,
            scale: 0.0,
            translate: 0.0,
            mosaic: 0.0,
            box_mixup: 0.0,
            hsv: vec![],
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
        self.sound().check(&self.name)?;
        let examples = self.train_examples.unwrap_or(1);
        require("train_examples", examples, examples > 0, "at least 1")?;
        require("shift", self.shift, self.shift <= 127, "at most 127 pixels")?;
        let least = self.random_resized_crop.unwrap_or(1.0);
        require("random_resized_crop", least, least > 0.0 && least <= 1.0, "more than 0 and at most 1")?;
        if !matches!(self.hsv.len(), 0 | 3) {
            return Err(Error::setting(
                "hsv",
                format!("expected HUE,SATURATION,VALUE, found {} numbers", self.hsv.len()),
            ));
        }
        self.boxes().check()?;
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
            ("n_fft", self.n_fft.unwrap_or(0) as u64),
            ("window_length", self.window_length.unwrap_or(0) as u64),
            ("hop", self.hop.unwrap_or(0) as u64),
            ("mel_bands", self.mel_bands.unwrap_or(0) as u64),
        ])?;
        check_paths(&[
            ("data_dir", &self.data_dir),
            ("class_list", &self.class_list),
            ("cache", &self.cache),
            ("vocab", &self.vocab),
        ])
    }
}
