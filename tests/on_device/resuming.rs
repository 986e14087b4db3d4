//! Runs that end early and are resumed. The result has the same bytes as an uninterrupted run.

use crate::common::errors::assert_contains;
use crate::common::program::{assert_blames, command, lerac, stderr};
use crate::common::{Test, open_device, test};
use lerac::data::shapes;
use lerac::gpu::Gpu;
use lerac::records::{RunDir, Saving};
use lerac::train::{Checkpoint, Config, Observer, Task, resume, run};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The files that a resumed run reproduces. `speed.csv` contains times.
const REPEATED: [&str; 5] = ["config.toml", "metrics.csv", "layers.csv", "predictions.csv", "model.safetensors"];

/// A run of a few seconds: two moments, a blur that fades, augmentation, batches in two passes,
/// noise measurements, intervals that do not divide epochs.
pub const SHORT: &[&str] = &[
    "train",
    "--model",
    "cnn",
    "--method",
    "lerac-cbs",
    "--optimizer",
    "adam",
    "--eta",
    "0.01",
    "--train-images",
    "320",
    "--validation",
    "80",
    "--batch-size",
    "8",
    "--micro-batch",
    "4",
    "--epochs",
    "3",
    "--log-every",
    "7",
    "--snr-every",
    "25",
    "--snr-batches",
    "2",
    "--sigma-every",
    "1",
    "--flip",
    "--shift",
    "2",
    "--quiet",
    "--checkpoint-every",
    "3",
];

