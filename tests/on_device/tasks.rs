//! A comparison as a list of tasks: by several processes, killed ones among them, with the bytes of
//! one process.

use crate::common::errors::assert_contains;
use crate::common::program::{assert_refused, command, lerac, refusal, stderr, stdout};
use crate::common::{Test, test};
use lerac::records::RunDir;
use std::path::{Path, PathBuf};
use std::process::{Child, Output};
use std::thread::sleep;
use std::time::Duration;

/// Four tasks of a few seconds.
const GRID: [&str; 22] = [
    "compare",
    "--data",
    "shapes",
    "--model",
    "cnn",
    "--methods",
    "conventional,lerac",
    "--seeds",
    "2",
    "--train-examples",
    "320",
    "--validation",
    "80",
    "--batch-size",
    "8",
    "--epochs",
    "2",
    "--log-every",
    "7",
    "--checkpoint-every",
    "3",
    "--out",
];

const TASKS: [&str; 4] = ["conventional-seed0", "lerac-seed0", "conventional-seed1", "lerac-seed1"];

fn with<'a>(out: &'a Path, options: &[&'a str]) -> Vec<&'a str> {
    [&GRID[..], &[out.to_str().unwrap()], options].concat()
}

/// Runs the comparison with these options, which must succeed.
#[track_caller]
fn succeeds(out: &Path, options: &[&str]) -> Output {
    let output = lerac(&with(out, options));
    assert!(output.status.success(), "{options:?}: {}", stderr(&output));
    output
}

/// Starts the comparison with these options.
fn start(out: &Path, options: &[&str]) -> Child {
    command(&with(out, options)).spawn().unwrap()
}

/// Waits until `done`; the process must not end before.
#[track_caller]
fn await_in(child: &mut Child, done: impl Fn() -> bool) {
    while !done() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended too early: {ended:?}");
        sleep(Duration::from_millis(2));
    }
}

