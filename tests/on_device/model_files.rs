//! Models that a TOML file describes give the bits of the built-in ones, in every command.

use crate::common::errors::assert_contains;
use crate::common::program::{assert_refused, command, json, stdout};
use crate::common::{Test, test};
use lerac::gpu::Gpu;
use std::path::Path;

const SHORT: [&str; 16] = [
    "--data",
    "shapes",
    "--train-examples",
    "96",
    "--validation",
    "32",
    "--batch-size",
    "16",
    "--epochs",
    "2",
    "--log-every",
    "3",
    "--method",
    "lerac-cbs",
    "--sigma-every",
    "1",
];

/// The bytes of the tensors of a file of weights. The header names the model.
fn tensors(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    bytes[8 + header..].to_vec()
}

fn the_bits_of_the_built_in_models(_: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["cnn", "lenet", "resnet8"] {
        let file = format!("{}/examples/models/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let outs = [name, file.as_str()].map(|model| {
            let out = dir.path().join(Path::new(model).file_name().unwrap());
            stdout(&[&["train", "--quiet", "--model", model, "--out", out.to_str().unwrap()], &SHORT[..]].concat());
            out
        });
        for table in ["metrics.csv", "layers.csv", "predictions.csv"] {
            let [built_in, of_file] = outs.each_ref().map(|out| std::fs::read(out.join(table)).unwrap());
            assert!(built_in == of_file, "{name}: {table}");
        }
        let [built_in, of_file] = outs.each_ref().map(|out| tensors(&out.join("model.safetensors")));
        assert!(built_in == of_file, "{name}: weights");
    }
}

/// The run has all that is needed, after the file itself is gone.
fn a_run_keeps_its_model(_: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (file, out) = (text("of mine.toml"), text("run"));
    let layers = "{ conv2d = \"conv\", channels = 4, kernel = 3, stride = 2 },\n{ relu = \"relu\" },\n{ flatten = \"flat\" },\n\
                  { linear = \"head\", outputs = \"classes\" },\n";
    std::fs::write(&file, format!("layers = [\n{layers}]\n")).unwrap();
    stdout(&[&["train", "--quiet", "--model", &file, "--out", &out], &SHORT[..]].concat());
    std::fs::remove_file(&file).unwrap();
    let weights = format!("{out}/model.safetensors");
    let evaluated = json(&["eval", "--json", "--init", &weights]);
    let summary: serde_json::Value =
        serde_json::from_slice(&std::fs::read(format!("{out}/summary.json")).unwrap()).unwrap();
    assert_eq!(evaluated["test_accuracy"], summary["test_accuracy"]);
    let again = text("again");
    stdout(&["train", "--quiet", "--config", &format!("{out}/config.toml"), "--out", &again]);
    for name in ["config.toml", "metrics.csv", "model.safetensors"] {
        let [first, second] = [&out, &again].map(|out| std::fs::read(Path::new(out).join(name)).unwrap());
        assert!(first == second, "{name}");
    }
    stdout(&["resume", "--quiet", &out, "--epochs", "3"]);
    let compared = text("compared");
    let options = ["compare", "--quiet", "--methods", "conventional,lerac", "--config"];
    let config = format!("{again}/config.toml");
    let grid = [&options[..], &[&config, "--out", &compared]].concat();
    // The method of a comparison is that of its list.
    let table = command(&grid).output().unwrap();
    assert!(table.status.success(), "{}", String::from_utf8_lossy(&table.stderr));
    assert_contains(&String::from_utf8(table.stdout).unwrap(), &["of mine.toml on shapes"]);
    assert_contains(
        &stdout(&["bench", "step", "--models", &examples("cnn"), "--runs", "1", "--batch-size", "4"]),
        &["cnn.toml"],
    );
    stdout(&["trace", "--model", &examples("cnn"), "--steps", "1", "--batch-size", "8", "--out", &text("trace")]);
    assert_refused(&["train", "--model", "net.toml", "--out", &text("none")], "net.toml", &["cannot open"]);
}

fn examples(name: &str) -> String {
    format!("{}/examples/models/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

pub fn tests() -> Vec<Test> {
    vec![
        test("model files: the bits of the built-in models", the_bits_of_the_built_in_models),
        test("model files: a run keeps its model", a_run_keeps_its_model),
    ]
}
