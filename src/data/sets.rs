//! The table of data sets by name, and how each is opened.

use super::find::Wanted;
use super::pictures::{
    self, Augmentation, News, Normalise, PictureSplits, food101, imagefolder, plain_form, read_cifar10, read_cifar100,
    read_cifar100_coarse, shapes, tiny_imagenet, utkface_age, utkface_gender,
};
use super::{Form, Meaning, Splits};
use crate::error::{Error, Result};
use std::path::Path;

/// Which data set, and how its examples are read. The options about files are for sets of image files alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Source<'s> {
    /// The name of one of [`DATA_SETS`].
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
    /// How training images are varied.
    pub augmentation: Augmentation,
}

/// A data set that is known by name.
pub struct DataSet {
    /// What --data calls it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Whether it is made of image files, to which `image_size`, `resize`, `cache` and `skip_bad` apply.
    pub of_files: bool,
    /// The columns, known without the set's files.
    form: Known,
    open: Open,
}

/// Reads a set, and tells what it is doing.
type Open = fn(&Source<'_>, &mut dyn FnMut(News<'_>)) -> Result<PictureSplits>;

/// What is known of a set's examples without its files.
enum Known {
    /// C, H, W, and the number of classes.
    Classes([usize; 3], usize),
    /// The number of classes of images whose size is an option.
    ClassesOfFiles(usize),
    /// Ages of images whose size is an option.
    AgesOfFiles,
    /// Nothing.
    Nothing,
}

const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

const FASHION_MNIST: Wanted<'_> = Wanted {
    name: "fashion-mnist",
    archive: None,
    files: &pictures::IDX_FILES,
    remedy: "on Debian and Ubuntu `apt-get install dataset-fashion-mnist` brings it, or name its directory by `data_dir`",
};

const MNIST: Wanted<'_> = Wanted {
    name: "mnist",
    archive: None,
    files: &pictures::IDX_FILES,
    remedy: "put its four IDX files in a directory, and name that by `data_dir`",
};

const CIFAR10: Wanted<'_> = Wanted {
    name: "cifar10",
    archive: Some("cifar-10-batches-bin"),
    files: &["data_batch_1.bin"],
    remedy: "unpack the archive of its binary version, and name the directory by `data_dir`",
};

const CIFAR100: Wanted<'_> =
    Wanted { name: "cifar100", archive: Some("cifar-100-binary"), files: &["train.bin"], ..CIFAR10 };

const TINY_IMAGENET: Wanted<'_> = Wanted {
    name: "tiny-imagenet",
    archive: Some("tiny-imagenet-200"),
    files: &["wnids.txt"],
    remedy: "unpack its archive, and name the directory by `data_dir`",
};

const FOOD_101: Wanted<'_> = Wanted { name: "food-101", archive: None, files: &["meta/train.txt"], ..TINY_IMAGENET };

/// A set of whole files that are read into memory.
const fn in_memory(name: &'static str, about: &'static str, form: Known, open: Open) -> DataSet {
    DataSet { name, about, of_files: false, form, open }
}

/// A set of folders of PNG and JPEG files.
const fn of_files(name: &'static str, about: &'static str, form: Known, open: Open) -> DataSet {
    DataSet { name, about, of_files: true, form, open }
}

/// Every data set that has a name.
pub static DATA_SETS: [DataSet; 11] = [
    in_memory("shapes", "ten drawn shapes on noise, 32x32; needs no file", Known::Classes([3, 32, 32], 10), |_, _| {
        Ok(shapes(4000, 1000, 0))
    }),
    in_memory(
        "fashion-mnist",
        "ten kinds of clothing, grey, 28x28; IDX files, plain or .gz",
        Known::Classes([1, 28, 28], 10),
        |source, _| pictures::read_idx("fashion-mnist", &FASHION_MNIST.find(source.dir)?, &FASHION.map(str::to_owned)),
    ),
    in_memory(
        "mnist",
        "ten digits, grey, 28x28; IDX files, plain or .gz",
        Known::Classes([1, 28, 28], 10),
        |source, _| {
            let digits: [String; 10] = std::array::from_fn(|i| format!("digit {i}"));
            pictures::read_idx("mnist", &MNIST.find(source.dir)?, &digits)
        },
    ),
    in_memory("cifar10", "ten classes, 32x32; the binary files", Known::Classes([3, 32, 32], 10), |source, _| {
        read_cifar10(&CIFAR10.find(source.dir)?)
    }),
    in_memory(
        "cifar100",
        "a hundred classes, 32x32; the binary files",
        Known::Classes([3, 32, 32], 100),
        |source, _| read_cifar100(&CIFAR100.find(source.dir)?),
    ),
    in_memory(
        "cifar100-coarse",
        "the twenty groups of cifar100's classes",
        Known::Classes([3, 32, 32], 20),
        |source, _| read_cifar100_coarse(&CIFAR100.find(source.dir)?),
    ),
    of_files(
        "imagefolder",
        "DIR/train/CLASS/ and DIR/test/CLASS/ or DIR/val/CLASS/",
        Known::Nothing,
        |source, news| source.folder(imagefolder(&source.named_dir()?, source.class_list)?, news),
    ),
    of_files(
        "tiny-imagenet",
        "two hundred classes, 64x64, as its archive unpacks",
        Known::ClassesOfFiles(200),
        |source, news| source.folder(tiny_imagenet(&TINY_IMAGENET.find(source.dir)?)?, news),
    ),
    of_files(
        "food-101",
        "a hundred and one dishes, as its archive unpacks",
        Known::ClassesOfFiles(101),
        |source, news| source.folder(food101(&FOOD_101.find(source.dir)?)?, news),
    ),
    of_files(
        "utkface-gender",
        "faces by gender, from the names of UTKFace's files",
        Known::ClassesOfFiles(2),
        |source, news| source.faces(utkface_gender, news),
    ),
    of_files(
        "utkface-age",
        "faces by age, a number, from the names of UTKFace's files",
        Known::AgesOfFiles,
        |source, news| source.faces(utkface_age, news),
    ),
];

