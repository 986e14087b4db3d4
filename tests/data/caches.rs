//! Bad images, and caches of decoded images.

use crate::common::errors::{Fault, assert_error, assert_fault};
use crate::common::files::add;
use crate::common::pictures::{encoded, flat, folder, named, open, open_with_notes, pattern, png, reds, refused};
use image::ImageFormat;
use lerac::data::{Images, Loader, PictureSplits, Pictures, Source, Splits};
use lerac::error::Error;
use std::fs;
use std::sync::Arc;

fn fingerprint(opened: &PictureSplits) -> u32 {
    Splits::from(opened.clone()).fingerprint()
}

/// All bytes of a split.
fn pixels(data: &Pictures) -> Vec<u8> {
    (0..data.len()).flat_map(|i| data.image(i).unwrap()).collect()
}

#[test]
fn bad_images_are_errors_or_are_counted() {
    let dir = folder();
    let source = named("imagefolder", &dir);
    let good = open(&source);
    let whole = encoded(&pattern(30, 20).into(), ImageFormat::Jpeg);
    add(&dir, "train/b/0 cut.jpg", &whole[..whole.len() - 9]);
    add(&dir, "val/b/2.jpg", b"no image");
    let cache = dir.path().join("cache");
    for cache in [None, Some(cache.as_path()), Some(cache.as_path())] {
        let skipping = Source { cache, skip_bad: true, ..source };
        let (opened, notes) = open_with_notes(&skipping);
        let opened = opened.unwrap();
        assert_eq!((pixels(&opened.train), pixels(&opened.test)), (pixels(&good.train), pixels(&good.test)));
        assert_eq!((&opened.train.labels, &opened.test.labels), (&good.train.labels, &good.test.labels));
        assert_eq!(fingerprint(&opened), fingerprint(&good));
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].contains("2 "), "the number of bad images: {notes:?}");
    }
    // Without `skip_bad` the first bad image is an error, whether a cache is written or not.
    let strict = Source { cache: Some(&cache), ..source };
    refused(&strict, Fault::Format("0 cut.jpg", None), &[]);
    assert!(!dir.path().join("cache.part").exists());
    let mut batches = Loader::evaluation(Arc::new(open(&source).train), (0..5).collect(), 2);
    assert!(batches.next().unwrap().is_ok());
    assert_error(batches.next().unwrap(), Fault::Format("0 cut.jpg", None), &[]);
    assert!(batches.next().is_none() && batches.next().is_none(), "batches follow an error");
    // A split without a valid image.
    for name in ["Z/9.png", "a c/1.png", "b/1.png"] {
        add(&dir, &format!("val/{name}"), b"");
    }
    let (opened, _) = open_with_notes(&Source { skip_bad: true, ..source });
    assert_error(opened, Fault::Setting("data_dir"), &[]);
}

#[test]
fn a_cache_gives_the_same_images_and_is_built_once() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let plain = named("imagefolder", &dir);
    let source = Source { cache: Some(&cache), ..plain };
    let (by_file, mut decoded) = (open(&plain), vec![]);
    let first = source.open_pictures(&mut |news| decoded.push(format!("{news:?}"))).unwrap();
    assert_eq!(decoded, ["Decoded { done: 7, all: 7 }"]);
    let again = source.open_pictures(&mut |news| panic!("{news:?}")).unwrap();
    for opened in [&first, &again] {
        assert!(matches!(opened.train.images, Images::Cached(_)));
        assert_eq!((pixels(&opened.train), pixels(&opened.test)), (pixels(&by_file.train), pixels(&by_file.test)));
        assert_eq!(fingerprint(opened), fingerprint(&by_file));
    }
    assert!(!dir.path().join("cache.part").exists());
    assert_eq!(fs::metadata(&cache).unwrap().len(), 16 + 7 * (192 + 4) + 20);
    // A cache that is changed while it is in use is an error that names it.
    fs::write(&cache, b"").unwrap();
    assert_error(first.test.image(0), Fault::Io("cache"), &[]);
}

#[test]
fn a_changed_byte_in_a_cache_is_an_error() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let source = Source { cache: Some(&cache), ..named("imagefolder", &dir) };
    let opened = open(&source);
    let files = ["train/Z/1.png", "train/a c/1.png", "train/b/2.PNG", "train/b/deeper/1.png"];
    let whole = fs::read(&cache).unwrap();
    for place in 16..whole.len() - 20 {
        let mut changed = whole.clone();
        changed[place] ^= 1 << (place % 8);
        fs::write(&cache, changed).unwrap();
        let faults: Vec<(usize, Error)> = (0..7)
            .filter_map(|i| match i < 4 {
                true => Some((i, opened.train.image(i).err()?)),
                false => Some((i, opened.test.image(i - 4).err()?)),
            })
            .collect();
        assert!(faults.len() == 1 && faults[0].0 == (place - 16) / 196, "{place}: {faults:?}");
        let names = files.get(faults[0].0).copied().unwrap_or_default();
        assert_fault(&faults[0].1, Fault::Format("cache", None), &[names]);
    }
    // The loader reports the error too.
    let mut batches = Loader::evaluation(Arc::new(opened.test), (0..3).collect(), 3);
    assert_error(batches.next().unwrap(), Fault::Format("cache", None), &["val/b/1.png"]);
}

