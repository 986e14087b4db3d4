//! Data sets in files: valid files, malformed files, and opening by name. Tests of data that are
//! not in the repository print SKIP if the data are missing. With `REQUIRE_DATA=1` a missing data
//! set that the project's scripts install is a failure.

use crate::common::cifar::cifar10_cache;
use crate::common::errors::{Fault, assert_contains, assert_error, error_of};
use crate::common::files::{self, directory, idx, skip};
use flate2::Compression;
use flate2::write::GzEncoder;
use lerac::data::{self, DATA_SETS, Meaning, PictureSplits, Pictures, Source, plain_form};
use lerac::error::{Error, Result};
use proptest::prelude::*;
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

// ---- help ----

/// Reports that a data set is missing. With `REQUIRE_DATA=1` that is a failure.
fn skip_unless_required(what: &str, why: &str) {
    let required = std::env::var("REQUIRE_DATA").is_ok_and(|value| value == "1");
    assert!(!required, "{what} is absent, and REQUIRE_DATA=1 is set: {why}");
    skip(what, why);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    files::gzip(bytes, Compression::fast())
}

/// Three images of 2x3, bytes 0 to 17.
fn three_images() -> Vec<u8> {
    idx(&[0x803, 3, 2, 3], &(0..18).collect::<Vec<u8>>())
}

fn three_labels() -> Vec<u8> {
    idx(&[0x801, 3], &[7, 0, 9])
}

/// Reads a file that contains `bytes`.
fn read_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let dir = directory(&[("file", bytes.to_vec())]);
    read(&dir.path().join("file"))
}

/// Asserts that `outcome` is a fault at `offset` of `file`, and that its message contains `names`.
#[track_caller]
fn assert_format_error<T>(outcome: Result<T>, file: &str, offset: u64, names: &[&str]) {
    assert_error(outcome, Fault::Format(file, Some(offset)), names);
}

/// All images of a set in memory.
fn bytes(data: &Pictures) -> &[u8] {
    data.images.bytes().expect("it is in memory")
}

fn class_counts(data: &Pictures) -> Vec<usize> {
    let mut counts = vec![0; classes(data).len()];
    data.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

/// The mean of each channel, divided by 255.
fn channel_means(data: &Pictures) -> Vec<f64> {
    let [channels, height, width] = data.image;
    let mut sums = vec![0u64; channels];
    for (plane, bytes) in bytes(data).chunks_exact(height * width).enumerate() {
        sums[plane % channels] += bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    }
    sums.iter().map(|&sum| sum as f64 / (data.len() * height * width) as f64 / 255.0).collect()
}

/// Opens a data set by name.
fn open(name: &str, dir: Option<&Path>) -> Result<PictureSplits> {
    Source { name, dir, ..Source::default() }.open_pictures(&mut |_| ())
}

fn classes(data: &Pictures) -> &[String] {
    match &data.meaning {
        Meaning::Classes(names) => names,
        other => panic!("{} has no classes but {other:?}", data.name),
    }
}

/// The message of an error of the setting `expected`.
#[track_caller]
fn setting<T>(outcome: Result<T>, expected: &str) -> String {
    match error_of(outcome) {
        Error::Setting { field, message } if field == expected => message,
        other => panic!("not a fault of {expected}: {other:?}"),
    }
}

fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

// ---- the real sets ----

#[test]
fn fashion_mnist_is_what_was_published() {
    let dir = Path::new("/usr/share/datasets/fashion-mnist");
    if !dir.is_dir() {
        skip_unless_required("Fashion-MNIST", "sh scripts/ensure-data.sh");
        return;
    }
    let PictureSplits { train, test } = open("fashion-mnist", Some(dir)).unwrap();
    assert_eq!((train.image, test.image), ([1, 28, 28], [1, 28, 28]));
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!((bytes(&train).len(), bytes(&test).len()), (60_000 * 784, 10_000 * 784));
    assert_eq!(class_counts(&train), [6000; 10]);
    assert_eq!(class_counts(&test), [1000; 10]);
    let mean = channel_means(&train)[0];
    assert!((mean - 0.2860).abs() < 5e-5, "mean {mean}");
    assert_eq!((train.name.as_str(), classes(&train)[9].as_str()), ("fashion-mnist", "ankle boot"));
    // The first image of the set is an ankle boot.
    assert_eq!(train.labels[0], 9);
}

#[test]
fn cifar10_is_what_was_published() {
    let Some(dir) = cifar10_cache() else { return };
    let PictureSplits { train, test } = open("cifar10", Some(&dir)).unwrap();
    assert_eq!((train.image, test.image), ([3, 32, 32], [3, 32, 32]));
    assert_eq!((train.len(), test.len()), (50_000, 10_000));
    assert_eq!(class_counts(&train), [5000; 10]);
    assert_eq!(class_counts(&test), [1000; 10]);
    for (mean, published) in channel_means(&train).iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((mean - published).abs() < 1e-4, "mean {mean}, published {published}");
    }
    assert_eq!(classes(&train)[0], "airplane");
    assert_eq!(classes(&train)[9], "truck");
    // The parent directory works too.
    let parent = open("cifar10", dir.parent()).unwrap();
    assert_eq!(parent.test, test);
}

