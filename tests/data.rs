//! Data sets: the real files, files that are broken in every way, and batches as pure functions.

use lerac::data::{
    Augmentation, Dataset, HostBatch, IGNORED_LABEL, Loader, epoch_order, open, read_cifar10, read_cifar100, read_images,
    read_labels, shapes, split,
};
use lerac::error::Error;
use proptest::prelude::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

fn idx(magic: u32, extents: &[u32], bytes: &[u8]) -> Vec<u8> {
    let words = std::iter::once(&magic).chain(extents).flat_map(|word| word.to_be_bytes());
    words.chain(bytes.iter().copied()).collect()
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn idx_is_read_plain_and_compressed() {
    let bytes = idx(0x803, &[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    for content in [bytes.clone(), gzip(&bytes)] {
        let (extents, pixels) = read_images(file(&content).path()).unwrap();
        assert_eq!((extents, pixels), ([2, 2, 3], (1..=12).collect()));
    }
    assert_eq!(read_labels(file(&idx(0x801, &[3], &[0, 9, 4])).path(), 10).unwrap(), [0, 9, 4]);
}

/// The offset and message of a format error.
fn fault<T: std::fmt::Debug>(result: Result<T, Error>) -> (u64, String) {
    match result.unwrap_err() {
        Error::Format { offset, message, .. } => (offset, message),
        other => panic!("{other}"),
    }
}

#[test]
fn broken_idx_files_are_refused_with_their_offset() {
    let images = |content: &[u8]| fault(read_images(file(content).path()));
    let pixels = [7u8; 12];
    let whole = idx(0x803, &[2, 2, 3], &pixels);
    for cut in 0..16 {
        assert_eq!(images(&whole[..cut]).0, cut as u64, "a header of {cut} bytes");
    }
    let (at, message) = images(&whole[..27]);
    assert!(at == 27 && message.contains("expected 12 bytes") && message.contains("ends here"), "{at} {message}");
    let (at, message) = images(&idx(0x803, &[2, 2, 3], &[7; 13]));
    assert!(at == 28 && message.contains("goes on"), "{at} {message}");
    let (at, message) = images(&idx(0x801, &[2, 2, 3], &pixels));
    assert!(at == 0 && message.contains("0x00000803") && message.contains("0x00000801"), "{message}");
    for extents in [[u32::MAX; 3], [0, 28, 28], [1 << 20, 1 << 10, 1 << 10]] {
        assert_eq!(images(&idx(0x803, &extents, &pixels)).0, 4);
    }
    let (at, message) = fault(read_labels(file(&idx(0x801, &[3], &[0, 10, 4])).path(), 10));
    assert!(at == 9 && message.contains("found 10"), "{message}");
    // Gzip that is torn in the middle cannot be read at all.
    let torn = gzip(&whole);
    assert!(matches!(read_images(file(&torn[..torn.len() / 2]).path()), Err(Error::Io { .. } | Error::Format { .. })));
    assert!(matches!(read_images(Path::new("/nowhere/at/all")), Err(Error::Io { .. })));
}

fn fashion_like(dir: &Path, labels: u32) {
    for (prefix, count) in [("train", 3u32), ("t10k", 2)] {
        let images = idx(0x803, &[count, 2, 2], &vec![9; 4 * count as usize]);
        std::fs::write(dir.join(format!("{prefix}-images-idx3-ubyte")), images).unwrap();
        let n = if prefix == "train" { labels } else { count };
        std::fs::write(dir.join(format!("{prefix}-labels-idx1-ubyte")), idx(0x801, &[n], &vec![1; n as usize])).unwrap();
    }
}

#[test]
fn a_directory_is_found_and_its_counts_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    fashion_like(dir.path(), 3);
    let splits = open("mnist", Some(dir.path())).unwrap();
    assert_eq!((splits.train.len(), splits.test.len(), splits.train.image), (3, 2, [1, 2, 2]));
    fashion_like(dir.path(), 4);
    assert!(fault(open("mnist", Some(dir.path()))).1.contains("expected 3 labels"));
    let empty = tempfile::tempdir().unwrap();
    let message = open("fashion-mnist", Some(empty.path())).unwrap_err().to_string();
    assert!(message.contains(&*empty.path().to_string_lossy()) && message.contains("--data-dir"), "{message}");
    assert!(open("fashion", None).unwrap_err().to_string().contains("fashion-mnist"));
}

#[test]
fn cifar_records_are_read_and_torn_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    let record = |label: &[u8], value: u8| [label, &[value; 3072]].concat();
    for i in 1..=5 {
        std::fs::write(dir.path().join(format!("data_batch_{i}.bin")), record(&[i], i)).unwrap();
    }
    std::fs::write(dir.path().join("test_batch.bin"), [record(&[0], 1), record(&[9], 2)].concat()).unwrap();
    let splits = read_cifar10(dir.path()).unwrap();
    assert_eq!((splits.train.labels, splits.test.labels), (vec![1, 2, 3, 4, 5], vec![0, 9]));
    assert_eq!(splits.test.images[3072], 2);
    std::fs::write(dir.path().join("test_batch.bin"), &record(&[0], 1)[..3000]).unwrap();
    assert_eq!(fault(read_cifar10(dir.path())).0, 0);
    std::fs::write(dir.path().join("test_batch.bin"), [record(&[0], 1), record(&[10], 2)].concat()).unwrap();
    assert_eq!(fault(read_cifar10(dir.path())).0, 3073);
    std::fs::remove_file(dir.path().join("data_batch_3.bin")).unwrap();
    assert!(read_cifar10(dir.path()).unwrap_err().to_string().contains("data_batch_3.bin"));

    std::fs::write(dir.path().join("train.bin"), record(&[19, 99], 3)).unwrap();
    std::fs::write(dir.path().join("test.bin"), record(&[0, 5], 4)).unwrap();
    let fine = read_cifar100(dir.path()).unwrap();
    assert_eq!((fine.train.labels[0], fine.test.labels[0], fine.train.classes.len()), (99, 5, 100));
}

fn channel_means(data: &Dataset) -> Vec<f64> {
    let [c, h, w] = data.image;
    let mut sums = vec![0u64; c];
    for (i, plane) in data.images.chunks_exact(h * w).enumerate() {
        sums[i % c] += plane.iter().map(|&byte| u64::from(byte)).sum::<u64>();
    }
    sums.iter().map(|&sum| sum as f64 / 255.0 / (data.len() * h * w) as f64).collect()
}

fn assert_balanced(data: &Dataset, each: usize) {
    for class in 0..data.classes.len() {
        assert_eq!(data.labels.iter().filter(|&&label| usize::from(label) == class).count(), each, "class {class}");
    }
}

#[test]
fn the_real_fashion_mnist_is_what_it_should_be() {
    let Ok(splits) = open("fashion-mnist", None) else {
        eprintln!("SKIPPED: Fashion-MNIST is not on this machine; scripts/ensure-data.sh installs it");
        return;
    };
    assert_eq!((splits.train.len(), splits.test.len(), splits.train.image), (60_000, 10_000, [1, 28, 28]));
    assert_balanced(&splits.train, 6000);
    assert_balanced(&splits.test, 1000);
    assert!((channel_means(&splits.train)[0] - 0.2860).abs() < 1e-4);
}

/// The directory of CIFAR-10, unpacked once per machine from the archive beside the repository.
fn cifar10() -> Option<PathBuf> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cifar-10-binary.tar.xz");
    let cache = std::env::temp_dir().join("lerac-cifar-10");
    if !cache.exists() && archive.exists() {
        let fresh = tempfile::tempdir().ok()?;
        let unpacked = Command::new("tar").arg("-xJf").arg(&archive).arg("-C").arg(fresh.path()).status().ok()?;
        // Another test process may have been first.
        let _ = unpacked.success().then(|| std::fs::rename(fresh.keep(), &cache));
    }
    cache.exists().then_some(cache)
}

