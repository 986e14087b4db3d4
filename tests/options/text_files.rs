//! Text files and paths as editors, systems and shells leave them.

use crate::common::errors::assert_contains;
use crate::common::program::{assert_refused, command, lerac, stderr, stdout};
use lerac::train::ModelCard;
use safetensors::tensor::TensorView;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// The schedule of two epochs that the options in `bytes` give.
fn schedule(bytes: &[u8]) -> (String, String) {
    let (_dir, path) = file("run.toml", bytes);
    let output = lerac(&["schedule", "--config", path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
}

#[test]
fn options_are_read_with_marks_line_ends_and_utf16() {
    let text = "[training]\nepochs = 2\n[optimizer]\neta = 0.5\n";
    let expected = schedule(text.as_bytes());
    assert!(expected.0.contains("5.00e-1") && expected.1.is_empty());
    let crlf = text.replace('\n', "\r\n");
    let marked = format!("\u{feff}{crlf}");
    for same in [crlf.as_bytes(), marked.as_bytes()] {
        assert_eq!(schedule(same), expected);
    }
    for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes: Vec<u8> = marked.encode_utf16().flat_map(to_bytes).collect();
        let (table, note) = schedule(&bytes);
        assert_eq!(table, expected.0);
        assert_contains(&note, &["note: ", "run.toml", "UTF-16"]);
    }
}

/// Weights that describe their model are resolved with the options of the file below those of the
/// command line.
#[test]
fn a_file_beside_weights_is_read_once() {
    let card = r#"{"format":1,"model":"cnn","data":"shapes","image":null,"target":"other","label-smoothing":0.0}"#;
    let metadata = HashMap::from([(ModelCard::KEY.to_owned(), card.to_owned())]);
    let (dir, weights) = file("model.safetensors", b"");
    safetensors::serialize_to_file(Vec::<(&str, TensorView)>::new(), Some(metadata), &weights).unwrap();
    let config: Vec<u8> = "\u{feff}[training]\nseed = 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let path = dir.path().join("run.toml");
    std::fs::write(&path, config).unwrap();
    let arguments = ["predict", "--config", path.to_str().unwrap(), "--init", weights.to_str().unwrap(), "a.png"];
    let output = lerac(&arguments);
    assert!(!output.status.success());
    assert_eq!(stderr(&output).matches("UTF-16").count(), 1, "{}", stderr(&output));
}

#[test]
fn near_misses_of_names_are_named() {
    for (given, meant) in [
        ("batch_size", "batch-size"),
        ("Batch-Size", "batch-size"),
        ("warmup_epochs", "warmup-epochs"),
        ("lr", "eta"),
        ("learning_rate", "eta"),
        ("weight_decay", "weight-decay"),
        ("wd", "weight-decay"),
        ("num_epochs", "epochs"),
        ("epoch", "epochs"),
        ("optimiser", "optimizer"),
        ("scheduler", "schedule"),
        ("data_dir", "data-dir"),
    ] {
        let (_dir, path) = file("run.toml", format!("seed = 1\n{given} = 1\n").as_bytes());
        let names = ["line 2", given, &format!("did you mean {meant}?")];
        assert_refused(&["schedule", "--config", path.to_str().unwrap()], "run.toml", &names);
    }
}

/// Names of models and data sets as other programs write them.
#[test]
fn near_misses_of_values_are_named() {
    for (option, given, meant) in [
        ("--model", "ResNet18", "resnet18"),
        ("--model", "wide-resnet50-2", "wide_resnet50_2"),
        ("--model", "mobilenetv2", "mobilenet_v2"),
        ("--data", "ImageFolder", "imagefolder"),
        ("--data", "CIFAR-10", "cifar10"),
        ("--data", "FashionMNIST", "fashion-mnist"),
        ("--data", "Food101", "food-101"),
    ] {
        assert_refused(&["train", option, given], option, &[&format!("did you mean {meant}?")]);
    }
}

#[test]
fn backslashes_in_paths_are_explained() {
    for value in ["C:\\data", "C:\\images\\x", "..\\data", "C:\\Users\\me"] {
        let (_dir, path) = file("run.toml", format!("[data]\ndata-dir = \"{value}\"\n").as_bytes());
        let arguments = ["schedule", "--config", path.to_str().unwrap()];
        assert_refused(&arguments, "run.toml", &["line 2", "single quotes"]);
    }
    // This parses: it has a tab.
    let (_dir, path) = file("run.toml", b"[data]\ndata-dir = \"C:\\temp\"\n");
    assert_refused(&["schedule", "--config", path.to_str().unwrap()], "--data-dir", &["single quotes"]);
    let (_dir, path) = file("run.toml", b"[data]\ndata-dir = 'C:\\temp'\n");
    stdout(&["schedule", "--config", path.to_str().unwrap()]);
}

#[test]
fn a_tilde_is_explained_wherever_a_path_is() {
    for (arguments, option) in [
        (vec!["train", "--data-dir=~/x"], "--data-dir"),
        (vec!["train", "--out", "~/x"], "--out"),
        (vec!["train", "--init=~/x"], "--init"),
        (vec!["train", "--cache=~/x"], "--cache"),
        (vec!["train", "--class-list=~/x"], "--class-list"),
        (vec!["train", "--config=~/x"], "--config"),
        (vec!["compare", "--out=~/x"], "--out"),
        (vec!["trace", "--out=~"], "--out"),
        (vec!["schedule", "--csv=~/x"], "--csv"),
        (vec!["schedule", "--plot=~/x"], "--plot"),
        (vec!["predict", "--init", "x", "~/x.png"], "files"),
        (vec!["resume", "~/x"], "dir"),
    ] {
        let output = command(&arguments).env("HOME", "/home/me").output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
        assert_contains(&text, &[&format!("error: {option}: ~"), "/home/me"]);
    }
    let (_dir, path) = file("run.toml", b"[data]\ndata-dir = \"~/x\"\n");
    assert_refused(&["schedule", "--config", path.to_str().unwrap()], "--data-dir", &["~"]);
    assert!(!Path::new("~").exists(), "nothing was created");
}

#[test]
fn a_directory_beside_a_file_of_options_is_found_and_noted() {
    let (dir, path) = file("run.toml", b"[data]\nname = \"mnist\"\ndata-dir = \"digits-of-this-test\"\n");
    let arguments = ["schedule", "--config", path.to_str().unwrap()];
    assert!(!stderr(&lerac(&arguments)).contains("digits-of-this-test"));
    std::fs::create_dir(dir.path().join("digits-of-this-test")).unwrap();
    assert_contains(&stderr(&lerac(&arguments)), &["note: data-dir digits-of-this-test", "run.toml"]);
    // One that is here is taken as it is.
    let here = command(&arguments).current_dir(dir.path()).output().unwrap();
    assert!(here.status.success() && here.stderr.is_empty(), "{}", stderr(&here));
}