// ---- IDX ----

#[test]
fn idx_is_read_plain_and_compressed() {
    let images: Vec<u8> = (0..18).collect();
    for bytes in [three_images(), gzip(&three_images())] {
        assert_eq!(read_file(&bytes, data::read_images).unwrap(), ([3, 2, 3], images.clone()));
    }
    for bytes in [three_labels(), gzip(&three_labels())] {
        assert_eq!(read_file(&bytes, |path| data::read_labels(path, 10)).unwrap(), [7, 0, 9]);
    }
}

#[test]
fn idx_in_several_gzip_members_is_one_file() {
    let (front, back) = (gzip(&three_images()[..20]), gzip(&three_images()[20..]));
    assert_eq!(read_file(&[front, back].concat(), data::read_images).unwrap().1.len(), 18);
}

#[test]
fn idx_errors_have_an_offset() {
    let images = three_images();
    for wrap in [|bytes: &[u8]| bytes.to_vec(), gzip] {
        let refuse = |bytes: &[u8], offset: u64, parts: &[&str]| {
            assert_format_error(read_file(&wrap(bytes), data::read_images), "file", offset, parts);
        };
        refuse(&[], 0, &["16 bytes"]);
        refuse(&images[..9], 9, &["16 bytes"]);
        refuse(&three_labels(), 11, &["16 bytes"]);
        refuse(&idx(&[0x802, 3, 2, 3], &[0; 18]), 0, &["0x00000803", "0x00000802"]);
        refuse(&idx(&[0x803, 0, 28, 28], &[]), 4, &["[0, 28, 28]"]);
        refuse(&idx(&[0x803, 1 << 16, 1 << 16, 2], &[0; 9]), 4, &["[65536, 65536, 2]"]);
        refuse(&idx(&[0x803, u32::MAX, u32::MAX, u32::MAX], &[0; 9]), 4, &["4294967295"]);
        refuse(&images[..33], 33, &["18 bytes"]);
        refuse(&[&images[..], &[0]].concat(), 34, &["18 bytes"]);
        let refuse = |bytes: &[u8], offset: u64, parts: &[&str]| {
            assert_format_error(read_file(&wrap(bytes), |path| data::read_labels(path, 10)), "file", offset, parts);
        };
        refuse(&images, 0, &["0x00000801", "0x00000803"]);
        refuse(&idx(&[0x801, 3], &[7, 0, 10]), 10, &["10"]);
        refuse(&idx(&[0x801, 3], &[7, 0]), 10, &["3 bytes"]);
    }
}

#[test]
fn damaged_gzip_is_a_format_error() {
    let whole = gzip(&three_images());
    assert_format_error(read_file(&whole[..whole.len() - 4], data::read_images), "file", 34, &["gzip"]);
    assert_format_error(read_file(&whole[..2], data::read_images), "file", 0, &["gzip"]);
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    assert_format_error(read_file(&flipped, data::read_images), "file", 34, &["gzip"]);
    assert_format_error(read_file(&[&whole[..], b"rest"].concat(), data::read_images), "file", 34, &["gzip"]);
}

