//! Every command with every file that it writes: an existing file of others is never lost.

use crate::common::errors::assert_contains;
use crate::common::files::{add, directory};
use crate::common::program::{lerac, refusal};
use lerac::records::RunDir;
use lerac::study::Comparison;
use std::fs;
use std::path::Path;

/// What is in the files of others.
const OTHERS: &[u8] = b"of others";

/// A command that writes into a directory, and the names of its files.
fn commands() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("train", RunDir::FILES.to_vec()),
        ("compare", Comparison::FILES.to_vec()),
        ("trace", vec!["initial.safetensors", "step-0001.safetensors", "trace.json"]),
    ]
}

/// Fails with a message that contains `parts`, and leaves `file` as it was.
#[track_caller]
fn refuses(arguments: &[&str], file: &Path, parts: &[&str]) {
    let before = fs::read(file).unwrap();
    let message = refusal(arguments);
    assert_contains(&message, parts);
    assert_contains(&message, &[file.to_str().unwrap()]);
    assert!(fs::read(file).unwrap() == before, "{arguments:?} changed {}", file.display());
}

#[test]
fn a_directory_with_files_of_others_is_refused() {
    for (command, names) in commands() {
        for name in names.iter().chain(&["notes.txt"]) {
            let dir = directory(&[(name, OTHERS), (&"zz.txt", OTHERS)]);
            let out = dir.path().to_str().unwrap();
            refuses(&[command, "--out", out], &dir.path().join(name), &["--out", "--overwrite"]);
            assert!(!dir.path().join(".lock").exists(), "{command} {name}: a second try would pass");
        }
    }
    // The directory of a run of a comparison.
    for name in RunDir::FILES {
        let dir = directory(&[(format!("conventional-seed0/{name}"), OTHERS)]);
        let file = dir.path().join("conventional-seed0").join(name);
        refuses(&["compare", "--out", dir.path().to_str().unwrap()], &file, &["--out"]);
    }
}

#[test]
fn a_file_that_the_command_reads_is_refused_with_overwrite_too() {
    for (command, names) in commands() {
        for name in names {
            for option in ["--init", "--config", "--class-list", "--cache"] {
                let text: &[u8] = if option == "--config" { b"[training]\nepochs = 1\n" } else { OTHERS };
                let dir = directory(&[(name, text)]);
                let file = dir.path().join(name);
                let arguments =
                    [command, option, file.to_str().unwrap(), "--overwrite", "--out", dir.path().to_str().unwrap()];
                refuses(&arguments, &file, &["--out", option]);
            }
        }
    }
    // An image of the data set.
    let dir = directory(&[("train/a/curves.png", OTHERS)]);
    let (root, out) = (dir.path().to_str().unwrap(), dir.path().join("train/a"));
    let data = ["--data", "imagefolder", "--data-dir", root, "--overwrite", "--out", out.to_str().unwrap()];
    refuses(&[&["train"], &data[..]].concat(), &out.join("curves.png"), &["--out", "--data-dir"]);
}

#[test]
fn options_written_by_hand_are_not_a_run() {
    let dir = directory(&[("config.toml", "[training]\nepochs = 1\n"), ("metrics.csv", "of others\n")]);
    let out = dir.path().to_str().unwrap();
    for file in ["config.toml", "metrics.csv"] {
        refuses(&["resume", out], &dir.path().join("config.toml"), &["no run", "lerac train --config"]);
        assert!(dir.path().join(file).exists());
    }
}

#[test]
fn a_named_file_is_replaced_on_request_only() {
    let schedule = ["schedule", "--model", "cnn", "--epochs", "1", "--steps-per-epoch", "2"];
    let commands: [(&[&str], &str); 5] = [
        (&schedule, "--csv"),
        (&schedule, "--plot"),
        (&["bench", "ops", "--runs", "1"], "--csv"),
        (&["bench", "ops", "--runs", "1"], "--plot"),
        (&["bench", "loader", "--runs", "1"], "--csv"),
    ];
    for (command, option) in commands {
        let dir = directory(&[("file", OTHERS)]);
        let file = dir.path().join("file");
        let given = [command, &[option, file.to_str().unwrap()]].concat();
        refuses(&given, &file, &[option, "--overwrite"]);
        let both = [command, &["--csv", "same", "--plot", "same"]].concat();
        if command[1] != "loader" {
            assert_contains(&refusal(&both), &["--csv", "--plot", "same"]);
        }
        let input = if command[0] == "schedule" { "--config" } else { "--cache" };
        fs::write(&file, if input == "--config" { &b"[training]\nepochs = 1\n"[..] } else { OTHERS }).unwrap();
        refuses(&[&given[..], &[input, file.to_str().unwrap(), "--overwrite"]].concat(), &file, &[option, input]);
        if command[0] == "schedule" || command[1] == "loader" {
            assert!(lerac(&[&given[..], &["--overwrite"]].concat()).status.success());
            assert!(fs::read(&file).unwrap() != OTHERS, "{option} was not written");
        }
    }
    // An example of the data.
    let dir = directory(&[("data_batch_1.bin", OTHERS)]);
    let (root, file) = (dir.path().to_str().unwrap(), dir.path().join("data_batch_1.bin"));
    let bench = ["bench", "loader", "--data", "cifar10", "--data-dir", root, "--overwrite", "--csv"];
    refuses(&[&bench[..], &[file.to_str().unwrap()]].concat(), &file, &["--csv", "--data-dir"]);
}

#[test]
fn a_cache_replaces_no_other_file() {
    let dir = directory(&[("cache", OTHERS)]);
    for class in ["a", "b"] {
        add(&dir, &format!("train/{class}/1.png"), OTHERS);
        add(&dir, &format!("test/{class}/1.png"), &[OTHERS, b"2"].concat());
    }
    let (root, file) = (dir.path().to_str().unwrap(), dir.path().join("cache"));
    let data = ["--data", "imagefolder", "--data-dir", root, "--cache", file.to_str().unwrap()];
    let out = dir.path().join("out");
    for command in [&["train", "--overwrite", "--out", out.to_str().unwrap()][..], &["bench", "loader"]] {
        refuses(&[command, &data].concat(), &file, &["--cache"]);
    }
}
