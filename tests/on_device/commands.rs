//! The command line, where it trains.

use crate::common::errors::assert_contains;
use crate::common::program::{assert_blames, assert_refused, command, json, lerac, refusal, stderr, stdout};
use crate::common::{Test, test};
use crate::weights::foreign_weights_are_read;
use lerac::data::{Examples, Source};
use lerac::records::RunDir;
use std::collections::HashMap;
use std::path::Path;

const SHORT: &[&str] =
    &["--train-images", "320", "--validation", "80", "--batch-size", "32", "--epochs", "2", "--log-every", "4"];

fn training_leaves_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let to = ["--out", out.to_str().unwrap()];
    let printed = stdout(&[&["train", "--method", "lerac", "--quiet"], SHORT, &to].concat());
    assert_eq!(printed.lines().count(), 1, "{printed}");
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!((summary["steps"].as_u64(), summary["test_examples"].as_u64()), (Some(20), Some(1000)));
    for key in ["seconds", "examples_per_second", "device_bytes"] {
        assert!(summary[key].as_f64().unwrap() > 0.0, "{key}");
    }
    let rows = |name: &str| std::fs::read_to_string(out.join(name)).unwrap().lines().count();
    // Steps 4, 8, 10 of the first epoch and 12, 16, 20 of the second; one row per epoch; four
    // layers.
    assert_eq!((rows("metrics.csv"), rows("layers.csv")), (1 + 6 + 2, 1 + 6 * 4));
    let mut metrics = csv::Reader::from_path(out.join("metrics.csv")).unwrap();
    let metrics: Vec<HashMap<String, String>> = metrics.deserialize().map(Result::unwrap).collect();
    let number = |row: &HashMap<String, String>, key: &str| row[key].parse::<f64>().unwrap();
    // An epoch's row is the mean of three intervals, weighted by their steps: 4, 4 and 2 in the
    // first epoch, 2, 4 and 4 in the second.
    for (rows, parts) in metrics.chunks_exact(4).zip([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]) {
        let (whole, intervals) = rows.split_last().unwrap();
        assert_eq!(whole["kind"], "epoch");
        for key in ["train_loss", "train_accuracy"] {
            let mean: f64 = intervals.iter().zip(parts).map(|(row, part)| part * number(row, key)).sum();
            approx::assert_relative_eq!(number(whole, key), mean, max_relative = 1e-6);
        }
    }
    let validation = |row: &HashMap<String, String>| row["validation_accuracy"].parse::<f64>().ok();
    let best = metrics.iter().filter_map(validation).fold(0.0, f64::max);
    assert_eq!(summary["validation_accuracy"].as_f64(), Some(best));
    for picture in ["curves.png", "rates.png", "effective.png"] {
        assert!(image::open(out.join(picture)).unwrap().width() >= 1000);
    }
    let mut layers = csv::Reader::from_path(out.join("layers.csv")).unwrap();
    for row in layers.deserialize::<HashMap<String, String>>() {
        let row = row.unwrap();
        let (update, weight) = (number(&row, "update_norm"), number(&row, "weight_norm"));
        assert!(number(&row, "gradient_norm") > 0.0 && update > 0.0 && weight > update, "{row:?}");
        approx::assert_relative_eq!(number(&row, "effective_rate"), update / weight, max_relative = 1e-9);
    }
    let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(weights.tensor("conv2.weight").unwrap().shape(), [32, 16, 3, 3]);
    let trained: usize =
        weights.tensors().iter().filter(|(name, _)| !name.contains("running")).map(|(_, t)| t.data().len() / 4).sum();
    assert_eq!(trained, 24_346);

    let again = dir.path().join("again");
    let config = out.join("config.toml");
    stdout(&["train", "--quiet", "--config", config.to_str().unwrap(), "--out", again.to_str().unwrap()]);
    let same = |name: &str| std::fs::read(out.join(name)).unwrap() == std::fs::read(again.join(name)).unwrap();
    assert!(same("config.toml") && same("layers.csv"), "config.toml repeats the run");
    let weights_again = std::fs::read(again.join("model.safetensors")).unwrap();
    assert!(bytes == weights_again, "the same run gives the same weights");
    // A finished run is not overwritten.
    assert_refused(&[&["train"], SHORT, &to].concat(), "--out", &[]);
}