#[test]
fn a_missing_file_is_an_io_error_with_its_path() {
    assert_error(data::read_images(Path::new("/nowhere/at-all")), Fault::Io("/nowhere/at-all"), &[]);
}

/// The four files of a data set with three training images and one test image, under MNIST's names.
fn idx_set() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("train-images-idx3-ubyte", three_images()),
        ("train-labels-idx1-ubyte.gz", gzip(&three_labels())),
        ("t10k-images-idx3-ubyte.gz", gzip(&idx(&[0x803, 1, 2, 3], &[5; 6]))),
        ("t10k-labels-idx1-ubyte", idx(&[0x801, 1], &[4])),
    ]
}

#[test]
fn a_set_of_idx_files_is_opened() {
    let dir = directory(&idx_set());
    let PictureSplits { train, test } = open("mnist", Some(dir.path())).unwrap();
    assert_eq!((train.len(), train.image, train.labels.as_slice()), (3, [1, 2, 3], [7, 0, 9].as_slice()));
    assert_eq!(train.image(1).unwrap(), [6, 7, 8, 9, 10, 11]);
    assert_eq!((test.len(), test.labels.as_slice(), test.image(0).unwrap()), (1, [4].as_slice(), vec![5; 6]));
    assert_eq!((train.mean, train.std, train.name), (vec![0.5], vec![0.5], "mnist".to_owned()));
}

/// The folders and names that torchvision, Kaggle and others give to the files.
#[test]
fn idx_files_are_found_under_their_usual_names() {
    type Rename = fn(&str) -> String;
    let renames: [Rename; 7] = [
        |name| format!("MNIST/raw/{name}"),
        |name| format!("raw/{name}"),
        |name| format!("mnist/{name}"),
        |name| name.trim_end_matches(".gz").replace("-idx", ".idx"),
        |name| format!("{0}/{0}", name.trim_end_matches(".gz")),
        |name| format!("{0}/{0}", name.trim_end_matches(".gz").replace("-idx", ".idx")),
        |name| format!("MNIST/raw/{}", name.trim_end_matches(".gz").replace("-idx", ".idx")),
    ];
    for rename in renames {
        let files: Vec<_> = idx_set().into_iter().map(|(name, bytes)| (rename(name), bytes)).collect();
        let dir = directory(&files);
        assert_eq!(open("mnist", Some(dir.path())).unwrap().train.labels, [7, 0, 9], "{}", files[0].0);
    }
    let dir = directory(&idx_set().into_iter().map(|(n, b)| (format!("FashionMNIST/raw/{n}"), b)).collect::<Vec<_>>());
    assert_eq!(open("fashion-mnist", Some(dir.path())).unwrap().train.len(), 3);
    assert_error(open("mnist", Some(dir.path())), Fault::Setting("data_dir"), &["MNIST/raw"]);
    let dir = directory(&[("mnist.npz", b"")]);
    assert_error(open("mnist", Some(dir.path())), Fault::Setting("data_dir"), &["mnist.npz", "Keras"]);
}

#[test]
fn idx_files_that_do_not_belong_together_are_refused() {
    let mut files = idx_set();
    files[1].1 = idx(&[0x801, 2], &[7, 0]);
    let dir = directory(&files);
    let outcome = open("mnist", Some(dir.path()));
    assert_format_error(outcome, "train-labels-idx1-ubyte.gz", 4, &["3", "train-images-idx3-ubyte", "2"]);

    let mut files = idx_set();
    files[2].1 = idx(&[0x803, 1, 3, 2], &[5; 6]);
    let dir = directory(&files);
    let outcome = open("mnist", Some(dir.path()));
    assert_format_error(outcome, "t10k-images-idx3-ubyte.gz", 8, &["[1, 2, 3]", "[1, 3, 2]"]);

    let dir = directory(&idx_set()[..3]);
    assert_error(open("mnist", Some(dir.path())), Fault::Io("t10k-labels-idx1-ubyte.gz"), &[]);
}

// ---- CIFAR ----

/// A record: its label bytes, then channels of `red`, 1 and 2.
fn record(labels: &[u8], red: u8) -> Vec<u8> {
    [labels, &[red; 1024], &[1; 1024], &[2; 1024]].concat()
}

