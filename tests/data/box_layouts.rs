//! The layouts of sets of boxes: PASCAL VOC's years and lists, YOLO's descriptions, and options.

use crate::common::boxes::{Listed, devkit, rectangle, small};
use crate::common::errors::{Fault, assert_contains, assert_error};
use crate::common::files::{add, directory};
use crate::common::pictures::png;
use lerac::data::{
    Augmentation, BoxAugmentation, BoxOptions, BoxSplits, BoxedPictures, Difficult, Examples, Normalise, OpenEvent,
    Source, VocTrain, VocYears,
};
use lerac::error::Result;
use std::path::Path;
use tempfile::TempDir;

// ---- help ----

fn voc(dir: &Path) -> Source<'_> {
    Source { name: "voc", dir: Some(dir), ..Source::default() }
}

fn open(source: &Source<'_>) -> (Result<BoxSplits>, String) {
    let mut notes = String::new();
    let opened = source.open_boxes(&mut |event| {
        if let OpenEvent::Note(note) = event {
            notes += note;
            notes.push('\n');
        }
    });
    (opened, notes)
}

#[track_caller]
fn opened(source: &Source<'_>) -> (BoxSplits, String) {
    let (splits, notes) = open(source);
    (splits.unwrap(), notes)
}

/// The names of the files of a part, without folders.
fn files(part: &BoxedPictures) -> Vec<String> {
    let name = |i| part.file_of(i).unwrap().rsplit('/').next().unwrap().to_owned();
    (0..part.len()).map(name).collect()
}

fn classes(part: &BoxedPictures) -> Vec<String> {
    part.form().boxes().unwrap().classes.to_vec()
}

/// Training, validation and test images of 2007, and training and validation images of 2012.
fn years() -> TempDir {
    let of_2012 =
        |lists, name| Listed { year: "VOC2012", ..small(lists, name, &[("dog", [1.0, 1.0, 9.0, 9.0], false)]) };
    devkit(&[
        small(&["train", "trainval"], "000001", &[("dog", [3.0, 3.0, 9.0, 7.0], false)]),
        small(
            &["val", "trainval"],
            "000002",
            &[("cat", [3.0, 3.0, 9.0, 7.0], true), ("dog", [1.0, 1.0, 4.0, 4.0], false)],
        ),
        small(&["test"], "000003", &[("person", [3.0, 3.0, 9.0, 7.0], false)]),
        of_2012(&["train"], "2008_000001"),
        of_2012(&["val"], "2008_000002"),
    ])
}

// ---- voc ----

#[test]
fn years_and_lists_of_voc_are_divided_as_published() {
    let dir = years();
    let with = |boxes| Source { boxes, ..voc(dir.path()) };
    let parts = |source: &Source<'_>| {
        let (BoxSplits { train, test }, notes) = opened(source);
        (files(&train), train.held_out(), files(&test), notes)
    };
    let (train, held_out, test, notes) = parts(&voc(dir.path()));
    assert_eq!(train, ["000001.png", "2008_000001.png", "000002.png", "2008_000002.png"]);
    assert_eq!((held_out, test), (2, vec!["000003.png".to_owned()]));
    assert_contains(
        &notes,
        &[
            "VOC2007 and VOC2012: train for training, val for validation, test for the test",
            "1 difficult",
            "`difficult`",
        ],
    );
    let of_2007 = BoxOptions { voc_years: Some(VocYears::Of2007), ..BoxOptions::default() };
    assert_eq!(parts(&with(of_2007)).0, ["000001.png", "000002.png"]);
    // 2012 has no test list: its validation images are the test part.
    let of_2012 = BoxOptions { voc_years: Some(VocYears::Of2012), ..BoxOptions::default() };
    let (train, held_out, test, _) = parts(&with(of_2012));
    assert_eq!(
        (&train[..], held_out, &test[..]),
        (&["2008_000001.png".to_owned()][..], 0, &["2008_000002.png".to_owned()][..])
    );
    // Where 2012 has no list of both, it is made of the two.
    let both = BoxOptions { voc_train: Some(VocTrain::Trainval), ..BoxOptions::default() };
    let (train, held_out, test, _) = parts(&with(both));
    assert_eq!(train, ["000001.png", "000002.png", "2008_000001.png", "2008_000002.png"]);
    assert_eq!((held_out, test.len()), (0, 1));
    let without_test = BoxOptions { voc_train: Some(VocTrain::Trainval), ..of_2012 };
    assert_error(open(&with(without_test)).0, Fault::Setting("voc_train"), &["test.txt"]);
}

