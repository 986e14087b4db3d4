//! Models of texts against PyTorch with the same weights and tokens: the results of each block,
//! logits, loss, every gradient, and ten steps. `tests/golden/make_text_parity.py` describes the
//! comparison.

use crate::common::{Test, test};
use crate::parity::{Fixture, STEPS_TOLERANCE, TOLERANCE, hashes, rate, values};
use crate::recorded::{prepare, totals};
use lerac::data::{Batch, Form, Meaning, token_form};
use lerac::gpu::Gpu;
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, BertOptions, Named, NetOptions, Recorded};
use lerac::ops::sums::SUMS;
use lerac::optim::{Optimizer, Rule, Settings, Update};
use lerac::tape::{Controls, Mode, Program, Storage, Tape, Target};
use lerac::train::read_safetensors;
use safetensors::SafeTensors;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const EXAMPLES: usize = 5;
const TOKENS: usize = 13;
const VOCABULARY: usize = 50;
const CLASSES: usize = 3;
const STEPS: usize = 10;

/// The epsilon of the fixture's optimisers.
pub const EPSILON: f64 = 1e-3;

/// Tokens, segments, lengths and labels.
fn batch(which: &str, seed: u32) -> Batch {
    let drawn = |what: &str, count| hashes(&format!("{what}{which}"), seed, count);
    let length: Vec<u32> = drawn("length", EXAMPLES).map(|v| 2 + v % (TOKENS as u32 - 1)).collect();
    let place = |i: usize| (i % TOKENS) as u32;
    let inside = |i: usize| place(i) < length[i / TOKENS];
    let tokens = drawn("tokens", EXAMPLES * TOKENS).enumerate();
    let tokens = tokens.map(|(i, v)| if inside(i) { 1 + v % (VOCABULARY as u32 - 1) } else { 0 }).collect();
    let second = |i: usize| u32::from(inside(i) && place(i) >= length[i / TOKENS] / 2);
    let segments = (0..EXAMPLES * TOKENS).map(second).collect();
    let labels = drawn("labels", EXAMPLES).map(|v| v % CLASSES as u32).collect();
    Batch { columns: vec![tokens, segments, length, labels], count: EXAMPLES, capacity: EXAMPLES }
}

/// A model of the table. Dropout draws other numbers than PyTorch, so BERT has none.
fn model(name: &str) -> Named {
    let without = BertOptions { hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0, ..BertOptions::default() };
    let tiny = BertOptions {
        hidden_size: 128,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        intermediate_size: 512,
        ..without.clone()
    };
    match name {
        "bert-tiny" => nn::bert(&tiny).unwrap(),
        _ => nn::named(name).unwrap(),
    }
}

fn classes(count: usize) -> Meaning {
    Meaning::Classes((0..count).map(|i| format!("class {i}")).collect())
}

pub fn record(gpu: &Gpu, model: &Named, form: &Form, examples: usize) -> Recorded {
    let objective = objective_for(form, ObjectiveOptions::default()).unwrap();
    let tape = Tape::new(Mode::Train).with_target(Target::of(gpu.info()));
    nn::record(model, form, &*objective, examples, tape, NetOptions::default())
}

fn of_hashes(gpu: &Gpu, name: &str, seed: u32) -> (Recorded, Storage) {
    let recorded = record(gpu, &model(name), &token_form(TOKENS, VOCABULARY, &classes(CLASSES)), EXAMPLES);
    with_hashes(gpu, recorded, seed)
}

/// Storage of a model with the fixture's weights.
pub fn with_hashes(gpu: &Gpu, recorded: Recorded, seed: u32) -> (Recorded, Storage) {
    let storage = Storage::new(gpu, &recorded.tape).unwrap();
    for (declared, arena, span) in storage.tensors() {
        arena.write(gpu, span, &values(declared, seed, false));
    }
    (recorded, storage)
}

fn loss(gpu: &Gpu, program: &Program, sums: usize, examples: usize) -> f64 {
    totals(gpu, program, sums).values()[0] / examples as f64
}

/// Runs forward and backward, and compares everything with the fixture.
pub fn compare(gpu: &Gpu, fixture: &Fixture, (recorded, storage): (&Recorded, &Storage), batch: &Batch) {
    let program = Program::new(gpu, recorded.tape.clone(), storage).unwrap();
    prepare(gpu, &program, recorded, batch, Controls::default());
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let result = |name: &str| {
        let record = recorded.tape.records().iter().find(|record| record.name == name);
        let result = record.unwrap_or_else(|| panic!("no operation {name}")).result.unwrap();
        gpu.read::<f32>(&program.value(result)).unwrap()[..recorded.tape.shape(result).count()].to_vec()
    };
    let found = fixture.names["value"].iter().map(|name| (name.clone(), result(name))).collect();
    fixture.compare("value", &found, TOLERANCE);
    let logits = recorded.outputs[0];
    let count = recorded.tape.shape(logits).count();
    let logits: Vec<f32> = gpu.read(&program.value(logits)).unwrap();
    let logits: Vec<f64> = logits[..count].iter().map(|&v| v.into()).collect();
    fixture.compare_whole("train.logits", &logits, TOLERANCE);
    fixture.compare_whole("train.loss", &[loss(gpu, &program, recorded.sums, batch.count)], TOLERANCE);
    let gradients = storage.parameters().iter().zip(storage.layout.spans());
    let gradients = gradients.map(|(d, span)| (d.name.clone(), storage.grads.read(gpu, span).unwrap())).collect();
    fixture.compare("gradient", &gradients, TOLERANCE);
}

