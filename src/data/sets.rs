//! The table of built-in data sets, which are opened by name.

use super::find::DataFiles;
use super::pictures::{
    self, Augmentation, Normalise, OpenEvent, PictureSplits, food101, imagefolder, plain_form, read_cifar10,
    read_cifar100, read_cifar100_coarse, shapes, tiny_imagenet, utkface_age, utkface_gender,
};
#[cfg(feature = "text")]
use super::text::{self, TextSet};
use super::{Form, Meaning, Splits, TextOptions};
use crate::error::{Error, Result};
use crate::files::text::nearest;
use std::path::Path;

/// A data set and the options of reading it. Options of image files only apply to sets of image
/// files.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Source<'s> {
    /// The name of one of [`DATA_SETS`].
    pub name: &'s str,
    /// The directory of its files; by default `LERAC_DATA` or one of the usual directories.
    pub dir: Option<&'s Path>,
    /// Mean and standard deviation.
    pub normalise: Normalise,
    /// Image files: height and width that images are cropped to; by default 64.
    pub image_size: Option<usize>,
    /// Image files: shorter side that images are resized to before the crop; by default
    /// `image_size`.
    pub resize: Option<usize>,
    /// `imagefolder` and `text-pairs`: a file with the names of the classes to use, one per line.
    pub class_list: Option<&'s Path>,
    /// Image files: the file that caches decoded images.
    pub cache: Option<&'s Path>,
    /// Image files and texts: check all images or rows, and leave out those that cannot be read.
    pub skip_bad: bool,
    /// Augmentation of training images.
    pub augmentation: Augmentation,
    /// How texts are read.
    pub text: TextOptions<'s>,
}

/// A built-in data set.
pub struct DataSet {
    /// The value of `--data`.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    /// Whether it is a set of image files: `image_size`, `resize`, `cache` and `skip_bad` only
    /// apply to these.
    pub of_files: bool,
    /// Whether it is a set of texts: `text` only applies to these, and `skip_bad` applies.
    pub of_text: bool,
    /// The columns, as far as they are known without the set's files.
    form: KnownForm,
    open: Open,
}

/// Reads a set of images, and reports events.
type OpenPictures = fn(&Source<'_>, &mut dyn FnMut(OpenEvent<'_>)) -> Result<PictureSplits>;

/// How a set is read.
enum Open {
    Pictures(OpenPictures),
    /// `None` for a set whose columns are options.
    #[cfg(feature = "text")]
    Texts(Option<&'static TextSet>),
}

/// The form of a set as far as it is known without its files.
enum KnownForm {
    /// Images of this C, H, W, and classes of this number.
    Classes([usize; 3], usize),
    /// Image files, whose size is an option, and classes of this number.
    ClassesOfFiles(usize),
    /// Image files, whose size is an option, and ages.
    AgesOfFiles,
    /// The form depends on the files.
    Unknown,
}

const FASHION: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

const NOT_IDX: &[(&str, &str)] = &[
    ("mnist.npz", "is the file of Keras; the four IDX files are read, as torchvision leaves them in `raw`"),
    ("mnist_train.csv", "is a table; the four IDX files are read, as torchvision leaves them in `raw`"),
    ("fashion-mnist_train.csv", "is a table; the four IDX files are read, as torchvision leaves them in `raw`"),
];

/// What is not read of CIFAR: pickled Python, which can run any program, and packed archives.
const PICKLED: &str = "is the Python version, which is not read; get the binary version, or convert it with the lines in \
                       docs/data.md";
const PACKED: &str = "is packed; unpack it: `tar xf`";

const FASHION_MNIST: DataFiles<'_> = DataFiles {
    name: "fashion-mnist",
    archive: None,
    also: &["FashionMNIST/raw", "FashionMNIST", "fashion_mnist", "raw"],
    files: &pictures::IDX_FILES,
    other_forms: NOT_IDX,
    how_to_get: "install it with `apt-get install dataset-fashion-mnist` on Debian or Ubuntu, or give its directory as \
                 `data_dir`",
};

