//! Detectors on the command line: training, predictions with pictures, evaluation, a run that
//! continues, and a comparison with its report.

use crate::common::boxes::{Listed, annotation, devkit, rectangle};
use crate::common::pictures::png;
use crate::common::program::{assert_refused, assert_same_files, command, json, kill_after_a_checkpoint, stdout};
use crate::common::{Test, test};
use lerac::gpu::Gpu;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const LISTS: [&[&str]; 3] = [&["train"], &["val"], &["test"]];

/// Sixteen images of 64x64 pixels, each with a red or a green rectangle; four for validation and
/// four for the test.
fn rectangles() -> TempDir {
    let names: Vec<String> = (0..24).map(|i| format!("{i:06}")).collect();
    let images = names.iter().enumerate().map(|(i, name)| {
        let (left, top) = (2 + (i * 7 % 24) as u32, 2 + (i * 11 % 24) as u32);
        let (right, bottom) = (left + 20 + (i % 3) as u32 * 6, top + 18 + (i % 4) as u32 * 5);
        let (class, colour) = if i % 2 == 0 { ("red", [255, 0, 0]) } else { ("green", [0, 255, 0]) };
        let corners = [left + 1, top + 1, right, bottom].map(f64::from);
        Listed {
            year: "VOC2007",
            lists: LISTS[usize::from(i >= 16) + usize::from(i >= 20)],
            name,
            image: png(&rectangle([64, 64], [left, top, right, bottom], colour)),
            annotation: annotation([64, 64], &[(class, corners, false)]),
        }
    });
    devkit(&images.collect::<Vec<_>>())
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn options<'o>(command: &'o str, dir: &'o str, more: &[&'o str]) -> Vec<&'o str> {
    let fixed = [
        command,
        "--quiet",
        "--data",
        "voc",
        "--data-dir",
        dir,
        "--image-size",
        "64",
        "--model",
        "yolov5n",
        "--batch-size",
        "4",
        "--optimizer",
        "adam",
        "--eta",
        "2e-3",
        "--weight-decay",
        "0",
    ];
    [&fixed[..], more].concat()
}