fn one_step(gpu: &Gpu, name: &str) {
    let fixture = Fixture::read(name);
    let (recorded, storage) = of_hashes(gpu, name, fixture.seed);
    compare(gpu, &fixture, (&recorded, &storage), &batch("", fixture.seed));
}

fn ten_steps(gpu: &Gpu, name: &str, rule: Rule, weight_decay: f64) {
    let fixture = Fixture::read(&format!("{name}.steps"));
    let model = of_hashes(gpu, name, fixture.seed);
    compare_steps(gpu, &fixture, model, (rule, weight_decay), &batch);
}

/// Runs ten steps on the batches of the steps' numbers, and compares losses and changes with the
/// fixture.
pub fn compare_steps(
    gpu: &Gpu,
    fixture: &Fixture,
    (recorded, storage): (Recorded, Storage),
    (rule, weight_decay): (Rule, f64),
    batch: &dyn Fn(&str, u32) -> Batch,
) {
    let program = Program::new(gpu, recorded.tape.clone(), &storage).unwrap();
    let sums = program.buffer_named(SUMS).unwrap();
    let settings = Settings { rule, weight_decay, spare_norm_and_bias: false, clip_norm: None, layer_norms: false };
    let rates: Vec<f64> = recorded.layers.iter().map(|layer| 0.1 * rate(&layer.name, fixture.seed)).collect();
    let update = Update::new(storage.parameters(), &storage.layout, recorded.layers.len(), settings);
    let mut optimizer = Optimizer::new(gpu, &storage, &sums, update).unwrap();
    let tensors = || -> HashMap<String, Vec<f32>> {
        storage.tensors().map(|(d, arena, span)| (d.name.clone(), arena.read(gpu, span).unwrap())).collect()
    };
    let (before, mut losses) = (tensors(), vec![]);
    for step in 0..STEPS {
        let batch = batch(&step.to_string(), fixture.seed);
        prepare(gpu, &program, &recorded, &batch, Controls::default());
        optimizer.prepare(gpu, |row| rates[row.layer]);
        gpu.run(program.forward().iter().chain(program.backward()).chain(optimizer.calls())).unwrap();
        losses.push(loss(gpu, &program, recorded.sums, batch.count));
    }
    fixture.compare_whole("losses", &losses, STEPS_TOLERANCE);
    let mut changes = tensors();
    for (name, values) in &mut changes {
        values.iter_mut().zip(&before[name]).for_each(|(value, before)| *value -= before);
    }
    fixture.compare("change", &changes, STEPS_TOLERANCE);
}

/// The public MiniLM weights on pairs of RTE. They are in the directory `LERAC_MINILM`; by default
/// that of scripts/ensure-minilm.sh.
fn minilm(gpu: &Gpu) {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/minilm");
    let dir = std::env::var_os("LERAC_MINILM").map_or(usual, PathBuf::from);
    if !dir.is_dir() {
        eprintln!("SKIP: MiniLM is not tested: scripts/ensure-minilm.sh fetches its weights");
        return;
    }
    let config = dir.join("config.json");
    let options = BertOptions::from_config_json(&config, &std::fs::read(&config).unwrap()).unwrap();
    let model =
        nn::bert(&BertOptions { hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0, ..options }).unwrap();
    let inputs = format!("{}/tests/golden/parity/minilm.inputs.safetensors", env!("CARGO_MANIFEST_DIR"));
    let inputs = std::fs::read(inputs).unwrap();
    let inputs = SafeTensors::deserialize(&inputs).unwrap();
    let column = |name| -> Vec<u32> { bytemuck::pod_collect_to_vec(inputs.tensor(name).unwrap().data()) };
    let columns: Vec<Vec<u32>> = ["tokens", "segments", "length", "labels"].map(column).into();
    let (examples, tokens) = (columns[2].len(), columns[0].len() / columns[2].len());
    let recorded = record(gpu, &model, &token_form(tokens, 30_522, &classes(2)), examples);
    let storage = Storage::new(gpu, &recorded.tape).unwrap();
    let (weights, _) = read_safetensors(&dir.join("model.safetensors")).unwrap();
    let weights: HashMap<String, Vec<f32>> =
        weights.into_iter().map(|tensor| (format!("bert.{}", tensor.name), tensor.values)).collect();
    let fixture = Fixture::read("minilm");
    for (declared, arena, span) in storage.tensors() {
        match weights.get(&declared.name) {
            Some(values) => arena.write(gpu, span, values),
            None => arena.write(gpu, span, &values(declared, fixture.seed, false)),
        }
    }
    compare(gpu, &fixture, (&recorded, &storage), &Batch { columns, count: examples, capacity: examples });
}

pub fn tests() -> Vec<Test> {
    let adamax = Rule::Adamax { beta1: 0.9, beta2: 0.999, epsilon: EPSILON };
    let adamw = Rule::AdamW { beta1: 0.9, beta2: 0.999, epsilon: EPSILON };
    vec![
        test("parity bert-tiny", |gpu| one_step(gpu, "bert-tiny")),
        test("parity bert-tiny, ten steps of adamax", move |gpu| ten_steps(gpu, "bert-tiny", adamax, 0.0)),
        test("parity lstm", |gpu| one_step(gpu, "lstm")),
        test("parity lstm, ten steps of adamw", move |gpu| ten_steps(gpu, "lstm", adamw, 0.01)),
        test("parity minilm on rte", minilm),
    ]
}
