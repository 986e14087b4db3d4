//! Folders of image files in the layout of each data set, and their batches.

use crate::common::cifar;
use crate::common::errors::Fault;
use crate::common::files::{add, directory};
use crate::common::pictures::{encoded, flat, folder, named, open, open_with_notes, pattern, png, reds, refused};
use image::{ImageFormat, Rgb, RgbImage};
use lerac::data::{self, Batch, Examples, Meaning, PictureSplits, Pictures, Source, plain_form};
use lerac::error::Error;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn classes(data: &Pictures) -> &[String] {
    match &data.meaning {
        Meaning::Classes(names) => names,
        _ => &[],
    }
}

// ---- imagefolder ----

#[test]
fn classes_are_folders_in_the_order_of_their_names() {
    let dir = folder();
    let PictureSplits { train, test } = open(&named("imagefolder", &dir));
    assert_eq!((train.image, classes(&train)), ([3, 8, 8], ["Z", "a c", "b"].map(str::to_owned).as_slice()));
    assert_eq!((train.labels.as_slice(), reds(&train)), ([0, 1, 2, 2].as_slice(), vec![10, 30, 20, 21]));
    assert_eq!((test.labels.as_slice(), reds(&test)), ([0, 1, 2].as_slice(), vec![11, 31, 22]));
    assert_eq!(train.image(0).unwrap(), [[10; 64], [1; 64], [2; 64]].concat());
    assert_eq!(open(&Source { image_size: None, ..named("imagefolder", &dir) }).train.image, [3, 64, 64]);
    // A folder that contains class folders is the test set.
    add(&dir, "test/unlabelled.png", &png(&flat([0; 3])));
    assert_eq!(open(&named("imagefolder", &dir)).test.len(), 3);
    for (name, red) in [("test/Z/1.png", 50), ("test/b/1.png", 51), ("test/a c/1.png", 52)] {
        add(&dir, name, &png(&flat([red; 3])));
    }
    assert_eq!(reds(&open(&named("imagefolder", &dir)).test), [50, 52, 51]);
}

#[test]
fn a_class_list_selects_classes() {
    let dir = folder();
    let list = dir.path().join("classes.txt");
    let source = Source { class_list: Some(&list), ..named("imagefolder", &dir) };
    let text = "\u{feff}b\r\n\n Z \n";
    let utf16 = |to_bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>();
    for bytes in [text.as_bytes().to_vec(), utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)] {
        fs::write(&list, bytes).unwrap();
        assert_eq!(classes(&open(&source).train).join(" "), "Z b");
    }
    fs::write(&list, "b\r\n\n Z \n").unwrap();
    let PictureSplits { train, test } = open(&source);
    assert_eq!((classes(&train).join(" "), reds(&train), reds(&test)), ("Z b".into(), vec![10, 20, 21], vec![11, 22]));
    assert_eq!(source.form().unwrap(), train.form());
    assert_eq!((train.form().pixels().unwrap().image, train.form().classes()), ([3, 8, 8], classes(&train)));
    for (text, offset, names) in [
        ("b\nd\n", None, &["\"d\""][..]),
        ("b\nb\n", Some(2), &["line 2", "\"b\""]),
        ("\n", None, &[]),
        ("../b\n", Some(0), &["line 1"]),
    ] {
        fs::write(&list, text).unwrap();
        refused(&source, Fault::Format("classes.txt", offset), names);
    }
    refused(&Source { name: "food-101", ..source }, Fault::Setting("data_dir"), &["meta/train.txt"]);
}