/// A detector learns to find rectangles; its weights are enough to predict, draw and evaluate.
fn learns_and_predicts(_: &Gpu) {
    let (dir, away) = (rectangles(), tempfile::tempdir().unwrap());
    let (data, out) = (text(dir.path()), text(&away.path().join("run")));
    stdout(&options("train", &data, &["--epochs", "30", "--out", &out]));
    let read = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
    let map50 = summary["test_map50"].as_f64().unwrap();
    assert!(map50 > 0.5, "{summary}");
    for key in ["test_map", "test_coco_map", "test_voc_map", "test_voc2007_map", "validation_map50"] {
        assert!((0.0..=1.0).contains(&summary[key].as_f64().unwrap()), "{key}: {summary}");
    }
    // The measure is not known over training examples: its cells are empty.
    let metrics = read("metrics.csv");
    let mut lines = metrics.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place = header.iter().position(|name| *name == "train_map50").unwrap();
    assert!(lines.all(|line| line.split(',').nth(place) == Some("")), "{metrics}");
    let stored: Value = serde_json::from_str(&read("detections.json")).unwrap();
    assert_eq!(stored["images"].as_array().unwrap().len(), 4);
    assert_eq!(stored["classes"][0]["class"], "green");

    let init = format!("{out}/model.safetensors");
    let evaluated = json(&["eval", "--init", &init, "--data-dir", &data, "--json"]);
    assert_eq!(evaluated["test_map50"], summary["test_map50"]);
    assert_eq!(evaluated["test_coco_map"], summary["test_coco_map"]);
    let image = text(&dir.path().join("VOC2007/JPEGImages/000020.png"));
    let drawn = text(&away.path().join("drawn"));
    let found = json(&["predict", "--init", &init, "--json", "--draw", &drawn, &image]);
    let best = &found["objects"][0];
    assert_eq!(best["class"], "red", "{found}");
    // The rectangle of image 20.
    for (i, expected) in [22.0, 6.0, 54.0, 24.0].into_iter().enumerate() {
        let side = best["box"][i].as_f64().unwrap();
        assert!((side - expected).abs() < 8.0, "{found}");
    }
    let picture = image::open(Path::new(&drawn).join("000020.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (64, 64));
    let again = ["predict", "--init", &init, "--draw", &drawn, &image];
    assert_refused(&again, "--draw", &["000020.png", "--overwrite"]);
    stdout(&[&again[..], &["--overwrite"]].concat());
    let others = text(&away.path().join("others"));
    assert_refused(&["predict", "--init", &init, "--draw", &others, &image, &image], "--draw", &["000020.png"]);
    // An image that is read is never replaced, and dots in names are kept.
    let folder = text(&dir.path().join("VOC2007/JPEGImages"));
    assert_refused(&["predict", "--init", &init, "--draw", &folder, &image, "--overwrite"], "--draw", &["000020.png"]);
    let dotted = text(&away.path().join("a.1.png"));
    fs::copy(&image, &dotted).unwrap();
    stdout(&["predict", "--init", &init, "--draw", &others, &dotted]);
    assert!(Path::new(&others).join("a.1.png").exists());
    assert_refused(
        &["train", "--data", "voc", "--data-dir", &data, "--model", "cnn"],
        "--model",
        &["boxes", "yolov5n"],
    );
    assert_refused(&["train", "--data", "shapes", "--model", "yolov5n"], "--model", &["boxes", "voc"]);
    assert_refused(&options("train", &data, &["--image-size", "48"]), "--image-size", &[]);
    assert_refused(&options("train", &data, &["--mixup", "0.2"]), "--mixup", &["classes"]);
}

/// A run with every augmentation, averaged weights and passes that is killed continues to the same
/// bytes.
fn continues_to_the_same_bytes(_: &Gpu) {
    let dir = rectangles();
    let data = text(dir.path());
    let out = |name: &str| text(&dir.path().join(name));
    let (whole, cut) = (out("whole"), out("cut"));
    let changes = [
        "--flip",
        "--mosaic",
        "0.7",
        "--box-mixup",
        "0.3",
        "--scale",
        "0.3",
        "--translate",
        "0.1",
        "--hsv",
        "0.02,0.5,0.4",
        "--ema",
        "0.99",
        "--micro-batch",
        "2",
    ];
    let more = ["--epochs", "4", "--log-every", "3", "--checkpoint-every", "2", "--out"];
    let run = |out| command(&options("train", &data, &[&changes[..], &more, &[out]].concat())).spawn().unwrap();
    assert!(run(&whole).wait().unwrap().success());
    kill_after_a_checkpoint(run(&cut), &cut);
    stdout(&["resume", &cut, "--quiet"]);
    assert_same_files(
        &whole,
        &cut,
        &["metrics.csv", "layers.csv", "predictions.csv", "detections.json", "model.safetensors"],
    );
}

/// A comparison has a section about objects, with curves.
fn compares(_: &Gpu) {
    let dir = rectangles();
    let (data, out) = (text(dir.path()), text(&dir.path().join("compare")));
    stdout(&options(
        "compare",
        &data,
        &["--epochs", "2", "--methods", "conventional,lerac", "--k", "1", "--out", &out],
    ));
    let report = fs::read_to_string(Path::new(&out).join("report.html")).unwrap();
    for part in ["Average precision at IoU 0.5 to 0.95", "Confusions under lerac", "Precision and recall", "mAP@0.5"] {
        assert!(report.contains(part), "{part} is not in the report");
    }
    assert!(Path::new(&out).join("precision.png").exists());
}

pub fn tests() -> Vec<Test> {
    vec![
        test("detectors: learn and predict", learns_and_predicts),
        test("detectors: continue to the same bytes", continues_to_the_same_bytes),
        test("detectors: compare", compares),
    ]
}
