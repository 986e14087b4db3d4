//! Annotations of VOC, labels and descriptions of YOLO, and sets with a fault each.

use crate::common::boxes::{annotation, devkit, small};
use crate::common::errors::{Fault, assert_error};
use crate::common::files::{add, directory};
use crate::common::pictures::{pattern, png};
use crate::harness::{FILE, KIB, Limit, SMALL, Subject, run, tokens};
use lerac::data::{Source, image_names_in, voc_annotation_in, yolo_description_in, yolo_labels_in};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// An element of a few bytes becomes a node of a tree.
const XML: Limit = Limit { multiple: 192, constant: 4 * SMALL };
/// A label of ten bytes becomes five numbers, in a vector that doubles.
const LABELS: Limit = Limit { multiple: 32, constant: SMALL };
/// A name of a byte becomes a string in a map.
const YAML: Limit = Limit { multiple: 512, constant: 4 * SMALL };

#[test]
fn annotations() {
    let whole = annotation([20, 10], &[("cat", [1.0, 2.0, 9.0, 8.0], false), ("dog", [3.5, 1.0, 20.0, 10.0], true)]);
    let utf8 = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!-- {} -->\n{whole}", "é");
    let words = [
        "<object>",
        "</object>",
        "<bndbox>",
        "<xmin>",
        "<xmin>NaN</xmin>",
        "<xmax>1e999</xmax>",
        "</xmin>",
        "<size>",
        "<width>",
        "NaN",
        "inf",
        "-1",
        "1e999",
        "&amp;",
        "&lt;",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>",
        "&b;",
        "<![CDATA[",
        "]]>",
        "<a>",
        "</annotation>",
        "\u{feff}",
    ];
    let deep = whole.replace("<size>", &format!("{}{}<size>", "<a>".repeat(60), "</a>".repeat(60)));
    let seeds = vec![whole.into_bytes(), utf8.into_bytes(), deep.into_bytes()];
    let subject = Subject { name: "annotations", seeds, tokens: tokens(&words), limit: XML, file: <[u8]>::to_vec };
    run(
        subject,
        |input| voc_annotation_in(Path::new(FILE), input),
        |annotation| {
            assert!(annotation.size.iter().all(|&side| side > 0));
            assert!(annotation.objects.iter().all(|object| object.corners.iter().all(|value| value.is_finite())));
        },
    );
}

#[test]
fn deep_annotations_and_descriptions_end() {
    let nested = "<a>".repeat(100_000);
    assert!(voc_annotation_in(Path::new(FILE), format!("<annotation>{nested}").as_bytes()).is_err());
    let closed = "</a>".repeat(100_000);
    let whole = format!("<annotation><size><width>1</width><height>1</height></size>{nested}{closed}</annotation>");
    // Whether it is read or refused does not matter.
    let _ = voc_annotation_in(Path::new(FILE), whole.as_bytes());
    for open in ["[", "{a: ", "- ", "? "] {
        let _ = yolo_description_in(Path::new(FILE), format!("names: {}", open.repeat(100_000)).as_bytes());
        let _ = yolo_description_in(Path::new(FILE), open.repeat(100_000).as_bytes());
    }
}

#[test]
fn labels_of_yolo() {
    let seeds =
        vec![b"0 0.5 0.5 0.25 0.25\n1 0.1 0.2 0.05 0.1\n".to_vec(), b"\xef\xbb\xbf2.0 1 1 1 1\r\n".to_vec(), vec![]];
    let words = [
        "NaN",
        "inf",
        "-1",
        "\n3 0.5 0.5 0.1 0.1\n",
        "\n0 1.1 0.5 0.5 0.5\n",
        "1e-40",
        "1e999",
        " ",
        "\t",
        "\n",
        "0",
        "1",
        "0.5 ",
        "-0",
        "+1",
    ];
    let subject =
        Subject { name: "labels of yolo", seeds, tokens: tokens(&words), limit: LABELS, file: <[u8]>::to_vec };
    run(
        subject,
        |input| yolo_labels_in(Path::new(FILE), input, 3),
        |labels| {
            assert!(labels.iter().all(|label| label.class < 3));
            assert!(labels.iter().flat_map(|label| label.values).all(|value| (0.0..=1.0).contains(&value)));
        },
    );
}

