//! The table of built-in data sets, which are opened by name.

#[cfg(feature = "audio")]
use super::archives::ESC50;
use super::archives::{CIFAR10, CIFAR100, FASHION_MNIST, FOOD_101, MNIST, TINY_IMAGENET, VOC};
use super::boxes::{self, Labelled};
use super::class_folders::class_folders;
use super::listing::Listing;
use super::pictures::{
    self, Augmentation, IMAGE_FILES, Normalise, PictureSplits, food101, plain_form, read_cifar10, read_cifar100,
    read_cifar100_coarse, shapes, tiny_imagenet, utkface_age, utkface_gender,
};
#[cfg(feature = "text")]
use super::text::{self, TextSet};
use super::{BoxOptions, Form, Meaning, OpenEvent, SoundOptions, Splits, TextOptions};
#[cfg(feature = "audio")]
use super::{SoundSplits, audio};
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
    /// Image files: height and width that images are cropped to; by default 64. Sets of boxes:
    /// the side of the square that images are letterboxed to; by default 640.
    pub image_size: Option<usize>,
    /// Image files: shorter side that images are resized to before the crop; by default
    /// `image_size`.
    pub resize: Option<usize>,
    /// `imagefolder`, `audiofolder`, `voc` and `text-pairs`: a file with the names of the classes
    /// to use, one per line.
    pub class_list: Option<&'s Path>,
    /// Image files and sounds: the file that caches decoded images or spectrograms.
    pub cache: Option<&'s Path>,
    /// Image files, sounds and texts: check all files or rows, and leave out those that cannot be
    /// read.
    pub skip_bad: bool,
    /// Augmentation of training images.
    pub augmentation: Augmentation,
    /// How texts are read.
    pub text: TextOptions<'s>,
    /// How sounds are read.
    pub sound: SoundOptions,
    /// How boxes are read.
    pub boxes: BoxOptions,
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
    /// Whether it is a set of sounds: `sound` only applies to these, `cache` and `skip_bad` apply.
    pub of_sounds: bool,
    /// Whether it is a set of images with boxes: `boxes` only applies to these, `image_size`,
    /// `skip_bad` and the flip apply.
    pub of_boxes: bool,
    /// The columns, as far as they are known without the set's files.
    form: KnownForm,
    open: Open,
}

/// Reads a set of images, and reports events.
type OpenPictures = fn(&Source<'_>, &mut dyn FnMut(OpenEvent<'_>)) -> Result<PictureSplits>;

/// Reads a set of sounds, and reports events.
#[cfg(feature = "audio")]
type OpenSounds = fn(&Source<'_>, &mut dyn FnMut(OpenEvent<'_>)) -> Result<SoundSplits>;