/// The standard error of a run that must succeed.
fn succeeds(arguments: &[&str]) -> String {
    let output = lerac(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stderr(&output)
}

/// A run that must fail with an error at `at` that contains `names`.
fn refuses(arguments: &[&str], at: &str, names: &[&str]) {
    let output = lerac(arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_blames(&stderr(&output), at, names);
}

fn trains(out: &Path) -> Vec<&str> {
    [SHORT, &["--out", out.to_str().unwrap()]].concat()
}

pub fn resumes(out: &Path) -> [&str; 5] {
    ["resume", out.to_str().unwrap(), "--quiet", "--checkpoint-every", "3"]
}

/// A finished run to compare with.
fn whole(dir: &Path) -> PathBuf {
    let out = dir.join("whole");
    succeeds(&trains(&out));
    out
}

pub fn assert_same(whole: &Path, resumed: &Path) {
    for name in REPEATED {
        let [expected, found] = [whole, resumed].map(|dir| std::fs::read(dir.join(name)).unwrap());
        assert!(expected == found, "{name} is another after {}", resumed.display());
    }
    // Only some runs measure noise.
    let noise = |dir: &Path| std::fs::read(dir.join("noise.csv")).ok();
    assert!(noise(whole) == noise(resumed), "noise.csv is another after {}", resumed.display());
    let summary = |dir: &Path| {
        let text = std::fs::read_to_string(dir.join("summary.json")).unwrap();
        let mut summary: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        summary.retain(|key, _| !["seconds", "examples_per_second", "milliseconds_per_step"].contains(&key.as_str()));
        summary
    };
    assert_eq!(summary(whole), summary(resumed));
    assert!(!resumed.join("checkpoints").exists(), "a finished run needs no checkpoints");
}

fn checkpoints(out: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(out.join("checkpoints")) else { return vec![] };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    files
}

/// Waits until `done`; the run must not end before.
fn await_in(run: &mut Child, done: impl Fn() -> bool) {
    while !done() {
        let ended = run.try_wait().unwrap();
        assert!(ended.is_none(), "the run ended too early: {ended:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills a run when it has `count` checkpoints.
fn killed(out: &Path, count: usize) {
    killed_once(out, |checkpoints| checkpoints.len() >= count);
}

/// Kills a run when its checkpoints satisfy `reached`.
fn killed_once(out: &Path, reached: impl Fn(&[PathBuf]) -> bool) {
    killed_while(&trains(out), out, reached);
}

/// Runs a command that trains into `out`, and kills it when the checkpoints satisfy `reached`.
pub fn killed_while(arguments: &[&str], out: &Path, reached: impl Fn(&[PathBuf]) -> bool) {
    let mut child = command(arguments).spawn().unwrap();
    await_in(&mut child, || reached(&checkpoints(out)));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills runs, and the processes that resume them, at random times, until `LERAC_KILLS` (default 8)
/// kills have left a checkpoint.
fn killed_at_any_instant() {
    let wanted = std::env::var("LERAC_KILLS").map_or(8, |count| count.parse().expect("LERAC_KILLS is a number"));
    let dir = tempfile::tempdir().unwrap();
    let whole = whole(dir.path());
    let mut rng = ChaCha8Rng::seed_from_u64(wanted);
    let (mut kills, mut runs, mut longest) = (0, 0, 2_500_000);
    while kills < wanted {
        let out = dir.path().join(format!("run{runs}"));
        runs += 1;
        let mut arguments: Vec<String> = trains(&out).iter().map(ToString::to_string).collect();
        // A kill after the summary was written leaves checkpoints. The next process removes them.
        while !out.join("summary.json").exists() || out.join("checkpoints").exists() {
            let arguments_now: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let mut child: Child = command(&arguments_now).spawn().unwrap();
            let mut killed = false;
            if kills < wanted {
                std::thread::sleep(Duration::from_micros(rng.random_range(200_000..longest)));
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    killed = true;
                    // A kill without a checkpoint does not count. On a slow machine the next run
                    // gets more time.
                    match checkpoints(&out).is_empty() {
                        true => longest += longest / 4,
                        false => kills += 1,
                    }
                }
            }
            let output = child.wait_with_output().unwrap();
            let as_meant = output.status.success() || killed && output.status.code().is_none();
            assert!(as_meant, "{}: {}", output.status, stderr(&output));
            // If it was killed before it wrote its options, it starts again.
            if out.join("config.toml").exists() {
                arguments = resumes(&out).iter().map(ToString::to_string).collect();
            }
        }
        assert_same(&whole, &out);
    }
}

fn interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out) = (whole(dir.path()), dir.path().join("run"));
    for signal in ["-INT", "-TERM"] {
        let arguments = if signal == "-INT" { trains(&out) } else { resumes(&out).to_vec() };
        let before = checkpoints(&out);
        let mut child = command(&arguments).spawn().unwrap();
        await_in(&mut child, || checkpoints(&out) != before);
        // Two signals at once, as `timeout` sends them, are one interrupt.
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
        assert_contains(&stderr(&output), &["interrupt", "step", "lerac resume"]);
    }
    refuses(&trains(&out), "--out", &["lerac resume"]);
    succeeds(&resumes(&out));
    assert_same(&whole, &out);
    let again = lerac(&resumes(&out));
    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("finished"));
}

/// A second interrupt ends the program at once, here during compilation.
fn interrupted_twice() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut child =
        command(&["train", "--model", "resnet18", "--quiet", "--out", out.to_str().unwrap()]).spawn().unwrap();
    await_in(&mut child, || out.exists());
    let interrupt = |child: &Child| Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt(&child).success());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut note = String::new();
    while !note.contains("second interrupt") {
        note.clear();
        assert!(errors.read_line(&mut note).unwrap() > 0, "it ended at the first");
    }
    std::thread::sleep(Duration::from_millis(700));
    let is_fast = child.try_wait().unwrap().is_some();
    interrupt(&child);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // A fast device has finished its first step by now.
    assert!(is_fast || (rest.is_empty() && checkpoints(&out).is_empty()), "{rest}");
}