const MNIST: DataFiles<'_> = DataFiles {
    name: "mnist",
    archive: None,
    also: &["MNIST/raw", "MNIST", "raw"],
    files: &pictures::IDX_FILES,
    other_forms: NOT_IDX,
    how_to_get: "put its four IDX files in a directory, and give that as `data_dir`",
};

const CIFAR10: DataFiles<'_> = DataFiles {
    name: "cifar10",
    archive: Some("cifar-10-batches-bin"),
    also: &["cifar-10-binary", "cifar-10-batches-py"],
    files: &["data_batch_1.bin", "data_batch_1.bin.gz"],
    other_forms: &[("data_batch_1", PICKLED), ("cifar-10-binary.tar.gz", PACKED), ("cifar-10-python.tar.gz", PICKLED)],
    how_to_get: "unpack the archive of its binary version, and give the directory as `data_dir`",
};

const CIFAR100: DataFiles<'_> = DataFiles {
    name: "cifar100",
    archive: Some("cifar-100-binary"),
    also: &["cifar-100-python"],
    files: &["train.bin", "train.bin.gz"],
    other_forms: &[("meta", PICKLED), ("cifar-100-binary.tar.gz", PACKED), ("cifar-100-python.tar.gz", PICKLED)],
    ..CIFAR10
};

const TINY_IMAGENET: DataFiles<'_> = DataFiles {
    name: "tiny-imagenet",
    archive: Some("tiny-imagenet-200"),
    also: &[],
    files: &["wnids.txt"],
    other_forms: &[("tiny-imagenet-200.zip", "is packed; unpack it")],
    how_to_get: "unpack its archive, and give the directory as `data_dir`; `data` imagefolder reads other folders of images",
};

const FOOD_101: DataFiles<'_> = DataFiles {
    name: "food-101",
    archive: None,
    also: &["food101", "Food-101"],
    files: &["meta/train.txt"],
    other_forms: &[("food-101.tar.gz", PACKED)],
    ..TINY_IMAGENET
};

/// A set that is read into memory.
const fn in_memory(name: &'static str, about: &'static str, form: KnownForm, open: OpenPictures) -> DataSet {
    DataSet { name, about, of_files: false, of_text: false, form, open: Open::Pictures(open) }
}

/// A set of image files in folders.
const fn of_files(name: &'static str, about: &'static str, form: KnownForm, open: OpenPictures) -> DataSet {
    DataSet { name, about, of_files: true, of_text: false, form, open: Open::Pictures(open) }
}

/// A set of texts.
#[cfg(feature = "text")]
const fn of_text(name: &'static str, about: &'static str, set: Option<&'static TextSet>) -> DataSet {
    DataSet { name, about, of_files: false, of_text: true, form: KnownForm::Unknown, open: Open::Texts(set) }
}