fn parsed(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn adapters_are_listed() {
    let report = json(&["info", "--json"]);
    let adapters = report["adapters"].as_array().unwrap();
    let chosen = report["chosen"].as_u64().unwrap() as usize;
    assert_eq!(adapters[chosen]["index"].as_u64(), report["chosen"].as_u64());
    assert!(report["limits"]["binding_bytes"].as_u64().unwrap() >= 128 << 20, "{report}");
    assert!(report["timestamps"].is_boolean() && report["version"].is_string(), "{report}");
    let table = stdout(&["info"]);
    assert!(table.contains(&format!("*{chosen}")), "{table}");
    let name = adapters[chosen]["name"].as_str().unwrap();
    assert!(table.contains(&name[..name.len().min(12)]), "{table}");
}

fn results_and_profiles_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let short =
        ["--model", "lenet", "--train-images", "96", "--validation", "16", "--batch-size", "32", "--epochs", "1"];
    let arguments = [&["train", "--json", "--profile", "--out", out.to_str().unwrap()], &short[..]].concat();
    let output = lerac(&arguments);
    let errors = stderr(&output);
    assert!(output.status.success(), "{errors}");
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!((printed["steps"].as_u64(), &printed), (Some(3), &written));
    // A row for each record of lenet in each direction.
    for part in ["| conv1 ", "| pool2 ", "| fc3 ", "forward", "backward", "cross_entropy", "| all parameters "] {
        assert!(errors.contains(part), "the profile lacks {part:?}: {errors}");
    }
    assert!(!out.join("noise.csv").exists(), "noise is measured without --snr-every");
}

/// With `--overwrite` a run replaces the files of its own names, and no others. It writes all of
/// [`RunDir::FILES`] but the list of skipped files, of which an earlier one is removed.
fn files_of_others_are_replaced_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let others = RunDir::FILES.into_iter().chain(["notes.txt"]);
    // A summary would mark a finished run.
    let written = others.clone().filter(|name| *name != "summary.json");
    written.for_each(|name| std::fs::write(dir.path().join(name), "of others").unwrap());
    let noise = ["train", "--quiet", "--snr-every", "6", "--snr-batches", "2", "--out", dir.path().to_str().unwrap()];
    assert_refused(&[&noise[..], SHORT].concat(), "--out", &["classes.txt", "--overwrite"]);
    stdout(&[&noise[..], SHORT, &["--overwrite"]].concat());
    // Images need no files next to the weights.
    let others = others.filter(|name| !RunDir::COMPANIONS.contains(name));
    let mut expected: Vec<String> = others.map(str::to_owned).collect();
    let entries = std::fs::read_dir(dir.path()).unwrap();
    let mut found: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    found.retain(|name| name != ".lock");
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    for name in found {
        assert_eq!(std::fs::read(dir.path().join(&name)).unwrap() == b"of others", name == "notes.txt", "{name}");
    }
}

fn noise_is_written_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let noise = ["train", "--quiet", "--snr-every", "6", "--snr-batches", "2", "--out", out.to_str().unwrap()];
    stdout(&[&noise[..], SHORT].concat());
    let mut reader = csv::Reader::from_path(out.join("noise.csv")).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["step", "epoch", "depth", "layer", "signal_to_noise"]);
    let rows: Vec<(u64, f64, usize, String, f64)> = reader.deserialize().map(Result::unwrap).collect();
    let layers = ["conv1", "conv2", "conv3", "linear"];
    assert_eq!(rows.len(), 4 * layers.len());
    // Measured at steps 0, 6, 12 and 18 of 20; ten steps an epoch.
    for (i, (step, epoch, depth, layer, ratio)) in rows.into_iter().enumerate() {
        assert_eq!((step, depth, layer.as_str()), (6 * (i / 4) as u64, i % 4 + 1, layers[i % 4]));
        approx::assert_relative_eq!(epoch, step as f64 / 10.0);
        assert!(ratio > 0.0 && ratio.is_finite(), "{layer} at step {step}: {ratio}");
    }
    assert!(image::open(out.join("noise.png")).unwrap().width() >= 1000);
}