fn cifar100_set() -> Vec<(&'static str, Vec<u8>)> {
    let names: String = (0..100).map(|i| format!("name {i}\n")).collect();
    vec![
        ("train.bin", [record(&[19, 99], 10), record(&[0, 3], 20)].concat()),
        ("test.bin", record(&[1, 42], 30)),
        ("fine_label_names.txt", names.into_bytes()),
    ]
}

#[test]
fn cifar100_gives_fine_labels() {
    let dir = directory(&cifar100_set());
    let PictureSplits { train, test } = open("cifar100", Some(dir.path())).unwrap();
    assert_eq!((train.image, train.labels.as_slice()), ([3, 32, 32], [99, 3].as_slice()));
    assert_eq!(
        (test.labels.as_slice(), classes(&test)[42].as_str(), classes(&test).len()),
        ([42].as_slice(), "name 42", 100)
    );
    let second = train.image(1).unwrap();
    assert_eq!((second[0], second[1024], second[3071]), (20, 1, 2));
    assert_eq!((train.mean, train.std, train.name), (vec![0.5; 3], vec![0.5; 3], "cifar100".to_owned()));
}

#[test]
fn cifar_errors_have_an_offset() {
    let refuse = |file: usize, bytes: Vec<u8>, offset: u64, parts: &[&str]| {
        let mut files = cifar100_set();
        files[file].1 = bytes;
        let dir = directory(&files);
        assert_format_error(open("cifar100", Some(dir.path())), files[file].0, offset, parts);
    };
    refuse(0, [record(&[0, 3], 0), record(&[0, 100], 0)].concat(), 3074 + 1, &["100"]);
    refuse(0, [record(&[0, 3], 0), vec![0; 5]].concat(), 3074, &["3074", "5"]);
    refuse(1, vec![], 0, &["3074", "0"]);
    refuse(2, vec![b'x'; 65_537], 65_536, &["65536", "65537"]);
    refuse(2, b"one\ntwo\n".to_vec(), 8, &["100", "2"]);
    refuse(2, b"one\n\xff\n".to_vec(), 4, &["0xff"]);
}

/// Folders, compressed files, and the versions that are not read.
#[test]
fn cifar_is_found_under_its_usual_names_or_told_apart() {
    for folder in ["", "cifar-100-binary/", "cifar100/", "cifar100/cifar-100-binary/", "cifar-100-python/"] {
        for compressed in [false, true] {
            let file = |(name, bytes): (&str, Vec<u8>)| match compressed && name.ends_with(".bin") {
                true => (format!("{folder}{name}.gz"), gzip(&bytes)),
                false => (format!("{folder}{name}"), bytes),
            };
            let dir = directory(&cifar100_set().into_iter().map(file).collect::<Vec<_>>());
            assert_eq!(open("cifar100", Some(dir.path())).unwrap().train.labels, [99, 3], "{folder}");
        }
    }
    for (name, file, words) in [
        ("cifar10", "cifar-10-batches-py/data_batch_1", "Python"),
        ("cifar10", "data_batch_1", "Python"),
        ("cifar100", "cifar-100-python/meta", "Python"),
        ("cifar10", "cifar-10-python.tar.gz", "Python"),
        ("cifar10", "cifar-10-binary.tar.gz", "packed"),
        ("cifar100", "cifar-100-binary.tar.gz", "packed"),
        ("food-101", "food-101.tar.gz", "packed"),
        ("tiny-imagenet", "tiny-imagenet-200.zip", "packed"),
        ("tiny-imagenet", "train/n01/1.JPEG", "imagefolder"),
    ] {
        let dir = directory(&[(file, b"")]);
        assert_error(open(name, Some(dir.path())), Fault::Setting("data_dir"), &[words]);
    }
    let mut files = cifar100_set();
    files[0] = ("train.bin.gz", gzip(&files[0].1)[..40].to_vec());
    assert_error(open("cifar100", Some(directory(&files).path())), Fault::Format("train.bin.gz", None), &["gzip"]);
}

