//! Tuning: the kernels that are measured, the cache of results, and runs that use it.

use crate::common::errors::{Fault, assert_contains, assert_error};
use crate::common::program::{assert_blames, stderr};
use crate::common::{Test, test};
use crate::recorded::ten_classes;
use lerac::gpu::Gpu;
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, Conv, Model, Net};
use lerac::study::KernelCache;
use lerac::study::bench::{TuningModel, TuningOptions, VariantTimes};
use lerac::tape::{KernelChoices, Target, Variant};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// A convolution, two equal ones, a depthwise one, and a linear layer.
fn model() -> Arc<dyn Model> {
    Arc::new(|net: &mut Net, x, classes| {
        let mut x = net.conv2d("conv1", x, Conv::same3x3(8, 1));
        x = net.conv2d("conv2", x, Conv::same3x3(8, 1));
        x = net.conv2d("conv3", x, Conv::same3x3(8, 1));
        let mut depthwise = Conv::same3x3(8, 2);
        depthwise.options.groups = 8;
        x = net.conv2d("conv4", x, depthwise);
        x = net.flatten(x);
        net.linear("linear", x, classes)
    })
}

/// A model to tune, for square images.
fn subject_of(model: Arc<dyn Model>, side: usize, batch_size: usize) -> TuningModel {
    let form = ten_classes([3, side, side]);
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    TuningModel { model, form, objective, batch_size }
}

fn subject() -> TuningModel {
    subject_of(model(), 8, 2)
}

const ALL: TuningOptions = TuningOptions { all: false, time: Duration::MAX };

fn tasks_are_measured(gpu: &Gpu) {
    let mut progress = vec![];
    let measured = subject().measure(gpu, ALL, |done, all, name| progress.push((done, all, name.to_owned()))).unwrap();
    // Forward and dw of four operations, and dx of all but the first, which has no input gradient.
    assert_eq!(measured.len(), 3 * 4 - 1, "{measured:#?}");
    let of = |name: &str| measured.iter().find(|m| m.task == name).unwrap_or_else(|| panic!("{measured:#?}"));
    let twice = of("conv2d dw [2,8,8,8] -> [8,8,8], 3x3/1, padding 1, groups 1");
    assert_eq!((twice.count, twice.multiply_adds), (2, 2 * 64 * 8 * 8 * 9));
    let depthwise = of("conv2d dx [2,8,4,4] -> [8,8,8], 3x3/2, padding 1, groups 8");
    assert_eq!(depthwise.usual, Variant::Depthwise);
    let target = Target::of(gpu.info());
    for m in &measured {
        assert!(m.seconds[0].0 == m.usual && (m.seconds.len() > 1 || m.task.starts_with("linear")), "{m:?}");
        assert!(m.seconds.iter().all(|(variant, s)| variant.suits(target) && *s > 0.0 && s.is_finite()), "{m:?}");
    }
    // The operation with the most work is first: the pair, counted twice.
    assert!(progress[0].2.contains("[2,8,8,8] -> [8,8,8], 3x3/1") && progress[0].1 == 11, "{progress:?}");
    assert_eq!(progress.last().unwrap(), &(11, 11, String::new()));
}

fn time_is_kept(gpu: &Gpu) {
    let effort = TuningOptions { all: false, time: Duration::ZERO };
    let measured = subject().measure(gpu, effort, |_, _, _| ()).unwrap();
    let timed = measured.iter().filter(|m| !m.seconds.is_empty()).count();
    assert_eq!((measured.len(), timed), (11, 1), "the first is timed in any case");
    assert!(measured.iter().all(|m| m.winner().is_some() != m.seconds.is_empty()));
}

fn noise_does_not_make_a_winner(_: &Gpu) {
    let measured = |other| VariantTimes {
        task: String::new(),
        count: 1,
        multiply_adds: 1,
        usual: Variant::Wide,
        seconds: vec![(Variant::Wide, 1.0), (Variant::Registers, other)],
    };
    let winner = |other| measured(other).winner().unwrap();
    assert_eq!([0.9, 0.99, 1.5].map(winner), [Variant::Registers, Variant::Wide, Variant::Wide]);
}

const DX: &str = "conv2d dx [2,8,4,4] -> [8,8,8], 3x3/2, padding 1, groups 8";
const LINEAR: &str = "linear forward [2,128] x [128,10]";

/// A cache file in `dir` with two winners. One is the default kernel.
fn kept(gpu: &Gpu, dir: &Path) -> KernelCache {
    let mut cache = KernelCache::read(&dir.join("new/kernels.json")).unwrap();
    let winners = [(DX.to_owned(), Variant::Registers), (LINEAR.to_owned(), Variant::Registers)];
    cache.add(gpu.info(), KernelChoices(winners.into()));
    cache.write().unwrap();
    KernelCache::read(&dir.join("new/kernels.json")).unwrap()
}

