//! The files of published data sets: where they are looked for, and how to get them.

use super::find::DataFiles;
use super::pictures::IDX_FILES;

const NOT_IDX: &[(&str, &str)] = &[
    ("mnist.npz", "is the file of Keras; the four IDX files are read, as torchvision leaves them in `raw`"),
    ("mnist_train.csv", "is a table; the four IDX files are read, as torchvision leaves them in `raw`"),
    ("fashion-mnist_train.csv", "is a table; the four IDX files are read, as torchvision leaves them in `raw`"),
];

/// What is not read of CIFAR: pickled Python, which can run any program, and packed archives.
const PICKLED: &str = "is the Python version, which is not read; get the binary version, or convert it with the lines in \
                       docs/data.md";
const PACKED: &str = "is packed; unpack it: `tar xf`";

pub(super) const FASHION_MNIST: DataFiles<'_> = DataFiles {
    name: "fashion-mnist",
    archive: None,
    also: &["FashionMNIST/raw", "FashionMNIST", "fashion_mnist", "raw"],
    files: &IDX_FILES,
    other_forms: NOT_IDX,
    how_to_get: "install it with `apt-get install dataset-fashion-mnist` on Debian or Ubuntu, or give its directory as \
                 `data_dir`",
};

pub(super) const MNIST: DataFiles<'_> = DataFiles {
    name: "mnist",
    archive: None,
    also: &["MNIST/raw", "MNIST", "raw"],
    files: &IDX_FILES,
    other_forms: NOT_IDX,
    how_to_get: "put its four IDX files in a directory, and give that as `data_dir`",
};

pub(super) const CIFAR10: DataFiles<'_> = DataFiles {
    name: "cifar10",
    archive: Some("cifar-10-batches-bin"),
    also: &["cifar-10-binary", "cifar-10-batches-py"],
    files: &["data_batch_1.bin", "data_batch_1.bin.gz"],
    other_forms: &[("data_batch_1", PICKLED), ("cifar-10-binary.tar.gz", PACKED), ("cifar-10-python.tar.gz", PICKLED)],
    how_to_get: "unpack the archive of its binary version, and give the directory as `data_dir`",
};

pub(super) const CIFAR100: DataFiles<'_> = DataFiles {
    name: "cifar100",
    archive: Some("cifar-100-binary"),
    also: &["cifar-100-python"],
    files: &["train.bin", "train.bin.gz"],
    other_forms: &[("meta", PICKLED), ("cifar-100-binary.tar.gz", PACKED), ("cifar-100-python.tar.gz", PICKLED)],
    ..CIFAR10
};

pub(super) const TINY_IMAGENET: DataFiles<'_> = DataFiles {
    name: "tiny-imagenet",
    archive: Some("tiny-imagenet-200"),
    also: &[],
    files: &["wnids.txt"],
    other_forms: &[("tiny-imagenet-200.zip", "is packed; unpack it")],
    how_to_get: "unpack its archive, and give the directory as `data_dir`; `data` imagefolder reads other folders of images",
};

pub(super) const FOOD_101: DataFiles<'_> = DataFiles {
    name: "food-101",
    archive: None,
    also: &["food101", "Food-101"],
    files: &["meta/train.txt"],
    other_forms: &[("food-101.tar.gz", PACKED)],
    ..TINY_IMAGENET
};

pub(super) const VOC: DataFiles<'_> = DataFiles {
    name: "voc",
    archive: Some("VOCdevkit"),
    also: &[],
    files: &[
        "VOC2007/ImageSets/Main/train.txt",
        "VOC2007/ImageSets/Main/trainval.txt",
        "VOC2007/ImageSets/Main/test.txt",
        "VOC2012/ImageSets/Main/train.txt",
        "VOC2012/ImageSets/Main/trainval.txt",
        "ImageSets/Main/train.txt",
        "ImageSets/Main/trainval.txt",
    ],
    other_forms: &[
        ("VOCtrainval_06-Nov-2007.tar", "is packed; unpack it"),
        ("VOCtrainval_11-May-2012.tar", "is packed; unpack it"),
        ("data.yaml", "is for `data` yolo"),
    ],
    how_to_get: "unpack the archives of PASCAL VOC, and give the directory VOCdevkit as `data_dir`; `data` yolo reads other \
                 files of boxes",
};

#[cfg(feature = "audio")]
pub(super) const ESC50: DataFiles<'_> = DataFiles {
    name: "esc50",
    archive: Some("ESC-50-master"),
    also: &["ESC-50", "ESC50"],
    files: &["meta/esc50.csv"],
    other_forms: &[("ESC-50-master.zip", "is packed; unpack it"), ("master.zip", "is packed; unpack it")],
    how_to_get: "unpack the archive of its repository, and give the directory as `data_dir`; `data` audiofolder reads \
                 other folders of sounds",
};