fn torn_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out) = (whole(dir.path()), dir.path().join("run"));
    killed(&out, 2);
    let files = checkpoints(&out);
    // A kill between writing and removing leaves three checkpoints.
    let newest = files.last().unwrap();
    let mut bytes = std::fs::read(newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(newest, &bytes).unwrap();
    let notes = succeeds(&resumes(&out));
    assert!(notes.contains(newest.file_name().unwrap().to_str().unwrap()), "the torn one is named: {notes}");
    assert_same(&whole, &out);

    let out = dir.path().join("all");
    killed(&out, 2);
    for path in checkpoints(&out) {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    }
    refuses(&resumes(&out), ".safetensors", &["checkpoint"]);
    assert!(checkpoints(&out).len() >= 2, "files that cannot be read are not removed");

    // Other files in their directory are neither read nor removed.
    let out = dir.path().join("others");
    killed(&out, 1);
    let others = ["zzz.safetensors", "step-1.safetensors", "notes.txt"].map(|name| out.join("checkpoints").join(name));
    others.iter().for_each(|path| std::fs::write(path, "mine").unwrap());
    // A checkpoint that cannot be read is an error, unlike a torn one: resuming from an older one
    // would shorten the tables.
    let newest = out.join("checkpoints/step-9999999999.safetensors");
    std::fs::create_dir(&newest).unwrap();
    refuses(&resumes(&out), "step-9999999999.safetensors", &[", byte 0: "]);
    std::fs::remove_dir(&newest).unwrap();
    succeeds(&resumes(&out));
    assert!(others.iter().all(|path| path.exists()), "files of others are gone");
    let left = std::fs::read_dir(out.join("checkpoints")).unwrap().count();
    assert_eq!(left, others.len(), "checkpoints of a finished run stayed");
}

/// A table that was changed, shortened or removed since the checkpoint.
fn damaged_tables() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out) = (whole(dir.path()), dir.path().join("run"));
    // Every table has rows after step 7.
    let twelve_or_later = |path: &PathBuf| path.file_name().unwrap() >= "step-0000000012.safetensors";
    killed_once(&out, |files| files.last().is_some_and(twelve_or_later));
    let refused = |path: &Path, names: &[&str]| refuses(&resumes(&out), path.to_str().unwrap(), names);
    for name in ["metrics.csv", "layers.csv", "speed.csv", "noise.csv"] {
        let path = out.join(name);
        let bytes = std::fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        let digit = changed.iter().position(u8::is_ascii_digit).unwrap();
        changed[digit] ^= 1;
        std::fs::write(&path, changed).unwrap();
        refused(&path, &["checkpoint", "CRC-32"]);
        std::fs::write(&path, &bytes[..40]).unwrap();
        refused(&path, &["checkpoint", "byte 40"]);
        std::fs::remove_file(&path).unwrap();
        refused(&path, &["No such file"]);
        std::fs::write(&path, bytes).unwrap();
    }
    succeeds(&resumes(&out));
    assert_same(&whole, &out);
}

fn changed_options() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    killed(&out, 1);
    let config = out.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("eta = 0.01\n", "eta = 0.02\n")).unwrap();
    let remedy = format!("`lerac resume {} --force`", out.display());
    refuses(&resumes(&out), out.to_str().unwrap(), &["eta: 0.01 ", "0.02", &remedy]);
    succeeds(&[&resumes(&out)[..], &["--force"]].concat());
    assert!(out.join("summary.json").exists());
}

fn two_processes() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut first = command(&trains(&out)).spawn().unwrap();
    await_in(&mut first, || !checkpoints(&out).is_empty());
    let second = lerac(&resumes(&out));
    // On a fast machine the first may have finished, and the second has nothing to do.
    match second.status.code() {
        Some(0) => {
            assert!(String::from_utf8_lossy(&second.stdout).contains("finished"), "both have trained")
        }
        code => {
            assert_eq!(code, Some(1));
            assert_blames(&stderr(&second), out.to_str().unwrap(), &[&format!("process {}", first.id())]);
        }
    }
    assert!(first.wait().unwrap().success());
}