#[test]
fn unusable_folders_are_errors() {
    let dir = folder();
    let source = named("imagefolder", &dir);
    let empty = TempDir::new().unwrap();
    refused(&named("imagefolder", &empty), Fault::Setting("data_dir"), &["train/CLASS/"]);
    refused(&Source { dir: None, ..source }, Fault::Setting("data_dir"), &["imagefolder"]);
    refused(&Source { dir: Some(Path::new("/nowhere")), ..source }, Fault::Setting("data_dir"), &["/nowhere"]);
    for (option, change) in [
        ("image_size", Source { image_size: Some(0), ..source }),
        ("image_size", Source { image_size: Some(1025), ..source }),
        ("resize", Source { resize: Some(7), ..source }),
        ("resize", Source { resize: Some(2049), ..source }),
    ] {
        refused(&change, Fault::Setting(option), &[]);
    }
    refused(&Source { name: "cifar10", ..source }, Fault::Setting("image_size"), &["cifar10"]);
    refused(&Source { name: "shapes", skip_bad: true, ..Source::default() }, Fault::Setting("skip_bad"), &["shapes"]);

    fs::create_dir(dir.path().join("train/d")).unwrap();
    refused(&source, Fault::Setting("data_dir"), &["train/d", "PNG", "JPEG"]);
    fs::remove_dir(dir.path().join("train/d")).unwrap();
    add(&dir, "val/d/1.png", b"");
    refused(&source, Fault::Setting("data_dir"), &["val/d"]);
    fs::remove_dir_all(dir.path().join("val/d")).unwrap();
    fs::rename(dir.path().join("val/b"), dir.path().join("b")).unwrap();
    refused(&source, Fault::Setting("data_dir"), &["val/b"]);
    fs::rename(dir.path().join("val"), dir.path().join("elsewhere")).unwrap();
    refused(&source, Fault::Setting("data_dir"), &["test", "val"]);
    fs::rename(dir.path().join("elsewhere"), dir.path().join("val")).unwrap();
    fs::rename(dir.path().join("b"), dir.path().join("val/b")).unwrap();
    open(&source);
    add(&dir, "train/b/picture.webp", b"");
    refused(&source, Fault::Format("picture.webp", None), &["webp"]);
}

// ---- the sets that are laid out in their own way ----

fn tiny_imagenet() -> TempDir {
    let image = |red| png(&flat([red; 3]));
    let files = [
        ("tiny-imagenet-200/wnids.txt", b"n02\nn01\n".to_vec()),
        ("tiny-imagenet-200/words.txt", b"n00\tnothing\nn01\tgoldfish, Carassius auratus\nn02\tfrog\n".to_vec()),
        ("tiny-imagenet-200/train/n01/images/n01_0.JPEG", encoded(&flat([10; 3]).into(), ImageFormat::Jpeg)),
        ("tiny-imagenet-200/train/n01/n01_boxes.txt", b"n01_0.JPEG\t0\t0\t62\t63\n".to_vec()),
        ("tiny-imagenet-200/train/n02/images/n02_0.JPEG", image(20)),
        ("tiny-imagenet-200/val/images/val_0.JPEG", image(30)),
        ("tiny-imagenet-200/val/images/val_1.JPEG", image(31)),
        (
            "tiny-imagenet-200/val/val_annotations.txt",
            b"val_1.JPEG\tn01\t0\t0\t62\t63\nval_0.JPEG\tn02\t0\t0\t9\t9\n".to_vec(),
        ),
    ];
    directory(&files)
}

#[test]
fn tiny_imagenet_is_read_as_it_is_unpacked() {
    let dir = tiny_imagenet();
    let source = named("tiny-imagenet", &dir);
    let PictureSplits { train, test } = open(&source);
    assert_eq!(classes(&train), ["n01 goldfish, Carassius auratus", "n02 frog"]);
    assert_eq!((train.labels.as_slice(), reds(&train)), ([0, 1].as_slice(), vec![10, 20]));
    assert_eq!((test.labels.as_slice(), reds(&test)), ([1, 0].as_slice(), vec![30, 31]));
    let form = Source { dir: None, image_size: None, ..source }.form().unwrap();
    assert_eq!((form.pixels().unwrap().image, form.classes().len()), ([3, 64, 64], 200));

    let annotations = "tiny-imagenet-200/val/val_annotations.txt";
    for (text, offset, name) in [
        ("val_1.JPEG\tn01\n", Some(0), "val/images/val_0.JPEG"),
        ("val_1.JPEG\tn01\nval_2.JPEG\tn01\n", None, "val_2.JPEG"),
        ("val_1.JPEG\tn01\nval_0.JPEG\n", Some(15), "line 2"),
        ("val_1.JPEG\tn01\nval_1.JPEG\tn01\n", Some(15), "line 2"),
        ("val_1.JPEG\tn01\nval_0.JPEG\tn03\n", None, "\"n03\""),
        ("../images/val_1.JPEG\tn01\n", Some(0), "line 1"),
    ] {
        add(&dir, annotations, text.as_bytes());
        refused(&source, Fault::Format("val_annotations.txt", offset), &[name]);
    }
    fs::remove_file(dir.path().join(annotations)).unwrap();
    refused(&source, Fault::Io("val_annotations.txt"), &[]);
    fs::remove_dir_all(dir.path().join("tiny-imagenet-200")).unwrap();
    refused(&source, Fault::Setting("data_dir"), &["wnids.txt"]);
}

