//! A run that is killed continues to the same bytes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn outside(out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outside"));
    command.arg(out).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Every file that a second run repeats.
fn files(out: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["model.safetensors", "metrics.csv", "layers.csv", "predictions.csv"];
    let path = |dir: &str, name: &str| (format!("{dir}/{name}"), fs::read(out.join(dir).join(name)).unwrap());
    ["plain", "late-outputs"]
        .iter()
        .flat_map(|dir| names.iter().map(|name| path(dir, name)).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_killed_run_continues_to_the_same_bytes() {
    let work = tempfile::tempdir().unwrap();
    let (whole, killed) = (work.path().join("whole"), work.path().join("killed"));
    assert!(outside(&whole).status().unwrap().success());
    let mut kills = 0;
    for checkpoints in ["plain/checkpoints", "late-outputs/checkpoints"].map(|dir| killed.join(dir)) {
        let mut child = outside(&killed).spawn().unwrap();
        // Kills the run after its first checkpoint, without a chance to save anything.
        while child.try_wait().unwrap().is_none() {
            if fs::read_dir(&checkpoints).is_ok_and(|entries| entries.count() > 1) {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert!(kills > 0, "both runs had ended before they were killed");
    assert!(outside(&killed).status().unwrap().success());
    for ((name, expected), (_, found)) in files(&whole).into_iter().zip(files(&killed)) {
        assert!(found == expected, "{name} differs after a kill");
    }
    let report = fs::read_to_string(killed.join("report.html")).unwrap();
    for part in ["walk net on walks", "late outputs", "accuracy"] {
        assert!(report.contains(part), "the report lacks {part:?}");
    }
}
