//! No device here: data sets as examples of typed columns, and batches as pure functions of seed
//! and epoch.
//!
//! [`Examples`] is the trait of data sets. [`DATA_SETS`] lists the built-in data sets.

mod annotations;
mod applies;
mod archives;
mod audio;

mod batch;
mod boxes;
mod cache;
mod class_folders;
mod examples;
mod find;
mod form;
mod layout;
mod listing;
mod loader;
mod mixup;
mod opening;
mod pictures;
mod random;
mod sets;
mod shared;
mod split;
mod text;

pub use crate::files::add_file;
pub use annotations::{Face, face_in, image_list_in, image_names_in, names_in, validation_annotations_in, words_in};
pub use audio::{MelScale, SoundAugmentation, SoundInput, SoundOptions, SplitBy};
#[cfg(feature = "audio")]
pub use audio::{Sound, SoundSplits, Sounds, Spectrogram, decode_sound, read_sound};
pub use batch::{Batch, MOST_COLUMNS, epoch_order};
pub use boxes::{
    BOX_SIDE, BoxAugmentation, BoxOptions, BoxSplits, BoxedPictures, Difficult, Object, Placement, VocAnnotation,
    VocObject, VocTrain, VocYears, YoloDescription, YoloLabel, voc_annotation_in, yolo_description_in, yolo_labels_in,
};
pub use cache::OpenEvent;
pub use examples::{Draw, Examples, Splits, bytes_of, floats_of};
pub use form::{BOX_VALUES, BoxTarget, Column, Element, Form, Meaning, Pixels, TokenInput};
pub use listing::Skipped;
pub use loader::Loader;
pub use mixup::mixing_part;
pub use pictures::{
    Augmentation, Crop, ImageInput, Images, Jitter, Normalise, PictureSplits, Pictures, ResizeCrop, Variation,
    check_side, cifar10_records, cifar100_records, decode_image, images_in, labels_in, plain_form, read_cifar10,
    read_cifar100, read_cifar100_coarse, read_image, read_images, read_labels, shapes,
};
pub use sets::{DATA_SETS, DataSet, Source, open};
pub use split::train_validation_split;
#[cfg(feature = "text")]
pub use text::{
    BadRow, CLASSES_FILE, Place, TOKENIZER_FILE, TextColumns, TextEncoder, TextFormat, TextRow, TextTokenizer, Texts,
    Tokens, text_rows_in,
};
pub use text::{TextOptions, token_form};
