//! Snapshots of what the program prints: an error of each kind, the help of one command, one table.
//! Other tests assert the kind of an error and what it names, and leave the sentences free. After a
//! change of wording, `UPDATE_WORDING=1 cargo test --test options wording` writes the new snapshot;
//! read its diff. The snapshot has the words of Unix for an absent file.

use crate::common::errors::error_of;
use crate::common::program::{refusal, stdout};
use lerac::gpu::{AdapterChoice, Limits, choose};
use lerac::ops::relu::relu;
use lerac::tape::{Mode, Tape};
use lerac::train::Config;
use std::path::Path;

fn over_capacity() -> String {
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [4, 1000], true);
    relu(&mut tape, "wide", x);
    let limits = Limits { binding_bytes: 8_000, buffer_bytes: 1 << 30, grid: 65_535 };
    error_of(tape.check(&limits, 4)).to_string()
}

#[test]
fn wording_is_that_of_the_snapshot() {
    let sections = [
        ("a setting", error_of(Config::default().with(|c| c.training.epochs = 0).check()).to_string()),
        ("an option", refusal(&["schedule", "--method", "lerac", "--k", "9", "--epochs", "4"])),
        ("an option that does not parse", refusal(&["schedule", "--k", "many"])),
        ("a file's content", error_of(Config::from_toml(Path::new("run.toml"), b"[data]\nepochs = 3\n")).to_string()),
        ("a file that is not there", refusal(&["schedule", "--config", "/nowhere/run.toml"])),
        ("no adapter", error_of(choose(&[], &AdapterChoice::Auto)).to_string()),
        ("a device that is too small", over_capacity()),
        ("help of a command", stdout(&["resume", "--help"])),
        ("a table", stdout(&["info", "--model", "lenet", "--data", "mnist"])),
    ];
    let found: String = sections.iter().map(|(name, text)| format!("==> {name}\n{}\n\n", text.trim_end())).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/wording.txt");
    if std::env::var_os("UPDATE_WORDING").is_some() {
        std::fs::write(path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == found, "the wording has changed; it was\n{kept}\nand is\n{found}");
}