/// Sends a signal.
fn signal(child: &Child, name: &str) {
    assert!(std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

fn has_checkpoint(out: &Path, task: &str) -> bool {
    RunDir::can_be_resumed(&out.join(task))
}

/// Asserts that two comparisons agree in all but times.
#[track_caller]
fn assert_same(whole: &Path, other: &Path) {
    for task in TASKS {
        for name in ["config.toml", "metrics.csv", "layers.csv", "predictions.csv", "model.safetensors"] {
            let [expected, found] = [whole, other].map(|dir| std::fs::read(dir.join(task).join(name)).unwrap());
            assert!(expected == found, "{task}/{name} is another in {}", other.display());
        }
    }
    let results = |dir: &Path| {
        let text = std::fs::read_to_string(dir.join("results.csv")).unwrap();
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(results(whole), results(other), "all columns but the time");
    assert!(std::fs::read(whole.join("compare.toml")).unwrap() == std::fs::read(other.join("compare.toml")).unwrap());
}

/// The state of each task, as --list shows it.
fn states(out: &Path) -> Vec<String> {
    let table = stdout(&with(out, &["--list"]));
    let rows = table.lines().filter(|line| line.contains("seed"));
    rows.map(|row| row.split('|').nth(3).unwrap().trim().to_owned()).collect()
}

/// The comparison by one process.
fn whole(dir: &Path) -> PathBuf {
    let out = dir.join("whole");
    succeeds(&out, &["--quiet"]);
    out
}

fn one_by_one(whole: &Path, dir: &Path) {
    let out = dir.join("one-by-one");
    assert_eq!(states(&out), ["not started"; 4]);
    assert!(!out.exists(), "a list writes nothing");
    assert_refused(&with(&out, &["--task", "4"]), "--task", &["0 to 3", "--list"]);
    assert_refused(&with(&out, &["--collect"]), "--out", &["no task is finished"]);
    // In another order.
    succeeds(&out, &["--task", "2"]);
    assert_eq!(states(&out)[2], "finished");
    let partial = succeeds(&out, &["--collect"]);
    assert_contains(&stderr(&partial), &["3 of 4 tasks are not finished", "lerac seed 1 (not started)"]);
    let report = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert_contains(&report, &["Not finished", "lerac seed 0 (not started)"]);
    assert_eq!(std::fs::read_to_string(out.join("results.csv")).unwrap().lines().count(), 2);
    for task in ["3", "0", "1"] {
        assert_contains(&String::from_utf8(succeeds(&out, &["--task", task]).stdout).unwrap(), &["test accuracy"]);
    }
    let again = succeeds(&out, &["--task", "1"]);
    assert_contains(&stderr(&again), &["finished already"]);
    let all = succeeds(&out, &["--collect"]);
    assert!(!stderr(&all).contains("not finished"), "{}", stderr(&all));
    assert!(!std::fs::read_to_string(out.join("report.html")).unwrap().contains("Not finished"));
    assert_same(whole, &out);
}

/// Two processes want the same task, and two run all tasks.
fn two_at_once(whole: &Path, dir: &Path) {
    let out = dir.join("raced");
    let racers = [start(&out, &["--task", "1"]), start(&out, &["--task", "1"])];
    let ends = racers.map(|racer| racer.wait_with_output().unwrap());
    assert_eq!(ends.iter().filter(|end| end.status.success()).count(), 1, "{}", ends.each_ref().map(stderr).join("\n"));
    let lost = ends.iter().find(|end| !end.status.success()).unwrap();
    assert_eq!(lost.status.code(), Some(1));
    assert_contains(&stderr(lost), &["--task 1", "claimed by process", "which is running", "--take-over"]);
    let both = [start(&out, &["--quiet"]), start(&out, &["--quiet"])].map(|one| one.wait_with_output().unwrap());
    for one in &both {
        assert!(one.status.success(), "{}", stderr(one));
    }
    assert_eq!(states(&out), ["finished"; 4]);
    succeeds(&out, &["--collect"]);
    assert_same(whole, &out);
}

/// A killed process leaves its claim.
fn killed(whole: &Path, dir: &Path) {
    let out = dir.join("killed");
    let mut child = start(&out, &["--task", "1"]);
    await_in(&mut child, || has_checkpoint(&out, "lerac-seed0"));
    if cfg!(unix) {
        // It stays where it is, with its locks.
        signal(&child, "-STOP");
    }
    let shown = states(&out).swap_remove(1);
    assert_contains(&shown, &["run by process", &child.id().to_string(), "running"]);
    assert_refused(&with(&out, &["--task", "1", "--take-over"]), "--task 1", &["which is running"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let owner = format!("process {} on ", child.id());
    assert_contains(&states(&out)[1], &["claimed by", &owner, "which has ended"]);
    assert_refused(&with(&out, &["--task", "1"]), "--task 1", &[&owner, "which has ended", "--take-over"]);
    let ended = succeeds(&out, &["--task", "1", "--take-over"]);
    assert_contains(&stderr(&ended), &["continues after step"]);

    // The claim of a process elsewhere, of which nothing is known here.
    let claim = out.join("claims/lerac-seed1.1");
    std::fs::write(&claim, r#"{"host":"node7","boot":"another","process":4711}"#).unwrap();
    assert_refused(&with(&out, &["--task", "3"]), "--task 3", &["process 4711 on node7"]);
    let others = succeeds(&out, &["--quiet"]);
    assert_contains(&stderr(&others), &["1 of 4 tasks", "lerac seed 1 (claimed by process 4711 on node7)"]);
    assert!(!out.join("lerac-seed1").exists(), "it was left to its owner");
    succeeds(&out, &["--quiet", "--take-over"]);
    assert_same(whole, &out);
}

/// A process whose claim was taken over writes no more.
fn taken_over(dir: &Path) {
    let out = dir.join("taken-over");
    let mut child = start(&out, &["--task", "0", "--quiet"]);
    await_in(&mut child, || has_checkpoint(&out, "conventional-seed0"));
    std::fs::write(out.join("claims/conventional-seed0.2"), r#"{"host":"node7","boot":"another","process":1}"#)
        .unwrap();
    let end = child.wait_with_output().unwrap();
    assert_eq!(end.status.code(), Some(1), "{}", stderr(&end));
    assert_contains(&stderr(&end), &["conventional-seed0: was taken over by process 1 on node7"]);
    assert!(has_checkpoint(&out, "conventional-seed0") && !RunDir::is_finished(&out.join("conventional-seed0")));
}

fn side_by_side(whole: &Path, dir: &Path) {
    let out = dir.join("jobs");
    let mut child = start(&out, &["--jobs", "2"]);
    await_in(&mut child, || has_checkpoint(&out, "conventional-seed0") || has_checkpoint(&out, "lerac-seed0"));
    if cfg!(unix) {
        signal(&child, "-TERM");
        let end = child.wait_with_output().unwrap();
        assert_eq!(end.status.code(), Some(130), "{}", stderr(&end));
        assert!(states(&out).iter().all(|state| !state.contains("process")), "the claims are released");
    } else {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let end = succeeds(&out, &["--jobs=2"]);
    assert_contains(&stderr(&end), &["lerac seed 1 epoch 2: loss", "continues after step"]);
    assert_contains(&String::from_utf8(end.stdout).unwrap(), &["| lerac"]);
    assert_same(whole, &out);
    let unknown = lerac(&with(&dir.join("nowhere"), &["--adapters", "no such card,99"]));
    assert_eq!(unknown.status.code(), Some(1));
    assert_contains(&stderr(&unknown), &["no such card", "99", "4 of 4 runs failed"]);
}

/// The processes of --jobs save their state when the one that started them is killed.
fn orphans(dir: &Path) {
    let out = dir.join("orphans");
    let mut child = start(&out, &["--jobs", "1"]);
    await_in(&mut child, || has_checkpoint(&out, "conventional-seed0"));
    child.kill().unwrap();
    child.wait().unwrap();
    for _ in 0..1000 {
        if states(&out)[0] == "ended early" {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("the task is still {}", states(&out)[0]);
}

fn slurm_script() {
    let dir = tempfile::tempdir().unwrap();
    let (out, file) = (dir.path().join("of mine"), dir.path().join("submit.sh"));
    let script = file.to_str().unwrap();
    let slurm = ["--slurm", script, "--slurm-time=1:00:00", "--slurm-gpus", "1", "--slurm-option=--mem=8G"];
    succeeds(&out, &slurm);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_contains(
        &text,
        &[
            "--array=0-3\n",
            "#SBATCH --time=1:00:00\n",
            "--gpus=1\n",
            "--mem=8G\n",
            "--task=\"$SLURM_ARRAY_TASK_ID\"",
            "of mine'",
        ],
    );
    assert!(!text.contains("--slurm"), "the tasks have no options of Slurm: {text}");
    if cfg!(unix) {
        assert!(std::process::Command::new("bash").args(["-n", script]).status().unwrap().success());
    }
    assert_refused(&with(&out, &slurm), "--slurm", &["exists", "--overwrite"]);
    let bad = |option: &str, value: &str| {
        let given = format!("{option}={value}");
        assert_refused(&with(&out, &["--slurm", "x.sh", &given]), option, &["expected"]);
    };
    bad("--slurm-time", "1:00\nrm -r x");
    bad("--slurm-option", "mem=8G");
    assert_contains(&refusal(&with(&out, &["--slurm-time", "1"])), &["--slurm <FILE>"]);
    for pair in [["--list", "--collect"], ["--collect", "--jobs=2"], ["--list", "--task=1"], ["--list", "--slurm=x"]] {
        assert_refused(&with(&out, &pair), pair[0].split('=').next().unwrap(), &["cannot be used with"]);
    }
}

pub fn tests() -> Vec<Test> {
    let of_whole = |name: &str, check: fn(&Path, &Path)| {
        test(format!("tasks: {name}"), move |_| {
            let dir = tempfile::tempdir().unwrap();
            check(&whole(dir.path()), dir.path());
        })
    };
    let alone = |name: &str, check: fn(&Path)| {
        test(format!("tasks: {name}"), move |_| check(tempfile::tempdir().unwrap().path()))
    };
    vec![
        of_whole("one by one", one_by_one),
        of_whole("two at once", two_at_once),
        of_whole("killed", killed),
        of_whole("side by side", side_by_side),
        alone("taken over", taken_over),
        alone("orphans", orphans),
        test("tasks: a script for Slurm", |_| slurm_script()),
    ]
}
