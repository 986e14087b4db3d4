//! Models of texts on the command line: training, Hugging Face's files, predictions, frozen layers,
//! and a run that continues.

use crate::common::errors::assert_contains;
use crate::common::program::{
    assert_refused, assert_same_files, command, json, kill_after_a_checkpoint, stderr, stdout,
};
use crate::common::{Test, test};
use lerac::train::{read_safetensors, write_safetensors};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A BERT of two narrow blocks, as Hugging Face writes it.
const CONFIG: &str = r#"{"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 16,
 "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 24,
 "hidden_act": "gelu_new", "position_embedding_type": "absolute", "use_cache": true}"#;

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Questions whose answer depends on one word.
fn pairs() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let nouns = ["fish", "bird", "stone", "tree", "river"];
    for (part, count) in [("train", 96), ("test", 24)] {
        let row = |i: usize| {
            let (noun, label) = (nouns[i % 5], ["no", "yes"][i / 5 % 2]);
            let verb = ["sinks", "floats"][i / 5 % 2];
            format!("the {noun} {verb}\tdoes it float {}\t{label}\n", "indeed ".repeat(i % 4))
        };
        let rows: String = (0..count).map(row).collect();
        fs::write(dir.path().join(format!("{part}.tsv")), format!("a\tb\tlabel\n{rows}")).unwrap();
    }
    fs::write(dir.path().join("bert.json"), CONFIG).unwrap();
    dir
}

/// Options of a short run on the pairs in `dir`.
fn options<'o>(dir: &'o str, model: &[&'o str]) -> Vec<&'o str> {
    let data = ["--data", "text-pairs", "--data-dir", dir, "--text-columns", "a,b", "--max-length", "16"];
    let short =
        ["--min-count", "1", "--batch-size", "8", "--validation", "16", "--optimizer", "adamax", "--eta", "1e-2"];
    [&["--quiet"], &data[..], &short, model].concat()
}

fn weights(dir: &str) -> BTreeMap<String, Vec<f32>> {
    let (tensors, _) = read_safetensors(&Path::new(dir).join("model.safetensors")).unwrap();
    tensors.into_iter().map(|tensor| (tensor.name, tensor.values)).collect()
}

fn learns_and_predicts(model: &[&str]) {
    let dir = pairs();
    let (data, away) = (text(dir.path()), tempfile::tempdir().unwrap());
    let out = text(&away.path().join("run"));
    let more = ["--epochs", "6", "--method", "lerac", "--k", "1", "--range", "1e-2..1e-4", "--out", &out];
    stdout(&[&["train"], &options(&data, model)[..], &more].concat());
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(Path::new(&out).join("summary.json")).unwrap()).unwrap();
    assert!(summary["test_accuracy"].as_f64().unwrap() > 0.9, "{summary}");
    // The weights, the vocabulary and the classes are enough.
    drop(dir);
    let init = format!("{out}/model.safetensors");
    for (verb, answer) in [("floats", "yes"), ("sinks", "no")] {
        let sentence = format!("The tree {verb}");
        let found = json(&["predict", "--init", &init, "--json", "--text", &sentence, "--text", "does it float"]);
        assert_eq!(found["classes"][0]["class"], answer, "{found}");
    }
    assert_refused(&["predict", "--init", &init, "--text", "one text"], "--text", &["2"]);
}

fn a_bert_of_any_size(_: &lerac::gpu::Gpu) {
    let dir = pairs();
    let size = text(&dir.path().join("bert.json"));
    learns_and_predicts(&["--model", "bert", "--model-config", &size]);
    assert_refused(&["train", "--model", "bert"], "--model-config", &["config.json", "bert-mini"]);
    let data = text(dir.path());
    let model = ["--model", "bert", "--model-config", &size];
    let mut long = options(&data, &model);
    let length = 1 + long.iter().position(|option| *option == "--max-length").unwrap();
    long[length] = "25";
    assert_refused(&[&["train"], &long[..]].concat(), "--max-length", &["25", "24"]);
    fs::write(&size, CONFIG.replace("absolute", "relative_key")).unwrap();
    assert_refused(&[&["train"], &options(&data, &model)[..]].concat(), "bert.json", &["position_embedding_type"]);
}