#[test]
fn cifar10_labels_are_below_ten() {
    let batch = |i| format!("cifar-10-batches-bin/data_batch_{i}.bin");
    let names: Vec<String> = (1..=5).map(batch).collect();
    let mut files: Vec<(&str, Vec<u8>)> = (0..5).map(|i| (names[i].as_str(), record(&[i as u8], i as u8))).collect();
    files.push(("cifar-10-batches-bin/test_batch.bin", record(&[9], 7)));
    let dir = directory(&files);
    let PictureSplits { train, test } = open("cifar10", Some(dir.path())).unwrap();
    assert_eq!((train.labels.as_slice(), test.labels.as_slice()), ([0, 1, 2, 3, 4].as_slice(), [9].as_slice()));
    assert_eq!((0..5).map(|i| train.image(i).unwrap()[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(classes(&train)[3], "class 3");
    fs::write(dir.path().join(&names[4]), record(&[10], 0)).unwrap();
    assert_format_error(open("cifar10", Some(dir.path())), "data_batch_5.bin", 0, &["10"]);
    fs::remove_file(dir.path().join(&names[4])).unwrap();
    assert_error(open("cifar10", Some(dir.path())), Fault::Io("data_batch_5.bin"), &[]);
}

// ---- opening by name ----

#[test]
fn every_name_is_known_and_others_get_a_suggestion() {
    let names: Vec<&str> = DATA_SETS.iter().map(|set| set.name).collect();
    let empty = TempDir::new().unwrap();
    for &name in &names {
        let opened = data::open(name, Some(empty.path()));
        assert!(!matches!(opened, Err(Error::Setting { field: "data", .. })), "{name}: {:?}", opened.err());
    }
    let hint = |name: &str| setting(open(name, None), "data");
    for (name, meant) in
        [("CIFAR-10", "cifar10"), ("CIFAR-100", "cifar100"), ("FashionMNIST", "fashion-mnist"), ("shape", "shapes")]
    {
        assert!(hint(name).trim_end_matches('?').ends_with(&format!(" {meant}")), "{}", hint(name));
    }
    for name in ["celeba", "", "--"] {
        assert!(hint(name).ends_with(&names.join(", ")), "{}", hint(name));
    }
}

#[test]
fn missing_files_are_an_error_with_every_searched_path() {
    let empty = TempDir::new().unwrap();
    let root = empty.path().display().to_string();
    let text = setting(open("fashion-mnist", Some(empty.path())), "data_dir");
    assert_contains(&text, &[&root, &format!("{root}/fashion-mnist"), "dataset-fashion-mnist", "`data_dir`"]);
    let text = setting(open("cifar100", Some(empty.path())), "data_dir");
    let places = [format!("{root}/cifar-100-binary"), format!("{root}/cifar100")];
    assert_contains(&text, &[&places[0], &places[1], "train.bin", "`data_dir`"]);
}

#[test]
fn the_table_has_every_set_once_and_forms_need_no_files() {
    let names: HashSet<&str> = DATA_SETS.iter().map(|set| set.name).collect();
    assert_eq!(names.len(), DATA_SETS.len());
    let empty = TempDir::new().unwrap();
    for set in DATA_SETS {
        assert!(!set.name.is_empty() && !set.about.is_empty(), "{:?}", set.name);
        let source = Source { name: set.name, image_size: set.of_files.then_some(48), ..Source::default() };
        // Classes and vocabulary are in the files, or options.
        if set.of_text || set.of_sounds || set.of_boxes || set.name == "imagefolder" {
            let needed = if set.name == "text-pairs" { "text_columns" } else { "data_dir" };
            let dir = (set.of_text || ["esc50", "voc"].contains(&set.name)).then_some(empty.path());
            setting(Source { dir, ..source }.form(), needed);
            continue;
        }
        let form = source.form().unwrap();
        let pixels = form.pixels().unwrap();
        assert_eq!(pixels.image[1..] == [48, 48], set.of_files, "{}", set.name);
        assert_eq!(form.classes().is_empty(), set.of_numbers(), "{}", set.name);
        assert_eq!(form, plain_form(pixels.image, &form.targets[0].meaning), "{}", set.name);
        let of_files = Source { name: set.name, dir: Some(empty.path()), image_size: Some(48), ..Source::default() };
        if !set.of_files {
            setting(of_files.form(), "image_size");
        }
    }
}

/// The form that is known without the files equals the form of the files.
#[test]
fn forms_equal_those_of_the_files() {
    let (of_idx, of_cifar) = (directory(&idx_set()), directory(&cifar100_set()));
    for (name, dir, classes) in
        [("shapes", None, 10), ("mnist", Some(of_idx.path()), 10), ("cifar100", Some(of_cifar.path()), 100)]
    {
        let known = Source { name, ..Source::default() }.form().unwrap();
        let found = data::open(name, dir).unwrap().test.form();
        assert_eq!((known.classes().len(), found.classes().len()), (classes, classes));
        // This test's files for MNIST contain images of another size.
        let image = if name == "mnist" { [1, 2, 3] } else { known.pixels().unwrap().image };
        assert_eq!(found, plain_form(image, &found.targets[0].meaning));
    }
}

#[test]
fn a_folder_named_like_the_set_is_preferred() {
    let mut files = idx_set();
    files.extend([
        ("mnist/train-images-idx3-ubyte", idx(&[0x803, 1, 1, 1], &[77])),
        ("mnist/train-labels-idx1-ubyte", idx(&[0x801, 1], &[1])),
        ("mnist/t10k-images-idx3-ubyte", idx(&[0x803, 1, 1, 1], &[78])),
        ("mnist/t10k-labels-idx1-ubyte", idx(&[0x801, 1], &[2])),
    ]);
    let dir = directory(&files);
    assert_eq!(open("mnist", Some(dir.path())).unwrap().train.image(0).unwrap(), [77]);
    assert_eq!(open("fashion-mnist", Some(dir.path())).unwrap().train.len(), 3);
}

/// Runs itself in a child process with the variable set. Set here, it would affect the other tests.
#[test]
fn the_environment_names_a_directory() {
    const CHILD: &str = "LERAC_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(open("mnist", None).unwrap().train.labels, [7, 0, 9]);
        let text = setting(open("cifar100", None), "data");
        let root = std::env::var("LERAC_DATA").unwrap();
        assert_contains(&text, &["data/cifar100", "data/cifar-100-binary"]);
        assert_eq!(text.contains("/usr/share/datasets/cifar100"), cfg!(unix), "{text}");
        assert_contains(&text, &[root]);
        return;
    }
    let files: Vec<_> = idx_set().into_iter().map(|(name, bytes)| (format!("mnist/{name}"), bytes)).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let dir = directory(&files);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "files::the_environment_names_a_directory"]).env(CHILD, "1").env("LERAC_DATA", dir.path());
    let output = child.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

// Hostile files. Names begin with `hostile`, so that these tests can be run again in little memory.

/// Runs every parser on a file. A parser may return an error, but not panic.
fn survive(bytes: &[u8]) {
    let dir = directory(&[("train.bin", bytes.to_vec()), ("test.bin", bytes.to_vec())]);
    let file = dir.path().join("train.bin");
    let _ = data::read_images(&file);
    let _ = data::read_labels(&file, 10);
    let _ = data::read_cifar100(dir.path());
    let names = directory(&[("fine_label_names.txt", bytes.to_vec())]);
    let _ = data::read_cifar100(names.path());
    let _ = data::read_image(&file);
}

#[test]
fn hostile_header_that_claims_four_gibibytes() {
    for claim in [idx(&[0x803, 1 << 10, 1 << 11, 1 << 11], &[1, 2, 3]), idx(&[0x801, u32::MAX], &[1, 2, 3])] {
        survive(&claim);
        survive(&gzip(&claim));
    }
}

#[test]
fn hostile_gzip_that_unpacks_to_half_a_gibibyte() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&idx(&[0x803, 1, 2, 3], &[])).unwrap();
    let zeros = vec![0; 1 << 20];
    (0..512).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = encoder.finish().unwrap();
    assert_format_error(read_file(&bomb, data::read_images), "file", 22, &["6 bytes"]);
}

