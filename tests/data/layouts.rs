//! A user's own folders of images: the layouts and files that are read, what is passed over or left
//! out, and what is said about it.

use crate::common::errors::Fault;
use crate::common::files::{add, directory};
use crate::common::pictures::{encoded, flat, folder, named, open, open_with_notes, png, reds, refused};
use image::ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
use lerac::data::{Examples, Normalise, PictureSplits, Source};
use std::fs;
use tempfile::TempDir;

/// Opens the folder, which must be reported with as many notes as `parts`, one with each.
#[track_caller]
fn noted(source: &Source<'_>, parts: &[&str]) -> PictureSplits {
    let (opened, notes) = open_with_notes(source);
    assert_eq!(notes.len(), parts.len(), "{notes:?}");
    for part in parts {
        assert!(notes.iter().any(|note| note.contains(part)), "{part:?} is not in {notes:?}");
    }
    opened.unwrap()
}

fn image(red: u8) -> Vec<u8> {
    png(&flat([red, 1, 2]))
}

/// Folders of `images` images for each of the classes `a` and `b`.
fn classes_in(part: &str, images: u8, first: u8) -> Vec<(String, Vec<u8>)> {
    let of_class = |class: u8, letter| {
        let file = move |i| (format!("{part}/{letter}/{i}.png"), image(first + class * images + i));
        (0..images).map(file).collect::<Vec<_>>()
    };
    [of_class(0, 'a'), of_class(1, 'b')].concat()
}

#[test]
fn every_format_is_read_by_its_content() {
    let dir = folder();
    let names = ["1.jpg", "2.JPE", "3.jfif", "4.jpeg", "5.png", "6.webp", "7.bmp", "8.dib", "9.gif", "A.tif", "B.tiff"];
    for format in [Jpeg, Png, WebP, Bmp, Gif, Tiff] {
        let bytes = encoded(&flat([77, 1, 2]).into(), format);
        names.iter().for_each(|name| add(&dir, &format!("train/a c/{name}"), &bytes));
        let reds = reds(&open(&named("imagefolder", &dir)).train);
        assert_eq!(reds.len(), 4 + names.len());
        let count = reds.iter().filter(|red| red.abs_diff(77) <= 2).count();
        assert_eq!(count, names.len(), "{format:?}: {reds:?}");
    }
}

#[test]
fn other_files_are_counted_and_never_opened() {
    let dir = folder();
    for name in ["1.heif", "2.HEIF", "notes.txt", "sub/3.heif", "plain", ".hidden.heif"] {
        add(&dir, &format!("train/b/{name}"), b"no image");
    }
    add(&dir, "val/b/4.avif", b"no image");
    let read = noted(&named("imagefolder", &dir), &["6 other files were passed over: 3 .heif, "]);
    assert_eq!((read.train.len(), read.test.len()), (4, 3));
    let (_, notes) = open_with_notes(&named("imagefolder", &dir));
    for part in ["1 .txt", "1 .avif", "1 without an ending", "PNG or JPEG"] {
        assert!(notes[0].contains(part), "{notes:?}");
    }
}