#[test]
fn food_101_is_read_as_it_is_unpacked() {
    let image = |red| encoded(&flat([red; 3]).into(), ImageFormat::Jpeg);
    let files = [
        ("meta/classes.txt", b"apple_pie\nwaffles\n".to_vec()),
        ("meta/train.txt", b"apple_pie/100\nwaffles/7\nwaffles/8\n".to_vec()),
        ("meta/test.txt", b"waffles/9\n".to_vec()),
        ("images/apple_pie/100.jpg", image(10)),
        ("images/waffles/7.jpg", image(20)),
        ("images/waffles/8.jpg", image(21)),
        ("images/waffles/9.jpg", image(22)),
    ];
    let dir = directory(&files);
    let source = named("food-101", &dir);
    let PictureSplits { train, test } = open(&source);
    assert_eq!((train.labels.as_slice(), reds(&train)), ([0, 1, 1].as_slice(), vec![10, 20, 21]));
    assert_eq!((test.labels.as_slice(), reds(&test), classes(&test).len()), ([1].as_slice(), vec![22], 2));
    for (text, offset, name) in [
        ("waffles/9\nwaffles/10\n", None, "10.jpg"),
        ("waffles/9\nwaffles\n", Some(10), "line 2"),
        ("waffles/../9\n", Some(0), "line 1"),
        ("pizza/9\n", None, "\"pizza\""),
    ] {
        add(&dir, "meta/test.txt", text.as_bytes());
        refused(&source, Fault::Format("test.txt", offset), &[name]);
    }
    add(&dir, "meta/test.txt", b"");
    refused(&source, Fault::Setting("data_dir"), &[]);
}

#[test]
fn labels_of_faces_are_in_their_names() {
    let dir = TempDir::new().unwrap();
    let name = |i: usize| format!("{}_{}_{}_2017010{i:02}.jpg.chip.jpg", i, i % 2, i % 5);
    (0..40).for_each(|i| add(&dir, &name(i), &encoded(&flat([i as u8; 3]).into(), ImageFormat::Jpeg)));
    let PictureSplits { train, test } = open(&named("utkface-gender", &dir));
    assert_eq!((train.len(), test.len(), classes(&train)), (32, 8, ["male", "female"].map(String::from).as_slice()));
    for part in [&train, &test] {
        let labels: Vec<u16> = reds(part).iter().map(|red| u16::from(red % 2)).collect();
        assert_eq!(part.labels, labels);
    }
    let mut all = [reds(&train), reds(&test)].concat();
    let of_test = [26, 7, 29, 20, 35, 23, 39, 22];
    assert_eq!(reds(&test), of_test, "the division has changed");
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<u8>>());
    // Intermediate folders have no effect.
    fs::create_dir(dir.path().join("part1")).unwrap();
    fs::rename(dir.path().join(name(7)), dir.path().join("part1").join(name(7))).unwrap();
    assert_eq!(reds(&open(&named("utkface-gender", &dir)).test), of_test);
    // The labels are ages; the split is the same.
    let ages = open(&named("utkface-age", &dir));
    let years = Meaning::Number { unit: "years".into(), mean: 33.0, std: 20.0 };
    assert_eq!((&ages.train.meaning, &ages.test.meaning), (&years, &years));
    for part in [&ages.train, &ages.test] {
        assert_eq!(part.labels, reds(part).into_iter().map(u16::from).collect::<Vec<_>>());
    }
    assert_eq!(reds(&ages.test), of_test);
    assert_eq!(named("utkface-age", &dir).form().unwrap(), ages.train.form());
    assert_eq!(ages.train.form(), plain_form([3, 8, 8], &years));
    for bad in ["face.jpg", "200_0_1_1.jpg", "20_2_1_1.jpg", "-1_0_1_1.jpg", "20_0.jpg", "+20_0_1_1.jpg"] {
        add(&dir, bad, b"");
        refused(&named("utkface-gender", &dir), Fault::Format(bad, None), &["AGE_GENDER_RACE_DATE.jpg"]);
        let rest = Source { skip_bad: true, ..named("utkface-age", &dir) };
        let (rest, notes) = open_with_notes(&rest);
        assert_eq!(reds(&rest.unwrap().test), of_test, "{bad} is left out");
        assert!(notes.iter().any(|note| note.contains(bad)), "{notes:?}");
        fs::remove_file(dir.path().join(bad)).unwrap();
    }
    let known = data::face_in(Path::new("f"), "61_1_20170109142408075.jpg.chip.jpg").unwrap();
    assert_eq!((known.age, known.gender), (61, 1));
}

