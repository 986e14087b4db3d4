//! Image data sets: images of one shape, each labelled with a class or a number. Images are in
//! memory, in image files, or in a cache of decoded images.

mod augmentation;
mod cifar;
mod folders;
mod idx;
mod image_file;
mod images;
mod input;
mod published;
mod shapes;
mod vary;

pub use augmentation::Augmentation;
pub use cifar::{cifar10_records, cifar100_records, read_cifar10, read_cifar100, read_cifar100_coarse};
pub use folders::check_side;
pub use idx::{images_in, labels_in, read_images, read_labels};
pub use image_file::{ResizeCrop, decode_image, read_image};
pub use images::Images;
pub use input::ImageInput;
pub use shapes::shapes;
pub use vary::{Crop, Jitter, Variation};
pub(super) use {
    folders::AGE,
    idx::{FILES as IDX_FILES, read_set as read_idx},
    image_file::{IMAGE_FILES, image_size},
    published::{food101, tiny_imagenet, utkface_age, utkface_gender},
};

use crate::cores::in_parallel;
use crate::data::opening::table_of_skipped;
use crate::data::{Column, Draw, Element, Examples, Form, Meaning, Skipped, Splits, bytes_of, floats_of};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;

/// Labelled images of one shape. Clones share the images.
#[derive(Clone, Debug, PartialEq)]
pub struct Pictures {
    /// The name of the set.
    pub name: String,
    /// C, H, W of every image.
    pub image: [usize; 3],
    /// The meaning of labels.
    pub meaning: Meaning,
    /// N images.
    pub images: Images,
    /// N labels: classes, or integers.
    pub labels: Vec<u16>,
    /// Mean of each channel for normalisation, on the scale `[0, 1]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel for normalisation, on the scale `[0, 1]`.
    pub std: Vec<f32>,
    /// [`ResizeCrop::shorter`] for image files of other sizes.
    pub shorter: usize,
    /// Augmentation in training.
    pub augmentation: Augmentation,
    /// Number of images at the end that are for validation.
    pub held_out: usize,
    /// Files that were left out.
    pub skipped: Arc<[Skipped]>,
}

/// Mean and standard deviation of the normalisation x -> (x - mean) / std by channel, with x = byte
/// / 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Both are 0.5, as in LeRaC's published code: x is from -1 to 1.
    #[default]
    Half,
    /// Those of ImageNet, as for torchvision's weights.
    Imagenet,
    /// Those of the training images of the set.
    Data,
}

/// Mean and standard deviation of [`Normalise::Half`].
const HALF: f32 = 0.5;

/// Means and standard deviations of [`Normalise::Imagenet`], from torchvision's documentation.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// Images that are read at once to compute mean and standard deviation.
const CHUNK: usize = 256;

impl Pictures {
    /// A set in memory. Labels are indices into `classes`.
    pub fn new(
        name: &str,
        image: [usize; 3],
        classes: Vec<String>,
        images: Vec<u8>,
        labels: impl IntoIterator<Item = u8>,
    ) -> Self {
        let frame = ResizeCrop { image, shorter: image[1].min(image[2]) };
        let labels = labels.into_iter().map(u16::from).collect();
        Self::framed(name, frame, Meaning::Classes(classes.into()), images.into(), labels)
    }

    fn framed(name: &str, frame: ResizeCrop, meaning: Meaning, images: Images, labels: Vec<u16>) -> Self {
        let [mean, std] = [vec![HALF; frame.image[0]], vec![HALF; frame.image[0]]];
        let (name, image, shorter) = (name.to_owned(), frame.image, frame.shorter);
        let (augmentation, held_out, skipped) = (Augmentation::default(), 0, Arc::default());
        Self { name, image, meaning, images, labels, mean, std, shorter, augmentation, held_out, skipped }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the set has no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of an image: C*H*W.
    pub fn image_bytes(&self) -> usize {
        self.image.iter().product()
    }

    /// Resizing and cropping of images of other sizes.
    pub fn frame(&self) -> ResizeCrop {
        ResizeCrop { image: self.image, shorter: self.shorter }
    }

    /// The bytes of the image `index`.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`], for images in files.
    pub fn image(&self, index: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.image_bytes()];
        self.images.read(index, &mut bytes).map(|()| bytes)
    }

    /// Mean and standard deviation of each channel over all images but those for validation, on the
    /// scale `[0, 1]`. A standard deviation is at least 1/255.
    fn statistics(&self) -> Result<[Vec<f32>; 2]> {
        let (bytes, count, [c, h, w]) = (self.image_bytes(), self.len() - self.held_out, self.image);
        let (mut sums, mut squares) = (vec![0u64; c], vec![0u64; c]);
        let mut chunk = vec![0; CHUNK.min(count) * bytes];
        for start in (0..count).step_by(CHUNK) {
            let here = start..count.min(start + CHUNK);
            let filled = here.len() * bytes;
            in_parallel(here.zip(chunk.chunks_exact_mut(bytes)), |(i, place)| self.images.read(i, place))?;
            for (plane, values) in chunk[..filled].chunks_exact(h * w).enumerate() {
                sums[plane % c] += values.iter().map(|&byte| u64::from(byte)).sum::<u64>();
                squares[plane % c] += values.iter().map(|&byte| u64::from(byte).pow(2)).sum::<u64>();
            }
        }
        let pixels = (count * h * w) as f64;
        let mean = |sum: &u64| *sum as f64 / pixels;
        let deviation = |(sum, square): (&u64, &u64)| (mean(square) - mean(sum).powi(2)).max(0.0).sqrt().max(1.0);
        let deviations = sums.iter().zip(&squares).map(|both| (deviation(both) / 255.0) as f32).collect();
        Ok([sums.iter().map(|sum| (mean(sum) / 255.0) as f32).collect(), deviations])
    }
}