/// A run whose directory was replaced by another run's does not touch the other's files.
fn a_directory_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, out, other) = (whole(dir.path()), dir.path().join("run"), dir.path().join("other"));
    succeeds(&trains(&other));
    let mut endless = trains(&out);
    let epochs = endless.iter().position(|&option| option == "--epochs").unwrap();
    endless[epochs + 1] = "1000";
    let mut first = command(&endless).spawn().unwrap();
    await_in(&mut first, || !checkpoints(&out).is_empty());
    std::fs::rename(&out, dir.path().join("away")).unwrap();
    // At once, so that the run never finds its directory missing.
    std::fs::rename(&other, &out).unwrap();
    let first = first.wait_with_output().unwrap();
    assert_eq!(first.status.code(), Some(1), "{}", stderr(&first));
    assert_blames(&stderr(&first), out.to_str().unwrap(), &[]);
    assert_same(&whole, &out);
}

/// Checkpoints without a run, and a lock file without a process number.
fn leftovers() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    killed(&out, 1);
    std::fs::remove_file(out.join("config.toml")).unwrap();
    refuses(&trains(&out), "--out", &["checkpoints", "config.toml"]);
    std::fs::remove_dir_all(out.join("checkpoints")).unwrap();
    std::fs::write(out.join(".lock"), "\u{1b}[31m".repeat(1000)).unwrap();
    // Without options and checkpoints, its tables are files like any other.
    let notes = succeeds(&[&trains(&out)[..], &["--overwrite"]].concat());
    assert!(!notes.contains(out.to_str().unwrap()), "a lock without a process number is reported: {notes}");
}

/// Calls `see` for each step and for the progress of validation and test, and requests a checkpoint
/// after every ninth step.
struct Watched<F>(F);

impl<F: FnMut(&str, u64)> Observer for Watched<F> {
    fn step(&mut self, step: u64) {
        self.0("step", step);
    }

    fn reading(&mut self, part: &str, done: usize, _examples: usize) {
        self.0(part, done as u64);
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        step.is_multiple_of(9)
    }
}

/// Two epochs of 32 steps on few images.
fn two_epochs() -> Task {
    let config = Config::default().with(|c| {
        c.training.batch_size = 8;
        c.training.epochs = 2;
        c.training.log_every = 7;
        c.data.validation = 40;
    });
    Task::of(&config, &shapes(300, 100, 0).into()).unwrap()
}

/// Trains or resumes, and calls `see`. Returns the step of the checkpoint that it started from, or
/// the error.
fn go_on(
    gpu: &Gpu,
    task: &Task,
    out: &Path,
    stop: &Arc<AtomicBool>,
    see: impl FnMut(&str, u64),
) -> std::result::Result<u64, String> {
    let saving = Saving { keep: 2, stop: stop.clone(), ..Saving::default() };
    let (mut dir, checkpoint) = RunDir::open(out, &task.config, saving, false).unwrap();
    let mut observer = (&mut dir, Watched(see));
    let outcome = match &checkpoint {
        Some(checkpoint) => resume(gpu, task, checkpoint, &mut observer),
        None => run(gpu, task, &mut observer),
    };
    dir.finish(&outcome.map_err(|error| error.to_string())?, &*task.data.test, |_| Ok(())).unwrap();
    Ok(checkpoint.map_or(0, |checkpoint| checkpoint.state.step))
}

fn a_lost_device() {
    let (task, never, dir) = (two_epochs(), Arc::default(), tempfile::tempdir().unwrap());
    let (whole, out) = (dir.path().join("whole"), dir.path().join("lost"));
    assert_eq!(go_on(&open_device(), &task, &whole, &never, |_, _| ()), Ok(0));
    let gpu = open_device();
    let lose = |what: &str, step| {
        if (what, step) == ("step", 50) {
            gpu.lose();
        }
    };
    let message = go_on(&gpu, &task, &out, &never, lose).expect_err("a lost device ends the run");
    assert!(message.contains("device was lost"), "{message}");
    assert_eq!(go_on(&open_device(), &task, &out, &never, |_, _| ()), Ok(45), "the last checkpoint before the loss");
    assert_same(&whole, &out);
}

