//! Models with attention over images against PyTorch with the same weights and images: the results
//! of each block, logits, loss, every gradient, running statistics, and ten steps.
//! `tests/golden/make_attention_parity.py` describes the comparison.

use crate::common::{Test, test};
use crate::parity::{Fixture, TOLERANCE, batch};
use crate::recorded::ten_classes;
use crate::text_parity::{EPSILON, compare, compare_steps, record, with_hashes};
use lerac::data::Batch;
use lerac::gpu::Gpu;
use lerac::nn::{self, CvtActivation, Named, Recorded};
use lerac::optim::Rule;
use lerac::tape::Storage;
use std::collections::HashMap;

/// The model of a fixture, and the number, channels, height and width of its images.
fn of_fixture(name: &str) -> (Named, [usize; 4]) {
    match name {
        "cvt-13" => (nn::cvt13(CvtActivation::Gelu), [4, 3, 32, 32]),
        "cvt-13.quick-gelu" => (nn::cvt13(CvtActivation::QuickGelu), [2, 3, 48, 48]),
        _ => (nn::named(name).unwrap(), [4, 1, 8, 12]),
    }
}

fn recorded(gpu: &Gpu, name: &str, seed: u32) -> (Recorded, Storage) {
    let (model, [n, image @ ..]) = of_fixture(name);
    with_hashes(gpu, record(gpu, &model, &ten_classes(image), n), seed)
}

fn one_step(gpu: &Gpu, name: &str) {
    let fixture = Fixture::read(name);
    let (_, images) = of_fixture(name);
    compare_with_states(gpu, &fixture, recorded(gpu, name, fixture.seed), &batch("", fixture.seed, images));
}

/// Compares a step's results and gradients, and the running statistics after it.
pub fn compare_with_states(gpu: &Gpu, fixture: &Fixture, (recorded, storage): (Recorded, Storage), batch: &Batch) {
    compare(gpu, fixture, (&recorded, &storage), batch);
    let states: Vec<&str> = storage.states().iter().map(|declared| declared.name.as_str()).collect();
    let states: HashMap<String, Vec<f32>> = storage
        .tensors()
        .filter(|(declared, ..)| states.contains(&declared.name.as_str()))
        .map(|(declared, arena, span)| (declared.name.clone(), arena.read(gpu, span).unwrap()))
        .collect();
    if !states.is_empty() {
        fixture.compare("state", &states, TOLERANCE);
    }
}

fn ten_steps(gpu: &Gpu, name: &str) {
    let fixture = Fixture::read(&format!("{name}.steps"));
    let (_, images) = of_fixture(name);
    let adamax = Rule::Adamax { beta1: 0.9, beta2: 0.999, epsilon: EPSILON };
    let model = recorded(gpu, name, fixture.seed);
    compare_steps(gpu, &fixture, model, (adamax, 0.0), &|which, seed| batch(which, seed, images));
}

pub fn tests() -> Vec<Test> {
    vec![
        test("parity cvt-13", |gpu| one_step(gpu, "cvt-13")),
        test("parity cvt-13 with QuickGELU", |gpu| one_step(gpu, "cvt-13.quick-gelu")),
        test("parity cvt-13, ten steps of adamax", |gpu| ten_steps(gpu, "cvt-13")),
        test("parity septr-tiny", |gpu| one_step(gpu, "septr-tiny")),
        test("parity septr-tiny, ten steps of adamax", |gpu| ten_steps(gpu, "septr-tiny")),
    ]
}