#[test]
fn a_devkit_is_found_in_its_folder_above_and_as_a_year() {
    let dir = years();
    let above = TempDir::new().unwrap();
    for folder in ["VOC2007", "VOC2012"] {
        copy(&dir.path().join(folder), &above.path().join("VOCdevkit").join(folder));
    }
    let expected = files(&opened(&voc(dir.path())).0.train);
    assert_eq!(files(&opened(&voc(above.path())).0.train), expected);
    let year = dir.path().join("VOC2007");
    assert_eq!(files(&opened(&voc(&year)).0.train), ["000001.png", "000002.png"]);
    let of_2007 = BoxOptions { voc_years: Some(VocYears::Of2007), ..BoxOptions::default() };
    assert_eq!(files(&opened(&Source { boxes: of_2007, ..voc(&year) }).0.train).len(), 2);
    let both = BoxOptions { voc_years: Some(VocYears::Both), ..BoxOptions::default() };
    assert_error(open(&Source { boxes: both, ..voc(&year) }).0, Fault::Setting("voc_years"), &["VOC2012"]);
    // A directory of one's own in the same layout.
    let own = devkit(&[
        Listed { year: "", ..small(&["train"], "a", &[("cell", [1.0, 1.0, 4.0, 4.0], false)]) },
        Listed { year: "", ..small(&["val"], "b", &[("blob", [1.0, 1.0, 4.0, 4.0], false)]) },
    ]);
    let (splits, _) = opened(&voc(own.path()));
    assert_eq!((files(&splits.train), files(&splits.test)), (vec!["a.png".to_owned()], vec!["b.png".to_owned()]));
    assert_error(open(&voc(TempDir::new().unwrap().path())).0, Fault::Setting("data_dir"), &["VOCdevkit", "train.txt"]);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn classes_are_those_of_voc_or_of_the_files_or_of_a_list() {
    let dir = years();
    let names = classes(&opened(&voc(dir.path())).0.train);
    assert_eq!((names.len(), &names[0][..], &names[11][..], &names[19][..]), (20, "aeroplane", "dog", "tvmonitor"));
    let other = small(&["train"], "000001", &[("wolf", [3.0, 3.0, 9.0, 7.0], false)]).annotation;
    add(&dir, "VOC2007/Annotations/000001.xml", other.as_bytes());
    // Difficult objects count as well, even if they are left out.
    assert_eq!(classes(&opened(&voc(dir.path())).0.test), ["cat", "dog", "person", "wolf"]);
    let list = dir.path().join("classes.txt");
    add(&dir, "classes.txt", b"wolf\ndog\nperson\ncat\n");
    let listed = Source { class_list: Some(&list), ..voc(dir.path()) };
    let (splits, _) = opened(&listed);
    assert_eq!(classes(&splits.train), ["wolf", "dog", "person", "cat"]);
    assert_eq!((splits.train.objects(0)[0].class, splits.test.objects(0)[0].class), (0, 2));
    add(&dir, "classes.txt", b"wolf\ndog\ncat\n");
    let wrong = open(&listed).0;
    assert_error(
        wrong,
        Fault::Format("VOC2007/Annotations/000003.xml", None),
        &["object 1", "person", "wolf, dog, cat"],
    );
}

#[test]
fn difficult_objects_are_dropped_or_marked() {
    let dir = years();
    let objects = |difficult| {
        let boxes = BoxOptions { difficult, ..BoxOptions::default() };
        let (splits, notes) = opened(&Source { boxes, ..voc(dir.path()) });
        let marks = splits.train.objects(2).iter().map(|object| (object.class, object.difficult));
        (marks.collect::<Vec<_>>(), notes.contains("difficult objects"))
    };
    assert_eq!(objects(None), (vec![(11, false)], true));
    assert_eq!(objects(Some(Difficult::Drop)), objects(None));
    assert_eq!(objects(Some(Difficult::Ignore)), (vec![(7, true), (11, false)], false));
}

#[test]
fn boxes_over_the_border_are_clipped_and_counted() {
    let over = [("cat", [-4.0, 1.0, 6.0, 6.0], false), ("cat", [11.0, 6.0, 31.0, 21.0], false)];
    let twice = [("cat", [2.0, 2.0, 5.0, 5.0], false), ("cat", [2.0, 2.0, 5.0, 5.0], false)];
    let dir = devkit(&[small(&["train"], "a", &over), small(&["test"], "b", &twice)]);
    let (splits, notes) = opened(&voc(dir.path()));
    let corners: Vec<[f32; 4]> = splits.train.objects(0).iter().map(|object| object.corners).collect();
    assert_eq!(corners, [[0.0, 0.0, 0.25, 0.5], [0.5, 0.5, 1.0, 1.0]]);
    assert_eq!(splits.test.objects(0).len(), 1);
    assert_contains(&notes, &["2 boxes", "clipped", "1 objects are repeated"]);
}

// ---- yolo ----

const LABELS: &[u8] = b"1 0.5 0.5 0.25 0.5\n0 0.25 0.25 0.1 0.1\n";

fn yolo_files(description: &str, folders: [&str; 2]) -> TempDir {
    let image = png(&rectangle([20, 10], [2, 2, 8, 6], [255, 0, 0]));
    let dir = directory(&[("data.yaml", description.as_bytes())]);
    for (folder, name) in folders.into_iter().zip(["a", "b"]) {
        add(&dir, &format!("{folder}/{name}.png"), &image);
        add(&dir, &format!("{folder}/{name}.txt").replace("images", "labels"), LABELS);
    }
    dir
}

fn yolo(dir: &Path) -> Source<'_> {
    Source { name: "yolo", dir: Some(dir), ..Source::default() }
}