fn the_cache_keeps_winners(gpu: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let mut cache = kept(gpu, dir.path());
    let tape = subject().tape(gpu, KernelChoices::default());
    let expected = KernelChoices([(DX.to_owned(), Variant::Registers)].into());
    assert_eq!(cache.choices(gpu.info(), &tape), Some(expected.clone()));
    let mut files: Vec<_> =
        std::fs::read_dir(dir.path().join("new")).unwrap().map(|e| e.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["kernels.json", "kernels.json.lock"]);
    // Choices without such a variant or operation are ignored.
    let more = [(LINEAR.to_owned(), Variant::Depthwise), ("linear forward [1,1] x [1,1]".to_owned(), Variant::Shared)];
    cache.add(gpu.info(), KernelChoices(more.into()));
    assert_eq!(cache.choices(gpu.info(), &tape), Some(expected));
    let other = subject_of(Arc::new(nn::named("cnn").unwrap()), 32, 3).tape(gpu, KernelChoices::default());
    assert_eq!(cache.choices(gpu.info(), &other), None);
}

fn winners_of_many_are_kept(gpu: &Gpu) {
    const WRITERS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/kernels.json");
    let all_have_read = Barrier::new(WRITERS);
    let write = |writer: usize| {
        let mut cache = KernelCache::read(&path).unwrap();
        all_have_read.wait();
        for round in 0..4 {
            cache.add(gpu.info(), KernelChoices([(format!("task {writer}.{round}"), Variant::Wide)].into()));
            cache.write().unwrap();
        }
    };
    let write = &write;
    std::thread::scope(|scope| (0..WRITERS).for_each(|writer| drop(scope.spawn(move || write(writer)))));
    let devices: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(devices.as_array().unwrap().len(), 1);
    assert_eq!(devices[0]["kernels"].as_object().unwrap().len(), WRITERS * 4, "{devices}");
}