/// Weights as old files of Hugging Face have them: without prefix and classifier, with gamma and
/// beta, and with a head of pre-training.
fn hugging_faces_files(_: &lerac::gpu::Gpu) {
    let dir = pairs();
    let (data, size) = (text(dir.path()), text(&dir.path().join("bert.json")));
    let out = |name: &str| text(&dir.path().join(name));
    let model = ["--model", "bert", "--model-config", &size];
    let (first, second) = (out("first"), out("second"));
    stdout(&[&["train"], &options(&data, &model)[..], &["--epochs", "1", "--out", &first]].concat());
    let (tensors, _) = read_safetensors(&Path::new(&first).join("model.safetensors")).unwrap();
    let mut published = vec![];
    for mut tensor in tensors.into_iter().filter(|tensor| !tensor.name.starts_with("classifier")) {
        let name = tensor.name.strip_prefix("bert.").unwrap();
        let name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
        tensor.name = name;
        published.push(tensor);
    }
    let mut head = published[0].clone();
    head.name = "cls.predictions.bias".into();
    published.push(head);
    let hub = dir.path().join("hub");
    fs::create_dir(&hub).unwrap();
    write_safetensors(&hub.join("model.safetensors"), &published, BTreeMap::new()).unwrap();
    for name in ["config.json", "tokenizer.json"] {
        fs::copy(Path::new(&first).join(name), hub.join(name)).unwrap();
    }
    // The size is that of config.json next to the weights, and nothing of the encoder is trained.
    let (init, vocabulary) = (out("hub/model.safetensors"), out("hub/tokenizer.json"));
    let tuned = ["--model", "bert", "--init", &init, "--vocab", &vocabulary, "--freeze", "bert.*"];
    let mut tuned = options(&data, &tuned);
    tuned.retain(|option| !["--min-count", "1"].contains(option));
    let done = command(&[&["train"], &tuned[..], &["--epochs", "1", "--out", &second]].concat()).output().unwrap();
    let notes = stderr(&done);
    assert!(done.status.success(), "{notes}");
    for part in ["gamma or beta", "prefix bert.", "pre-training", "no classifier", "config.json"] {
        assert!(notes.contains(part), "{part:?} is not in {notes}");
    }
    let (before, after) = (weights(&first), weights(&second));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (name, values) in &before {
        assert_eq!(values == &after[name], name.starts_with("bert."), "{name}");
    }
    let words: String = (0..60).map(|i| format!("word{i}\n")).collect();
    let other = text(&dir.path().join("vocab.txt"));
    fs::write(&other, format!("[PAD]\n[UNK]\n[CLS]\n[SEP]\n{words}")).unwrap();
    tuned.iter_mut().filter(|option| **option == vocabulary).for_each(|option| *option = &other);
    assert_refused(&[&["train"], &tuned[..]].concat(), "--vocab", &["64", "vocab_size"]);
    assert_refused(&["predict", "--init", &init, "--text", "a", "--text", "b"], "--init", &[]);
}