#[test]
fn descriptions_of_yolo_have_several_forms() {
    let beside =
        "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['cat', 'dog']\n\nroboflow:\n  license: MIT\n";
    for (description, folders) in [
        ("train: images/train\nval: images/val\nnames: [cat, dog]\n", ["images/train", "images/val"]),
        (
            "# a set\npath: set\ntrain: images/train # all\nval: images/val\ntest:\nnames:\n  0: cat\n  1: dog\n",
            ["set/images/train", "set/images/val"],
        ),
        (
            "path: ../datasets/set\ntrain: [images/train]\nval: images/val\nnames:\n- cat\n- dog\ndownload: |\n  import x: y\n",
            ["images/train", "images/val"],
        ),
        (beside, ["train/images", "valid/images"]),
        ("train: list.txt\nval: other/list.txt\nnames: {1: dog, 0: cat}\n", ["images", "other/images"]),
    ] {
        let dir = yolo_files(description, folders);
        add(&dir, "list.txt", b"images/a.png\n");
        add(&dir, "other/list.txt", b"./images/b.png\n");
        let (splits, _) = opened(&yolo(dir.path()));
        assert_eq!(classes(&splits.train), ["cat", "dog"], "{description}");
        assert_eq!((files(&splits.train), files(&splits.test)), (vec!["a.png".to_owned()], vec!["b.png".to_owned()]));
        let objects = splits.test.objects(0);
        assert_eq!((objects.len(), objects[0].class, objects[0].corners), (2, 1, [0.375, 0.25, 0.625, 0.75]));
        let itself = dir.path().join("data.yaml");
        assert_eq!(files(&opened(&yolo(&itself)).0.train), ["a.png"]);
    }
}

#[test]
fn images_without_labels_have_no_objects() {
    let dir = yolo_files("train: images/train\nval: images/val\nnames: [cat, dog]\n", ["images/train", "images/val"]);
    let image = std::fs::read(dir.path().join("images/train/a.png")).unwrap();
    add(&dir, "images/train/empty.png", &image);
    add(&dir, "labels/train/empty.txt", b"");
    add(&dir, "images/train/none.png", &image);
    let (splits, notes) = opened(&yolo(dir.path()));
    assert_eq!((0..3).map(|i| splits.train.objects(i).len()).collect::<Vec<_>>(), [2, 0, 0]);
    assert_contains(&notes, &["1 images have no file of labels"]);
    // If no image has labels, they are somewhere else.
    std::fs::remove_file(dir.path().join("labels/train/a.txt")).unwrap();
    assert_error(open(&yolo(dir.path())).0, Fault::Setting("data_dir"), &["labels/train/a.txt"]);
}