fn stale_winners_are_not_taken(gpu: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let tape = subject().tape(gpu, KernelChoices::default());
    kept(gpu, dir.path());
    let path = dir.path().join("new/kernels.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let [driver, backend] = [&gpu.info().driver, &gpu.info().backend].map(|text| serde_json::to_string(text).unwrap());
    let version = format!("\"{} ", env!("CARGO_PKG_VERSION"));
    for (from, to) in [(driver.as_str(), "\"another\""), (&version, "\"0.0.1 "), (&backend, "\"Glide\"")] {
        assert!(text.contains(from), "{text} lacks {from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let mut cache = KernelCache::read(&path).unwrap();
        assert_eq!(cache.choices(gpu.info(), &tape), None, "{to}");
        // New winners replace those of the same hardware. Those of other hardware stay.
        cache.add(gpu.info(), KernelChoices::default());
        cache.write().unwrap();
        let devices: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(devices.as_array().unwrap().len(), if to == "\"Glide\"" { 2 } else { 1 });
    }
}

fn a_corrupt_cache_is_named(_: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kernels.json");
    for text in [
        "",
        "[",
        "{}",
        "[{\"adapter\": 1}]",
        "\u{0}",
        "[{\"adapter\":\"a\",\"backend\":\"b\",\"driver\":\"c\",\"lerac\":\"d\",\"kernels\":{\"t\":\"fast\"}}]",
    ] {
        std::fs::write(&path, text).unwrap();
        assert_error(KernelCache::read(&path), Fault::Format("kernels.json", None), &[]);
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert_error(KernelCache::read(&path), Fault::Format("kernels.json", Some(0)), &["directory"]);
}

fn choices_are_in_force(gpu: &Gpu) {
    let with = |variant| subject().tape(gpu, KernelChoices([(DX.to_owned(), variant)].into()));
    for (variant, file) in [
        (Variant::Registers, "conv2d"),
        (Variant::Wide, "conv2d_dilated"),
        (Variant::Shared, "conv2d_shared"),
        (Variant::Depthwise, "conv2d_depthwise"),
    ] {
        let tape = with(variant);
        let id = tape.tunable_ops().find(|(_, task)| task.name == DX).unwrap().0;
        let refusal = tape.check_choices();
        // With rows of four there is no wide kernel of stride 2.
        let applies = tape.tunable_ops().any(|(_, task)| task.name == DX && task.variants.contains(&variant));
        assert_eq!(refusal.is_ok(), applies, "{variant}");
        if applies {
            let only = tape.only(id).forward();
            assert_eq!(only.last().unwrap().1.kernel.shader.name, file);
        } else {
            assert_error(refusal, Fault::Setting("kernels"), &[DX, &variant.to_string()]);
        }
    }
    assert!(
        subject()
            .tape(gpu, KernelChoices([("linear forward [9,9] x [9,9]".to_owned(), Variant::Wide)].into()))
            .check_choices()
            .is_ok()
    );
    let choices = KernelChoices([(LINEAR.to_owned(), Variant::Depthwise)].into());
    let refusal = subject().tape(gpu, choices).check_choices();
    assert_error(refusal, Fault::Setting("kernels"), &["depthwise", "registers"]);
}

/// `lerac` with its cache in `dir`.
fn lerac(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lerac"));
    command.args(arguments).env("LERAC_CACHE", dir.join("cache")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The standard output of a call, or its standard error if it fails.
fn output_of(dir: &Path, arguments: &[&str], code: i32) -> String {
    let output = lerac(dir, arguments).output().unwrap();
    let errors = stderr(&output);
    assert!(output.status.code() == Some(code) && !errors.contains("panicked"), "{arguments:?}: {errors}");
    if code == 0 { String::from_utf8(output.stdout).unwrap() } else { errors }
}

const SHORT: &[&str] = &[
    "--train-images",
    "320",
    "--validation",
    "80",
    "--batch-size",
    "8",
    "--log-every",
    "20",
    "--epochs",
    "3",
    "--quiet",
];

fn a_tuned_run_repeats_without_the_cache(_: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let train = |more: &[&str], out: &str, code| {
        output_of(dir, &[&["train"], SHORT, more, &["--out", &path(out)]].concat(), code)
    };

    let refusal = train(&["--tuned"], "none", 1);
    assert_blames(&refusal, "--tuned", &["`lerac tune`"]);
    assert!(!dir.join("none").exists(), "nothing is written");
    let tuned = output_of(dir, &["tune", "--batch-size", "8", "--seconds", "600", "--json"], 0);
    let tuned: serde_json::Value = serde_json::from_str(&tuned).unwrap();
    let rows = tuned["rows"].as_array().unwrap();
    assert!(rows.len() == 11 && rows.iter().all(|row| row["ratio"].as_f64().unwrap() >= 1.0), "{tuned}");
    let cache = dir.join("cache/kernels.json");
    assert_eq!(tuned["cache"].as_str(), cache.to_str());

    // Change the winners.
    let mut devices: serde_json::Value = serde_json::from_slice(&std::fs::read(&cache).unwrap()).unwrap();
    for row in rows {
        let other = if row["usual"] == "registers" { "shared" } else { "registers" };
        devices[0]["kernels"][row["task"].as_str().unwrap()] = other.into();
    }
    std::fs::write(&cache, devices.to_string()).unwrap();
    let mut child =
        lerac(dir, &[&["train"], SHORT, &["--tuned", "--checkpoint-every", "3", "--out", &path("killed")]].concat());
    let mut child = child.spawn().unwrap();
    while std::fs::read_dir(dir.join("killed/checkpoints")).map_or(0, Iterator::count) < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    train(&["--tuned"], "tuned", 0);
    let config = std::fs::read_to_string(dir.join("tuned/config.toml")).unwrap();
    assert!(
        config.split("[kernels]").nth(1).unwrap().lines().filter(|line| line.contains(" = ")).count() == 11,
        "{config}"
    );

    std::fs::write(&cache, "torn").unwrap();
    for arguments in [&["train", "--tuned", "--out", &path("torn")][..], &["tune"]] {
        let refusal = output_of(dir, arguments, 1);
        assert_blames(&refusal, "kernels.json", &[", byte "]);
    }
    let bytes = |run: &str| std::fs::read(dir.join(run).join("model.safetensors")).unwrap();
    output_of(dir, &["resume", &path("killed"), "--quiet"], 0);
    output_of(dir, &["train", "--quiet", "--config", &path("tuned/config.toml"), "--out", &path("again")], 0);
    train(&[], "usual", 0);
    assert!(
        bytes("tuned") == bytes("again") && bytes("tuned") == bytes("killed"),
        "the same kernels give the same bytes"
    );
    assert!(bytes("tuned") != bytes("usual"), "other kernels add in another order");
    let broken = config.replacen("= \"registers\"", "= \"depthwise\"", 1);
    std::fs::write(dir.join("broken.toml"), broken).unwrap();
    let refusal = output_of(dir, &["train", "--config", &path("broken.toml"), "--out", &path("broken")], 1);
    assert_blames(&refusal, "kernels", &["depthwise"]);
}

fn a_short_tuning_reports_what_is_left(_: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let table = output_of(dir.path(), &["tune", "--model", "lenet", "--batch-size", "2", "--seconds", "0"], 0);
    // The first operation is always measured.
    assert_contains(&table, &["13 of 14", "--seconds", "kernels.json"]);
}

pub fn tests() -> Vec<Test> {
    vec![
        test("tuning measures every task once", tasks_are_measured),
        test("tuning respects its time", time_is_kept),
        test("tuning: noise does not make a winner", noise_does_not_make_a_winner),
        test("tuning keeps winners in a file", the_cache_keeps_winners),
        test("tuning keeps the winners of several processes", winners_of_many_are_kept),
        test("tuning takes no stale winners", stale_winners_are_not_taken),
        test("tuning names a corrupt file", a_corrupt_cache_is_named),
        test("tuning decides what runs", choices_are_in_force),
        test("tuning leaves runs that repeat", a_tuned_run_repeats_without_the_cache),
        test("tuning reports what is left", a_short_tuning_reports_what_is_left),
    ]
}
