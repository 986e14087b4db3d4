//! A detector against PyTorch with the same weights, images and objects: results of modules,
//! logits, loss, every gradient, running statistics, and ten steps.
//! `tests/golden/make_detector_parity.py` describes the comparison. The other sizes are of the same
//! code.

use crate::attention_parity::compare_with_states;
use crate::common::{Test, test};
use crate::parity::{Fixture, hashes, uniform};
use crate::text_parity::{compare_steps, record, with_hashes};
use lerac::data::{Augmentation, Batch, Column, Element, Form, Meaning};
use lerac::gpu::Gpu;
use lerac::nn::{self, Recorded};
use lerac::ops::detection::OBJECT;
use lerac::optim::Rule;
use lerac::tape::Storage;

const CLASSES: usize = 3;
const SIDE: usize = 64;
const IMAGES: usize = 3;
const OBJECTS: usize = 4;

/// Square images of this side with up to `most` objects of three classes.
pub fn form_of_boxes(side: usize, most: usize) -> Form {
    let names = (0..CLASSES).map(|i| format!("class {i}")).collect();
    let pixels = Meaning::Pixels { mean: vec![0.0; 3], std: vec![1.0; 3] };
    Form {
        inputs: vec![
            Column { meaning: pixels, ..Column::plain("image", Element::U8, [3, side, side]) },
            Column::plain("movement", Element::U32, []),
        ],
        targets: vec![Column {
            meaning: Meaning::Boxes(names),
            ..Column::plain("boxes", Element::F32, [most, OBJECT])
        }],
    }
}

fn batch(which: &str, seed: u32) -> Batch {
    let bytes: Vec<u8> =
        hashes(&format!("images{which}"), seed, IMAGES * 3 * SIDE * SIDE).map(|v| (v >> 24) as u8).collect();
    let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let drawn: Vec<f64> = uniform(&format!("objects{which}"), seed, IMAGES * OBJECTS * 5).collect();
    let part = |v: f64| ((v * 1000.0).round_ties_even() / 1024.0) as f32;
    let objects = drawn.chunks_exact(5).flat_map(|row| {
        let [k, x, y, w, h] = row.try_into().unwrap();
        let class = ((k + 1.0) / 2.0 * CLASSES as f64).floor() as f32;
        let centre = [x, y].map(|v| part(0.5 + 0.45 * v));
        let extent = [w, h].map(|v: f64| part(0.35 + 0.25 * v));
        [class, centre[0], centre[1], extent[0], extent[1], 0.0].map(f32::to_bits)
    });
    let columns = vec![words.collect(), vec![Augmentation::IDENTITY; IMAGES], objects.collect()];
    Batch { columns, count: IMAGES, capacity: IMAGES }
}

fn recorded(gpu: &Gpu, name: &str, seed: u32) -> (Recorded, Storage) {
    let recorded = record(gpu, &nn::named(name).unwrap(), &form_of_boxes(SIDE, OBJECTS), IMAGES);
    with_hashes(gpu, recorded, seed)
}

fn one_step(gpu: &Gpu, name: &str) {
    let fixture = Fixture::read(name);
    compare_with_states(gpu, &fixture, recorded(gpu, name, fixture.seed), &batch("", fixture.seed));
}

fn ten_steps(gpu: &Gpu, name: &str) {
    let fixture = Fixture::read(&format!("{name}.steps"));
    let sgd = Rule::Sgd { momentum: 0.937, nesterov: true };
    compare_steps(gpu, &fixture, recorded(gpu, name, fixture.seed), (sgd, 0.0), &batch);
}

pub fn tests() -> Vec<Test> {
    vec![
        test("parity yolov5n", |gpu| one_step(gpu, "yolov5n")),
        test("parity yolov5n, ten steps of sgd", |gpu| ten_steps(gpu, "yolov5n")),
    ]
}