#[test]
fn a_test_part_of_yolo_leaves_val_for_validation() {
    let description = "train: images/train\nval: images/val\ntest: images/test\nnames: [cat, dog]\n";
    let dir = yolo_files(description, ["images/train", "images/val"]);
    add(&dir, "images/test/c.png", &png(&rectangle([8, 8], [1, 1, 5, 5], [9, 9, 9])));
    let (splits, _) = opened(&yolo(dir.path()));
    assert_eq!((files(&splits.train), splits.train.held_out()), (vec!["a.png".to_owned(), "b.png".to_owned()], 1));
    assert_eq!(files(&splits.test), ["c.png"]);
}

// ---- options ----

#[test]
fn options_of_other_sets_are_refused() {
    let dir = years();
    let boxes = |augmentation| BoxOptions { augmentation, ..BoxOptions::default() };
    let (cache, none) = (dir.path().join("cache"), BoxAugmentation::default());
    let images = |augmentation| Source { augmentation, ..voc(dir.path()) };
    let plain = Augmentation::default();
    for (source, field) in [
        (Source { cache: Some(&cache), ..voc(dir.path()) }, "cache"),
        (Source { resize: Some(700), ..voc(dir.path()) }, "resize"),
        (Source { normalise: Normalise::Imagenet, ..voc(dir.path()) }, "normalise"),
        (images(Augmentation { shift: 2, ..plain }), "shift"),
        (images(Augmentation { jitter: [0.1; 3], ..plain }), "jitter"),
        (images(Augmentation { cutout: 2, ..plain }), "cutout"),
        (Source { image_size: Some(0), ..voc(dir.path()) }, "image_size"),
        (Source { image_size: Some(4096), ..voc(dir.path()) }, "image_size"),
        (Source { boxes: boxes(BoxAugmentation { scale: 1.5, ..none }), ..voc(dir.path()) }, "scale"),
        (Source { boxes: boxes(BoxAugmentation { translate: -0.1, ..none }), ..voc(dir.path()) }, "translate"),
        (Source { boxes: boxes(BoxAugmentation { mosaic: f64::NAN, ..none }), ..voc(dir.path()) }, "mosaic"),
        (Source { boxes: boxes(BoxAugmentation { mixup: 2.0, ..none }), ..voc(dir.path()) }, "box_mixup"),
        (Source { boxes: boxes(BoxAugmentation { hsv: [0.0, 1.1, 0.0], ..none }), ..voc(dir.path()) }, "hsv"),
    ] {
        assert_error(open(&source).0, Fault::Setting(field), &[]);
    }
    for (boxes, field) in [
        (boxes(BoxAugmentation { mosaic: 1.0, ..none }), "mosaic"),
        (boxes(BoxAugmentation { hsv: [0.1; 3], ..none }), "hsv"),
        (BoxOptions { difficult: Some(Difficult::Drop), ..BoxOptions::default() }, "difficult"),
        (BoxOptions { voc_years: Some(VocYears::Both), ..BoxOptions::default() }, "voc_years"),
    ] {
        let source = Source { name: "shapes", boxes, ..Source::default() };
        assert_error(source.open(&mut |_| ()), Fault::Setting(field), &["boxes", "shapes"]);
    }
    let of_voc = BoxOptions { voc_train: Some(VocTrain::Train), ..BoxOptions::default() };
    assert_error(open(&Source { boxes: of_voc, ..yolo(dir.path()) }).0, Fault::Setting("voc_train"), &["voc", "yolo"]);
    assert_error(
        open(&Source { class_list: Some(&cache), ..yolo(dir.path()) }).0,
        Fault::Setting("class_list"),
        &["voc"],
    );
    assert_error(voc(dir.path()).open_pictures(&mut |_| ()), Fault::Setting("data"), &["voc", "boxes"]);
    assert_error(
        Source { name: "shapes", ..Source::default() }.open_boxes(&mut |_| ()),
        Fault::Setting("data"),
        &["shapes"],
    );
}
