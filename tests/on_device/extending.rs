//! Runs that are trained longer than they were meant to be, and the files that a run and a
//! comparison leave.

use crate::commands::folder;
use crate::common::errors::assert_contains;
use crate::common::program::{assert_refused, json, lerac, stderr, stdout};
use crate::common::{Test, test};
use lerac::records::RunDir;
use lerac::study::Comparison;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SHORT: [&str; 14] = [
    "--data",
    "shapes",
    "--model",
    "cnn",
    "--train-examples",
    "160",
    "--validation",
    "40",
    "--batch-size",
    "16",
    "--log-every",
    "7",
    "--eta",
    "0.05",
];

/// A run of twice the epochs, and one that is extended to them, have the same bytes.
fn a_run_is_extended() {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let [whole, extended, cosine] = ["whole", "extended", "cosine"].map(text);
    let method = ["--method", "lerac", "--optimizer", "adam", "--eta", "0.01", "--flip"];
    let plateau = ["--schedule", "plateau", "--patience", "0"];
    let train = |out: &str, more: &[&str]| {
        stdout(&[&["train", "--quiet", "--out", out], &SHORT[..12], &method, more].concat());
    };
    // A fifth of five epochs.
    train(&whole, &[&["--epochs", "8", "--k", "1"], &plateau[..]].concat());
    train(&extended, &[&["--epochs", "5"], &plateau[..]].concat());
    let read = |out: &str, name: &str| fs::read(Path::new(out).join(name)).unwrap();
    let summary = |out: &str| serde_json::from_slice::<serde_json::Value>(&read(out, "summary.json")).unwrap();
    assert!(summary(&extended)["earlier_tests"].is_null());
    assert_refused(&["resume", &extended, "--epochs", "4"], "--epochs", &["5", "4"]);
    assert_contains(&stdout(&["resume", &extended, "--epochs", "5"]), &["nothing is left"]);
    for (epochs, times, words) in [("6", 1, "once before"), ("8", 2, "2 times before")] {
        assert_contains(&stdout(&["resume", &extended, "--epochs", epochs, "--quiet"]), &[words]);
        assert_eq!(summary(&extended)["earlier_tests"], times);
    }
    for name in ["config.toml", "metrics.csv", "layers.csv", "predictions.csv", "model.safetensors"] {
        assert!(read(&whole, name) == read(&extended, name), "{name} differs after an extension");
    }
    assert_eq!(summary(&whole)["test_accuracy"], summary(&extended)["test_accuracy"]);
    // The options tell the rest.
    train(&cosine, &["--epochs", "2", "--schedule", "cosine"]);
    assert_refused(&["resume", &cosine, "--epochs", "4"], "--epochs", &["--schedule cosine", "--init"]);
    fs::remove_file(Path::new(&extended).join("last.safetensors")).unwrap();
    let before = summary(&extended);
    assert_refused(&["resume", &extended, "--epochs", "9"], "--epochs", &["last.safetensors", "--init"]);
    assert_eq!(before, summary(&extended), "a refused extension leaves the run finished");
}

/// Early stopping would end an extended run at once.
fn a_run_that_stopped_early_is_not_extended() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let still = ["--eta", "1e-30", "--epochs", "9", "--early-stopping", "1", "--checkpoint-every", "1"];
    stdout(&[&["train", "--quiet", "--out", out], &SHORT[..12], &still].concat());
    assert_refused(&["resume", out, "--epochs", "12"], "--epochs", &["--early-stopping"]);
}