/// Reads the files of a set of boxes.
type OpenBoxes = fn(&Source<'_>) -> Result<Labelled>;

/// How a set is read.
enum Open {
    Pictures(OpenPictures),
    Boxes(OpenBoxes),
    #[cfg(feature = "audio")]
    Sounds(OpenSounds),
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

/// A set that is read into memory.
const fn in_memory(name: &'static str, about: &'static str, form: KnownForm, open: OpenPictures) -> DataSet {
    DataSet {
        name,
        about,
        of_files: false,
        of_text: false,
        of_sounds: false,
        of_boxes: false,
        form,
        open: Open::Pictures(open),
    }
}

/// A set of image files in folders.
const fn of_files(name: &'static str, about: &'static str, form: KnownForm, open: OpenPictures) -> DataSet {
    DataSet {
        name,
        about,
        of_files: true,
        of_text: false,
        of_sounds: false,
        of_boxes: false,
        form,
        open: Open::Pictures(open),
    }
}

/// A set of images with boxes.
const fn of_boxes(name: &'static str, about: &'static str, open: OpenBoxes) -> DataSet {
    let (form, open) = (KnownForm::Unknown, Open::Boxes(open));
    DataSet { name, about, of_files: false, of_text: false, of_sounds: false, of_boxes: true, form, open }
}

/// A set of texts.
#[cfg(feature = "text")]
const fn of_text(name: &'static str, about: &'static str, set: Option<&'static TextSet>) -> DataSet {
    DataSet {
        name,
        about,
        of_files: false,
        of_text: true,
        of_sounds: false,
        of_boxes: false,
        form: KnownForm::Unknown,
        open: Open::Texts(set),
    }
}

/// A set of sounds.
#[cfg(feature = "audio")]
const fn of_sounds(name: &'static str, about: &'static str, open: OpenSounds) -> DataSet {
    let (form, open) = (KnownForm::Unknown, Open::Sounds(open));
    DataSet { name, about, of_files: false, of_text: false, of_sounds: true, of_boxes: false, form, open }
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
        |source, report| {
            let listing = Listing::new(&source.named_dir()?, &IMAGE_FILES, source.skip_bad);
            source.folder(class_folders(listing, source.class_list)?, report)
        },
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
    of_boxes("voc", "boxes around objects; PASCAL VOC's XML files, as its archives unpack", |source| {
        boxes::voc(source, &VOC.find(source.dir)?)
    }),
    of_boxes("yolo", "boxes around objects; YOLO's text files, with a YAML file", boxes::yolo),
    #[cfg(feature = "audio")]
    of_sounds("esc50", "fifty kinds of sounds, 5 s, in five folds; ESC-50 as its archive unpacks", |source, report| {
        source.sounds(audio::esc50(source, &ESC50.find(source.dir)?)?, report)
    }),
    #[cfg(feature = "audio")]
    of_sounds("crema-d", "six emotions in speech, from the names of CREMA-D's files", |source, report| {
        source.sounds(audio::crema_d(source)?, report)
    }),
    #[cfg(feature = "audio")]
    of_sounds("audiofolder", "DIR/train/CLASS/ and DIR/test/CLASS/ of sounds", |source, report| {
        source.sounds(audio::audiofolder(source)?, report)
    }),
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
            Open::Boxes(_) => self.open_boxes(report).map(Splits::from),
            #[cfg(feature = "audio")]
            Open::Sounds(open) => open(self, report).map(Splits::from),
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
            Open::Boxes(_) => {
                return Err(Error::setting(
                    "data",
                    format!("expected images of a class each, {} has boxes", self.name),
                ));
            }
            #[cfg(feature = "audio")]
            Open::Sounds(_) => {
                return Err(Error::setting("data", format!("expected images, {} has sounds", self.name)));
            }
            #[cfg(feature = "text")]
            Open::Texts(_) => return Err(Error::setting("data", format!("expected images, {} has texts", self.name))),
        };
        splits.normalise(self.normalise)?;
        splits.augment(self.augmentation)?;
        Ok(splits)
    }

    /// The files and labels of a set of boxes.
    ///
    /// # Errors
    /// Those of [`Source::open_boxes`].
    pub(super) fn labelled_boxes(&self) -> Result<Labelled> {
        match self.set()?.open {
            Open::Boxes(open) => self.boxes.check().and_then(|()| open(self)),
            _ => Err(Error::setting("data", format!("expected images with boxes, {} has none", self.name))),
        }
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
                // What is left out decides on the number of boxes.
                let skip_bad = self.skip_bad && self.set()?.of_boxes;
                let listed = Source { cache: None, skip_bad, ..*self }.open(&mut |_| ())?;
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
            _ => Ok(None),
        }
    }
}

/// The error for an unknown name, with the most similar known name.
fn unknown(name: &str) -> Error {
    let names = || DATA_SETS.iter().map(|set| set.name);
    let hint = nearest(name, names());
    let known = names().collect::<Vec<_>>().join(", ");
    Error::setting("data", format!("unknown data set {name:?}; expected one of {known}{hint}"))
}