// ---- batches ----

#[test]
fn batches_of_files_hold_their_images() {
    let dir = folder();
    let data = open(&named("imagefolder", &dir)).train;
    let batch = Batch::gather(&data, &[3, 0], 3, None).unwrap();
    assert_eq!(batch.columns[2], [2, 0, 0]);
    let bytes: Vec<u8> = batch.columns[0].iter().flat_map(|word| word.to_le_bytes()).collect();
    assert_eq!((bytes[0], bytes[64], bytes[192], bytes[256]), (21, 1, 10, 1));
    assert!(bytes[384..].iter().all(|&byte| byte == 0) && bytes.len() == 3 * 192);
}

#[test]
fn labels_may_exceed_a_byte() {
    let dir = TempDir::new().unwrap();
    let image = png(&RgbImage::new(1, 1));
    let classes: Vec<String> = (0..300).map(|i| format!("{i:03}")).collect();
    for part in ["train", "val"] {
        classes.iter().for_each(|class| add(&dir, &format!("{part}/{class}/1.png"), &image));
    }
    let PictureSplits { train, .. } = open(&Source { image_size: Some(1), ..named("imagefolder", &dir) });
    assert_eq!(train.labels, (0..300).collect::<Vec<u16>>());
    let batch = Batch::gather(&train, &[299], 1, None).unwrap();
    assert_eq!(batch.columns[2], [299]);
}

/// A user's pictures are converted to the form of the data set, without a label.
#[test]
fn single_files_have_the_form_of_the_set() {
    let dir = folder();
    add(&dir, "elsewhere/wide.png", &png(&pattern(40, 20)));
    let data = open(&named("imagefolder", &dir)).train;
    let paths = ["elsewhere/wide.png", "val/b/1.png"].map(|name| dir.path().join(name));
    let files = data.of_files(&paths).unwrap();
    assert_eq!((files.len(), files.form()), (2, data.form()));
    let batch = Batch::gather(&*files, &[0, 1], 2, None).unwrap();
    let bytes =
        |place: usize| batch.places(0, place, 1).iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    assert_eq!(bytes(0), data.frame().fit(&pattern(40, 20)));
    assert_eq!((bytes(1), &batch.columns[2][..]), ([[22; 64], [1; 64], [2; 64]].concat(), &[0, 0][..]));
    let absent = data.of_files(&[dir.path().join("absent.png")]).err().unwrap();
    assert!(matches!(absent, Error::Io { .. }), "{absent}");
}

/// CIFAR-10 as folders of PNG images equals CIFAR-10 in binary files.
#[test]
fn cifar10_in_folders_is_the_same() {
    let Some(batches) = cifar::cifar10_cache() else { return };
    let binary = data::read_cifar10(&batches).unwrap();
    let dir = TempDir::new().unwrap();
    let mut expected: HashMap<(&str, u16), Vec<Vec<u8>>> = HashMap::new();
    for (part, set) in [("train", &binary.train), ("test", &binary.test)] {
        for i in 0..60 {
            let (bytes, label) = (set.image(i).unwrap(), set.labels[i]);
            let image =
                RgbImage::from_fn(
                    32,
                    32,
                    |x, y| Rgb([0, 1, 2].map(|c| bytes[(c * 32 + y as usize) * 32 + x as usize])),
                );
            add(&dir, &format!("{part}/{label} {}/{i:02}.png", classes(set)[usize::from(label)]), &png(&image));
            expected.entry((part, label)).or_default().push(bytes);
        }
    }
    let opened = open(&Source { image_size: Some(32), ..named("imagefolder", &dir) });
    for (part, set) in [("train", &opened.train), ("test", &opened.test)] {
        assert_eq!((set.len(), classes(set).len()), (60, 10));
        let mut found: HashMap<(&str, u16), Vec<Vec<u8>>> = HashMap::new();
        (0..60).for_each(|i| found.entry((part, set.labels[i])).or_default().push(set.image(i).unwrap()));
        found.iter().for_each(|(key, images)| assert_eq!(images, &expected[key]));
    }
}