/// Links to nothing, names that are no UTF-8, files and folders that may not be read.
#[test]
#[cfg(unix)]
fn what_cannot_be_read_is_an_error_or_listed() {
    use std::os::unix::{ffi::OsStrExt, fs::PermissionsExt};
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    let plain = named("imagefolder", &dir);
    let skipping = Source { skip_bad: true, ..plain };
    let fingerprint = |opened: PictureSplits| lerac::data::Splits::from(opened).fingerprint();
    let whole = fingerprint(open(&plain));
    std::os::unix::fs::symlink("nowhere.png", path("train/b/link.png")).unwrap();
    refused(&plain, Fault::Setting("data_dir"), &["link.png", "`skip_bad`"]);
    let alien = path("train/b").join(std::ffi::OsStr::from_bytes(b"\xff.png"));
    fs::write(&alien, image(9)).unwrap();
    add(&dir, "train/b/3.png", b"no image, but \"words\"");
    add(&dir, "val/b/4.jpg", b"");
    fs::create_dir(path("train/b/secret")).unwrap();
    add(&dir, "train/b/secret/5.png", &image(8));
    fs::set_permissions(path("train/b/secret"), fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads everything.
    let secret = usize::from(fs::read_dir(path("train/b/secret")).is_err());
    let cache = path("cache");
    for cache in [None, Some(cache.as_path()), Some(cache.as_path())] {
        let read = noted(&Source { cache, ..skipping }, &[&format!("{} bad files are left out", 4 + secret)]);
        let [(name, table)] = &read.train.companions()[..] else { panic!("one table") };
        let table = String::from_utf8(table.clone()).unwrap();
        assert_eq!((*name, table.lines().next()), ("skipped.csv", Some("file,reason")));
        assert_eq!(table.lines().count(), 1 + 4 + secret, "{table}");
        for part in ["\"train/b/link.png\",", "UTF-8", "\"train/b/3.png\",", "\"val/b/4.jpg\","] {
            assert!(table.contains(part), "{part:?} is not in {table}");
        }
        if secret == 1 {
            assert!(table.contains("\"train/b/secret\",") && fingerprint(read) == whole, "{table}");
        }
    }
    fs::set_permissions(path("train/b/secret"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(open(&named("imagefolder", &folder())).train.companions().is_empty());
}

#[test]
fn parts_are_found_by_the_words_of_their_names() {
    let parts = [
        ["train", "test"],
        ["Training", "Testing"],
        ["seg_train/seg_train", "seg_test/seg_test"],
        ["training_set", "test_set"],
        ["unpacked/data-v2/train", "unpacked/data-v2/valid"],
        ["train", "validation"],
    ];
    for [train, test] in parts {
        let dir = directory(&[classes_in(train, 2, 10), classes_in(test, 1, 20)].concat());
        let read = open(&named("imagefolder", &dir));
        assert_eq!((reds(&read.train), reds(&read.test)), (vec![10, 11, 12, 13], vec![20, 21]), "{train}");
    }
    let dir = directory(&[classes_in("a_train", 1, 10), classes_in("b_train", 1, 12)].concat());
    refused(&named("imagefolder", &dir), Fault::Setting("data_dir"), &["a_train", "b_train"]);
    let dir = directory(&classes_in("train", 1, 10));
    refused(&named("imagefolder", &dir), Fault::Setting("data_dir"), &["/test", "/val", "`data_dir`"]);
    let dir = directory(&classes_in("test", 1, 10));
    refused(&named("imagefolder", &dir), Fault::Setting("data_dir"), &["/train"]);
}

#[test]
fn validation_images_beside_test_images_are_used() {
    for name in ["val", "valid", "validation", "Val"] {
        let parts = [classes_in("train", 3, 10), classes_in(name, 1, 20), classes_in("test", 2, 30)];
        let dir = directory(&parts.concat());
        let source = named("imagefolder", &dir);
        for cache in [None, Some(dir.path().join("cache"))] {
            let read = noted(&Source { cache: cache.as_deref(), ..source }, &["the 2 images in "]);
            assert_eq!(reds(&read.train), [10, 11, 12, 13, 14, 15, 20, 21]);
            assert_eq!((read.train.held_out(), reds(&read.test)), (2, vec![30, 31, 32, 33]));
        }
        // Statistics are those of the images for training.
        let read = noted(&Source { normalise: Normalise::Data, ..source }, &["the 2 images in "]);
        assert!((read.train.mean[0] - 12.5 / 255.0).abs() < 1e-6, "{:?}", read.train.mean);
        add(&dir, &format!("{name}/a/bad.png"), b"");
        let read = noted(&Source { skip_bad: true, ..source }, &["images in ", "1 bad files"]);
        assert_eq!((read.train.len(), read.train.held_out()), (8, 2));
        add(&dir, &format!("{name}/c/1.png"), &image(9));
        refused(&source, Fault::Setting("data_dir"), &[&format!("{name}/c")]);
    }
}

/// The directory above several data sets is not one of its own.
#[test]
fn folders_without_images_are_no_classes() {
    let dir = directory(&[classes_in("pets", 2, 10), classes_in("birds", 2, 20)].concat());
    refused(&named("imagefolder", &dir), Fault::Setting("data_dir"), &["only folders"]);
    add(&dir, "pets/1.png", &image(3));
    noted(&named("imagefolder", &dir), &["2 folders are the classes"]);
}

/// The division depends on nothing but the names, and every class is in both parts.
#[test]
fn folders_of_classes_alone_are_divided() {
    let dir = directory(&classes_in("flowers", 12, 10));
    let read = noted(&named("imagefolder", &dir), &["2 folders are the classes"]);
    let of = |label: u16| (0..read.test.len()).filter(|&i| read.test.labels[i] == label).count();
    assert_eq!((read.train.len(), of(0), of(1)), (18, 3, 3));
    let mut all = [reds(&read.train), reds(&read.test)].concat();
    all.sort_unstable();
    assert_eq!(all, (10..34).collect::<Vec<_>>());
    let again = noted(&named("imagefolder", &dir), &["2 folders are the classes"]);
    assert_eq!((reds(&again.test), read.train.held_out()), (reds(&read.test), 0));
}

#[test]
fn one_class_alone_is_an_error() {
    let dir = TempDir::new().unwrap();
    add(&dir, "train/a/1.png", &image(1));
    add(&dir, "test/a/1.png", &image(2));
    refused(&named("imagefolder", &dir), Fault::Setting("data_dir"), &["two", "\"a\""]);
    let dir = folder();
    let list = dir.path().join("classes.txt");
    fs::write(&list, "b\n").unwrap();
    let source = Source { class_list: Some(&list), ..named("imagefolder", &dir) };
    refused(&source, Fault::Setting("class_list"), &["two", "\"b\""]);
    let dir = TempDir::new().unwrap();
    add(&dir, "cats/1.png", &image(1));
    refused(&named("imagefolder", &dir), Fault::Setting("data_dir"), &["two", "\"cats\""]);
}

#[test]
fn images_in_two_parts_are_counted() {
    let parts = [classes_in("train", 3, 10), classes_in("val", 2, 20), classes_in("test", 2, 30)];
    let dir = directory(&parts.concat());
    let source = named("imagefolder", &dir);
    noted(&source, &["for validation"]);
    // The same content under another name, twice; and a file that only begins in the same way.
    add(&dir, "test/a/copy.jpg", &image(10));
    add(&dir, "test/b/copy.jpg", &image(12));
    add(&dir, "val/a/copy.jpg", &image(11));
    let longer = [image(11), b"more".to_vec()].concat();
    add(&dir, "test/a/longer.jpg", &longer);
    let shared = ["for validation", "2 of 7 test images are also training images", "1 of 5 validation images"];
    noted(&source, &shared);
    // Equal in the middle, but not in whole.
    let [mut first, mut second] = [vec![0; 20_000], vec![0; 20_000]];
    (first[0], second[0]) = (1, 2);
    add(&dir, "train/a/long.png", &first);
    add(&dir, "test/a/long.png", &second);
    noted(&source, &["for validation", "2 of 8 test images are also training images", "1 of 5 validation images"]);
}

/// Composed and decomposed letters look alike.
#[test]
fn names_that_look_alike_are_told_apart() {
    let (composed, decomposed) = ("K\u{e4}se", "Ka\u{308}se");
    let with = |of_train: &str, of_test: &str| {
        let dir = directory(&[classes_in("train", 1, 10), classes_in("test", 1, 20)].concat());
        add(&dir, &format!("train/{of_train}/1.png"), &image(1));
        add(&dir, &format!("test/{of_test}/1.png"), &image(2));
        dir
    };
    open(&named("imagefolder", &with(composed, composed)));
    let told = ["K\\u{e4}se", "Ka\\u{308}se"];
    let (there, here) = (with(composed, decomposed), with(decomposed, composed));
    for dir in [&there, &here] {
        refused(&named("imagefolder", dir), Fault::Setting("data_dir"), &told);
    }
    let list = there.path().join("list.txt");
    fs::write(&list, format!("a\n{decomposed}\n")).unwrap();
    let source = Source { class_list: Some(&list), ..named("imagefolder", &there) };
    refused(&source, Fault::Format("list.txt", None), &told);
    fs::write(&list, format!("a\n{composed}\n")).unwrap();
    refused(&source, Fault::Setting("data_dir"), &told);
}