/// The columns of images of shape `image`: the inputs `image` and `movement`, which is the flip and
/// shift, and the target `label` for a class or `number` for a number.
pub(super) fn form(image: [usize; 3], mean: &[f32], std: &[f32], meaning: &Meaning) -> Form {
    let pixels = Meaning::Pixels { mean: mean.to_vec(), std: std.to_vec() };
    let target = match meaning {
        Meaning::Number { .. } => Column::plain("number", Element::F32, []),
        _ => Column::plain("label", Element::U32, []),
    };
    Form {
        inputs: vec![
            Column { meaning: pixels, ..Column::plain("image", Element::U8, image) },
            Column::plain("movement", Element::U32, []),
        ],
        targets: vec![Column { meaning: meaning.clone(), ..target }],
    }
}

/// The form of images with [`Normalise::Half`].
pub fn plain_form(image: [usize; 3], meaning: &Meaning) -> Form {
    let half = vec![HALF; image[0]];
    form(image, &half, &half, meaning)
}

impl Examples for Pictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn form(&self) -> Form {
        form(self.image, &self.mean, &self.std, &self.meaning)
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [image, movement, target] = into else { panic!("{}: expected three columns", self.name) };
        let place = &mut bytes_of(image)[..self.image_bytes()];
        match draw.and_then(|draw| self.augmentation.variation(draw)) {
            Some(variation) => variation.read(self, index as u32, place)?,
            None => self.images.read(index, place)?,
        }
        movement[0] = draw.map_or(Augmentation::IDENTITY, |draw| self.augmentation.movement(draw, index));
        self.targets(index, &mut [target])
    }

    fn targets(&self, index: usize, into: &mut [&mut [u32]]) -> Result<()> {
        match self.meaning {
            Meaning::Number { .. } => floats_of(into[0])[0] = self.labels[index].into(),
            _ => into[0][0] = self.labels[index].into(),
        }
        Ok(())
    }

    fn held_out(&self) -> usize {
        self.held_out
    }

    fn file_of(&self, index: usize) -> Option<String> {
        self.images.file(index).map(str::to_owned)
    }

    fn companions(&self) -> Vec<(&'static str, Vec<u8>)> {
        table_of_skipped(&self.skipped)
    }

    fn reads_slowly(&self, draw: Option<Draw>) -> bool {
        matches!(self.images, Images::Files(_)) || draw.is_some_and(|draw| self.augmentation.variation(draw).is_some())
    }

    /// All images and labels; for image files their names and lengths, and the image size. A
    /// changed file of the same length is not detected.
    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        self.images.fingerprint(add);
        self.labels.iter().for_each(|label| add(&label.to_le_bytes()));
    }

    fn of_files(&self, files: &[PathBuf]) -> Result<Arc<dyn Examples>> {
        let bytes = files.iter().map(|path| Ok(self.frame().fit(&read_image(path)?)));
        let bytes = bytes.collect::<Result<Vec<_>>>()?.concat();
        Ok(Arc::new(Self { images: bytes.into(), labels: vec![0; files.len()], held_out: 0, ..self.clone() }))
    }
}

/// An image data set with its published training and test parts.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureSplits {
    /// For training and validation.
    pub train: Pictures,
    /// For the test, once at the end of a run.
    pub test: Pictures,
}

impl PictureSplits {
    /// Sets mean and standard deviation of both parts.
    ///
    /// # Errors
    /// [`Error::Setting`] for [`Normalise::Imagenet`] and grey images; for [`Normalise::Data`]
    /// those of [`Pictures::image`].
    pub fn normalise(&mut self, by: Normalise) -> Result<()> {
        let [mean, std] = match by {
            Normalise::Half => return Ok(()),
            Normalise::Imagenet if self.train.image[0] == 3 => IMAGENET.map(|values| values.to_vec()),
            Normalise::Imagenet => {
                let message = format!("imagenet needs colour images, those of {} are grey", self.train.name);
                return Err(Error::setting("normalise", message));
            }
            Normalise::Data => self.train.statistics()?,
        };
        for set in [&mut self.train, &mut self.test] {
            (set.mean, set.std) = (mean.clone(), std.clone());
        }
        Ok(())
    }

    /// Sets the augmentation of training images.
    ///
    /// # Errors
    /// [`Error::Setting`] for a cutout larger than an image.
    pub fn augment(&mut self, augmentation: Augmentation) -> Result<()> {
        let [_, h, w] = self.train.image;
        if usize::from(augmentation.cutout) > h.min(w) {
            let message =
                format!("expected at most {} pixels for images of {h}x{w}, found {}", h.min(w), augmentation.cutout);
            return Err(Error::setting("cutout", message));
        }
        self.train.augmentation = augmentation;
        Ok(())
    }
}

impl From<PictureSplits> for Splits {
    fn from(PictureSplits { train, test }: PictureSplits) -> Self {
        Self { train: Arc::new(train), test: Arc::new(test) }
    }
}