/// Opens a data set by name, from `dir`, or from `LERAC_DATA`, or from the usual places. A directory may hold the set's files, or
/// a folder with the set's name or its archive's.
///
/// # Errors
/// As [`Source::open`].
pub fn open(name: &str, dir: Option<&Path>) -> Result<Splits> {
    Source { name, dir, ..Source::default() }.open(&mut |_| ())
}

impl DataSet {
    /// The data set of this name.
    ///
    /// # Errors
    /// [`Error::Setting`] listing the names, if there is none of this name.
    pub fn named(name: &str) -> Result<&'static Self> {
        DATA_SETS.iter().find(|set| set.name == name).ok_or_else(|| unknown(name))
    }

    /// Whether a number is predicted, and no class.
    pub fn of_numbers(&self) -> bool {
        matches!(self.form, Known::AgesOfFiles)
    }
}

impl Source<'_> {
    /// Opens the set. Files of images are listed, and decoded only if they are to be checked or kept.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown name, an option that the set has no use for, or where no file is found, with every place looked
    /// at; [`Error::Format`] and [`Error::Io`] for files that cannot be used.
    pub fn open(&self, news: &mut dyn FnMut(News<'_>)) -> Result<Splits> {
        self.open_pictures(news).map(Splits::from)
    }

    /// Opens the set as pictures.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_pictures(&self, news: &mut dyn FnMut(News<'_>)) -> Result<PictureSplits> {
        let set = self.set()?;
        let mut splits = (set.open)(self, news)?;
        splits.normalise(self.normalise)?;
        splits.augment(self.augmentation)?;
        Ok(splits)
    }

    /// The set's columns; read from its files only where they are not known without.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn form(&self) -> Result<Form> {
        let classes = |count: usize| Meaning::Classes((0..count).map(|i| format!("class {i}")).collect());
        Ok(match self.set()?.form {
            Known::Classes(image, count) => plain_form(image, &classes(count)),
            Known::ClassesOfFiles(count) => plain_form(self.frame()?.image, &classes(count)),
            Known::AgesOfFiles => {
                let [mean, std] = pictures::AGE;
                plain_form(self.frame()?.image, &Meaning::Number { unit: "years".into(), mean, std })
            }
            Known::Nothing => {
                let listed = Source { cache: None, skip_bad: false, ..*self }.open(&mut |_| ())?;
                listed.train.form()
            }
        })
    }

    /// The set's row of the table, which must have a use for every option.
    fn set(&self) -> Result<&'static DataSet> {
        let set = DataSet::named(self.name)?;
        let given = [
            ("image_size", self.image_size.is_some()),
            ("resize", self.resize.is_some()),
            ("cache", self.cache.is_some()),
            ("skip_bad", self.skip_bad),
            ("class_list", self.class_list.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given && !set.of_files) {
            Some((option, _)) => {
                Err(Error::setting(option, format!("is for image folders, which {} is not; leave it out", self.name)))
            }
            None => Ok(set),
        }
    }
}

/// The error for a name that is none of the table's, with the one that was probably meant.
fn unknown(name: &str) -> Error {
    let plain = |name: &str| -> String { name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect() };
    let given = plain(name);
    let names = || DATA_SETS.iter().map(|set| set.name);
    let alike = |known: &&str| !given.is_empty() && (given.contains(&plain(known)) || plain(known).contains(&given));
    let nearest = names().filter(alike).min_by_key(|known| plain(known).len().abs_diff(given.len()));
    let hint = nearest.map_or(String::new(), |known| format!("; did you mean {known}?"));
    let known = names().collect::<Vec<_>>().join(", ");
    Error::setting("data", format!("{name:?} is not known; there are {known}{hint}"))
}
