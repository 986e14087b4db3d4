//! What a model needs to be used travels with its weights: predictions without the data, and data
//! that differ from those of the weights.

use crate::commands::folder;
use crate::common::program::{assert_refused, json, stdout};
use crate::common::{Test, test};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Writes a copy of weights without metadata, as PyTorch does.
fn without_metadata(from: &Path, to: &Path) {
    let bytes = fs::read(from).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
    fs::write(to, safetensors::serialize(tensors, None::<HashMap<_, _>>).unwrap()).unwrap();
}

fn the_weights_are_enough() {
    let dir = folder();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (root, away) = (text(dir.path()), tempfile::tempdir().unwrap());
    let out = text(&away.path().join("run"));
    let data = ["--data", "imagefolder", "--data-dir", &root];
    let input = ["--image-size", "16", "--resize", "20", "--normalise", "data"];
    let short = ["--epochs", "3", "--batch-size", "8", "--validation", "8", "--model", "cnn", "--eta", "0.05"];
    let blur = ["--method", "cbs", "--sigma-every", "1", "--sigma-decay", "0.5"];
    stdout(&[&["train", "--quiet", "--out", &out], &data[..], &input, &short, &blur].concat());
    let weights = away.path().join("moved.safetensors");
    fs::copy(Path::new(&out).join("model.safetensors"), &weights).unwrap();
    let weights = text(&weights);
    let read = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let (predictions, summary) = (read("predictions.csv"), read("summary.json"));
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();

    // The test images in the order of the set: by class, by name.
    let mut images: Vec<_> = ["above", "below"]
        .iter()
        .flat_map(|class| fs::read_dir(dir.path().join("val").join(class)).unwrap())
        .map(|entry| text(&entry.unwrap().path()))
        .collect();
    images.sort();
    let predict = |more: &[&str]| {
        let lines = stdout(
            &[&["predict", "--json"], &images.iter().map(String::as_str).collect::<Vec<_>>()[..], more].concat(),
        );
        lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let lines = predict(&["--init", &weights]);
    assert_eq!(lines.len(), 12);
    for (line, row) in lines.iter().zip(predictions.lines().skip(1)) {
        let class = ["above", "below"][row.ends_with(",1") as usize];
        assert_eq!(line["classes"][0]["class"], class, "{row}");
    }
    let evaluate = |root: &str| json(&["eval", "--json", "--init", &weights, "--data-dir", root]);
    let same = |found: serde_json::Value| {
        for key in ["test_accuracy", "test_loss", "test_examples"] {
            assert_eq!(found[key], summary[key], "{key}");
        }
    };
    same(evaluate(&root));

    // Files without metadata need the options, and get the same result with them.
    let bare = text(&away.path().join("bare.safetensors"));
    without_metadata(Path::new(&weights), Path::new(&bare));
    assert_refused(
        &["predict", "--init", &bare, &images[0]],
        "--init",
        &["bare.safetensors", "--model", "--data", "--config"],
    );
    assert_refused(&["eval", "--init", &bare, "--model", "cnn"], "--init", &["--data"]);
    let config = format!("{out}/config.toml");
    let close = |a: &serde_json::Value, b: &serde_json::Value| {
        let of = |line: &serde_json::Value| line["classes"][0]["probability"].as_f64().unwrap();
        assert_eq!(a["classes"][0]["class"], b["classes"][0]["class"]);
        approx::assert_relative_eq!(of(a), of(b), max_relative = 1e-6);
    };
    let again = predict(&["--init", &weights, "--config", &config]);
    lines.iter().zip(&again).for_each(|(a, b)| close(a, b));
    predict(&[&["--init", &bare, "--model", "cnn"], &data[..], &input].concat());

    // Options that contradict the weights.
    for (option, value, names) in [
        ("--image-size", "32", ["16", "32"]),
        ("--resize", "30", ["20", "30"]),
        ("--normalise", "half", ["Data", "Half"]),
    ] {
        assert_refused(&["predict", "--init", &weights, &images[0], option, value], option, &names);
    }

    // Other training images do not change the model's mean and deviation.
    for class in ["above", "below"] {
        let white = image::RgbImage::from_pixel(20, 20, image::Rgb([250; 3]));
        (0..40).for_each(|i| white.save(dir.path().join(format!("train/{class}/white{i}.png"))).unwrap());
    }
    same(evaluate(&root));

    // Other classes.
    for part in ["train", "val"] {
        fs::rename(dir.path().join(part).join("below"), dir.path().join(part).join("under")).unwrap();
    }
    let other = ["eval", "--init", &weights, "--data-dir", &root];
    assert_refused(&other, "--data", &["\"below\"", "\"under\"", "2 classes"]);

    // Without the data.
    let picture = text(&away.path().join("picture.png"));
    fs::copy(dir.path().join("val/above/0.png"), &picture).unwrap();
    drop(dir);
    let alone = json(&["predict", "--json", "--init", &weights, &picture]);
    close(&alone, &lines[0]);
}

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![test("elsewhere: the weights are enough", |_| the_weights_are_enough())]
}