/// With an empty driver cache, kernels are compiled on several devices. The run is the same.
fn a_first_run_is_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, cache: &Path| {
        let out = dir.path().join(name);
        let mut command = command(&["train", "--quiet", "--model", "lenet", "--out", out.to_str().unwrap()]);
        command.args(SHORT);
        let status = command.env("MESA_SHADER_CACHE_DIR", cache).env("LERAC_CACHE", cache).status().unwrap();
        assert!(status.success(), "{name}: {status}");
        ["metrics.csv", "layers.csv", "model.safetensors"].map(|file| std::fs::read(out.join(file)).unwrap())
    };
    let cache = dir.path().join("cache");
    let first = run("first", &cache);
    assert!(first == run("again", &cache), "compiled kernels change the run");
    assert!(first == run("elsewhere", &dir.path().join("other")), "a fresh cache changes the run");
}

/// Saved weights are loaded again: the test set gives the same result, an image is classified as
/// before, and weights that do not fit are rejected.
fn weights_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    // A blur that fades depends on the step, so this tests that the step is restored.
    let method = ["--method", "lerac-cbs", "--sigma-every", "1", "--sigma-decay", "0.5"];
    stdout(&[&["train", "--quiet", "--out", out.to_str().unwrap()], &method[..], SHORT].concat());
    let (config, weights) = (out.join("config.toml"), out.join("model.safetensors"));
    let (config, weights) = (config.to_str().unwrap(), weights.to_str().unwrap());
    let from = ["--config", config, "--init", weights];
    let found = json(&[&["eval", "--json"], &from[..]].concat());
    let summary = parsed(&std::fs::read_to_string(out.join("summary.json")).unwrap());
    for key in ["test_accuracy", "test_top5", "test_loss", "test_examples"] {
        assert_eq!(found[key], summary[key], "{key}");
    }
    // The batch size may exceed the training set. The blur is that of the weights' step.
    let batches = json(&[&["eval", "--json", "--batch-size", "500"], &from[..]].concat());
    let loss = |value: &serde_json::Value| value["test_loss"].as_f64().unwrap();
    approx::assert_relative_eq!(loss(&batches), loss(&summary), max_relative = 1e-5);

    let set = Source { name: "shapes", ..Source::default() }.open_pictures(&mut |_| ()).unwrap().test;
    let predictions = std::fs::read_to_string(out.join("predictions.csv")).unwrap();
    for (i, row) in predictions.lines().skip(1).take(3).enumerate() {
        let picture = dir.path().join(format!("{i}.png"));
        let bytes = set.image(i).unwrap();
        let at = |x: u32, y: u32, c: usize| bytes[(c * 32 + y as usize) * 32 + x as usize];
        let pixels = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([0, 1, 2].map(|c| at(x, y, c))));
        pixels.save(&picture).unwrap();
        let predict = ["predict", picture.to_str().unwrap(), "--json", "--top", "2", "--batch-size", "500"];
        let line = json(&[&predict[..], &from].concat());
        let predicted: usize = row.rsplit(',').next().unwrap().parse().unwrap();
        assert_eq!(line["classes"][0]["class"], set.form().classes()[predicted]);
        assert!(line["classes"][0]["probability"].as_f64() >= line["classes"][1]["probability"].as_f64());
        assert_eq!(line["classes"].as_array().unwrap().len(), 2);
    }

    let (cut, mut jpeg) = (dir.path().join("cut.jpg"), std::io::Cursor::new(vec![]));
    image::open(dir.path().join("0.png")).unwrap().write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    std::fs::write(&cut, &jpeg.get_ref()[..jpeg.get_ref().len() - 2]).unwrap();
    assert_refused(&[&["predict", cut.to_str().unwrap()], &from[..]].concat(), "cut.jpg", &[", byte "]);

    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let unusual = dir.path().join(std::ffi::OsStr::from_bytes(b"n\xff.png"));
        std::fs::copy(dir.path().join("0.png"), &unusual).unwrap();
        let predict = command(&["predict", "--json"]).args(from).arg(unusual).output();
        let line = parsed(&String::from_utf8(predict.unwrap().stdout).unwrap());
        assert!(line["image"].as_str().unwrap().ends_with("n\u{fffd}.png"), "{line}");
    }

    let again = dir.path().join("again");
    let tuned = [&["train", "--quiet", "--out", again.to_str().unwrap(), "--init", weights], SHORT].concat();
    stdout(&tuned);
    let other = dir.path().join("other");
    let more = ["train", "--quiet", "--out", other.to_str().unwrap(), "--init", weights, "--model", "resnet8"];
    assert_refused(&[&more[..], SHORT].concat(), "--init", &["model.safetensors", "resnet8", "--init-partial"]);
    let partial = lerac(&[&more[..], &["--init-partial"], SHORT].concat());
    assert!(partial.status.success(), "{}", stderr(&partial));
    let said = stderr(&partial);
    let parts = ["layer1.0.conv1.weight", "7 taken: ", "40 not in the file", "10 in the file only: "];
    assert_contains(&said, &parts);
    foreign_weights_are_read(dir.path(), config, weights);

    let refused = |file: &str, bytes: &[u8], names: &[&str]| {
        let path = dir.path().join(file);
        std::fs::write(&path, bytes).unwrap();
        assert_refused(&["eval", "--config", config, "--init", path.to_str().unwrap()], file, names);
    };
    let bytes = std::fs::read(weights).unwrap();
    refused("short.safetensors", &bytes[..bytes.len() - 1], &["safetensors"]);
    let mut nan = bytes.clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    refused("nan.safetensors", &nan, &["NaN", "finite"]);
    // The last tensor by name is the running variance of the last norm.
    let mut negative = bytes.clone();
    negative[end - 4..].copy_from_slice(&(-1f32).to_le_bytes());
    refused("negative.safetensors", &negative, &["running_var", "-1"]);
    // Finite weights may give logits that are not finite.
    let huge = dir.path().join("huge.safetensors");
    let mut model = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
    let beyond = [0xff, 0xff, 0x7f, 0x7f].repeat(640);
    for (name, view) in &mut model {
        if name == "linear.weight" {
            *view = safetensors::tensor::TensorView::new(view.dtype(), view.shape().to_vec(), &beyond).unwrap();
        }
    }
    std::fs::write(&huge, safetensors::serialize(model, None).unwrap()).unwrap();
    let picture = dir.path().join("0.png");
    let beyond = ["predict", picture.to_str().unwrap(), "--config", config, "--init", huge.to_str().unwrap()];
    assert_refused(&beyond, "0.png", &["not finite"]);
    let text = "conv1.weight";
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let mut renamed = bytes.clone();
    renamed[at..at + text.len()].copy_from_slice(b"conv9.weight");
    let path = dir.path().join("renamed.safetensors");
    std::fs::write(&path, &renamed).unwrap();
    let names = ["renamed.safetensors", "conv1.weight", "conv9.weight", "cnn"];
    let other = ["eval", "--config", config, "--init", path.to_str().unwrap()];
    assert_refused(&other, "--init", &names);
    assert!(!refusal(&other).contains("--init-partial"));
    let without = ["eval", "--data", "shapes", "--model", "resnet8", "--init", weights];
    assert_refused(&without, "--init", &["--config FILE"]);
    assert_refused(&["eval", "--config", config], "--init", &[]);
    let head = ["eval", "--config", config, "--init", weights, "--model", "resnet8", "--init-partial"];
    assert_refused(&head, "--init", &["layer1.0.bn1.bias", "all weights"]);
    assert_refused(&[&["predict", weights], &from[..]].concat(), "model.safetensors", &["image"]);
}