#[test]
fn hostile_length_of_a_cifar_file() {
    let dir = directory(&cifar100_set());
    let train = fs::File::options().write(true).open(dir.path().join("train.bin")).unwrap();
    train.set_len(3074 * 100_000 + 1).unwrap();
    let outcome = open("cifar100", Some(dir.path()));
    assert_format_error(outcome, "train.bin", 307_400_000, &["307400000", "307400001"]);
}

/// Passes normally, and aborts under the memory limit of the hostile tests. This shows that the
/// limit works.
#[test]
fn control_takes_300_mebibytes() {
    assert!(std::hint::black_box(Vec::<u8>::with_capacity(300 << 20)).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn little_memory_is_enough() {
    let run = |tests: &str| {
        // 256 MiB of address space, one arena, one test at a time.
        let limited = "ulimit -v 262144 && exec \"$0\" \"$1\" --test-threads 1";
        let mut child = Command::new("sh");
        child.args(["-c", limited]).arg(std::env::current_exe().unwrap()).arg(tests).env("MALLOC_ARENA_MAX", "1");
        child.output().unwrap()
    };
    let output = run("hostile_");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("5 passed"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!run("control_takes_300_mebibytes").status.success(), "the limit does not limit");
}

/// Nearly valid files: a valid magic number, any extents, some content.
fn almost_idx() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop_oneof![Just(0x803u32), Just(0x801), any::<u32>()];
    let extent = || prop_oneof![0..8u32, any::<u32>()];
    let content = proptest::collection::vec(any::<u8>(), 0..600);
    (magic, [extent(), extent(), extent()], content)
        .prop_map(|(magic, [n, h, w], content)| idx(&[magic, n, h, w], &content))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        survive(&bytes);
        survive(&[&[0x1f, 0x8b, 8, 0], &bytes[..]].concat());
    }

    #[test]
    fn hostile_files_that_are_almost_right(bytes in almost_idx(), cut in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
        survive(&bytes);
        let mut damaged = gzip(&bytes);
        let at = flip.index(damaged.len());
        damaged[at] ^= 1 << (at % 8);
        damaged.truncate(1 + cut.index(damaged.len()));
        survive(&damaged);
    }

    #[test]
    fn what_is_written_is_read(n in 1..6usize, h in 1..9usize, w in 1..9usize, seed in any::<u8>(), compressed in any::<bool>()) {
        let content: Vec<u8> = (0..n * h * w).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
        let bytes = idx(&[0x803, n as u32, h as u32, w as u32], &content);
        let bytes = if compressed { gzip(&bytes) } else { bytes };
        prop_assert_eq!(read_file(&bytes, data::read_images).unwrap(), ([n, h, w], content));
    }
}

