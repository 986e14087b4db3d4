//! Beside the tower: data sets as they lie on disk, and batches as pure functions of seed and epoch.

mod batch;
mod cifar;
mod idx;
mod loader;
mod shapes;
mod split;

pub use batch::{Augmentation, HostBatch, IGNORED_LABEL, epoch_order};
pub use cifar::{read_cifar10, read_cifar100};
pub use idx::{read_images, read_labels};
pub use loader::Loader;
pub use shapes::shapes;
pub use split::split;

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Labelled images in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// C, H, W of every image.
    pub image: [usize; 3],
    /// The name of each class; labels are indices into it.
    pub classes: Vec<String>,
    /// N images, each C planes of H rows of W bytes.
    pub images: Vec<u8>,
    /// N labels.
    pub labels: Vec<u8>,
}

impl Dataset {
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
    pub fn bytes_of(&self, index: usize) -> &[u8] {
        let bytes = self.image_bytes();
        &self.images[index * bytes..(index + 1) * bytes]
    }
}

/// A data set as its authors divided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splits {
    /// For training and validation.
    pub train: Dataset,
    /// Read once, at the end.
    pub test: Dataset,
}

/// The names that [`open`] knows.
pub const NAMES: [&str; 5] = ["shapes", "fashion-mnist", "mnist", "cifar10", "cifar100"];

const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// Opens a data set by name, from `dir`, or from `LERAC_DATA`, or from the usual places.
///
/// # Errors
/// [`Error::Option`] for an unknown name or where no file is found, with every place looked at; [`Error::Format`] and
/// [`Error::Io`] for files that cannot be used.
pub fn open(name: &str, dir: Option<&Path>) -> Result<Splits> {
    let names = |prefix: &str| (0..10).map(|i| format!("{prefix}{i}")).collect();
    match name {
        "shapes" => Ok(shapes(4000, 1000, 0)),
        "mnist" => open_idx(&find(name, dir, &["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])?, names("digit ")),
        "fashion-mnist" => {
            let dir = find(name, dir, &["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"])?;
            open_idx(&dir, FASHION.map(str::to_owned).to_vec())
        }
        "cifar10" => read_cifar10(&find(name, dir, &["data_batch_1.bin"])?),
        "cifar100" => read_cifar100(&find(name, dir, &["train.bin"])?),
        _ => Err(Error::option("--data", format!("{name:?} is not known; there are {}", NAMES.join(", ")))),
    }
}

fn open_idx(dir: &Path, classes: Vec<String>) -> Result<Splits> {
    let file = |stem: &str| {
        let plain = dir.join(stem);
        if plain.exists() { plain } else { dir.join(format!("{stem}.gz")) }
    };
    let part = |prefix: &str| {
        idx::read_pair(
            &file(&format!("{prefix}-images-idx3-ubyte")),
            &file(&format!("{prefix}-labels-idx1-ubyte")),
            classes.clone(),
        )
    };
    let splits = Splits { train: part("train")?, test: part("t10k")? };
    if splits.train.image != splits.test.image {
        let (train, test) = (splits.train.image, splits.test.image);
        let message = format!("training images are {train:?} (C, H, W), test images {test:?}; they must agree");
        return Err(Error::format(&file("t10k-images-idx3-ubyte"), 8, message));
    }
    Ok(splits)
}

/// The directory that holds one of `files`: `dir`, or a usual subdirectory of it, or without `dir` the usual places.
fn find(name: &str, dir: Option<&Path>, files: &[&str]) -> Result<PathBuf> {
    let environment = std::env::var_os("LERAC_DATA").map(PathBuf::from);
    let roots = match dir {
        Some(dir) => vec![dir.to_owned()],
        None => environment.into_iter().chain(["data".into(), "/usr/share/datasets".into()]).collect(),
    };
    let folders = ["", name, "cifar-10-batches-bin", "cifar-100-binary"];
    let places: Vec<PathBuf> =
        roots.iter().flat_map(|root| folders.iter().map(move |folder| root.join(folder))).collect();
    if let Some(found) = places.iter().find(|place| files.iter().any(|file| place.join(file).is_file())) {
        return Ok(found.clone());
    }
    let how = match name {
        "fashion-mnist" => "on Debian and Ubuntu apt-get install dataset-fashion-mnist brings it",
        "mnist" => "it is published as four IDX files",
        _ => "it is published as an archive of its binary version",
    };
    let looked: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
    Err(Error::option(
        "--data",
        format!(
            "no {} for {name} in {} or their folder {name}; give its directory by --data-dir ({how})",
            files[0],
            looked.join(", ")
        ),
    ))
}