/// Folders of images of several sizes, in two classes: bright above or below.
pub fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 24), ("val", 6)] {
        for (class, light) in [("above", 0), ("below", 1)] {
            let folder = dir.path().join(part).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                let (width, height) = (20 + i, 40 - i);
                let image = image::RgbImage::from_fn(width, height, |x, y| {
                    let bright = (2 * y >= height) == (light == 1);
                    image::Rgb([if bright { 200 + x as u8 } else { 2 * i as u8 }; 3])
                });
                let name = if i % 2 == 0 { "png" } else { "jpg" };
                image.save(folder.join(format!("{i}.{name}"))).unwrap();
            }
        }
    }
    dir
}

/// Every command works with image folders. Results with and without a cache are identical.
fn folders_are_trained_on() {
    let dir = folder();
    let root = dir.path().to_str().unwrap();
    let (out, cached, cache) = (format!("{root}/run"), format!("{root}/cached"), format!("{root}/cache"));
    let data = ["--data", "imagefolder", "--data-dir", root, "--image-size", "16"];
    let short =
        ["--epochs", "4", "--batch-size", "8", "--validation", "8", "--model", "cnn", "--eta", "0.05", "--flip"];
    let options = [&data[..], &short].concat();
    stdout(&[&["train", "--quiet", "--out", &out], &options[..]].concat());
    stdout(&[&["train", "--quiet", "--out", &cached, "--cache", &cache], &options[..]].concat());
    let read = |dir: &str, name: &str| std::fs::read(Path::new(dir).join(name)).unwrap();
    for name in ["metrics.csv", "predictions.csv"] {
        assert!(read(&out, name) == read(&cached, name), "{name} differs with a cache");
    }
    let (config, weights) = (format!("{out}/config.toml"), format!("{out}/model.safetensors"));
    let from = ["--config", config.as_str(), "--init", &weights];
    let found = json(&[&["eval", "--json"], &from[..]].concat());
    assert_eq!(found["test_examples"].as_u64(), Some(12));
    let predictions = String::from_utf8(read(&out, "predictions.csv")).unwrap();
    // The first image of the test set, classified by the run and by `predict`.
    let picture = format!("{root}/val/above/0.png");
    let line = json(&[&["predict", picture.as_str(), "--json"], &from[..]].concat());
    let class = ["above", "below"][predictions.lines().nth(1).unwrap().ends_with(",1") as usize];
    assert_eq!(line["classes"][0]["class"], class);

    let table = stdout(&[&["info", "--model", "cnn"], &data[..]].concat());
    assert_contains(&table, &["cnn", "imagefolder"]);
    let grid = format!("{root}/grid");
    let compared = [&["compare", "--quiet", "--methods", "conventional,lerac", "--out", &grid], &options[..]].concat();
    assert_contains(&stdout(&compared), &["12 test examples"]);
    let speed = json(&[&["bench", "loader", "--runs", "1", "--batch-size", "8", "--json"], &data[..]].concat());
    assert_eq!(speed["rows"][0]["data"], "imagefolder");

    // A bad image is an error that names its file, or is left out.
    std::fs::write(format!("{root}/train/above/30.jpg"), b"no image").unwrap();
    let bad = format!("{root}/bad");
    let again = [&["train", "--quiet", "--out", &bad], &options[..]].concat();
    assert_refused(&again, "train/above/30.jpg", &["PNG", "JPEG", "--skip-bad"]);
    let skipped = format!("{root}/skipped");
    let varied = ["--random-resized-crop", "0.3", "--jitter", "0.2,0.2,0.2", "--cutout", "4", "--normalise", "data"];
    let output = lerac(&[&["train", "--quiet", "--out", &skipped, "--skip-bad"], &options[..], &varied].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_contains(&stderr(&output), &["1 bad files", "train/above/30.jpg"]);
    let table = std::fs::read_to_string(format!("{skipped}/skipped.csv")).unwrap();
    assert!(table.starts_with("file,reason\n\"train/above/30.jpg\",") && table.lines().count() == 2, "{table}");
}

fn comparing_pairs_its_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let arguments = ["compare", "--methods", "conventional,lerac,cbs", "--seeds", "2", "--quiet", "--out", out];
    let table = stdout(&[&arguments[..], SHORT].concat());
    for method in ["conventional", "lerac", "cbs"] {
        assert!(table.contains(method), "{table}");
        for seed in 0..2 {
            assert!(dir.path().join(format!("{method}-seed{seed}/summary.json")).exists());
        }
    }
    let result: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("compare.json")).unwrap()).unwrap();
    let methods = result["arms"].as_array().unwrap();
    assert_eq!(methods[0]["relative_time"].as_f64(), Some(1.0));
    for method in methods {
        let accuracy_of = |seed: u64| {
            let name = format!("{}-seed{seed}/summary.json", method["arm"].as_str().unwrap());
            let summary: serde_json::Value =
                serde_json::from_slice(&std::fs::read(dir.path().join(name)).unwrap()).unwrap();
            summary["test_accuracy"].as_f64().unwrap()
        };
        let accuracies = [accuracy_of(0), accuracy_of(1)];
        assert_eq!(method["test_scores"], serde_json::json!(accuracies));
    }
    assert!(image::open(dir.path().join("compare.png")).unwrap().width() >= 1000);
    assert_eq!(std::fs::read_to_string(dir.path().join("results.csv")).unwrap().lines().count(), 1 + 3 * 2);
    let report = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    for part in ["<h2>Result</h2>", "conventional", "lerac", "data:image/png;base64,", "lerac compare --methods"] {
        assert!(report.contains(part), "report.html lacks {part:?}");
    }
    assert!(!report.contains("http://") && !report.contains("https://") && !report.contains("<script"));
    assert_contains(&report, &["<h2>Classes</h2>", "Matthews", "<h2>Where methods disagree</h2>"]);
    assert!(!report.contains("<h2>Lengths</h2>"), "images have no lengths");

    // Finished runs are not run again; a missing run is, with the same result.
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let (before, weights) = (read("compare.json"), read("lerac-seed1/model.safetensors"));
    std::fs::remove_dir_all(dir.path().join("lerac-seed1")).unwrap();
    stdout(&[&arguments[..], SHORT].concat());
    assert!(weights == read("lerac-seed1/model.safetensors"), "the missing run gives the same weights");
    let accuracies = |bytes: &[u8]| {
        let result: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        result["arms"].as_array().unwrap().iter().map(|arm| arm["test_scores"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(accuracies(&before), accuracies(&read("compare.json")));
    let other = refusal(&[&arguments[..], SHORT, &["--eta", "0.01"]].concat());
    assert_contains(&other, &["eta: 0.1 ", "0.01"]);
    assert!(!other.contains("--force"), "a finished run cannot be resumed: {other}");

    let table = dir.path().join("cbs-seed0/layers.csv");
    std::fs::write(&table, "").unwrap();
    assert_refused(&[&arguments[..], SHORT].concat(), "cbs-seed0/layers.csv", &[", byte 0: "]);
}

fn invalid_training_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let to = ["--out", out.to_str().unwrap()];
    let refused = |options: &[&str], at: &str, names: &[&str]| {
        assert_refused(&[&["train"], options, &to].concat(), at, names);
    };
    refused(&["--batch-size", "100000"], "--batch-size", &[]);
    refused(&["--batch-size", "3000", "--model", "resnet20"], "", &["MiB", "--batch-size "]);
    refused(&["--train-images", "100000"], "--train-examples", &["100000"]);
    refused(&["--train-examples", "3001"], "--train-examples", &["3001", "3000"]);
    refused(&["--validation", "4000"], "--validation", &[]);
    refused(&["--cutout", "33"], "--cutout", &["33", "32x32"]);
    refused(&["--data", "imagefolder", "--data-dir", "/nowhere"], "--data-dir", &["/nowhere"]);
    refused(&["--adapter", "no such card"], "", &["--adapter", "no such card"]);
    refused(&["--adapter", "99"], "", &["--adapter", "99"]);
    let by_variable = stderr(&command(&["info"]).env("LERAC_ADAPTER", "no such card").output().unwrap());
    assert_blames(&by_variable, "LERAC_ADAPTER=\"no such card\"", &[]);
    assert!(!by_variable.contains("--adapter"), "{by_variable}");
    let (taken, file) = (dir.path().join("taken"), dir.path().join("taken/checkpoints"));
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(&file, "").unwrap();
    assert_refused(&["train", "--out", taken.to_str().unwrap()], "taken/checkpoints", &["Not a directory"]);
    let diverges = ["--eta", "1e30", "--train-images", "640", "--log-every"];
    refused(&[&diverges[..], &["1"]].concat(), "", &["loss", "not finite", "step"]);
    let noise = ["20", "--snr-every", "1", "--snr-batches", "2"];
    refused(&[&diverges[..], &noise].concat(), "", &["signal-to-noise"]);
    std::fs::write(dir.path().join("file"), "").unwrap();
    let under_file = dir.path().join("file/run");
    assert_refused(&["train", "--out", under_file.to_str().unwrap()], "file/run", &[]);
    assert!(!Path::new(&out).join("summary.json").exists());
}

fn grids_continue_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().to_str().unwrap();
    let grid = ["compare", "--methods", "conventional,lerac", "--ks", "0.5,1", "--ranges", "1e-1..1e-2,1e29..1e28"];
    let short =
        ["--model", "lenet", "--train-images", "64", "--batch-size", "32", "--epochs", "2", "--validation", "16"];
    let output = lerac(&[&grid[..], &short, &["--quiet", "--log-every", "1", "--out", out]].concat());
    assert_eq!(output.status.code(), Some(1));
    let (table, errors) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    for arm in ["conventional ", "lerac k=0.5 1e-1..1e-2", "lerac k=1 1e-1..1e-2"] {
        assert!(table.contains(arm), "{table}");
    }
    assert!(!table.contains("1e29"), "{table}");
    assert_contains(&errors, &["2 of 5 runs", "lerac k=0.5 1e29..1e28 seed 0", "lerac k=1 1e29..1e28 seed 0"]);
    let report = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_contains(&report, &["Failed", "lerac k=0.5 1e29..1e28"]);
}

