//! `lerac export`. scripts/check-onnx.sh compares its files with onnxruntime.

use crate::common::program::{assert_refused, stdout};
use crate::common::{Test, test};
use lerac::gpu::Gpu;
use lerac::train::read_safetensors;
use std::path::Path;

const SHORT: [&str; 12] = [
    "--data",
    "shapes",
    "--train-examples",
    "64",
    "--validation",
    "0",
    "--batch-size",
    "16",
    "--epochs",
    "1",
    "--quiet",
    "--out",
];

fn a_model_is_exported(_: &Gpu) {
    let dir = tempfile::tempdir().unwrap();
    let text = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (run, weights) = (text("run"), text("run/model.safetensors"));
    stdout(&[&["train", "--model", "lenet"], &SHORT[..], &[&run]].concat());
    let [first, second, sample] = ["first.onnx", "second.onnx", "sample.safetensors"].map(text);
    stdout(&["export", &first, "--init", &weights, "--sample", &sample]);
    stdout(&["export", &second, "--init", &weights]);
    let [bytes, again] = [&first, &second].map(|path| std::fs::read(path).unwrap());
    assert!(bytes == again, "an export has the same bytes each time");
    // Field 1 is the version of the format, 8.
    assert_eq!(bytes[..2], [8, 8]);
    let contains = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let (trained, _) = read_safetensors(Path::new(&weights)).unwrap();
    for tensor in &trained {
        assert!(contains(bytemuck::cast_slice(&tensor.values)), "{}", tensor.name);
    }
    assert!(contains(b"classes") && contains(b"Gemm") && !contains(b"Softmax"), "the outputs are logits");
    let (tensors, _) = read_safetensors(Path::new(&sample)).unwrap();
    let shape = |name: &str| tensors.iter().find(|tensor| tensor.name == name).unwrap().shape.clone();
    assert_eq!((shape("image"), shape("output")), (vec![4, 3, 32, 32], vec![4, 10]));
    assert_refused(&["export", &first, "--init", &weights], "FILE", &["exists", "--overwrite"]);
    assert_refused(&["export", &text("third.onnx")], "--init", &["file of weights"]);
    assert!(!dir.path().join("third.onnx").exists());
    let over = ["export", &weights, "--init", &weights, "--overwrite"];
    assert_refused(&over, "FILE", &["is read by this command"]);
}

pub fn tests() -> Vec<Test> {
    vec![test("export: a model as ONNX", a_model_is_exported)]
}