#[test]
fn the_real_cifar10_is_what_it_should_be() {
    let Some(dir) = cifar10() else {
        eprintln!("SKIPPED: CIFAR-10 is not on this machine");
        return;
    };
    let splits = open("cifar10", Some(&dir)).unwrap();
    assert_eq!((splits.train.len(), splits.test.len()), (50_000, 10_000));
    assert_balanced(&splits.train, 5000);
    assert_eq!(splits.train.classes[3], "cat");
    for (found, published) in channel_means(&splits.train).iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((found - published).abs() < 1e-4, "{found} {published}");
    }
}

#[test]
fn shapes_are_balanced_and_always_the_same() {
    let splits = shapes(100, 50, 3);
    assert_balanced(&splits.train, 10);
    assert_balanced(&splits.test, 5);
    assert_eq!(splits, shapes(100, 50, 3));
    assert_ne!(splits.train.images, shapes(100, 50, 4).train.images);
    let checksum = splits.train.images.iter().fold(0u32, |sum, &byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    assert_eq!(checksum, CHECKSUM, "shapes must not change between versions and machines");
}

/// Of `shapes(100, 50, 3)`.
const CHECKSUM: u32 = 1_182_978_133;

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), zip in any::<bool>()) {
        let file = file(&if zip { gzip(&bytes) } else { bytes });
        let _ = read_images(file.path());
        let _ = read_labels(file.path(), 10);
    }

    #[test]
    fn a_split_is_disjoint_and_complete(count in 1usize..300, part in 0.0f64..1.0, seed in any::<u64>()) {
        let held_out = (part * count as f64) as usize;
        let (mut train, validation) = split(count, held_out, seed).unwrap();
        prop_assert_eq!(validation.len(), held_out);
        train.extend(validation);
        train.sort_unstable();
        prop_assert_eq!(train, (0..count as u32).collect::<Vec<_>>());
        prop_assert!(split(count, count, seed).is_err());
    }

    #[test]
    fn an_epoch_visits_every_image_once(count in 2usize..200, seed in any::<u64>(), epoch in 0u64..1000) {
        let indices: Vec<u32> = (0..count as u32).map(|i| 3 * i).collect();
        let mut order = epoch_order(&indices, seed, epoch);
        prop_assert_eq!(&order, &epoch_order(&indices, seed, epoch));
        order.sort_unstable();
        prop_assert_eq!(order, indices);
    }
}

