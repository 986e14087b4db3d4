//! Data sets by name, and how those of image folders are read.

use super::cache::{Cached, News, check};
use super::find::Wanted;
use super::folder::{Files, Layout, Part, food101, imagefolder, tiny_imagenet, utkface_age, utkface_gender};
use super::image_file::Frame;
use super::{Dataset, Images, Meaning, Normalise, Splits, cifar, idx, shapes};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The names that [`open`] knows.
pub const NAMES: &[&str] = &[
    "shapes",
    "fashion-mnist",
    "mnist",
    "cifar10",
    "cifar100",
    "cifar100-coarse",
    "imagefolder",
    "tiny-imagenet",
    "food-101",
    "utkface-gender",
    AGES,
];

/// The set whose labels are ages, not classes.
pub const AGES: &str = "utkface-age";

/// Sides of the images of folders, unless said otherwise: Tiny ImageNet's own, and what the published code makes of Food-101.
const SIDE: usize = 64;

/// The largest side that images are brought to.
const LARGEST_SIDE: usize = 1024;

/// Whether images may have this height and width, --image-size.
///
/// # Errors
/// [`Error::Setting`] where they may not.
pub fn check_side(side: usize) -> Result<()> {
    match (1..=LARGEST_SIDE).contains(&side) {
        true => Ok(()),
        false => Err(Error::setting("image_size", format!("expected 1 to {LARGEST_SIDE} pixels, found {side}"))),
    }
}

/// As many classes as labels can tell apart.
const MOST_CLASSES: usize = 1 << 16;

const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

const FASHION_MNIST: Wanted<'_> = Wanted {
    name: "fashion-mnist",
    archive: None,
    files: &idx::FILES,
    remedy: "on Debian and Ubuntu `apt-get install dataset-fashion-mnist` brings it, or name its directory by `data_dir` DIR",
};

const MNIST: Wanted<'_> = Wanted {
    name: "mnist",
    archive: None,
    files: &idx::FILES,
    remedy: "put its four IDX files in a directory, and name that by `data_dir` DIR",
};

const CIFAR10: Wanted<'_> = Wanted {
    name: "cifar10",
    archive: Some("cifar-10-batches-bin"),
    files: &["data_batch_1.bin"],
    remedy: "unpack the archive of its binary version, and name the directory by `data_dir` DIR",
};

const CIFAR100: Wanted<'_> =
    Wanted { name: "cifar100", archive: Some("cifar-100-binary"), files: &["train.bin"], ..CIFAR10 };

const TINY_IMAGENET: Wanted<'_> = Wanted {
    name: "tiny-imagenet",
    archive: Some("tiny-imagenet-200"),
    files: &["wnids.txt"],
    remedy: "unpack its archive, and name the directory by `data_dir` DIR",
};

const FOOD_101: Wanted<'_> = Wanted { name: "food-101", archive: None, files: &["meta/train.txt"], ..TINY_IMAGENET };

/// Which data set, and how its images are read. All but name, directory and normalisation are for image folders alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source<'s> {
    /// One of [`NAMES`].
    pub name: &'s str,
    /// The directory of its files; where it is absent, `LERAC_DATA` or one of the usual places.
    pub dir: Option<&'s Path>,
    /// Mean and deviation.
    pub normalise: Normalise,
    /// Side of the square that every image is brought to; 64 where it is absent.
    pub image_size: Option<usize>,
    /// Shorter side of an image before it is cropped to that square; the same where it is absent.
    pub resize: Option<usize>,
    /// Names of the classes that are used, one a line.
    pub class_list: Option<&'s Path>,
    /// File that keeps the images decoded.
    pub cache: Option<&'s Path>,
    /// Leave bad images out, having looked at every one.
    pub skip_bad: bool,
}

/// Opens a data set by name, from `dir`, or from `LERAC_DATA`, or from the usual places. A directory may hold the set's files, or
/// a folder with the set's name or its archive's.
///
/// # Errors
/// As [`Source::open`].
pub fn open(name: &str, dir: Option<&Path>) -> Result<Splits> {
    Source { name, dir, ..Source::default() }.open(&mut |_| ())
}

