//! Pipes, links and limits of Unix.

use super::command_line::PAPER;
use crate::common::errors::{Fault, assert_error};
use crate::common::program::{assert_blames, command, stderr, stdout};
use std::process::Command;

#[test]
fn weights_out_of_a_pipe_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_error(lerac::train::read_safetensors(&pipe), Fault::Format("pipe", Some(0)), &[]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_output_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = command(PAPER).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_blames(&stderr(&output), "standard output", &[]);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("rates.csv");
    let limited = "ulimit -f 1; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_lerac")]).args(PAPER).args(["--csv", csv.to_str().unwrap()]);
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "no signal: {}", stderr(&output));
    assert_blames(&stderr(&output), "rates.csv", &["File too large"]);
}

#[test]
fn a_link_to_a_picture_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (link, target) = (dir.path().join("link.png"), dir.path().join("target.png"));
    std::fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    stdout(&[PAPER, &["--overwrite", "--plot", link.to_str().unwrap()]].concat());
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink() && image::open(&target).is_ok());
    // A pipe is written to directly.
    let (pipe, copy) = (dir.path().join("pipe"), dir.path().join("copy.png"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = "cat \"$0\" >\"$1\"";
    let mut reader = Command::new("sh").args(["-c", script]).args([&pipe, &copy]).spawn().unwrap();
    stdout(&[PAPER, &["--plot", pipe.to_str().unwrap()]].concat());
    assert!(reader.wait().unwrap().success() && image::open(&copy).is_ok());
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}