fn traces_hold_every_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let to = ["--out", dir.path().to_str().unwrap()];
    let options = [
        "trace",
        "--method",
        "lerac",
        "--train-images",
        "64",
        "--batch-size",
        "8",
        "--validation",
        "0",
        "--epochs",
        "1",
    ];
    stdout(&[&options[..], &["--steps", "2"], &to].concat());
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let (initial, first, second) =
        (read("initial.safetensors"), read("step-0001.safetensors"), read("step-0002.safetensors"));
    let [initial, first, second] =
        [&initial, &first, &second].map(|b| safetensors::SafeTensors::deserialize(b).unwrap());
    let trace: serde_json::Value = serde_json::from_slice(&read("trace.json")).unwrap();
    assert_eq!(trace["steps"].as_array().unwrap().len(), 2);
    assert_eq!(trace["steps"][0]["learning_rates"]["conv1"], 0.1);
    assert_eq!(first.tensor("input.image").unwrap().shape(), [8, 3, 32, 32]);
    assert_eq!(first.tensor("target.label").unwrap().shape(), [8]);
    let parameters: Vec<_> =
        trace["parameters"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(parameters.len(), 11);
    for name in initial.names() {
        let after =
            |step: &safetensors::SafeTensors<'_>| step.tensor(&format!("after.{name}")).unwrap().data().to_vec();
        assert_ne!(initial.tensor(name).unwrap().data(), after(&first), "{name}");
        assert_ne!(after(&first), after(&second), "{name}");
        assert_eq!(first.tensor(&format!("gradient.{name}")).is_ok(), parameters.contains(&name), "{name}");
    }
    // Another trace replaces this one on request only.
    assert_refused(&[&options[..], &["--steps", "2"], &to].concat(), "--out", &["initial.safetensors", "--overwrite"]);
    let to = [&to[..], &["--overwrite"]].concat();
    stdout(&[&options[..], &["--steps", "1"], &to].concat());
    assert_eq!(read("trace.json").windows(7).filter(|word| word == b"\"loss\":").count(), 1);
    assert_refused(&[&options[..], &["--steps", "4", "--eta", "1e30"], &to].concat(), "", &["not finite", "step"]);
    for steps in ["0", "9"] {
        assert_refused(&[&options[..], &["--steps", steps], &to].concat(), "--steps", &["8"]);
    }
}