/// Scaled rates are those of the tables, and a run with them continues to the same bytes.
fn scaled_rates_and_resuming(_: &lerac::gpu::Gpu) {
    let dir = pairs();
    let data = text(dir.path());
    let out = |name: &str| text(&dir.path().join(name));
    let scales = ["--model", "lstm", "--learning-rate-scale", "lstm.l?=0.25", "--freeze", "embedding"];
    let (whole, cut) = (out("whole"), out("cut"));
    let run = |out: &str| -> Vec<String> {
        let more =
            ["--epochs", "3", "--log-every", "3", "--checkpoint-every", "2", "--method", "cbs", "--sigma-every", "1"];
        let all = [&["train"], &options(&data, &scales)[..], &more, &["--out", out]].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let started = |run: Vec<String>| command(&run.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap();
    assert!(started(run(&whole)).wait().unwrap().success());
    let layers = fs::read_to_string(Path::new(&whole).join("layers.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(layers.as_bytes());
    let place = |name: &str, headers: &csv::StringRecord| headers.iter().position(|header| header == name).unwrap();
    let headers = reader.headers().unwrap().clone();
    let (layer, rate) = (place("layer", &headers), place("learning_rate", &headers));
    for row in reader.records().map(Result::unwrap) {
        let expected = match &row[layer] {
            "embedding" => 0.0,
            "lstm.l0" | "lstm.l1" => 0.0025,
            _ => 0.01,
        };
        approx::assert_relative_eq!(row[rate].parse::<f64>().unwrap(), expected, max_relative = 1e-6);
    }
    kill_after_a_checkpoint(started(run(&cut)), &cut);
    stdout(&["resume", &cut, "--quiet"]);
    assert_same_files(
        &whole,
        &cut,
        &["metrics.csv", "layers.csv", "predictions.csv", "model.safetensors", "tokenizer.json"],
    );
}

/// The weights of the classes in the card of a model.
fn card_weights(path: &Path) -> serde_json::Value {
    let bytes = fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let card: serde_json::Value = serde_json::from_str(&header.metadata().clone().unwrap()["lerac_model"]).unwrap();
    card["class-weights"].clone()
}

/// Class weights travel with the model, and the report describes classes, texts and disagreements.
fn class_weights_and_the_report(_: &lerac::gpu::Gpu) {
    let dir = pairs();
    let (data, out) = (text(dir.path()), dir.path().join("compared"));
    let weighted = ["--class-weights", "0.5,3", "--epochs", "2", "--seeds", "1", "--methods", "conventional,uniform"];
    let model = ["--model", "lstm"];
    stdout(&[&["compare"], &options(&data, &model)[..], &weighted, &["--out", &text(&out)]].concat());
    let report = fs::read_to_string(out.join("report.html")).unwrap();
    let parts = ["<h2>Classes</h2>", "<h2>Lengths</h2>", "with all 16 tokens", "training and validation<td class=n>96"];
    assert_contains(&report, &parts);
    let results = fs::read_to_string(out.join("results.csv")).unwrap();
    assert_contains(results.lines().next().unwrap(), &["test_macro_f1", "test_matthews"]);
    let run = out.join("conventional-seed0");
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    let init = text(&run.join("model.safetensors"));
    assert_eq!(card_weights(Path::new(&init)), serde_json::json!([0.5, 3.0]));
    // The loss of an evaluation elsewhere has the weights of the card.
    let found = json(&["eval", "--init", &init, "--data-dir", &data, "--json"]);
    for key in ["test_loss", "test_accuracy", "test_macro_f1", "test_matthews"] {
        let [found, expected] = [&found[key], &summary[key]].map(|value| value.as_f64().unwrap());
        approx::assert_relative_eq!(found, expected, max_relative = 1e-6);
    }

    let rows: String = (0..96).map(|i| format!("word{}\tit\t{}\n", i % 7, ["yes", "no"][i % 4 / 3])).collect();
    fs::write(dir.path().join("train.tsv"), format!("a\tb\tlabel\n{rows}")).unwrap();
    let mut all = options(&data, &model);
    let held_out = 1 + all.iter().position(|option| *option == "--validation").unwrap();
    all[held_out] = "0";
    let balanced = text(&dir.path().join("balanced"));
    stdout(&[&["train", "--class-weights", "balanced", "--epochs", "1", "--out", &balanced], &all[..]].concat());
    let weights = card_weights(&Path::new(&balanced).join("model.safetensors"));
    // Classes are in the order of their names: 24 times no, 72 times yes.
    let weights: Vec<f64> = serde_json::from_value(weights).unwrap();
    assert!(weights[0] == 2.0 && (weights[1] - 2.0 / 3.0).abs() < 1e-6, "{weights:?}");
    let config = fs::read_to_string(Path::new(&balanced).join("config.toml")).unwrap();
    assert!(config.contains("class-weights = \"balanced\""), "{config}");
}

pub fn tests() -> Vec<Test> {
    vec![
        test("texts: class weights, and the report", class_weights_and_the_report),
        test("texts: lstm learns and predicts", |_| learns_and_predicts(&["--model", "lstm"])),
        test("texts: a bert of any size", a_bert_of_any_size),
        test("texts: files of Hugging Face", hugging_faces_files),
        test("texts: scaled rates, and a run that continues", scaled_rates_and_resuming),
    ]
}