/// All data sets that can be selected by name.
pub static DATA_SETS: &[DataSet] = &[
    in_memory(
        "shapes",
        "ten drawn shapes on noise, 32x32; needs no file",
        KnownForm::Classes([3, 32, 32], 10),
        |_, _| Ok(shapes(4000, 1000, 0)),
    ),
    in_memory(
        "fashion-mnist",
        "ten kinds of clothing, grey, 28x28; IDX files, plain or .gz",
        KnownForm::Classes([1, 28, 28], 10),
        |source, _| pictures::read_idx("fashion-mnist", &FASHION_MNIST.find(source.dir)?, &FASHION.map(str::to_owned)),
    ),
    in_memory(
        "mnist",
        "ten digits, grey, 28x28; IDX files, plain or .gz",
        KnownForm::Classes([1, 28, 28], 10),
        |source, _| {
            let digits: [String; 10] = std::array::from_fn(|i| format!("digit {i}"));
            pictures::read_idx("mnist", &MNIST.find(source.dir)?, &digits)
        },
    ),
    in_memory("cifar10", "ten classes, 32x32; the binary files", KnownForm::Classes([3, 32, 32], 10), |source, _| {
        read_cifar10(&CIFAR10.find(source.dir)?)
    }),
    in_memory(
        "cifar100",
        "a hundred classes, 32x32; the binary files",
        KnownForm::Classes([3, 32, 32], 100),
        |source, _| read_cifar100(&CIFAR100.find(source.dir)?),
    ),
    in_memory(
        "cifar100-coarse",
        "the twenty groups of cifar100's classes",
        KnownForm::Classes([3, 32, 32], 20),
        |source, _| read_cifar100_coarse(&CIFAR100.find(source.dir)?),
    ),
    of_files(
        "imagefolder",
        "DIR/train/CLASS/ and DIR/test/CLASS/ or DIR/val/CLASS/",
        KnownForm::Unknown,
        |source, report| source.folder(imagefolder(&source.named_dir()?, source.class_list, source.skip_bad)?, report),
    ),
    of_files(
        "tiny-imagenet",
        "two hundred classes, 64x64, as its archive unpacks",
        KnownForm::ClassesOfFiles(200),
        |source, report| source.folder(tiny_imagenet(&TINY_IMAGENET.find(source.dir)?, source.skip_bad)?, report),
    ),
    of_files(
        "food-101",
        "a hundred and one dishes, as its archive unpacks",
        KnownForm::ClassesOfFiles(101),
        |source, report| source.folder(food101(&FOOD_101.find(source.dir)?, source.skip_bad)?, report),
    ),
    of_files(
        "utkface-gender",
        "faces by gender, from the names of UTKFace's files",
        KnownForm::ClassesOfFiles(2),
        |source, report| source.folder(utkface_gender(&source.named_dir()?, source.skip_bad)?, report),
    ),
    of_files(
        "utkface-age",
        "faces by age, a number, from the names of UTKFace's files",
        KnownForm::AgesOfFiles,
        |source, report| source.folder(utkface_age(&source.named_dir()?, source.skip_bad)?, report),
    ),
    #[cfg(feature = "text")]
    of_text("rte", "whether a sentence follows from another; GLUE's .tsv or SuperGLUE's .jsonl", Some(&text::RTE)),
    #[cfg(feature = "text")]
    of_text("qnli", "whether a sentence answers a question; GLUE's .tsv", Some(&text::QNLI)),
    #[cfg(feature = "text")]
    of_text("boolq", "whether the answer to a question is yes; .jsonl, original or SuperGLUE's", Some(&text::BOOLQ)),
    #[cfg(feature = "text")]
    of_text(
        "text-pairs",
        "one or two columns of texts and a label; DIR/train and DIR/test or DIR/dev, .tsv, .csv or .jsonl",
        None,
    ),
];

/// Opens a built-in data set in `dir`, by default in `LERAC_DATA` or one of the usual directories.
/// The directory has the set's files, or a folder with the name of the set or of its archive.
///
/// # Errors
/// Those of [`Source::open`].
pub fn open(name: &str, dir: Option<&Path>) -> Result<Splits> {
    Source { name, dir, ..Source::default() }.open(&mut |_| ())
}

impl DataSet {
    /// The data set of this name.
    ///
    /// # Errors
    /// [`Error::Setting`] with all names, if the name is unknown.
    pub fn named(name: &str) -> Result<&'static Self> {
        DATA_SETS.iter().find(|set| set.name == name).ok_or_else(|| unknown(name))
    }

    /// Whether the target is a number, not a class.
    pub fn of_numbers(&self) -> bool {
        matches!(self.form, KnownForm::AgesOfFiles)
    }
}