/// The names of the files in a directory that are not hidden.
fn files(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let names = entries.filter(|entry| entry.file_type().unwrap().is_file());
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// The lists of files that are not written over are complete.
fn lists_of_files_are_complete() {
    let data = folder();
    fs::write(data.path().join("train/above/bad.png"), b"no image").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let root = data.path().to_str().unwrap();
    let (run, grid) = (text("run"), text("grid"));
    let options = ["--data", "imagefolder", "--data-dir", root, "--image-size", "16", "--skip-bad", "--snr-every", "3"];
    let short =
        ["--epochs", "2", "--batch-size", "8", "--validation", "8", "--model", "cnn", "--eta", "0.05", "--quiet"];
    stdout(&[&["train", "--out", &run], &options[..], &short].concat());
    let of_run = files(Path::new(&run));
    let of_texts = &RunDir::COMPANIONS[1..];
    let of_images = RunDir::FILES.into_iter().filter(|name| !of_texts.contains(name));
    assert_eq!(of_run, of_images.map(str::to_owned).collect());
    stdout(&[&["compare", "--methods", "conventional,lerac", "--out", &grid], &options[..], &short].concat());
    let of_grid = Comparison::FILES.into_iter().filter(|name| *name != "precision.png");
    assert_eq!(files(Path::new(&grid)), of_grid.map(str::to_owned).collect());
    let of_comparison = files(&Path::new(&grid).join("lerac-seed0"));
    assert!(of_comparison.is_subset(&of_run) && !of_comparison.contains("last.safetensors"), "{of_comparison:?}");
}

/// Predictions name the file, the classes and the probability.
fn predictions_are_readable() {
    let data = folder();
    for class in ["above", "below"] {
        let [from, to] = ["val", "test"].map(|part| data.path().join(part).join(class));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(&from, to).unwrap();
        let _ = fs::remove_dir(from.parent().unwrap());
        fs::create_dir_all(data.path().join("valid").join(class)).unwrap();
        let [from, to] = ["train", "valid"].map(|part| data.path().join(part).join(class).join("3.jpg"));
        fs::rename(from, to).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run").to_str().unwrap().to_owned();
    let options = ["--data", "imagefolder", "--data-dir", data.path().to_str().unwrap(), "--image-size", "16"];
    let short = ["--epochs", "2", "--batch-size", "8", "--model", "cnn", "--eta", "0.05", "--quiet"];
    let train = lerac(&[&["train", "--out", &out], &options[..], &short].concat());
    assert!(train.status.success(), "{}", stderr(&train));
    assert_contains(&stderr(&train), &["2 images", "valid", "--validation 0"]);
    let metrics = fs::read_to_string(format!("{out}/metrics.csv")).unwrap();
    assert!(metrics.lines().any(|row| row.starts_with("epoch,") && !row.ends_with(",,")), "{metrics}");

    let table = fs::read_to_string(format!("{out}/predictions.csv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split(',').collect()).collect();
    let header = ["example", "file", "label_name", "prediction_name", "probability", "label", "prediction"];
    assert_eq!(rows[0], header);
    let weights = format!("{out}/model.safetensors");
    for row in &rows[1..] {
        let [file, label, name, probability] = [1, 2, 3, 4].map(|i| row[i]);
        assert_eq!((file.split('/').nth(1), row[6]), (Some(label), if name == "below" { "1" } else { "0" }));
        let picture = data.path().join(file);
        let found = json(&["predict", "--json", "--init", &weights, picture.to_str().unwrap()]);
        assert_eq!(found["classes"][0]["class"], name);
        let expected = found["classes"][0]["probability"].as_f64().unwrap();
        approx::assert_relative_eq!(probability.parse::<f64>().unwrap(), expected, max_relative = 1e-5);
    }

    // The good are printed, the bad are named.
    let [good, bad] = ["test/above/0.png", "bad.png"].map(|name| data.path().join(name).to_str().unwrap().to_owned());
    fs::write(&bad, b"no image").unwrap();
    let predict = ["predict", "--init", &weights, &bad, &good, "/nowhere.png"];
    assert_refused(&predict, &bad, &["PNG"]);
    let output = lerac(&[&predict[..], &["--skip-bad"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(printed.starts_with(&good) && printed.lines().count() == 1, "{printed}");
    assert_contains(&stderr(&output), &[bad.as_str(), "/nowhere.png", "2 of 3"]);
}

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        test("extending: a run is extended", |_| a_run_is_extended()),
        test("extending: a run that stopped early is not", |_| a_run_that_stopped_early_is_not_extended()),
        test("extending: lists of files are complete", |_| lists_of_files_are_complete()),
        test("extending: predictions are readable", |_| predictions_are_readable()),
    ]
}