// ---- shapes ----

#[test]
fn shapes_are_the_same_everywhere() {
    const PINNED: (u64, u64) = (0x76b0_35b5_9dc3_0252, 0x11eb_1808_43d8_fa1b);
    let PictureSplits { train, test } = data::shapes(40, 20, 7);
    let sum = |data: &Pictures| fnv1a(bytes(data).iter().copied().chain(data.labels.iter().map(|&label| label as u8)));
    assert_eq!((sum(&train), sum(&test)), PINNED, "the drawing has changed");
    assert_ne!(data::shapes(40, 20, 8).train.images, train.images);
    assert_ne!(bytes(&train)[..20 * 3072], *bytes(&test));
}

#[test]
fn shapes_are_balanced_shuffled_and_distinct() {
    let PictureSplits { train, test } = open("shapes", None).unwrap();
    assert_eq!((train.image, train.len(), test.len()), ([3, 32, 32], 4000, 1000));
    assert_eq!((class_counts(&train), class_counts(&test)), (vec![400; 10], vec![100; 10]));
    assert!(class_counts(&data::shapes(17, 3, 1).train).iter().all(|&count| count == 1 || count == 2));
    for start in (0..4000).step_by(1000) {
        let seen: HashSet<u16> = train.labels[start..start + 100].iter().copied().collect();
        assert_eq!(seen.len(), 10, "classes are missing from images {start} to {}", start + 100);
    }
    let images: HashSet<&[u8]> = bytes(&train).chunks_exact(3072).chain(bytes(&test).chunks_exact(3072)).collect();
    assert_eq!(images.len(), 5000);
}
