//! Sounds on the command line: training, predictions, evaluation, a run that continues, folds,
//! traces and pictures.

use crate::common::program::{assert_refused, assert_same_files, command, json, kill_after_a_checkpoint, stdout};
use crate::common::sounds::esc50;
use crate::common::{Test, test};
use lerac::gpu::Gpu;
use std::fs;
use std::path::Path;

/// Small spectrograms: 16 bands and 16 frames of clips of a quarter of a second.
const SMALL: [&str; 12] = [
    "--sample-rate",
    "8000",
    "--duration",
    "0.25",
    "--n-fft",
    "256",
    "--window-length",
    "256",
    "--hop",
    "128",
    "--mel-bands",
    "16",
];

const SHORT: [&str; 10] =
    ["--model", "cnn", "--batch-size", "8", "--validation", "0", "--optimizer", "adam", "--eta", "1e-2"];

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn options<'o>(command: &'o str, dir: &'o str, more: &[&'o str]) -> Vec<&'o str> {
    [&[command, "--quiet", "--data", "esc50", "--data-dir", dir], &SMALL[..], &SHORT, more].concat()
}

/// Two kinds of tones are told apart, and the weights are enough to predict and to evaluate.
fn learns_and_predicts(_: &Gpu) {
    let (dir, away) = (esc50(), tempfile::tempdir().unwrap());
    let (data, out) = (text(dir.path()), text(&away.path().join("run")));
    stdout(&options("train", &data, &["--fold", "2", "--epochs", "6", "--out", &out]));
    let config = fs::read_to_string(Path::new(&out).join("config.toml")).unwrap();
    for line in ["fold = 2", "sample-rate = 8000", "hop = 128", "mel-scale = \"slaney\"", "centred = true"] {
        assert!(config.lines().any(|found| found == line), "{line:?} is not in {config}");
    }
    let init = format!("{out}/model.safetensors");
    for (file, class) in [("2-0-A-3.wav", "low"), ("2-1-A-7.wav", "high")] {
        let clip = text(&dir.path().join("audio").join(file));
        let found = json(&["predict", "--init", &init, "--json", &clip]);
        assert_eq!(found["classes"][0]["class"], class, "{found}");
        assert!(found["sound"].as_str().unwrap().ends_with(file), "{found}");
    }
    let evaluated = json(&["eval", "--init", &init, "--data-dir", &data, "--json"]);
    assert_eq!((evaluated["test_accuracy"].as_f64(), evaluated["test_examples"].as_u64()), (Some(1.0), Some(8)));
    assert_refused(&["eval", "--init", &init, "--data-dir", &data, "--hop", "64"], "--hop", &["128", "64"]);
    let list = text(&dir.path().join("meta/esc50.csv"));
    assert_refused(&["predict", "--init", &init, &list], "esc50.csv", &["a text"]);
    assert_refused(&["predict", "--init", &init, "--text", "a"], "--data", &["sounds"]);
}

/// A run with every augmentation that is killed continues to the same bytes.
fn continues_to_the_same_bytes(_: &Gpu) {
    let dir = esc50();
    let data = text(dir.path());
    let out = |name: &str| text(&dir.path().join(name));
    let (whole, cut) = (out("whole"), out("cut"));
    let changes = ["--noise", "0.2", "--time-shift", "0.1", "--speed", "10", "--mask-bands", "4", "--mask-frames", "4"];
    let more = ["--mixup", "0.2", "--epochs", "4", "--log-every", "3", "--checkpoint-every", "2", "--out"];
    let run = |out| command(&options("train", &data, &[&changes[..], &more, &[out]].concat())).spawn().unwrap();
    assert!(run(&whole).wait().unwrap().success());
    kill_after_a_checkpoint(run(&cut), &cut);
    stdout(&["resume", &cut, "--quiet"]);
    assert_same_files(&whole, &cut, &["metrics.csv", "layers.csv", "predictions.csv", "model.safetensors"]);
}

/// All five folds are run, and the score of a method is the mean over them.
fn folds_are_compared(_: &Gpu) {
    let dir = esc50();
    let (data, out) = (text(dir.path()), text(&dir.path().join("folds")));
    let cache = text(&dir.path().join("sounds.cache"));
    let grid = ["--methods", "conventional,uniform", "--folds", "--epochs", "1", "--cache", &cache, "--out", &out];
    let printed = stdout(&options("compare", &data, &grid));
    assert!(printed.contains("the mean over 5 folds"), "{printed}");
    let read = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let compared: serde_json::Value = serde_json::from_str(&read("compare.json")).unwrap();
    let results = read("results.csv");
    assert_eq!(results.lines().count(), 11, "{results}");
    assert!(results.starts_with("method,seed,fold,test_accuracy,"), "{results}");
    for arm in compared["arms"].as_array().unwrap() {
        let folds = arm["fold_scores"].as_array().unwrap();
        let scores: Vec<f64> = folds.iter().map(|fold| fold[1].as_f64().unwrap()).collect();
        assert_eq!(scores.len(), 5);
        let mean = scores.iter().sum::<f64>() / 5.0;
        approx::assert_relative_eq!(arm["test_score"].as_f64().unwrap(), mean, max_relative = 1e-12);
        assert_eq!(arm["test_scores"].as_array().unwrap().len(), 1, "one seed");
    }
    assert!(read("report.html").contains("the mean over 5 folds"));
    assert!(Path::new(&out).join("uniform-seed0-fold5/config.toml").exists());
    assert_refused(&options("compare", &data, &["--folds", "--fold", "2"]), "--fold", &["--folds"]);
    assert_refused(&["compare", "--folds", "--data", "shapes"], "--folds", &["esc50", "shapes"]);
}

fn traced_and_drawn(_: &Gpu) {
    let dir = esc50();
    let (data, out) = (text(dir.path()), text(&dir.path().join("trace")));
    let small = options("trace", &data, &["--out", &out]);
    let small: Vec<&str> = small.into_iter().filter(|option| *option != "--quiet").collect();
    stdout(&small);
    assert!(Path::new(&out).join("trace.json").exists());
    let png = text(&dir.path().join("clips.png"));
    let told = stdout(&["info", "--data", "esc50", "--data-dir", &data, "--hop", "512", "--plot", &png]);
    assert!(
        told.contains("32 training clips") && told.contains("2 classes") && told.contains("x 431 frames"),
        "{told}"
    );
    let picture = image::open(&png).unwrap().into_rgb8();
    assert_eq!(picture.width(), 1600);
    assert_refused(&["info", "--data", "shapes", "--plot", &png], "--plot", &["sounds", "shapes"]);
    let told = stdout(&["info", "--model", "densenet121", "--data", "esc50", "--data-dir", &data]);
    assert!(told.contains("densenet121 on esc50"), "{told}");
}

pub fn tests() -> Vec<Test> {
    vec![
        test("sounds: learns and predicts", learns_and_predicts),
        test("sounds: a run that continues", continues_to_the_same_bytes),
        test("sounds: folds are compared", folds_are_compared),
        test("sounds: trace and pictures", traced_and_drawn),
    ]
}
