//! The command line program, run as a user runs it.

use super::errors::assert_contains;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A command with captured output.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lerac"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Kills a training run in the directory `out` after its first checkpoint, if it has not ended.
pub fn kill_after_a_checkpoint(mut run: Child, out: &str) {
    let checkpoints = Path::new(out).join("checkpoints");
    let any = || std::fs::read_dir(&checkpoints).is_ok_and(|entries| entries.count() > 0);
    while run.try_wait().unwrap().is_none() && !any() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = run.kill();
    run.wait().unwrap();
}

/// Asserts that the files `names` have the same bytes in two directories.
#[track_caller]
pub fn assert_same_files(one: &str, other: &str, names: &[&str]) {
    for name in names {
        let [left, right] = [one, other].map(|dir| std::fs::read(Path::new(dir).join(name)).unwrap());
        assert!(left == right, "{name} differs");
    }
}

/// Runs the program to its end.
pub fn lerac(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// The standard error of a finished program.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The standard output of a run that must succeed.
#[track_caller]
pub fn stdout(arguments: &[&str]) -> String {
    let output = lerac(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The standard output of a run that must succeed, parsed as JSON.
#[track_caller]
pub fn json(arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&stdout(arguments)).unwrap_or_else(|error| panic!("{arguments:?} prints no JSON: {error}"))
}

/// Runs the program, which must fail with exit code 1 or 2, without results and without a panic.
/// Returns standard error.
#[track_caller]
pub fn refusal(arguments: &[&str]) -> String {
    let output = lerac(arguments);
    let text = stderr(&output);
    let code = output.status.code().expect("no signal");
    assert!(code == 1 || code == 2, "{arguments:?} ended with {code}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed results");
    text
}

/// Asserts that a run fails, blames `at` and mentions all `names`.
#[track_caller]
pub fn assert_refused(arguments: &[&str], at: &str, names: &[&str]) {
    assert_blames(&refusal(arguments), at, names);
}

/// Asserts that the error line of `text` blames `at`, an option or the end of a path, and that the
/// line contains all `names`. The program prints `error: AT: MESSAGE` or `error: FILE, byte N:
/// MESSAGE`; where an option does not parse, clap prints the option in quotes.
#[track_caller]
pub fn assert_blames(text: &str, at: &str, names: &[&str]) {
    let Some((_, error)) = text.split_once("error: ") else { panic!("there is no error line in {text:?}") };
    let (place, _) = error.split_once(": ").unwrap_or((error, ""));
    let place = place.split(", byte ").next().unwrap();
    let by_clap = [format!("'{at}'"), format!("'{at} <")].iter().any(|quoted| error.contains(quoted.as_str()));
    assert!(place.ends_with(at) || by_clap, "{at:?} is not at fault in {text:?}");
    assert_contains(error, names);
}
