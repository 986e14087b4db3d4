//! Beside the tower: data sets as they lie on disk, and batches as pure functions of seed and epoch.

mod batch;
mod cifar;
mod find;
mod idx;
mod loader;
mod random;
mod shapes;
mod split;
pub(crate) mod text;

pub use batch::{Augmentation, HostBatch, IGNORED_LABEL, epoch_order};
pub use cifar::{cifar10_records, cifar100_records, read_cifar10, read_cifar100};
pub use idx::{images_in, labels_in, read_images, read_labels};
pub use loader::Loader;
pub use shapes::shapes;
pub use split::split;

use crate::error::{Error, Result};
use find::Wanted;
use std::path::Path;

/// Labelled images in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// As [`open`] knows it.
    pub name: String,
    /// C, H, W of every image.
    pub image: [usize; 3],
    /// The name of each class; labels are indices into it.
    pub classes: Vec<String>,
    /// N images, each C planes of H rows of W bytes.
    pub images: Vec<u8>,
    /// N labels.
    pub labels: Vec<u8>,
    /// Mean of each channel for normalisation, where a byte of 255 is 1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, in the same unit.
    pub std: Vec<f32>,
}

/// Mean and deviation of every channel of every set, as in LeRaC's published code: x -> (x - 0.5) / 0.5, from -1 to 1.
const CENTRE: f32 = 0.5;

impl Dataset {
    fn new(name: &str, image: [usize; 3], classes: Vec<String>, images: Vec<u8>, labels: Vec<u8>) -> Self {
        let [mean, std] = [vec![CENTRE; image[0]], vec![CENTRE; image[0]]];
        Self { name: name.to_owned(), image, classes, images, labels, mean, std }
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

    /// The bytes of one image.
    pub fn image(&self, index: usize) -> &[u8] {
        let bytes = self.image_bytes();
        &self.images[index * bytes..(index + 1) * bytes]
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
    /// CRC-32 of all images and labels.
    pub fn fingerprint(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        for set in [&self.train, &self.test] {
            hasher.update(&set.images);
            hasher.update(&set.labels);
        }
        hasher.finalize()
    }
}

/// The names that [`open`] knows.
pub const NAMES: &[&str] = &["shapes", "fashion-mnist", "mnist", "cifar10", "cifar100"];

const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

const FASHION_MNIST: Wanted<'_> = Wanted {
    name: "fashion-mnist",
    archive: None,
    files: &idx::FILES,
    remedy: "on Debian and Ubuntu `apt-get install dataset-fashion-mnist` brings it, or name its directory by --data-dir DIR",
};

const MNIST: Wanted<'_> = Wanted {
    name: "mnist",
    archive: None,
    files: &idx::FILES,
    remedy: "put its four IDX files in a directory, and name that by --data-dir DIR",
};

const CIFAR10: Wanted<'_> = Wanted {
    name: "cifar10",
    archive: Some("cifar-10-batches-bin"),
    files: &["data_batch_1.bin"],
    remedy: "unpack the archive of its binary version, and name the directory by --data-dir DIR",
};

const CIFAR100: Wanted<'_> =
    Wanted { name: "cifar100", archive: Some("cifar-100-binary"), files: &["train.bin"], ..CIFAR10 };

/// Opens a data set by name, from `dir`, or from `LERAC_DATA`, or from the usual places. A directory may hold the set's files, or
/// a folder with the set's name or its archive's.
///
/// # Errors
/// [`Error::Option`] for an unknown name or where no file is found, with every place looked at; [`Error::Format`] and
/// [`Error::Io`] for files that cannot be used.
pub fn open(name: &str, dir: Option<&Path>) -> Result<Splits> {
    match name {
        "shapes" => Ok(shapes(4000, 1000, 0)),
        "fashion-mnist" => idx::read_set(name, &FASHION_MNIST.find(dir)?, &FASHION.map(str::to_owned)),
        "mnist" => idx::read_set(name, &MNIST.find(dir)?, &std::array::from_fn::<_, 10, _>(|i| format!("digit {i}"))),
        "cifar10" => read_cifar10(&CIFAR10.find(dir)?),
        "cifar100" => read_cifar100(&CIFAR100.find(dir)?),
        _ => Err(unknown(name)),
    }
}

/// C, H, W of the images of a set of [`NAMES`], and how many classes it has, without its files.
///
/// # Errors
/// [`Error::Option`] for an unknown name.
pub fn form(name: &str) -> Result<([usize; 3], usize)> {
    match name {
        "shapes" | "cifar10" => Ok(([3, 32, 32], 10)),
        "cifar100" => Ok(([3, 32, 32], 100)),
        "mnist" | "fashion-mnist" => Ok(([1, 28, 28], 10)),
        _ => Err(unknown(name)),
    }
}

/// The error for a name that is none of [`NAMES`], with the one that was probably meant.
fn unknown(name: &str) -> Error {
    let plain = |name: &str| -> String { name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
    let given = plain(name);
    let alike = |known: &&&str| !given.is_empty() && (given.contains(&plain(known)) || plain(known).contains(&given));
    let nearest = NAMES.iter().filter(alike).min_by_key(|known| plain(known).len().abs_diff(given.len()));
    let hint = nearest.map_or(String::new(), |known| format!("; did you mean {known}?"));
    Error::option("--data", format!("{name:?} is not known; there are {}{hint}", NAMES.join(", ")))
}