#[test]
fn an_incomplete_or_outdated_cache_is_rebuilt() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let source = Source { cache: Some(&cache), ..named("imagefolder", &dir) };
    let expected = pixels(&open(&source).train);
    let whole = fs::read(&cache).unwrap();
    // Opens the data set with `bytes` as its cache; `reasons` collects the notes.
    let mut reasons = vec![];
    let mut remade = |bytes: &[u8], source: &Source<'_>| {
        fs::write(&cache, bytes).unwrap();
        let (opened, notes) = open_with_notes(source);
        assert!(notes.len() == 1 && notes[0].contains("cache"), "{notes:?}");
        reasons.extend(notes);
        opened.unwrap()
    };
    for length in [0, 16, 35, 36, 200, whole.len() - 1] {
        assert_eq!(pixels(&remade(&whole[..length], &source).train), expected);
        assert_eq!(fs::read(&cache).unwrap(), whole);
    }
    for place in [whole.len() - 20, whole.len() - 16, whole.len() - 12, whole.len() - 8, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        remade(&changed, &source);
    }
    for version in [b'1', b'3'] {
        let mut changed = whole.clone();
        changed[13] = version;
        remade(&changed, &source);
        assert_eq!(fs::read(&cache).unwrap(), whole);
    }
    let larger = remade(&whole, &Source { image_size: Some(9), ..source });
    assert_eq!(larger.train.image, [3, 9, 9]);
    // Wine does not replace an open file.
    drop(larger);
    remade(&whole, &Source { resize: Some(9), ..source });
    // A file with other content.
    add(&dir, "train/b/2.PNG", &png(&flat([99, 1, 2])));
    let changed = remade(&whole, &source);
    assert_eq!(reds(&changed.train), [10, 30, 99, 21]);
    // A file that is not a cache is not overwritten.
    fs::write(&cache, b"a letter to someone").unwrap();
    refused(&source, Fault::Setting("cache"), &[]);
    assert_eq!(fs::read(&cache).unwrap(), b"a letter to someone");
    let absent = dir.path().join("no/such/folder");
    refused(&Source { cache: Some(&absent), ..source }, Fault::Io("no/such/folder.lock"), &[]);
}

#[test]
fn one_process_writes_a_cache() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let part = dir.path().join("cache.part");
    let source = Source { cache: Some(&cache), ..named("imagefolder", &dir) };
    // An abandoned part file is overwritten. The part file of a running process is not touched.
    fs::write(&part, vec![1; 10_000]).unwrap();
    let other = fs::File::create(dir.path().join("cache.lock")).unwrap();
    other.lock().unwrap();
    refused(&source, Fault::Setting("cache"), &[]);
    assert_eq!(fs::read(&part).unwrap(), vec![1; 10_000]);
    drop(other);
    let mut calls = 0;
    let opened = source.open_pictures(&mut |_| {
        calls += 1;
        refused(&source, Fault::Setting("cache"), &[]);
    });
    assert_eq!((calls, pixels(&opened.unwrap().train)), (1, pixels(&open(&source).train)));
    assert_eq!(fs::metadata(&cache).unwrap().len(), 16 + 7 * (192 + 4) + 20);
    // A complete cache is read without the lock.
    let other = fs::File::create(dir.path().join("cache.lock")).unwrap();
    other.lock().unwrap();
    open(&source);
}

/// Several threads open one cache. Each gets all images, or the error that another process writes
/// it. The cache is complete in the end.
#[test]
fn a_cache_opened_by_many_threads_is_complete() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let plain = named("imagefolder", &dir);
    let expected = pixels(&open(&plain).train);
    let source = Source { cache: Some(&cache), ..plain };
    let want = || {
        for _ in 0..20 {
            match open_with_notes(&source) {
                (Ok(opened), _) => assert_eq!(pixels(&opened.train), expected),
                (Err(error), _) => assert_fault(&error, Fault::Setting("cache"), &[]),
            }
        }
    };
    for _ in 0..20 {
        let _ = fs::remove_file(&cache);
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(want))));
        let (opened, notes) = open_with_notes(&source);
        assert_eq!((pixels(&opened.unwrap().train), notes), (expected.clone(), vec![]));
    }
}

#[test]
fn fingerprints_of_different_sets_differ() {
    let dir = folder();
    let source = named("imagefolder", &dir);
    let print = |source: &Source<'_>| fingerprint(&open(source));
    let first = print(&source);
    assert_eq!(print(&source), first);
    assert_ne!(print(&Source { image_size: Some(9), ..source }), first);
    assert_ne!(print(&Source { resize: Some(9), ..source }), first);
    add(&dir, "val/b/1.png", &png(&pattern(20, 12)));
    let longer = print(&source);
    assert_ne!(longer, first);
    fs::rename(dir.path().join("val/b/1.png"), dir.path().join("val/b/3.png")).unwrap();
    assert_ne!(print(&source), longer);
}