#[test]
fn descriptions_of_yolo() {
    let seeds = vec![
        b"path: ../set\ntrain: images/train\nval: images/val # 9\ntest:\nnc: 2\nnames:\n  0: cat\n  1: dog\n".to_vec(),
        b"train: [a, b]\nval: 'c'\nnames: [\"x\", y]\ndownload: |\n  text\n".to_vec(),
        b"train: a\nnames:\n- cat\n- dog\nother:\n  deep: {a: [1, 2]}\n".to_vec(),
    ];
    let words = [
        "names:", "train:", "- ", "  ", "\n", "[", "]", "{", "}", "&a", "*a", "!!str", "|", ">", "---", "...", "? ",
        "~", "'",
    ];
    let subject =
        Subject { name: "descriptions of yolo", seeds, tokens: tokens(&words), limit: YAML, file: <[u8]>::to_vec };
    run(
        subject,
        |input| yolo_description_in(Path::new(FILE), input),
        |found| assert!(!found.train.is_empty() && !found.names.is_empty()),
    );
}

#[test]
fn lists_of_images() {
    let seeds = vec![b"2008_000001\n2008_000002\n".to_vec(), b"a\r\n\r\nb".to_vec()];
    let words = ["/", "..", "\\", " -1", "\n", "\0", "\u{feff}"];
    let limit = Limit { multiple: 128, constant: 128 * KIB };
    let subject = Subject { name: "lists of images", seeds, tokens: tokens(&words), limit, file: <[u8]>::to_vec };
    run(
        subject,
        |input| image_names_in(Path::new(FILE), input),
        |names| assert!(names.iter().all(|name| Path::new(name).components().count() == 1)),
    );
}

/// The file of the annotation that has the fault.
const BAD: &str = "VOC2007/Annotations/bad.xml";
const BAD_IMAGE: &str = "VOC2007/JPEGImages/bad.png";

/// A set with a good training and test image, and the training image `bad`.
fn voc() -> TempDir {
    let good = [("cat", [2.0, 2.0, 6.0, 6.0], false)];
    let bad = [("cat", [2.0, 2.0, 6.0, 6.0], false), ("dog", [1.0, 1.0, 4.0, 4.0], false)];
    devkit(&[small(&["train"], "good", &good), small(&["train"], "bad", &bad), small(&["test"], "last", &good)])
}

/// Asserts that the set is refused with this fault, and read without the image `bad` with
/// `skip_bad`.
#[track_caller]
fn refused_and_skipped(dir: &TempDir, fault: Fault<'_>, names: &[&str]) {
    let source = Source { name: "voc", dir: Some(dir.path()), image_size: Some(32), ..Source::default() };
    let read = |source: &Source<'_>| {
        let mut notes = String::new();
        let splits = source.open(&mut |event| {
            if let lerac::data::OpenEvent::Note(note) = event {
                notes += note;
            }
        })?;
        // Files are decoded when they are read.
        let batch = lerac::data::Batch::gather(&*splits.train, &[0, splits.train.len() as u32 - 1], 2, None)?;
        assert_eq!(batch.count, 2);
        Ok((splits, notes))
    };
    assert_error(read(&source), fault, &[names, &["`skip_bad`"]].concat());
    let (splits, notes) = read(&Source { skip_bad: true, ..source }).unwrap();
    assert_eq!((splits.train.len(), splits.train.file_of(0).as_deref()), (1, Some("VOC2007/JPEGImages/good.png")));
    assert!(notes.contains("1 bad files are left out") && notes.contains("bad.png"), "{notes}");
    let (name, table) = &splits.train.companions()[0];
    assert!(*name == "skipped.csv" && String::from_utf8_lossy(table).contains("bad.png"));
}

