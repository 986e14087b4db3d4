//! Data sets read, refused, divided, ordered and batched. What needs files that are not part of the repository says so loudly
//! where they are absent, and passes; with `REQUIRE_DATA=1` it fails for a set that the project's scripts install.

use flate2::Compression;
use flate2::write::GzEncoder;
use lerac::data::{self, Augmentation, Dataset, HostBatch, IGNORED_LABEL, Loader, Splits};
use lerac::error::{Error, Result};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tempfile::TempDir;

#[path = "common/cifar.rs"]
mod cifar;
use cifar::{cifar10_cache, skip};

// ---- help ----

/// The same of a set that the project's scripts install: with `REQUIRE_DATA=1` its absence is a failure.
fn skip_unless_required(what: &str, why: &str) {
    let required = std::env::var("REQUIRE_DATA").is_ok_and(|value| value == "1");
    assert!(!required, "{what} is absent, and REQUIRE_DATA=1 is set: {why}");
    skip(what, why);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn idx(words: &[u32], content: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.extend(content);
    bytes
}

/// Three images of 2x3, bytes 0 to 17.
fn three_images() -> Vec<u8> {
    idx(&[0x803, 3, 2, 3], &(0..18).collect::<Vec<u8>>())
}

fn three_labels() -> Vec<u8> {
    idx(&[0x801, 3], &[7, 0, 9])
}

/// A directory that holds these files.
fn directory(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

/// What `read` makes of a file with these bytes.
fn read_file<T>(bytes: &[u8], read: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let dir = directory(&[("file", bytes.to_vec())]);
    read(&dir.path().join("file"))
}

/// Panics unless `outcome` is a fault at `offset` of a file called `file`, with all `parts` in its message.
#[track_caller]
fn assert_format_error<T>(outcome: Result<T>, file: &str, offset: u64, parts: &[&str]) {
    let error = outcome.err().expect("this must be refused");
    let text = error.to_string();
    let Error::Format { path, offset: found, .. } = &error else { panic!("not a fault of the format: {text}") };
    assert!(path.ends_with(file), "{text} does not name {file}");
    assert_eq!(*found, offset, "{text}");
    assert!(text.contains(&format!("byte {offset}: ")), "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// All images of a set in memory.
fn bytes(data: &Dataset) -> &[u8] {
    data.images.bytes().expect("it is in memory")
}

fn class_counts(data: &Dataset) -> Vec<usize> {
    let mut counts = vec![0; data.classes().len()];
    data.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

/// Mean of each channel, as a part of 255.
fn channel_means(data: &Dataset) -> Vec<f64> {
    let [channels, height, width] = data.image;
    let mut sums = vec![0u64; channels];
    for (plane, bytes) in bytes(data).chunks_exact(height * width).enumerate() {
        sums[plane % channels] += bytes.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    }
    sums.iter().map(|&sum| sum as f64 / (data.len() * height * width) as f64 / 255.0).collect()
}

/// N images of 1x2x3 for which every byte and label tells the image: image i holds i in each byte and has the label i % 10.
fn numbered(count: u8) -> Dataset {
    let mut data = data::shapes(0, 0, 0).train;
    data.image = [1, 2, 3];
    data.images = (0..count).flat_map(|i| [i; 6]).collect::<Vec<u8>>().into();
    data.labels = (0..count).map(|i| u16::from(i % 10)).collect();
    data
}

fn all(data: &Dataset) -> Vec<u32> {
    (0..data.len() as u32).collect()
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
    let Splits { train, test } = data::open("fashion-mnist", Some(dir)).unwrap();
    assert_eq!((train.image, test.image), ([1, 28, 28], [1, 28, 28]));
    assert_eq!((train.len(), test.len()), (60_000, 10_000));
    assert_eq!((bytes(&train).len(), bytes(&test).len()), (60_000 * 784, 10_000 * 784));
    assert_eq!(class_counts(&train), [6000; 10]);
    assert_eq!(class_counts(&test), [1000; 10]);
    let mean = channel_means(&train)[0];
    assert!((mean - 0.2860).abs() < 5e-5, "mean {mean}");
    assert_eq!((train.name.as_str(), train.classes()[9].as_str()), ("fashion-mnist", "ankle boot"));
    // The first image of the set is an ankle boot.
    assert_eq!(train.labels[0], 9);
}

#[test]
fn cifar10_is_what_was_published() {
    let Some(dir) = cifar10_cache() else { return };
    let Splits { train, test } = data::open("cifar10", Some(&dir)).unwrap();
    assert_eq!((train.image, test.image), ([3, 32, 32], [3, 32, 32]));
    assert_eq!((train.len(), test.len()), (50_000, 10_000));
    assert_eq!(class_counts(&train), [5000; 10]);
    assert_eq!(class_counts(&test), [1000; 10]);
    for (mean, published) in channel_means(&train).iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((mean - published).abs() < 1e-4, "mean {mean}, published {published}");
    }
    assert_eq!(train.classes()[0], "airplane");
    assert_eq!(train.classes()[9], "truck");
    // The archive's parent will do as well.
    let parent = data::open("cifar10", dir.parent()).unwrap();
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
fn idx_faults_are_told_with_their_place() {
    let images = three_images();
    for wrap in [|bytes: &[u8]| bytes.to_vec(), gzip] {
        let refuse = |bytes: &[u8], offset: u64, parts: &[&str]| {
            assert_format_error(read_file(&wrap(bytes), data::read_images), "file", offset, parts);
        };
        refuse(&[], 0, &["header of 16 bytes", "ends here"]);
        refuse(&images[..9], 9, &["header of 16 bytes", "ends here"]);
        refuse(&three_labels(), 11, &["header of 16 bytes"]);
        refuse(&idx(&[0x802, 3, 2, 3], &[0; 18]), 0, &["0x00000803", "0x00000802"]);
        refuse(&idx(&[0x803, 0, 28, 28], &[]), 4, &["expected 1 to", "[0, 28, 28]"]);
        refuse(&idx(&[0x803, 1 << 16, 1 << 16, 2], &[0; 9]), 4, &["expected 1 to", "[65536, 65536, 2]"]);
        refuse(&idx(&[0x803, u32::MAX, u32::MAX, u32::MAX], &[0; 9]), 4, &["expected 1 to", "4294967295"]);
        refuse(&images[..33], 33, &["expected 18 bytes of images", "ends here"]);
        refuse(&[&images[..], &[0]].concat(), 34, &["expected 18 bytes of images", "goes on"]);
        let refuse = |bytes: &[u8], offset: u64, parts: &[&str]| {
            assert_format_error(read_file(&wrap(bytes), |path| data::read_labels(path, 10)), "file", offset, parts);
        };
        refuse(&images, 0, &["0x00000801", "0x00000803"]);
        refuse(&idx(&[0x801, 3], &[7, 0, 10]), 10, &["label below 10", "found 10"]);
        refuse(&idx(&[0x801, 3], &[7, 0]), 10, &["expected 3 bytes of labels", "ends here"]);
    }
}

#[test]
fn damaged_gzip_is_told_as_a_fault_of_the_file() {
    let whole = gzip(&three_images());
    assert_format_error(read_file(&whole[..whole.len() - 4], data::read_images), "file", 34, &["gzip", "damage"]);
    assert_format_error(read_file(&whole[..2], data::read_images), "file", 0, &["gzip", "damage"]);
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 8;
    flipped[checksum] ^= 1;
    assert_format_error(read_file(&flipped, data::read_images), "file", 34, &["gzip", "damage"]);
    assert_format_error(read_file(&[&whole[..], b"rest"].concat(), data::read_images), "file", 34, &["gzip", "damage"]);
}

#[test]
fn a_missing_file_is_an_io_error_with_its_path() {
    let error = data::read_images(Path::new("/nowhere/at-all")).unwrap_err();
    assert!(
        matches!(error, Error::Io { .. }) && error.to_string().starts_with("/nowhere/at-all: cannot open"),
        "{error}"
    );
}

/// The four files of a set of three training images and one test image, under MNIST's names.
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
    let Splits { train, test } = data::open("mnist", Some(dir.path())).unwrap();
    assert_eq!((train.len(), train.image, train.labels.as_slice()), (3, [1, 2, 3], [7, 0, 9].as_slice()));
    assert_eq!(train.image(1).unwrap(), [6, 7, 8, 9, 10, 11]);
    assert_eq!((test.len(), test.labels.as_slice(), test.image(0).unwrap()), (1, [4].as_slice(), vec![5; 6]));
    assert_eq!((train.mean, train.std, train.name), (vec![0.5], vec![0.5], "mnist".to_owned()));
}

#[test]
fn idx_files_that_do_not_belong_together_are_refused() {
    let mut files = idx_set();
    files[1].1 = idx(&[0x801, 2], &[7, 0]);
    let dir = directory(&files);
    let outcome = data::open("mnist", Some(dir.path()));
    assert_format_error(
        outcome,
        "train-labels-idx1-ubyte.gz",
        4,
        &["expected 3 labels", "train-images-idx3-ubyte", "found 2"],
    );

    let mut files = idx_set();
    files[2].1 = idx(&[0x803, 1, 3, 2], &[5; 6]);
    let dir = directory(&files);
    let outcome = data::open("mnist", Some(dir.path()));
    assert_format_error(outcome, "t10k-images-idx3-ubyte.gz", 8, &["[1, 2, 3]", "[1, 3, 2]"]);

    let dir = directory(&idx_set()[..3]);
    let error = data::open("mnist", Some(dir.path())).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("t10k-labels-idx1-ubyte"), "{error}");
}

// ---- CIFAR ----

/// A record: its label bytes, then planes of `red`, 1 and 2.
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
    let Splits { train, test } = data::open("cifar100", Some(dir.path())).unwrap();
    assert_eq!((train.image, train.labels.as_slice()), ([3, 32, 32], [99, 3].as_slice()));
    assert_eq!(
        (test.labels.as_slice(), test.classes()[42].as_str(), test.classes().len()),
        ([42].as_slice(), "name 42", 100)
    );
    let second = train.image(1).unwrap();
    assert_eq!((second[0], second[1024], second[3071]), (20, 1, 2));
    assert_eq!((train.mean, train.std, train.name), (vec![0.5; 3], vec![0.5; 3], "cifar100".to_owned()));
}

#[test]
fn cifar_faults_are_told_with_their_place() {
    let refuse = |file: usize, bytes: Vec<u8>, offset: u64, parts: &[&str]| {
        let mut files = cifar100_set();
        files[file].1 = bytes;
        let dir = directory(&files);
        assert_format_error(data::open("cifar100", Some(dir.path())), files[file].0, offset, parts);
    };
    refuse(0, [record(&[0, 3], 0), record(&[0, 100], 0)].concat(), 3074 + 1, &["label below 100", "found 100"]);
    refuse(0, [record(&[0, 3], 0), vec![0; 5]].concat(), 3074, &["records of 3074 bytes", "found 5"]);
    refuse(1, vec![], 0, &["records of 3074 bytes", "found 0"]);
    refuse(2, vec![b'x'; 65_537], 65_536, &["at most 65536 bytes", "found 65537"]);
    refuse(2, b"one\ntwo\n".to_vec(), 8, &["expected 100 class names", "found 2"]);
    refuse(2, b"one\n\xff\n".to_vec(), 4, &["expected text", "0xff"]);
}

#[test]
fn cifar10_labels_go_to_nine() {
    let batch = |i| format!("cifar-10-batches-bin/data_batch_{i}.bin");
    let names: Vec<String> = (1..=5).map(batch).collect();
    let mut files: Vec<(&str, Vec<u8>)> = (0..5).map(|i| (names[i].as_str(), record(&[i as u8], i as u8))).collect();
    files.push(("cifar-10-batches-bin/test_batch.bin", record(&[9], 7)));
    let dir = directory(&files);
    let Splits { train, test } = data::open("cifar10", Some(dir.path())).unwrap();
    assert_eq!((train.labels.as_slice(), test.labels.as_slice()), ([0, 1, 2, 3, 4].as_slice(), [9].as_slice()));
    assert_eq!((0..5).map(|i| train.image(i).unwrap()[0]).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert_eq!(train.classes()[3], "class 3");
    fs::write(dir.path().join(&names[4]), record(&[10], 0)).unwrap();
    assert_format_error(
        data::open("cifar10", Some(dir.path())),
        "data_batch_5.bin",
        0,
        &["label below 10", "found 10"],
    );
    fs::remove_file(dir.path().join(&names[4])).unwrap();
    let error = data::open("cifar10", Some(dir.path())).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("data_batch_5.bin"), "{error}");
}

// ---- opening by name ----

#[test]
fn every_name_is_known_and_others_are_answered_with_a_hint() {
    let empty = TempDir::new().unwrap();
    for &name in data::NAMES {
        if let Err(error) = data::open(name, Some(empty.path())) {
            assert!(!error.to_string().contains("is not known"), "{error}");
        }
    }
    let hint = |name: &str| data::open(name, None).unwrap_err().to_string();
    assert!(hint("CIFAR-10").ends_with("did you mean cifar10?"), "{}", hint("CIFAR-10"));
    assert!(hint("CIFAR-100").ends_with("did you mean cifar100?"), "{}", hint("CIFAR-100"));
    assert!(hint("FashionMNIST").ends_with("did you mean fashion-mnist?"), "{}", hint("FashionMNIST"));
    assert!(hint("shape").ends_with("did you mean shapes?"), "{}", hint("shape"));
    for name in ["celeba", "", "--"] {
        assert!(hint(name).starts_with("data: ") && hint(name).ends_with(&data::NAMES.join(", ")), "{}", hint(name));
    }
}

#[test]
fn missing_files_are_answered_with_every_place_and_a_remedy() {
    let empty = TempDir::new().unwrap();
    let root = empty.path().display().to_string();
    let text = data::open("fashion-mnist", Some(empty.path())).unwrap_err().to_string();
    for part in [
        "data_dir: ",
        &root,
        &format!("{root}/fashion-mnist"),
        "apt-get install dataset-fashion-mnist",
        "`data_dir` DIR",
    ] {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
    let text = data::open("cifar100", Some(empty.path())).unwrap_err().to_string();
    for part in
        [format!("{root}/cifar-100-binary"), format!("{root}/cifar100"), "train.bin".into(), "`data_dir` DIR".into()]
    {
        assert!(text.contains(&part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn a_folder_of_the_sets_own_goes_before_its_parent() {
    let mut files = idx_set();
    files.extend([
        ("mnist/train-images-idx3-ubyte", idx(&[0x803, 1, 1, 1], &[77])),
        ("mnist/train-labels-idx1-ubyte", idx(&[0x801, 1], &[1])),
        ("mnist/t10k-images-idx3-ubyte", idx(&[0x803, 1, 1, 1], &[78])),
        ("mnist/t10k-labels-idx1-ubyte", idx(&[0x801, 1], &[2])),
    ]);
    let dir = directory(&files);
    assert_eq!(data::open("mnist", Some(dir.path())).unwrap().train.image(0).unwrap(), [77]);
    assert_eq!(data::open("fashion-mnist", Some(dir.path())).unwrap().train.len(), 3);
}

/// Runs itself once more with the variable set, since setting it here would be seen by the tests beside this one.
#[test]
fn the_environment_names_a_directory() {
    const CHILD: &str = "LERAC_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(data::open("mnist", None).unwrap().train.labels, [7, 0, 9]);
        let text = data::open("cifar100", None).unwrap_err().to_string();
        let root = std::env::var("LERAC_DATA").unwrap();
        for place in [root.as_str(), "data/cifar100", "data/cifar-100-binary", "/usr/share/datasets/cifar100"] {
            assert!(text.starts_with("data: ") && text.contains(place), "{text:?} does not say {place:?}");
        }
        return;
    }
    let files: Vec<_> = idx_set().into_iter().map(|(name, bytes)| (format!("mnist/{name}"), bytes)).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let dir = directory(&files);
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "the_environment_names_a_directory"]).env(CHILD, "1").env("LERAC_DATA", dir.path());
    let output = child.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

// ---- hostile files; each test's name begins with `hostile`, by which they are run once more in little memory ----

/// Gives a file to every parser, which may refuse it but not panic.
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
    assert_format_error(read_file(&bomb, data::read_images), "file", 22, &["expected 6 bytes", "goes on"]);
}

#[test]
fn hostile_length_of_a_cifar_file() {
    let dir = directory(&cifar100_set());
    let train = fs::File::options().write(true).open(dir.path().join("train.bin")).unwrap();
    train.set_len(3074 * 100_000 + 1).unwrap();
    let outcome = data::open("cifar100", Some(dir.path()));
    assert_format_error(outcome, "train.bin", 307_400_000, &["at most 307400000 bytes", "found 307400001"]);
}

/// Harmless here, and fatal where memory is as short as it is for the hostile files: the proof that it is short there.
#[test]
fn control_takes_300_mebibytes() {
    assert!(std::hint::black_box(Vec::<u8>::with_capacity(300 << 20)).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn little_memory_is_enough() {
    let run = |tests: &str| {
        // 256 MiB of addresses, one arena, one test at a time.
        let limited = "ulimit -v 262144 && exec \"$0\" \"$1\" --test-threads 1";
        let mut child = Command::new("sh");
        child.args(["-c", limited]).arg(std::env::current_exe().unwrap()).arg(tests).env("MALLOC_ARENA_MAX", "1");
        child.output().unwrap()
    };
    let output = run("hostile_");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("5 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!run("control_takes_300_mebibytes").status.success(), "the limit does not limit");
}

/// Files that are almost right: a header with a known magic, extents that may be anything, some content.
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

    #[test]
    fn a_split_is_disjoint_and_complete(count in 1..500usize, part in any::<prop::sample::Index>(), seed in any::<u64>()) {
        let validation = part.index(count);
        let (train, held_out) = data::split(count, validation, seed).unwrap();
        prop_assert_eq!((train.len(), held_out.len()), (count - validation, validation));
        let union: HashSet<u32> = train.iter().chain(&held_out).copied().collect();
        prop_assert_eq!(union.len(), count);
        prop_assert!(union.iter().all(|&i| (i as usize) < count));
        prop_assert_eq!(data::split(count, validation, seed).unwrap(), (train, held_out));
    }

    #[test]
    fn an_order_is_a_permutation(indices in proptest::collection::vec(any::<u32>(), 0..300), seed in any::<u64>(), epoch in any::<u64>()) {
        let mut order = data::epoch_order(&indices, seed, epoch);
        prop_assert_eq!(&order, &data::epoch_order(&indices, seed, epoch));
        let mut sorted = indices.clone();
        sorted.sort_unstable();
        order.sort_unstable();
        prop_assert_eq!(order, sorted);
    }

    #[test]
    fn draws_stay_in_range(flip in any::<bool>(), shift in any::<u8>(), seed in any::<u64>(), epoch in any::<u64>(), image in any::<u32>()) {
        let augmentation = Augmentation { flip, shift, ..Augmentation::default() };
        let draw = augmentation.draws(seed, epoch)(image);
        let most = i32::from(shift.min(127));
        prop_assert_eq!(draw & 0xff00_00fe, 0);
        prop_assert!(flip || draw & 1 == 0);
        prop_assert!(((draw >> 8 & 255) as i32 - 128).abs() <= most);
        prop_assert!(((draw >> 16 & 255) as i32 - 128).abs() <= most);
    }

    #[test]
    fn a_batch_holds_its_images(indices in proptest::collection::vec(0..50u32, 0..9), spare in 0..3usize) {
        let (data, capacity) = (numbered(50), indices.len() + spare);
        let batch = HostBatch::gather(&data, &indices, capacity, || 7).unwrap();
        let (labels, rest) = batch.words.split_at(capacity);
        let (draws, pixels) = rest.split_at(capacity);
        prop_assert_eq!(batch.count, indices.len());
        prop_assert_eq!(pixels.len(), (6 * capacity).div_ceil(4));
        let bytes: Vec<u8> = pixels.iter().flat_map(|word| word.to_le_bytes()).collect();
        for place in 0..capacity {
            let image = indices.get(place).copied();
            prop_assert_eq!(labels[place], image.map_or(IGNORED_LABEL, |i| i % 10));
            prop_assert_eq!(draws[place], image.map_or(Augmentation::IDENTITY, |_| 7));
            prop_assert_eq!(&bytes[6 * place..6 * (place + 1)], [image.unwrap_or(0) as u8; 6]);
        }
        prop_assert!(bytes[6 * capacity..].iter().all(|&byte| byte == 0));
    }
}

// ---- shapes ----

#[test]
fn shapes_are_the_same_everywhere() {
    const PINNED: (u64, u64) = (0x76b0_35b5_9dc3_0252, 0x11eb_1808_43d8_fa1b);
    let Splits { train, test } = data::shapes(40, 20, 7);
    let sum = |data: &Dataset| fnv1a(bytes(data).iter().copied().chain(data.labels.iter().map(|&label| label as u8)));
    assert_eq!((sum(&train), sum(&test)), PINNED, "the drawing has changed");
    assert_ne!(data::shapes(40, 20, 8).train.images, train.images);
    assert_ne!(bytes(&train)[..20 * 3072], *bytes(&test));
}

#[test]
fn shapes_are_balanced_shuffled_and_distinct() {
    let Splits { train, test } = data::open("shapes", None).unwrap();
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

// ---- split, order, draws ----

#[test]
fn a_split_leaves_something_to_train_on() {
    assert!(data::split(5, 0, 0).unwrap().1.is_empty());
    for (count, validation) in [(5, 5), (5, 6), (0, 0), (0, 1)] {
        let error = data::split(count, validation, 0).unwrap_err().to_string();
        assert!(error.starts_with(&format!("validation: {validation} images")), "{error}");
    }
    assert_ne!(data::split(100, 50, 0).unwrap(), data::split(100, 50, 1).unwrap());
}

#[test]
fn orders_differ_by_epoch_and_by_seed() {
    let indices: Vec<u32> = (0..100).collect();
    let orders: HashSet<Vec<u32>> =
        (0..20).flat_map(|epoch| [0, 1].map(|seed| data::epoch_order(&indices, seed, epoch))).collect();
    assert_eq!(orders.len(), 40);
    assert!(!orders.contains(&indices));
}

#[test]
fn a_draw_belongs_to_its_image() {
    let augmentation = Augmentation { flip: true, shift: 4, ..Augmentation::default() };
    let mut forward = augmentation.draws(3, 5);
    let mut backward = augmentation.draws(3, 5);
    let drawn: Vec<u32> = (0..1000).map(&mut forward).collect();
    let mut again: Vec<u32> = (0..1000).rev().map(&mut backward).collect();
    again.reverse();
    assert_eq!(drawn, again);
    for (seed, epoch) in [(3, 6), (4, 5)] {
        assert_ne!(drawn, (0..1000).map(augmentation.draws(seed, epoch)).collect::<Vec<_>>());
    }
    // Of 2 * 9 * 9 draws, nearly all turn up among 1000, each half flipped, each shift a ninth.
    let distinct: HashSet<u32> = drawn.iter().copied().collect();
    assert!(distinct.len() > 150, "{} distinct draws", distinct.len());
    let flipped = drawn.iter().filter(|&&draw| draw & 1 == 1).count();
    assert!((420..580).contains(&flipped), "{flipped} of 1000 flipped");
    for bits in [8, 16] {
        let mut counts = HashMap::new();
        drawn.iter().for_each(|draw| *counts.entry((draw >> bits & 255) as i32 - 128).or_insert(0) += 1);
        assert_eq!(counts.len(), 9, "{counts:?}");
        assert!((-4..=4).all(|shift| (60..170).contains(&counts[&shift])), "{counts:?}");
    }
    assert_eq!(Augmentation::default().draws(3, 5)(0), Augmentation::IDENTITY);
    assert_eq!(Augmentation::IDENTITY, 128 << 8 | 128 << 16);
}

#[test]
#[should_panic(expected = "3 images do not fit a batch of 2")]
fn more_images_than_places_are_refused() {
    let _ = HostBatch::gather(&numbered(5), &[0, 1, 2], 2, || 0);
}

#[test]
fn a_filled_batch_keeps_nothing_of_the_one_before() {
    let data = numbered(9);
    let mut batch = HostBatch::gather(&data, &[8, 7, 6, 5], 4, || 7).unwrap();
    batch.fill(&data, &[1], 4, |image| 100 + image).unwrap();
    let fresh = HostBatch::gather(&data, &[1], 4, || 101).unwrap();
    assert_eq!(batch, fresh);
}

// ---- the loader ----

/// Runs `work` on a thread of its own and panics if it takes longer than ten minutes: then it hangs.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, waiting) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match waiting.recv_timeout(Duration::from_secs(600)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn the_training_loader_gives_what_gathering_gives() {
    let data = Arc::new(numbered(50));
    let indices: Arc<[u32]> = (0..50).filter(|i| i % 5 != 0).collect();
    let augmentation = Augmentation { flip: true, shift: 2, ..Augmentation::default() };
    let direct = (3..6).flat_map(|epoch| {
        let order = data::epoch_order(&indices, 11, epoch);
        let data = data.clone();
        let mut draw = augmentation.draws(11, epoch);
        let chunks: Vec<Vec<u32>> = order.chunks_exact(7).map(<[u32]>::to_vec).collect();
        chunks.into_iter().map(move |chunk| {
            let mut draws = chunk.iter().map(|&i| draw(i)).collect::<Vec<_>>().into_iter();
            HostBatch::gather(&data, &chunk, 7, || draws.next().unwrap()).unwrap()
        })
    });
    let direct: Vec<HostBatch> = direct.collect();
    assert_eq!(direct.len(), 3 * (40 / 7));
    let loader = Loader::training(data.clone(), indices.clone(), 7, augmentation, 11, 3 * 5);
    assert_eq!(loader.take(direct.len()).map(Result::unwrap).collect::<Vec<_>>(), direct);
    // Within an epoch, too.
    let later = Loader::training(data.clone(), indices.clone(), 7, augmentation, 11, 3 * 5 + 7);
    assert_eq!(later.take(direct.len() - 7).map(Result::unwrap).collect::<Vec<_>>(), direct[7..]);
    let epochs = (3..6).flat_map(|epoch| HostBatch::of_epoch(&data, &indices, 7, augmentation, 11, epoch));
    assert_eq!(epochs.map(Result::unwrap).collect::<Vec<_>>(), direct);
}

#[test]
fn the_evaluation_loader_gives_everything_once_in_order() {
    let data = Arc::new(numbered(20));
    let indices: Arc<[u32]> = all(&data).into();
    let batches: Vec<HostBatch> = Loader::evaluation(data.clone(), indices.clone(), 8).map(Result::unwrap).collect();
    let direct = indices.chunks(8).map(|chunk| HostBatch::gather(&data, chunk, 8, || Augmentation::IDENTITY).unwrap());
    assert_eq!(batches, direct.collect::<Vec<_>>());
    assert_eq!(batches.iter().map(|batch| batch.count).collect::<Vec<_>>(), [8, 8, 4]);
    assert_eq!(batches[2].words[4..8], [IGNORED_LABEL; 4]);
    assert_eq!(Loader::evaluation(data, Arc::new([]), 8).count(), 0);
}

#[test]
fn spent_batches_are_filled_again() {
    let data = Arc::new(numbered(40));
    let indices: Arc<[u32]> = all(&data).into();
    let loader = || Loader::training(data.clone(), indices.clone(), 8, Augmentation::default(), 0, 0);
    let expected: Vec<HostBatch> = loader().take(200).map(Result::unwrap).collect();
    let mut recycling = loader();
    let mut places = HashSet::new();
    for batch in &expected {
        let found = recycling.next().unwrap().unwrap();
        assert_eq!(&found, batch);
        places.insert(found.words.as_ptr() as usize);
        recycling.recycle(found);
    }
    // Four wait, one is being sent and one is in hand; 200 would mean that nothing comes back.
    assert!(places.len() <= 8, "{} places in memory for {} batches", places.len(), expected.len());
}

#[test]
fn dropping_a_loader_ends_its_thread() {
    in_time(|| {
        let data = Arc::new(numbered(40));
        let indices: Arc<[u32]> = all(&data).into();
        for taken in [0, 1, 7] {
            let mut loader = Loader::training(data.clone(), indices.clone(), 8, Augmentation::default(), 0, 0);
            (0..taken).for_each(|_| drop(loader.next().unwrap().unwrap()));
            drop(loader);
            let mut loader = Loader::evaluation(data.clone(), indices.clone(), 1);
            (0..taken).for_each(|_| drop(loader.next().unwrap().unwrap()));
            drop(loader);
        }
        assert_eq!(Arc::strong_count(&data), 1, "a thread still holds the data");
    });
}

#[test]
fn a_spent_loader_stays_spent() {
    in_time(|| {
        let data = Arc::new(numbered(3));
        let mut loader = Loader::evaluation(data.clone(), all(&data).into(), 2);
        assert_eq!(loader.by_ref().count(), 2);
        assert!(loader.next().is_none());
        loader.recycle(HostBatch::default());
    });
}
