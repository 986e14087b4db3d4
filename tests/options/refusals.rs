//! Errors of the command line: each names the option or the file that is wrong.

use crate::common::errors::assert_contains;
use crate::common::files::directory;
use crate::common::program::{assert_refused, command, lerac, stderr, stdout};
use std::path::Path;

const PAPER: &[&str] = &["schedule", "--model", "cnn", "--method", "lerac", "--eta", "0.1", "--range", "1e-1..1e-4"];

/// A file of options, and its path.
fn config_file(text: &str) -> (tempfile::TempDir, String) {
    let dir = directory(&[("run.toml", text)]);
    let path = dir.path().join("run.toml").to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn options_for_classes_and_for_ages_exclude_each_other() {
    assert_refused(&["train", "--loss", "mse"], "--loss", &["shapes"]);
    assert_refused(&["train", "--loss", "l2"], "--loss", &["l1", "mse"]);
    let of_ages = ["train", "--data", "utkface-age", "--data-dir", "nowhere"];
    for option in ["--label-smoothing", "--mixup", "--class-weights"] {
        assert_refused(&[&of_ages[..], &[option, "0.2"]].concat(), option, &["utkface-age"]);
    }
    assert_refused(&["train", "--class-weights", "even"], "--class-weights", &["balanced", "even"]);
    let two = ["train", "--class-weights", "1,2", "--out", "nowhere/run"];
    assert_refused(&two, "--class-weights", &["10 classes", "found 2"]);
    assert_refused(&of_ages, "--data-dir", &["nowhere"]);
    let table = stdout(&["info", "--model", "lenet", "--data", "utkface-age", "--image-size", "32"]);
    assert!(table.contains("| fc3   | [64,1]"), "{table}");
}

#[test]
fn a_model_of_images_takes_no_texts() {
    let rows = "index\tsentence1\tsentence2\tlabel\n0\ta\tb\tentailment\n1\ta\tb\tnot_entailment\n";
    let dir = directory(&[("train.tsv", rows), ("dev.tsv", rows)]);
    let data = dir.path().to_str().unwrap();
    let out = dir.path().join("out");
    let of_texts = ["--model", "resnet8", "--data", "rte", "--data-dir", data];
    for command in [&["info"][..], &["train", "--validation", "0", "--out", out.to_str().unwrap()]] {
        assert_refused(&[command, &of_texts].concat(), "--model", &["resnet8", "images"]);
    }
    assert!(!out.exists());
    assert_refused(&[&["train", "--flip"], &of_texts[..]].concat(), "--flip", &["images", "rte"]);
    assert_refused(&[&["train", "--hop", "64"], &of_texts[..]].concat(), "--hop", &["sounds", "rte"]);
    assert_refused(&["train", "--max-length", "64"], "--max-length", &["texts", "shapes"]);
    let pairs = ["train", "--data", "text-pairs", "--data-dir", data];
    assert_refused(&pairs, "--text-columns", &["one or two columns"]);
    let absent = [&pairs[..], &["--text-columns", "premise"]].concat();
    assert_refused(&absent, "train.tsv", &["line 1", "premise", "sentence1"]);
}

#[test]
fn a_directory_contains_a_run_or_a_comparison() {
    let dir = tempfile::tempdir().unwrap();
    let out = ["--out", dir.path().to_str().unwrap()];
    std::fs::write(dir.path().join("compare.toml"), "").unwrap();
    assert_refused(&[&["train"], &out[..]].concat(), "--out", &["compare.toml"]);
    std::fs::rename(dir.path().join("compare.toml"), dir.path().join("config.toml")).unwrap();
    assert_refused(&[&["compare"], &out[..]].concat(), "--out", &["config.toml"]);
}

#[test]
fn impossible_tuning_is_refused() {
    for seconds in ["-1", "nan", "1e9"] {
        assert_refused(&["tune", "--seconds", seconds], "--seconds", &["1000000"]);
    }
    assert_refused(&["tune", "--model", "cnm"], "--model", &["cnn"]);
    assert_refused(&["tune", "--data", "cifar"], "--data", &["cifar10"]);
    assert_refused(&["tune", "--batch-size", "0"], "--batch-size", &[]);
    assert_refused(&["train", "--tune", "--tuned"], "--tuned", &[]);
    assert_refused(&["bench", "step", "--variants"], "--variants", &["bench ops"]);
    assert_refused(&["bench", "ops", "--variants", "--plot", "x.png"], "--variants", &["--plot"]);
}

#[test]
fn wrong_options_are_refused_with_a_remedy() {
    assert_refused(&["schedule", "--model", "resnet7"], "--model", &["resnet7", "resnet8"]);
    assert_refused(&["train", "--data", "fashion"], "--data", &["fashion-mnist"]);
    assert_refused(&["train", "--data", "cifar10", "--data-dir", "/nowhere"], "--data-dir", &["/nowhere"]);
    assert_refused(&[PAPER, &["--k", "9", "--epochs", "4"]].concat(), "--k", &["--epochs 4"]);
    assert_refused(&[PAPER, &["--k", "0"]].concat(), "--k", &[]);
    assert_refused(&["schedule", "--eta", "-0.1"], "--eta", &["positive"]);
    assert_refused(&["schedule", "--method", "lerac", "--range", "1e-8..1e-1"], "--range", &["1e-1..1e-8"]);
    assert_refused(&["schedule", "--method", "lerac", "--range", "-1..-2"], "--range", &["positive"]);
    assert_refused(&["schedule", "--method", "lerac", "--preset", "reference", "--min-lr", "0"], "--min-lr", &[]);
    assert_refused(&["schedule", "--epochs", "0"], "--epochs", &[]);
    assert_refused(&["schedule", "--steps-per-epoch", "0"], "--steps-per-epoch", &[]);
    assert_refused(&["schedule", "--optimizer", "rmsprop"], "--optimizer", &["adamax"]);
    assert_refused(&["schedule", "--momentum", "nan"], "--momentum", &[]);
    assert_refused(&["schedule", "--csv", "/nowhere/rates.csv"], "/nowhere/rates.csv", &[]);
    assert_refused(&["schedule", "--plot", "/nowhere/rates.png"], "/nowhere/rates.png", &[]);
    assert_refused(&["compare", "--seeds", "0"], "--seeds", &[]);
    assert_refused(&["compare", "--seeds", "18446744073709551615"], "--seeds", &[]);
    for option in [
        "--batch-size",
        "--validation",
        "--train-examples",
        "--snr-batches",
        "--seed",
        "--epochs",
        "--ema-warmup",
        "--warmup-steps",
    ] {
        assert_refused(&["schedule", option, "9223372036854775808"], option, &["9223372036854775807"]);
    }
    assert_refused(&["compare", "--method", "lerac"], "--method", &["--methods"]);
    assert_refused(&["compare", "--k", "1", "--ks", "1,2"], "--k", &["--ks"]);
    assert_refused(&["train", "--init-partial"], "--init-partial", &["--init "]);
    assert_refused(&["info", "--model", "lenet", "--batch-size", "4294967295"], "--batch-size", &["1048576"]);
    for side in ["0", "65536", "18446744073709551615"] {
        let image = ["info", "--model", "resnet8", "--classes", "10", "--image-size", side];
        assert_refused(&image, "--image-size", &["1024", side]);
    }
    assert_refused(&["train", "--recipe", "resnet7"], "--recipe", &["resnet18-cifar10"]);
    assert_refused(&["train", "--batch-size", "many"], "--batch-size", &[]);
    assert_refused(&["fly"], "fly", &[]);
}

#[test]
fn numbers_are_checked_whatever_the_method() {
    for [option, value, part] in [
        ["--k", "-1", "-1"],
        ["--sigma", "-3", "positive"],
        ["--sigma-decay", "2", "1"],
        ["--sigma-every", "0", "1"],
        ["--min-lr", "0", "positive"],
        ["--clf", "-1", "positive"],
        ["--stop-lr", "0", "positive"],
        ["--updates-per-epoch", "0", "1"],
        ["--stop-update-epoch", "0", "1"],
        ["--gamma", "0", "positive"],
        ["--final-rate", "-1", "-1"],
        ["--beta1", "1", "0 <= beta1 < 1"],
        ["--beta2", "-0.1", "0 <= beta2 < 1"],
        ["--epsilon", "0", "positive"],
        ["--epsilon", "1e-300", "1e-300"],
        ["--clip-norm", "0", "positive"],
        ["--ema", "1", "0 <= decay < 1"],
        ["--ema", "-0.1", "0 <= decay < 1"],
        ["--ema-warmup", "10", "--ema DECAY"],
        ["--bias-warmup", "0", "positive"],
        ["--bias-warmup", "1e300", "1e300"],
        ["--bias-warmup", "0.1", "--warmup-epochs"],
        ["--warmup-momentum", "1", "0 <= momentum < 1"],
        ["--warmup-momentum", "0.8", "--warmup-epochs"],
        ["--clip-norm", "1e-300", "1e-300"],
        ["--jitter", "-1,0,0", "-1"],
        ["--milestones", "-1,2", "-1"],
        ["--train-examples", "0", "0"],
        ["--batch-size", "9007199254740993", "9007199254740993"],
        ["--shift", "200", "127"],
        ["--shift", "300", "127"],
    ] {
        assert_refused(&["schedule", "--method", "conventional", option, value], option, &[part]);
    }
}

#[test]
fn negative_numbers_are_values() {
    let of_run = [
        "--train-examples",
        "--validation",
        "--epochs",
        "--batch-size",
        "--seed",
        "--log-every",
        "--snr-every",
        "--snr-batches",
        "--patience",
        "--updates-per-epoch",
        "--stop-update-epoch",
        "--sigma-every",
        "--steps-per-epoch",
    ];
    let of_run = of_run.map(|option| ("schedule", option));
    let others = [("trace", "--steps"), ("train", "--checkpoint-every"), ("predict", "--top")];
    for (command, option) in of_run.into_iter().chain(others) {
        assert_refused(&[command, option, "-1"], option, &["'-1'", "9223372036854775807"]);
    }
    for (command, option) in [("compare", "--seeds"), ("train", "--keep-checkpoints"), ("schedule", "--shift")] {
        assert_refused(&[command, option, "-1"], option, &["'-1'"]);
    }
}

#[test]
fn rates_that_no_device_holds_are_refused() {
    let reference = ["schedule", "--method", "lerac-reference"];
    for (arguments, option) in [
        (vec!["schedule", "--method", "lerac", "--range", "1e300..1e-300"], "--range"),
        (vec!["schedule", "--method", "lerac", "--range", "1e-1..1e-300"], "--range"),
        (vec!["schedule", "--eta", "1e300"], "--eta"),
        (vec!["schedule", "--eta", "1e-300"], "--eta"),
        ([&reference[..], &["--clf", "1e-300"]].concat(), "--min-lr"),
        ([&reference[..], &["--stop-lr", "1e300"]].concat(), "--stop-lr"),
        (vec!["schedule", "--schedule", "step", "--milestones", "1,2", "--gamma", "1e-100"], "--gamma"),
        (vec!["schedule", "--schedule", "step", "--milestones", "1,2", "--gamma", "1e100"], "--gamma"),
    ] {
        assert_refused(&arguments, option, &["1.2e-38", "3.4e38"]);
    }
    let far = stdout(&["schedule", "--method", "lerac", "--range", "3e38..2e-38"]);
    assert!(far.contains("3.00e38") && far.contains("2.00e-38") && !far.contains("inf"), "{far}");
}

#[test]
fn schedules_require_their_options() {
    assert_refused(&["schedule", "--schedule", "step"], "--milestones", &["30,60"]);
    assert_refused(&["schedule", "--schedule", "plateau"], "--schedule", &["validation", "layers.csv"]);
    let plateau = ["train", "--schedule", "plateau"];
    assert_refused(&[&plateau[..], &["--validation", "0"]].concat(), "--schedule", &["--validation 0"]);
    assert_refused(&[&plateau[..], &["--gamma", "1"]].concat(), "--gamma", &["1"]);
}

#[test]
fn errors_of_a_grid_name_the_option() {
    let lerac = ["compare", "--methods", "lerac"];
    for (more, option) in [
        (["--methods", "lerac,lerac"], "--methods"),
        (["--ks", "1,1"], "--ks"),
        (["--ks", "0"], "--ks"),
        (["--ks", "-1,2"], "--ks"),
        (["--ks", "1,99"], "--ks"),
        (["--ranges", "1e-1..1e-2,1e-1..1e-2"], "--ranges"),
    ] {
        let arguments: Vec<&str> = match more[0] {
            "--methods" => vec!["compare", more[0], more[1]],
            _ => [&lerac[..], &more].concat(),
        };
        assert_refused(&arguments, option, &[]);
    }
    assert_refused(&["bench", "step", "--models", "none"], "--models", &["resnet8"]);
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    for (text, names) in [
        ("epochs = 3\nmodle = \"cnn\"\n", ["line 2", "modle"]),
        ("epochs = \"three\"\n", ["line 1", "three"]),
        ("epochs = 3\neta = = 1\n", ["line 2", ""]),
        ("range = \"1e-8..1e-1\"\n", ["line 1", "1e-1..1e-8"]),
    ] {
        let (_dir, path) = config_file(text);
        assert_refused(&["schedule", "--config", &path], &path, &names);
    }
    assert_refused(&["schedule", "--config", "/nowhere.toml"], "/nowhere.toml", &[]);
    for (text, at, names) in [
        ("eta = 0.1\n[grid]\nmethds = [\"cbs\"]\n", "run.toml", ["line 3", "methds"]),
        ("[grid]\nmethods = [\"sgd\"]\n", "run.toml", ["line 2", "sgd"]),
        ("eta = 0.1\n\n[grid]\nseeds = -1\n", "run.toml", ["line 4", "-1"]),
        ("[grid]\nmethods = []\n", "--methods", ["", ""]),
    ] {
        let (_dir, path) = config_file(text);
        assert_refused(&["compare", "--config", &path], at, &names);
    }
}

#[test]
fn variables_of_wgpu_choose_the_adapter() {
    let with = |variable: &str, value: &str| {
        command(&["info"]).env_remove("LERAC_ADAPTER").env(variable, value).output().unwrap()
    };
    let none = with("WGPU_BACKEND", "gl");
    assert_eq!(none.status.code(), Some(1), "{}", stderr(&none));
    assert_contains(&stderr(&none), &["WGPU_BACKEND=gl", "vulkan"]);
    if !lerac(&["info"]).status.success() {
        return;
    }
    let absent = with("WGPU_ADAPTER_NAME", "no such card");
    assert_contains(&stderr(&absent), &["WGPU_ADAPTER_NAME=\"no such card\""]);
    // A name that all adapters contain; and the own variable and the option come first.
    assert!(with("WGPU_ADAPTER_NAME", "").status.success());
    let own = command(&["info"]).env("WGPU_ADAPTER_NAME", "no such card").env("LERAC_ADAPTER", "0").output().unwrap();
    assert!(own.status.success(), "{}", stderr(&own));
}

#[test]
fn without_an_adapter_the_error_names_packages() {
    // A Vulkan loader without a driver finds no adapter. On other systems there still is one.
    let empty = tempfile::tempdir().unwrap();
    let output = command(&["info"])
        .env("VK_DRIVER_FILES", Path::new(empty.path()).join("none.json"))
        .env("VK_ICD_FILENAMES", Path::new(empty.path()).join("none.json"))
        .output()
        .unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_contains(&stderr(&output), &["mesa-vulkan-drivers", "Fedora", "macOS", "Windows"]);
    }
}
