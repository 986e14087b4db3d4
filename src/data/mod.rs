//! Beside the tower: data sets as they lie on disk, and batches as pure functions of seed and epoch.

mod annotations;
mod batch;
mod cache;
mod cifar;
pub(crate) mod file;
mod find;
mod folder;
mod idx;
mod image_file;
mod images;
mod loader;
mod random;
mod shapes;
mod source;
mod split;
pub(crate) mod text;
mod vary;

pub use annotations::{Face, face_in, image_list_in, names_in, validation_annotations_in, words_in};
pub use batch::{Augmentation, HostBatch, IGNORED_LABEL, epoch_order, mixing_part};
pub use cache::News;
pub use cifar::{cifar10_records, cifar100_records, read_cifar10, read_cifar100, read_cifar100_coarse};
pub use idx::{images_in, labels_in, read_images, read_labels};
pub use image_file::{Frame, decode_image, read_image};
pub use images::Images;
pub use loader::Loader;
pub use shapes::shapes;
pub use source::{AGES, NAMES, Source, check_side, open};
pub use split::split;
pub use vary::{Crop, Jitter, Variation};

use crate::cores::in_parallel;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Labelled images of one form.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// As [`open`] knows it.
    pub name: String,
    /// C, H, W of every image.
    pub image: [usize; 3],
    /// What labels say.
    pub meaning: Meaning,
    /// N images, each C planes of H rows of W bytes.
    pub images: Images,
    /// N labels.
    pub labels: Vec<u16>,
    /// Mean of each channel for normalisation, where a byte of 255 is 1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, in the same unit.
    pub std: Vec<f32>,
    /// Pixels of the shorter side of an image of another size, scaled and not yet cropped.
    pub shorter: usize,
}

/// What the labels of a set say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Which of the classes that are called so: labels are indices into it.
    Classes(Vec<String>),
    /// An age.
    Years,
}

impl Meaning {
    /// Outputs of a model that predicts it.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classes(names) => names.len(),
            Self::Years => 1,
        }
    }
}

/// How images are normalised: x -> (x - mean) / deviation by channel, where a byte of 255 is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Both 0.5, so that x goes from -1 to 1: what LeRaC's published code does.
    #[default]
    Half,
    /// Those of ImageNet, as torchvision's weights want it.
    Imagenet,
    /// Those of the set's own training images.
    Data,
}

/// Mean and deviation of [`Normalise::Half`].
const CENTRE: f32 = 0.5;

/// Those of [`Normalise::Imagenet`], from torchvision's documentation.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// Images that are read at once where all are looked at.
const CHUNK: usize = 256;

impl Dataset {
    /// A set in memory, with labels that fit its classes.
    fn new(
        name: &str,
        image: [usize; 3],
        classes: Vec<String>,
        images: Vec<u8>,
        labels: impl IntoIterator<Item = u8>,
    ) -> Self {
        let frame = Frame { image, shorter: image[1].min(image[2]) };
        let labels = labels.into_iter().map(u16::from).collect();
        Self::framed(name, frame, Meaning::Classes(classes), images.into(), labels)
    }

    fn framed(name: &str, frame: Frame, meaning: Meaning, images: Images, labels: Vec<u16>) -> Self {
        let [mean, std] = [vec![CENTRE; frame.image[0]], vec![CENTRE; frame.image[0]]];
        Self { name: name.to_owned(), image: frame.image, meaning, images, labels, mean, std, shorter: frame.shorter }
    }

    /// The name of each class; none where labels are no classes.
    pub fn classes(&self) -> &[String] {
        match &self.meaning {
            Meaning::Classes(names) => names,
            Meaning::Years => &[],
        }
    }

    /// N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// C*H*W.
    pub fn image_bytes(&self) -> usize {
        self.image.iter().product()
    }

    /// The form that an image of any size is brought to.
    pub fn frame(&self) -> Frame {
        Frame { image: self.image, shorter: self.shorter }
    }

    /// Mean and deviation of each channel over all images, in parts of 255; no deviation is below a 255th.
    fn statistics(&self) -> Result<[Vec<f32>; 2]> {
        let (bytes, [c, h, w]) = (self.image_bytes(), self.image);
        let (mut sums, mut squares) = (vec![0u64; c], vec![0u64; c]);
        let mut chunk = vec![0; CHUNK.min(self.len()) * bytes];
        for start in (0..self.len()).step_by(CHUNK) {
            let here = start..self.len().min(start + CHUNK);
            let filled = here.len() * bytes;
            in_parallel(here.zip(chunk.chunks_exact_mut(bytes)), |(i, place)| self.images.read(i, place))?;
            for (plane, values) in chunk[..filled].chunks_exact(h * w).enumerate() {
                sums[plane % c] += values.iter().map(|&byte| u64::from(byte)).sum::<u64>();
                squares[plane % c] += values.iter().map(|&byte| u64::from(byte).pow(2)).sum::<u64>();
            }
        }
        let count = (self.len() * h * w) as f64;
        let mean = |sum: &u64| *sum as f64 / count;
        let deviation = |(sum, square): (&u64, &u64)| (mean(square) - mean(sum).powi(2)).max(0.0).sqrt().max(1.0);
        let deviations = sums.iter().zip(&squares).map(|both| (deviation(both) / 255.0) as f32).collect();
        Ok([sums.iter().map(|sum| (mean(sum) / 255.0) as f32).collect(), deviations])
    }

    /// The bytes of one image.
    ///
    /// # Errors
    /// Those of its file.
    pub fn image(&self, index: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.image_bytes()];
        self.images.read(index, &mut bytes).map(|()| bytes)
    }
}

/// A data set as its authors divided it.
#[derive(Clone, Debug, PartialEq)]
pub struct Splits {
    /// For training and validation.
    pub train: Dataset,
    /// Read once, at the end.
    pub test: Dataset,
}

impl Splits {
    /// Sets both parts' mean and deviation.
    ///
    /// # Errors
    /// [`Error::Setting`] for ImageNet's of images that are not red, green and blue; those of image files.
    fn normalise(&mut self, by: Normalise) -> Result<()> {
        let [mean, std] = match by {
            Normalise::Half => return Ok(()),
            Normalise::Imagenet if self.train.image[0] == 3 => IMAGENET.map(|values| values.to_vec()),
            Normalise::Imagenet => {
                let message = format!("imagenet is for images in colour, {}'s are grey", self.train.name);
                return Err(Error::setting("normalise", message));
            }
            Normalise::Data => self.train.statistics()?,
        };
        for set in [&mut self.train, &mut self.test] {
            (set.mean, set.std) = (mean.clone(), std.clone());
        }
        Ok(())
    }

    /// CRC-32 of all images and labels; of images in files, of their names, sizes, and the form that they are brought to: a file that
    /// was changed and is as long as before is not noticed.
    pub fn fingerprint(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for set in [&self.train, &self.test] {
            set.images.hash(&mut hasher);
            set.labels.iter().for_each(|label| hasher.update(&label.to_le_bytes()));
        }
        hasher.finalize()
    }
}