#[test]
fn epochs_differ() {
    let indices: Vec<u32> = (0..50).collect();
    assert_ne!(epoch_order(&indices, 1, 0), epoch_order(&indices, 1, 1));
    assert_ne!(epoch_order(&indices, 1, 0), epoch_order(&indices, 2, 0));
}

#[test]
fn a_batch_holds_labels_draws_and_bytes() {
    let data = Dataset { image: [1, 1, 3], classes: vec!["a".into(); 9], images: (1..=9).collect(), labels: vec![4, 5, 6] };
    let batch = HostBatch::gather(&data, &[2, 0], 3, || 77);
    assert_eq!(batch.count, 2);
    assert_eq!(batch.words[..6], [6, 4, IGNORED_LABEL, 77, 77, Augmentation::IDENTITY]);
    assert_eq!(batch.words[6..], [0x0109_0807, 0x0000_0302, 0]);
}

#[test]
fn draws_stay_within_their_bounds_and_reach_them() {
    let data = shapes(400, 1, 0).train;
    let indices: Vec<u32> = (0..400).collect();
    let augmentation = Augmentation { flip: true, shift: 2 };
    let batch = HostBatch::of_epoch(&data, &indices, 400, augmentation, 0, 0).next().unwrap();
    let draws = &batch.words[400..800];
    let flips = draws.iter().filter(|&&draw| draw & 1 == 1).count();
    // Five deviations of a fair coin.
    assert!((150..250).contains(&flips), "{flips} of 400");
    for shift in [8, 16] {
        let mut offsets: Vec<i32> = draws.iter().map(|&draw| (draw >> shift & 255) as i32 - 128).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets, [-2, -1, 0, 1, 2]);
    }
}

#[test]
fn the_loader_brings_what_gathering_brings() {
    let data = Arc::new(shapes(50, 1, 0).train);
    let indices: Arc<[u32]> = (0..50).collect();
    let augmentation = Augmentation { flip: true, shift: 3 };
    let loader = Loader::training(data.clone(), indices.clone(), 16, augmentation, 9, 0);
    let expected = (0..3).flat_map(|epoch| HostBatch::of_epoch(&data, &indices, 16, augmentation, 9, epoch));
    assert!(loader.take(9).eq(expected), "three whole batches of three epochs");
    let evaluated: Vec<_> = Loader::evaluation(data.clone(), indices, 16).collect();
    assert_eq!(evaluated.iter().map(|batch| batch.count).collect::<Vec<_>>(), [16, 16, 16, 2]);
    let labels = evaluated.iter().flat_map(|batch| batch.words[..batch.count].to_vec());
    assert!(labels.eq(data.labels.iter().map(|&label| u32::from(label))));
}

#[test]
fn a_dropped_loader_ends() {
    let data = Arc::new(shapes(50, 1, 0).train);
    let mut loader = Loader::training(data, (0..50).collect(), 10, Augmentation::default(), 0, 0);
    loader.next().unwrap();
    drop(loader);
}