#[test]
fn each_bad_annotation_has_its_own_error() {
    let object = |corners| annotation([20, 10], &[("cat", [2.0, 2.0, 6.0, 6.0], false), ("dog", corners, false)]);
    let whole = object([1.0, 1.0, 4.0, 4.0]);
    let changed = |from: &str, to: &str| {
        assert!(whole.contains(from), "{from}");
        whole.replacen(from, to, 1)
    };
    let second = |from: &str, to: &str| {
        let at = whole.rfind(from).unwrap();
        format!("{}{to}{}", &whole[..at], &whole[at + from.len()..])
    };
    for (bytes, names) in [
        (object([1.0, 1.0, 1.0, 4.0]), &["object 2", "\"dog\"", "an area", "xmax 1"][..]),
        (object([9.0, 1.0, 4.0, 4.0]), &["object 2", "\"dog\"", "an area", "xmin 9", "xmax 4"]),
        (object([1.0, 8.0, 4.0, 3.0]), &["object 2", "\"dog\"", "an area", "ymin 8", "ymax 3"]),
        (object([30.0, 1.0, 40.0, 4.0]), &["object 2", "\"dog\"", "inside of its image of 20x10", "xmin 30"]),
        (object([f64::NAN, 1.0, 4.0, 4.0]), &["object 2", "\"dog\"", "<xmin>", "NaN"]),
        (second("<ymin>1</ymin>", "<ymin>one</ymin>"), &["object 2", "\"dog\"", "<ymin>", "one"]),
        (second("<ymin>1</ymin>", ""), &["object 2", "\"dog\"", "<ymin>", "nothing"]),
        (second("<name>dog</name>", ""), &["object 2", "<name>"]),
        (second("<difficult>0", "<difficult>2"), &["object 2", "<difficult>", "2"]),
        (second("bndbox", "box").replace("<bndbox><xmin>1", "<box><xmin>1"), &["object 2", "<bndbox>"]),
        (changed("<width>20</width>", "<width>0</width>"), &["<width>", "found 0"]),
        (changed("<size><width>20</width><height>10</height></size>", ""), &["<size>"]),
        (changed("<annotation>", "<html>").replace("</annotation>", "</html>"), &["<annotation>", "<html>"]),
        (whole[..whole.len() - 20].to_owned(), &["XML", "line"]),
        (String::new(), &["XML"]),
        (format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{whole}"), &["XML", "DTD"]),
    ] {
        let dir = voc();
        add(&dir, BAD, bytes.as_bytes());
        refused_and_skipped(&dir, Fault::Format(BAD, None), names);
    }
}

#[test]
fn each_bad_image_has_its_own_error() {
    let dir = voc();
    add(&dir, BAD_IMAGE, &png(&pattern(21, 10)));
    refused_and_skipped(&dir, Fault::Format(BAD_IMAGE, None), &["21x10", "20x10"]);
    let dir = voc();
    add(&dir, BAD_IMAGE, b"no image");
    refused_and_skipped(&dir, Fault::Format(BAD_IMAGE, None), &["PNG"]);
    let dir = voc();
    fs::remove_file(dir.path().join(BAD_IMAGE)).unwrap();
    // The error names the file by its usual ending.
    let source = Source { name: "voc", dir: Some(dir.path()), ..Source::default() };
    assert_error(
        source.open(&mut |_| ()),
        Fault::Setting("data_dir"),
        &["JPEGImages/bad.jpg", "train.txt", "no such image"],
    );
    let skipping = Source { skip_bad: true, ..source };
    assert_eq!(skipping.open(&mut |_| ()).unwrap().train.len(), 1);
    let dir = voc();
    fs::remove_file(dir.path().join(BAD)).unwrap();
    refused_and_skipped(&dir, Fault::Setting("data_dir"), &["Annotations/bad.xml"]);
}

#[test]
fn bad_lists_and_empty_parts_are_refused() {
    let open = |dir: &TempDir| Source { name: "voc", dir: Some(dir.path()), ..Source::default() }.open(&mut |_| ());
    for (list, names) in [
        ("good\nbad -1\n", &["line 2", "bad -1"][..]),
        ("good\ngood\n", &["line 2", "twice"]),
        ("../good\n", &["line 1", "../good"]),
    ] {
        let dir = voc();
        add(&dir, "VOC2007/ImageSets/Main/train.txt", list.as_bytes());
        assert_error(open(&dir), Fault::Format("train.txt", None), names);
    }
    let dir = voc();
    add(&dir, "VOC2007/ImageSets/Main/train.txt", b"");
    assert_error(open(&dir), Fault::Setting("data_dir"), &["training images"]);
    let dir = voc();
    fs::remove_file(dir.path().join("VOC2007/ImageSets/Main/test.txt")).unwrap();
    assert_error(open(&dir), Fault::Setting("data_dir"), &["test images"]);
    let dir = devkit(&[small(&["train"], "a", &[]), small(&["test"], "b", &[])]);
    assert_error(open(&dir), Fault::Setting("data_dir"), &["objects"]);
}

fn yolo(description: &str, labels: &str) -> TempDir {
    let image = png(&pattern(8, 8));
    directory(&[
        ("data.yaml", description.as_bytes()),
        ("images/train/a.png", &image),
        ("images/train/bad.png", &image),
        ("images/val/c.png", &png(&pattern(9, 8))),
        ("labels/train/a.txt", b"0 0.5 0.5 0.5 0.5\n"),
        ("labels/train/bad.txt", labels.as_bytes()),
    ])
}

const DESCRIPTION: &str = "train: images/train\nval: images/val\nnames: [cat, dog]\n";

#[test]
fn each_bad_label_of_yolo_has_its_own_error() {
    for (labels, names) in [
        ("0 0.5 0.5 0.5\n", &["line 1", "fewer"][..]),
        ("0 0.5 0.5 0.5 0.5\n1 0.1 0.1 0.2 0.1 0.3 0.3\n", &["line 2", "outlines"]),
        ("2 0.5 0.5 0.5 0.5\n", &["line 1", "class", "0 to 1", "found 2"]),
        ("-1 0.5 0.5 0.5 0.5\n", &["line 1", "class", "-1"]),
        ("cat 0.5 0.5 0.5 0.5\n", &["line 1", "class", "cat"]),
        ("0 320 240 0.5 0.5\n", &["line 1", "fractions", "320"]),
        ("0 0.5 NaN 0.5 0.5\n", &["line 1", "fractions", "NaN"]),
        ("0 0.5 0.5 -0.5 0.5\n", &["line 1", "fractions", "-0.5"]),
        ("\n0 0.5 0.5 0 0.5\n", &["line 2", "an area"]),
    ] {
        let dir = yolo(DESCRIPTION, labels);
        let source = Source { name: "yolo", dir: Some(dir.path()), ..Source::default() };
        let names = [names, &["`skip_bad`"]].concat();
        assert_error(source.open(&mut |_| ()), Fault::Format("labels/train/bad.txt", None), &names);
        let splits = Source { skip_bad: true, ..source }.open(&mut |_| ()).unwrap();
        assert_eq!((splits.train.len(), splits.train.file_of(0).as_deref()), (1, Some("images/train/a.png")));
    }
}

#[test]
fn each_bad_description_of_yolo_has_its_own_error() {
    let open = |dir: &TempDir| Source { name: "yolo", dir: Some(dir.path()), ..Source::default() }.open(&mut |_| ());
    for (description, names) in [
        ("", &["keys"][..]),
        ("- a\n", &["keys"]),
        ("val: images/val\nnames: [cat]\n", &["`train`"]),
        ("train: images/train\nval: images/val\n", &["`names`"]),
        ("train: images/train\nnames: [cat]\n", &["`test` or `val`"]),
        ("train: images/train\nval: images/val\nnames: cat\n", &["line 3", "`names`"]),
        ("train: images/train\nval: images/val\nnames: {0: cat, 2: dog}\n", &["line 3", "`names`"]),
        ("train: images/train\nval: images/val\nnames: [[cat]]\n", &["line 3", "`names`"]),
        ("train: {a: b}\nval: images/val\nnames: [cat]\n", &["line 1", "`train`"]),
        ("train: images/train\nval: images/val\nnc: 3\nnames: [cat, dog]\n", &["`nc` is 3", "2 names"]),
        ("train: images/train\nval: images/val\nnc: two\nnames: [cat, dog]\n", &["line 3", "`nc`"]),
        ("train: images/train\nval: [images/val\nnames: [cat]\n", &["YAML"]),
        ("train: images/absent\nval: images/val\nnames: [cat]\n", &["images/absent"]),
    ] {
        let dir = yolo(description, "");
        assert_error(open(&dir), Fault::Format("data.yaml", None), names);
    }
    let dir = directory(&[("a.yaml", DESCRIPTION), ("b.yml", DESCRIPTION)]);
    assert_error(open(&dir), Fault::Setting("data_dir"), &["data.yaml", "several"]);
    assert_error(open(&TempDir::new().unwrap()), Fault::Setting("data_dir"), &["data.yaml", "none"]);
}