fn benches_report() {
    let dir = tempfile::tempdir().unwrap();
    let (csv, plot) = (dir.path().join("ops.csv"), dir.path().join("roofline.png"));
    let files = ["--csv", csv.to_str().unwrap(), "--plot", plot.to_str().unwrap()];
    let small = ["--batch-size", "2", "--runs", "1", "--json"];
    let report = json(&[&["bench", "ops", "--models", "cnn"], &small[..], &files].concat());
    assert!(report["peaks"]["gflops"].as_f64().unwrap() > 0.0 && report["peaks"]["gbytes"].as_f64().unwrap() > 0.0);
    let rows = report["rows"].as_array().unwrap();
    let milliseconds = |rows: &[serde_json::Value]| rows.iter().map(|row| row["ms"].as_f64().unwrap()).sum::<f64>();
    let (all, parts) = rows.split_last().unwrap();
    approx::assert_relative_eq!(all["ms"].as_f64().unwrap(), milliseconds(parts), max_relative = 1e-9);
    let conv2 = parts.iter().find(|row| row["record"] == "conv2" && row["direction"] == "forward").unwrap();
    // 2 images of 16x16, 32 channels, 16 x 3x3 taps.
    let operations = conv2["GFLOP/s"].as_f64().unwrap() * conv2["ms"].as_f64().unwrap() * 1e6;
    approx::assert_relative_eq!(operations, 2.0 * (2 * 256 * 32 * 16 * 9) as f64, max_relative = 1e-9);
    let lines = std::fs::read_to_string(csv).unwrap().lines().count();
    assert_eq!(lines, 1 + rows.len());
    assert!(image::open(plot).unwrap().width() >= 1000);

    let report = json(&[&["bench", "step", "--models", "lenet"], &small[..]].concat());
    let methods: Vec<_> =
        report["rows"].as_array().unwrap().iter().map(|row| row["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["conventional", "lerac", "cbs"]);
    let texts = json(&["bench", "step", "--models", "bert-tiny", "--json", "--batch-size", "1", "--runs", "1"]);
    assert_eq!(texts["rows"][0]["model"], "bert-tiny");
    assert!(stdout(&["bench", "loader", "--runs", "1"]).contains("images/s"));
    assert_refused(&["bench", "step", "--plot", "x.png"], "--plot", &[]);
    assert_refused(&["bench", "ops", "--models", "none"], "--models", &[]);
    // Sizes that exceed 32 bits.
    let too_large = ["bench", "ops", "--models", "vgg11_bn", "--batch-size", "16777215"];
    assert_refused(&too_large, "", &["MiB", "--batch-size "]);
    for runs in ["0", "100001"] {
        assert_refused(&["bench", "step", "--runs", runs], "--runs", &[]);
    }
}

fn updates_are_timed() {
    let number = |row: &serde_json::Value, key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of {row}"));
    let report = json(&["bench", "update", "--runs", "1", "--json"]);
    let rows = report["rows"].as_array().unwrap();
    // Four rules, each plain, with clipping and with norms, at five sizes.
    assert_eq!(rows.len(), 4 * 3 * 5);
    for row in rows {
        let alone = !row["optimizer"].as_str().unwrap().contains(',');
        assert!(number(row, "fused ms") > 0.0 && number(row, "GB/s") > 0.0, "{row}");
        assert_eq!((row["per tensor ms"].is_number(), row["per group ms"].is_number()), (alone, alone), "{row}");
        let few = number(row, "tensors") <= 1e3;
        assert_eq!(row["own uniforms ms"].is_number(), alone && few, "{row}");
        if alone {
            let ratio = number(row, "per tensor ms") / number(row, "fused ms");
            approx::assert_relative_eq!(number(row, "per tensor / fused"), ratio, max_relative = 1e-9);
        }
    }

    let report = json(&["bench", "layers", "--runs", "1", "--json"]);
    let rows = report["rows"].as_array().unwrap();
    let found: Vec<_> =
        rows.iter().map(|r| (r["optimizer"].as_str().unwrap(), r["layers"].as_u64().unwrap())).collect();
    let expected = ["sgd", "adam"].map(|name| [1, 10, 100, 1000].map(|layers| (name, layers)));
    assert_eq!(found, expected.concat());
    for row in rows {
        // There is only one pair of times.
        let ratio = number(row, "a rate per layer ms") / number(row, "one rate ms");
        approx::assert_relative_eq!(number(row, "ratio"), ratio, max_relative = 1e-9);
    }
}

pub fn tests() -> Vec<Test> {
    vec![
        test("commands: training leaves its files and repeats", |_| training_leaves_its_files()),
        test("commands: a first run is like any other", |_| a_first_run_is_like_any_other()),
        test("commands: weights are read again", |_| weights_are_read_again()),
        test("commands: folders are trained on", |_| folders_are_trained_on()),
        test("commands: comparing pairs its seeds", |_| comparing_pairs_its_seeds()),
        test("commands: grids continue after a failure", |_| grids_continue_after_a_failure()),
        test("commands: traces hold every tensor", |_| traces_hold_every_tensor()),
        test("commands: benches report", |_| benches_report()),
        test("commands: updates are timed", |_| updates_are_timed()),
        test("commands: adapters are listed", |_| adapters_are_listed()),
        test("commands: results and profiles are printed", |_| results_and_profiles_are_printed()),
        test("commands: files of others are replaced on request", |_| files_of_others_are_replaced_on_request()),
        test("commands: noise is written and drawn", |_| noise_is_written_and_drawn()),
        test("commands: invalid training is an error", |_| invalid_training_is_an_error()),
    ]
}
