//! Sets of boxes on the command line and in the card of a model.

use crate::common::boxes::{devkit, rectangle, small};
use crate::common::errors::{Fault, assert_contains, assert_error};
use crate::common::files::directory;
use crate::common::pictures::png;
use crate::common::program::{assert_refused, stdout};
use image::{Rgb, RgbImage};
use lerac::data::{Difficult, Source, VocTrain, VocYears};
use lerac::study::plots::{NamedBox, draw_boxes};
use lerac::train::{Config, DataOptions, ModelCard};

/// The colours of the first two classes.
const FIRST: Rgb<u8> = Rgb([0, 114, 178]);
const SECOND: Rgb<u8> = Rgb([213, 94, 0]);

#[test]
fn training_images_are_drawn_with_their_boxes() {
    let image = png(&rectangle([64, 64], [16, 24, 48, 56], [0, 255, 0]));
    let dir = directory(&[
        ("data.yaml", &b"train: images/train\nval: images/val\nnames: [cat, dog]\n"[..]),
        ("images/train/a.png", &image),
        ("images/val/b.png", &png(&rectangle([64, 32], [0, 0, 1, 1], [9, 9, 9]))),
        ("labels/train/a.txt", b"1 0.5 0.625 0.5 0.5\n"),
    ]);
    let elsewhere = tempfile::tempdir().unwrap();
    let (data, path) = (dir.path().to_str().unwrap(), elsewhere.path().join("sheet.png"));
    let plot = ["info", "--data", "yolo", "--data-dir", data, "--image-size", "64", "--plot", path.to_str().unwrap()];
    let printed = stdout(&plot);
    assert_contains(&printed, &["yolo: 1 training images", "1 test images", "cat 0, dog 1", "sheet.png"]);
    // The image is five times as large, below a title and beside a margin.
    let sheet = image::open(&path).unwrap().into_rgb8();
    let (left, top) = (24, 64);
    assert_eq!((sheet.width(), sheet.height()), (320 + 2 * 24, 320 + 64 + 24));
    let at = |x: u32, y: u32| *sheet.get_pixel(left + x, top + y);
    for (x, y) in [(80, 200), (239, 200), (160, 120), (160, 279), (80, 279), (239, 120)] {
        assert_eq!(at(x, y), SECOND, "{x}, {y}");
    }
    assert_eq!([at(160, 200), at(79, 200), at(240, 200), at(160, 280)], [[0, 255, 0], [0; 3], [0; 3], [0; 3]].map(Rgb));
    // With augmentation the sheet differs.
    let before = std::fs::read(&path).unwrap();
    stdout(
        &[&plot[..], &["--overwrite", "--mosaic", "1", "--scale", "0.5", "--hsv", "0.1,0.5,0.5", "--flip"]].concat(),
    );
    assert_ne!(std::fs::read(&path).unwrap(), before);
    assert_refused(&["info", "--data", "shapes", "--plot", "x.png"], "--plot", &["shapes", "boxes"]);
    assert_refused(
        &[&plot[..7], &["--plot", "x.png", "--difficult", "drop"]].concat(),
        "--difficult",
        &["voc", "yolo"],
    );
    assert_refused(&[&plot[..7], &["--plot", "x.png", "--hsv", "1,2"]].concat(), "--hsv", &["SATURATION"]);
}

#[test]
fn captions_stay_in_the_image() {
    let mut image = RgbImage::new(60, 60);
    let named = |class, corners| NamedBox { class, caption: "a long name of a class".into(), corners };
    draw_boxes(&mut image, &[named(0, [-20.0, -20.0, 30.0, 30.0]), named(1, [50.0, 50.0, 90.0, 90.0])]).unwrap();
    let count = |colour| image.pixels().filter(|pixel| **pixel == colour).count();
    assert!(count(FIRST) > 100 && count(SECOND) > 100, "{} {}", count(FIRST), count(SECOND));
    let mut plain = RgbImage::new(60, 60);
    draw_boxes(&mut plain, &[NamedBox { class: 0, caption: String::new(), corners: [10.0, 10.0, 20.0, 20.0] }])
        .unwrap();
    let drawn = plain.enumerate_pixels().filter(|(.., pixel)| **pixel == FIRST).map(|(x, y, _)| (x, y));
    // The edge of a square of ten pixels.
    assert_eq!(drawn.clone().count(), 36);
    assert!(drawn.into_iter().all(|(x, y)| (10..20).contains(&x) && (10..20).contains(&y)));
}

#[test]
fn options_name_the_defaults_of_a_set_of_boxes() {
    let options = DataOptions { name: "voc".into(), ..DataOptions::default() }.with_defaults_of_set();
    assert_eq!(options.image_size, Some(640));
    assert_eq!((options.voc_train, options.difficult), (Some(VocTrain::Train), Some(Difficult::Drop)));
    let options = DataOptions { name: "yolo".into(), ..DataOptions::default() }.with_defaults_of_set();
    assert_eq!((options.image_size, options.voc_train, options.difficult), (Some(640), None, None));
    for (change, field) in [
        (Config::default().with(|c| c.data.hsv = vec![0.1]), "hsv"),
        (Config::default().with(|c| c.data.scale = 1.0), "scale"),
        (Config::default().with(|c| c.data.box_mixup = -0.5), "box_mixup"),
    ] {
        assert_error(change.check(), Fault::Setting(field), &[]);
    }
}

#[test]
fn a_card_reads_images_as_the_model_needs_them() {
    let json = r#"{"format": 1, "model": "cnn", "data": "voc", "target": {"boxes": ["cat", "dog"]}, "label-smoothing": 0.0,
        "difficult": "ignore", "voc-years": "2007", "image": {"shape": [3, 96, 96], "resize": 96, "normalise": "half",
        "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}}"#;
    let card: ModelCard = serde_json::from_str(json).unwrap();
    assert!(card.has_boxes() && serde_json::from_str::<ModelCard>(&card.to_json()).unwrap() == card);
    let options = card.options().data;
    assert_eq!((options.image_size, options.resize), (Some(96), None));
    assert_eq!((options.difficult, options.voc_years), (Some(Difficult::Ignore), Some(VocYears::Of2007)));
    let empty = card.empty_set().unwrap();
    let form = empty.form();
    assert_eq!(
        (form.pixels().unwrap().image, form.boxes().unwrap().classes),
        ([3, 96, 96], &["cat", "dog"].map(str::to_owned)[..])
    );
    let dir = devkit(&[small(&["train"], "a", &[("dog", [1.0, 1.0, 4.0, 4.0], false)]), small(&["test"], "b", &[])]);
    let data = Source { name: "voc", dir: Some(dir.path()), ..Source::default() }.open(&mut |_| ()).unwrap();
    assert_error(
        card.check_classes(&data.train.form()),
        Fault::Setting("data"),
        &["class 0", "\"cat\"", "20 in the data"],
    );
    let same = Source {
        class_list: Some(&dir.path().join("classes.txt")),
        name: "voc",
        dir: Some(dir.path()),
        ..Source::default()
    };
    std::fs::write(dir.path().join("classes.txt"), "cat\ndog\n").unwrap();
    card.check_classes(&same.open(&mut |_| ()).unwrap().train.form()).unwrap();
    let read = empty.of_files(&[dir.path().join("VOC2007/JPEGImages/a.png")]).unwrap();
    assert_eq!(read.form(), form);
}