impl Source<'_> {
    /// Opens the set. Files of images are listed, and decoded only if they are to be checked or kept.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown name, an option that the set has no use for, or where no file is found, with every place looked
    /// at; [`Error::Format`] and [`Error::Io`] for files that cannot be used.
    pub fn open(&self, news: &mut dyn FnMut(News<'_>)) -> Result<Splits> {
        let mut splits = self.open_plain(news)?;
        splits.normalise(self.normalise).map(|()| splits)
    }

    fn open_plain(&self, news: &mut dyn FnMut(News<'_>)) -> Result<Splits> {
        let (name, dir) = (self.name, self.dir);
        if !self.is_folder() {
            self.refuse_what_has_no_use()?;
        }
        match name {
            "shapes" => Ok(shapes(4000, 1000, 0)),
            "fashion-mnist" => idx::read_set(name, &FASHION_MNIST.find(dir)?, &FASHION.map(str::to_owned)),
            "mnist" => {
                idx::read_set(name, &MNIST.find(dir)?, &std::array::from_fn::<_, 10, _>(|i| format!("digit {i}")))
            }
            "cifar10" => cifar::read_cifar10(&CIFAR10.find(dir)?),
            "cifar100" => cifar::read_cifar100(&CIFAR100.find(dir)?),
            "cifar100-coarse" => cifar::read_cifar100_coarse(&CIFAR100.find(dir)?),
            "tiny-imagenet" => self.folder(tiny_imagenet(&TINY_IMAGENET.find(dir)?)?, news),
            "food-101" => self.folder(food101(&FOOD_101.find(dir)?)?, news),
            "imagefolder" => self.folder(imagefolder(&self.named_dir()?, self.class_list)?, news),
            "utkface-gender" | AGES => {
                let layout = if name == AGES { utkface_age } else { utkface_gender };
                let layout = layout(&self.named_dir()?, &mut self.misnamed(news))?;
                self.folder(layout, news)
            }
            _ => Err(unknown(name)),
        }
    }

    /// C, H, W of the set's images, and how many outputs a model for it has; without its files where those are known.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn form(&self) -> Result<([usize; 3], usize)> {
        if !self.is_folder() {
            self.refuse_what_has_no_use()?;
        }
        Ok(match self.name {
            "shapes" | "cifar10" => ([3, 32, 32], 10),
            "cifar100" => ([3, 32, 32], 100),
            "cifar100-coarse" => ([3, 32, 32], 20),
            "mnist" | "fashion-mnist" => ([1, 28, 28], 10),
            "tiny-imagenet" => (self.frame()?.image, 200),
            "food-101" => (self.frame()?.image, 101),
            "utkface-gender" => (self.frame()?.image, 2),
            AGES => (self.frame()?.image, Meaning::Years.outputs()),
            _ => {
                let listed = Source { cache: None, skip_bad: false, ..*self }.open(&mut |_| ())?;
                (listed.train.image, listed.train.meaning.outputs())
            }
        })
    }

    fn is_folder(&self) -> bool {
        ["imagefolder", "tiny-imagenet", "food-101", "utkface-gender", AGES].contains(&self.name)
    }

    fn refuse_what_has_no_use(&self) -> Result<()> {
        let given = [
            ("image_size", self.image_size.is_some()),
            ("resize", self.resize.is_some()),
            ("cache", self.cache.is_some()),
            ("skip_bad", self.skip_bad),
            ("class_list", self.class_list.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((field, _)) if NAMES.contains(&self.name) => {
                Err(Error::setting(field, format!("is for image folders, which {} is not; leave it out", self.name)))
            }
            _ => Ok(()),
        }
    }

    /// With --skip-bad, files whose names say nothing are noted; else they are errors.
    fn misnamed(&self, news: &mut dyn FnMut(News<'_>)) -> impl FnMut(Error) -> Result<()> {
        move |fault| match self.skip_bad {
            true => {
                news(News::Note(&format!("left out: {fault}")));
                Ok(())
            }
            false => Err(fault),
        }
    }

    fn named_dir(&self) -> Result<PathBuf> {
        let Some(dir) = self.dir else {
            return Err(Error::setting("data_dir", format!("{} needs the directory of its images", self.name)));
        };
        match dir.is_dir() {
            true => Ok(dir.to_owned()),
            false => Err(Error::setting("data_dir", format!("there is no directory {}", dir.display()))),
        }
    }

    /// The form that images are brought to.
    fn frame(&self) -> Result<Frame> {
        let side = self.image_size.unwrap_or(SIDE);
        let shorter = self.resize.unwrap_or(side);
        check_side(side)?;
        if !(side..=2 * LARGEST_SIDE).contains(&shorter) {
            let message = format!("expected {side} (`image_size`) to {} pixels, found {shorter}", 2 * LARGEST_SIDE);
            return Err(Error::setting("resize", message));
        }
        Ok(Frame { image: [3, side, side], shorter })
    }

    /// The data set of these files.
    fn folder(&self, layout: Layout, news: &mut dyn FnMut(News<'_>)) -> Result<Splits> {
        if self.class_list.is_some() && self.name != "imagefolder" {
            return Err(Error::setting("class_list", "is for imagefolder; leave it out"));
        }
        let frame = self.frame()?;
        let Layout { root, meaning, mut train, mut test } = layout;
        if meaning.outputs() > MOST_CLASSES {
            let message = format!("expected at most {MOST_CLASSES} classes, found {}", meaning.outputs());
            return Err(Error::setting("data_dir", message));
        }
        let mut parts = [None, None];
        if self.cache.is_some() || self.skip_bad {
            let everything = [train.entries.clone(), test.entries.clone()].concat();
            let checked = check(&Files::new(&root, everything, frame), self.cache, self.skip_bad, news)?;
            let (of_train, all) = (train.entries.len(), train.entries.len() + test.entries.len());
            let mut good = vec![true; all];
            checked.bad.iter().for_each(|&bad| good[bad as usize] = false);
            keep(&mut train, &good[..of_train]);
            keep(&mut test, &good[of_train..]);
            if let Some(cache) = checked.cache {
                parts = [Some((cache.clone(), 0)), Some((cache, train.entries.len()))];
            }
        }
        let [of_train, of_test] = parts;
        let dataset = |part: Part, cache: Option<(Cached, usize)>| {
            if part.entries.is_empty() {
                let message = format!("{} has no image to train on or to test with", root.display());
                return Err(Error::setting("data_dir", message));
            }
            let files = Files::new(&root, part.entries, frame);
            let images = match cache {
                Some((cache, first)) => Images::Cached(cache.part(files, first)),
                None => Images::Files(files),
            };
            Ok(Dataset::framed(self.name, frame, meaning.clone(), images, part.labels))
        };
        Ok(Splits { train: dataset(train, of_train)?, test: dataset(test, of_test)? })
    }
}

/// Leaves the files out that are not good.
fn keep(part: &mut Part, good: &[bool]) {
    let mut of_entry = good.iter();
    part.entries.retain(|_| *of_entry.next().expect("one for each"));
    let mut of_label = good.iter();
    part.labels.retain(|_| *of_label.next().expect("one for each"));
}

/// The error for a name that is none of [`NAMES`], with the one that was probably meant.
fn unknown(name: &str) -> Error {
    let plain = |name: &str| -> String { name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
    let given = plain(name);
    let alike = |known: &&&str| !given.is_empty() && (given.contains(&plain(known)) || plain(known).contains(&given));
    let nearest = NAMES.iter().filter(alike).min_by_key(|known| plain(known).len().abs_diff(given.len()));
    let hint = nearest.map_or(String::new(), |known| format!("; did you mean {known}?"));
    Error::setting("data", format!("{name:?} is not known; there are {}{hint}", NAMES.join(", ")))
}