impl Source<'_> {
    /// Opens the set. Image files are only listed, unless `cache` or `skip_bad` is set: then all
    /// are decoded. Events are passed to `report`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown name, an option that does not apply to the set, or if its
    /// files are not found; [`Error::Format`] and [`Error::Io`] for files that cannot be used.
    pub fn open(&self, report: &mut dyn FnMut(OpenEvent<'_>)) -> Result<Splits> {
        match self.set()?.open {
            Open::Pictures(_) => self.open_pictures(report).map(Splits::from),
            #[cfg(feature = "text")]
            Open::Texts(set) => text::open(self, set, report),
        }
    }

    /// [`Source::open`] with the result as pictures.
    ///
    /// # Errors
    /// Those of [`Source::open`], and [`Error::Setting`] for a set of texts.
    pub fn open_pictures(&self, report: &mut dyn FnMut(OpenEvent<'_>)) -> Result<PictureSplits> {
        let set = self.set()?;
        let mut splits = match set.open {
            Open::Pictures(open) => open(self, report)?,
            #[cfg(feature = "text")]
            Open::Texts(_) => return Err(Error::setting("data", format!("expected images, {} has texts", self.name))),
        };
        splits.normalise(self.normalise)?;
        splits.augment(self.augmentation)?;
        Ok(splits)
    }

    /// The columns of the set. Its files are only read if the columns are not known without them.
    ///
    /// # Errors
    /// Those of [`Source::open`].
    pub fn form(&self) -> Result<Form> {
        let classes = |count: usize| Meaning::Classes((0..count).map(|i| format!("class {i}")).collect());
        Ok(match self.set()?.form {
            KnownForm::Classes(image, count) => plain_form(image, &classes(count)),
            KnownForm::ClassesOfFiles(count) => plain_form(self.frame()?.image, &classes(count)),
            KnownForm::AgesOfFiles => {
                let [mean, std] = pictures::AGE;
                plain_form(self.frame()?.image, &Meaning::Number { unit: "years".into(), mean, std })
            }
            KnownForm::Unknown => {
                #[cfg(feature = "text")]
                if let Some(encoder) = self.text_encoder()? {
                    return Ok(encoder.form());
                }
                let listed = Source { cache: None, skip_bad: false, ..*self }.open(&mut |_| ())?;
                listed.train.form()
            }
        })
    }

    /// The encoder of texts, if the options define it completely, so that no file of the set is
    /// needed: vocabulary and classes.
    ///
    /// # Errors
    /// Those of [`Source::open`].
    #[cfg(feature = "text")]
    pub fn text_encoder(&self) -> Result<Option<std::sync::Arc<super::TextEncoder>>> {
        match self.set()?.open {
            Open::Texts(set) => text::encoder(self, set),
            Open::Pictures(_) => Ok(None),
        }
    }

    /// The set in the table. An option that does not apply to it is an error.
    fn set(&self) -> Result<&'static DataSet> {
        let set = DataSet::named(self.name)?;
        let given = [
            ("image_size", self.image_size.is_some()),
            ("resize", self.resize.is_some()),
            ("cache", self.cache.is_some()),
        ];
        let of_both = [("skip_bad", self.skip_bad), ("class_list", self.class_list.is_some())];
        let of_images = given.into_iter().filter(|_| !set.of_files);
        let of_both = of_both.into_iter().filter(|_| !set.of_files && !set.of_text);
        let idle = of_images.chain(of_both).find(|(_, given)| *given).map(|(option, _)| (option, "image files"));
        let idle = idle.or_else(|| match set.of_text {
            true => self.of_pixels().map(|option| (option, "images")),
            false => self.text.given().next().map(|option| (option, "texts")),
        });
        match idle {
            Some((option, kind)) => {
                Err(Error::setting(option, format!("only applies to {kind}, not to {}; remove it", self.name)))
            }
            None => Ok(set),
        }
    }

    /// An option that changes pixels, if one is given.
    fn of_pixels(&self) -> Option<&'static str> {
        let Augmentation { flip, shift, random_resized_crop, jitter, cutout } = self.augmentation;
        let given = [
            ("normalise", self.normalise != Normalise::default()),
            ("flip", flip),
            ("shift", shift != 0),
            ("random_resized_crop", random_resized_crop.is_some()),
            ("jitter", jitter != [0.0; 3]),
            ("cutout", cutout != 0),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

/// The error for an unknown name, with the most similar known name.
fn unknown(name: &str) -> Error {
    let names = || DATA_SETS.iter().map(|set| set.name);
    let hint = nearest(name, names());
    let known = names().collect::<Vec<_>>().join(", ");
    Error::setting("data", format!("unknown data set {name:?}; expected one of {known}{hint}"))
}