/// An interrupt during validation or test takes effect at once, and no step is lost. With averages,
/// the test set is evaluated with those of the best epoch.
fn interrupted_while_reading(ema: Option<f64>) {
    let (mut task, gpu, dir) = (two_epochs(), open_device(), tempfile::tempdir().unwrap());
    task.config.optimizer.ema = ema;
    // A model without running statistics, and a rate too low to change a prediction. So the first
    // epoch stays the best, and the test set is evaluated with weights that differ from the last.
    task.config.model.name = "lenet".into();
    task.config.optimizer.eta = 1e-6;
    task = Task::of(&task.config, &task.data).unwrap();
    let (whole, out) = (dir.path().join("whole"), dir.path().join("run"));
    let (never, mut weights) = (Arc::default(), vec![]);
    assert_eq!(go_on(&gpu, &task, &whole, &never, |_, _| ()), Ok(0));
    assert_eq!(RunDir::summary(&whole).unwrap().best_epoch, 1);
    for (part, step, examples) in [("validation", 32, 40), ("validation", 64, 40), ("test", 64, 100)] {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut done, mut read) = (0, 0);
        let see = |what: &str, count| match what {
            "step" => done = count,
            what => {
                assert!(!stop.load(Ordering::Relaxed), "goes on to read");
                read += 1;
                let resumed_at_its_end = done == 0 && part == "test";
                if what == part && (done == step || resumed_at_its_end) && count == 16 {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        };
        let message = go_on(&gpu, &task, &out, &stop, see).expect_err("an interrupt ends the run");
        assert!(read > 0);
        assert_contains(&message, &[format!("step {step} of 64"), format!("24 of {examples}"), part.to_owned()]);
        let newest = checkpoints(&out).pop().unwrap();
        assert!(newest.ends_with(format!("step-{step:010}.safetensors")), "{}", newest.display());
        let mut tensors = Checkpoint::from_bytes(&newest, &std::fs::read(&newest).unwrap()).unwrap().tensors;
        tensors.retain(|tensor| !tensor.name.starts_with(&Checkpoint::of_best("")));
        weights.push(tensors);
    }
    assert!(weights[0] != weights[1] && weights[1] == weights[2], "the last weights are put back after the best ones");
    assert_eq!(go_on(&gpu, &task, &out, &never, |what, _| assert_eq!(what, "test")), Ok(64));
    assert_same(&whole, &out);
}

/// A directory that is removed, and a full disk.
#[cfg(target_os = "linux")]
fn nowhere_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("gone");
    let mut child = command(&trains(&out)).spawn().unwrap();
    await_in(&mut child, || !checkpoints(&out).is_empty());
    while out.exists() {
        // The run may create a file at the same moment.
        let _ = std::fs::remove_dir_all(&out);
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_contains(&stderr(&output), &[out.to_str().unwrap()]);

    let (whole, out) = (whole(dir.path()), dir.path().join("full"));
    // A limit on file sizes would also affect drivers that keep the device's memory in a file.
    std::fs::create_dir_all(out.join("checkpoints")).unwrap();
    let part = out.join("checkpoints/step-0000000003.safetensors.part");
    std::os::unix::fs::symlink("/dev/full", part).unwrap();
    refuses(&trains(&out), "step-0000000003.safetensors", &["No space left"]);
    let left: Vec<_> = std::fs::read_dir(out.join("checkpoints")).unwrap().collect();
    assert!(left.is_empty(), "half a checkpoint stayed: {left:?}");
    succeeds(&resumes(&out));
    assert_same(&whole, &out);

    // An interrupt is reported as such even if its checkpoint cannot be written.
    let (task, stop, out) = (two_epochs(), Arc::new(AtomicBool::new(false)), dir.path().join("interrupted"));
    std::fs::create_dir_all(out.join("checkpoints")).unwrap();
    let part = out.join("checkpoints/step-0000000020.safetensors.part");
    std::os::unix::fs::symlink("/dev/full", part).unwrap();
    let see = |what: &str, step| {
        if (what, step) == ("step", 20) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let message = go_on(&open_device(), &task, &out, &stop, see).expect_err("an interrupt ends the run");
    assert_contains(&message, &["step 20 of 64", "No space left"]);
    assert_eq!(go_on(&open_device(), &task, &out, &Arc::default(), |_, _| ()), Ok(18), "the checkpoint before");
}

/// A checkpoint after the last step: a kill after it only repeats the evaluation of the test set.
fn the_last_step_is_saved() {
    let (task, gpu, dir) = (two_epochs(), open_device(), tempfile::tempdir().unwrap());
    let due = |every| {
        let saving = Saving { every, keep: 1, ..Saving::default() };
        let mut run_dir = RunDir::create(&dir.path().join(every.to_string()), &task.config, saving).unwrap();
        // The run directory only needs the number of steps here.
        let session = task.session(&gpu, 32).unwrap();
        run_dir.begin(&session.plan(), session.layers(), 64).unwrap();
        (1..=64).filter(|&step| run_dir.wants_checkpoint(step)).collect::<Vec<u64>>()
    };
    assert_eq!((due(0), due(25), due(1000)), (vec![], vec![25, 50, 64], vec![64]));
}

fn killed_comparison() {
    let dir = tempfile::tempdir().unwrap();
    let grid = ["compare", "--methods", "conventional,lerac", "--seeds", "2", "--out"];
    let shared: Vec<&str> =
        SHORT[1..].iter().copied().filter(|word| !["--method", "lerac-cbs"].contains(word)).collect();
    let start = |out: &Path| command(&[&grid[..], &[out.to_str().unwrap()], &shared].concat()).spawn().unwrap();
    let (whole, out) = (dir.path().join("whole"), dir.path().join("killed"));
    assert!(start(&whole).wait().unwrap().success());
    let mut child = start(&out);
    await_in(&mut child, || !checkpoints(&out.join("conventional-seed0")).is_empty());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_contains(&stderr(&output), &["interrupt", "command"]);
    let mut child = start(&out);
    // The second run of the first seed has started.
    await_in(&mut child, || !checkpoints(&out.join("lerac-seed0")).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(start(&out).wait().unwrap().success());
    for run in ["conventional-seed0", "lerac-seed0", "conventional-seed1", "lerac-seed1"] {
        assert_same(&whole.join(run), &out.join(run));
    }
    let accuracies = |dir: &Path| {
        let text = std::fs::read_to_string(dir.join("results.csv")).unwrap();
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(accuracies(&whole), accuracies(&out), "all columns but the time");
}

pub fn tests() -> Vec<Test> {
    let mut tests = vec![
        test("resuming: killed at any instant", |_| killed_at_any_instant()),
        test("resuming: torn checkpoints", |_| torn_checkpoints()),
        test("resuming: the last step is saved", |_| the_last_step_is_saved()),
        test("resuming: damaged tables", |_| damaged_tables()),
        test("resuming: changed options", |_| changed_options()),
        test("resuming: two processes", |_| two_processes()),
        test("resuming: leftovers", |_| leftovers()),
        test("resuming: a lost device", |_| a_lost_device()),
        test("resuming: interrupted while reading", |_| interrupted_while_reading(None)),
        test("resuming: interrupted while reading, with averages", |_| interrupted_while_reading(Some(0.9))),
    ];
    // Windows renames no directory in use, and has no `kill` to send an interrupt:
    // scripts/check-windows.sh interrupts there.
    if cfg!(unix) {
        tests.push(test("resuming: a killed comparison", |_| killed_comparison()));
        tests.push(test("resuming: a directory taken away", |_| a_directory_taken_away()));
        tests.push(test("resuming: interrupted", |_| interrupted()));
        tests.push(test("resuming: interrupted twice", |_| interrupted_twice()));
    }
    #[cfg(target_os = "linux")]
    tests.push(test("resuming: nowhere to write", |_| nowhere_to_write()));
    tests
}
