//! YOLOv5, recorded without a device: parameters, names, depths and initial values; and the
//! reference of its loss against finite differences.

use lerac::checks::test_values;
use lerac::curriculum::{self, Granularity};
use lerac::data::{Form, Meaning};
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, NetOptions, Recorded};
use lerac::ops::detection::{BOX, Head, LEVELS, OBJECT, reference};
use lerac::tape::{Group, Init, Mode, Tape};

fn form(side: usize, classes: usize) -> Form {
    nn::usual_form("yolov5n", Some(side), &Meaning::Boxes((0..classes).map(|i| format!("class {i}")).collect()))
}

fn record_with(model: &str, side: usize, classes: usize, mode: Mode, options: NetOptions) -> Recorded {
    let form = form(side, classes);
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    nn::record(&nn::named(model).unwrap(), &form, &*objective, 1, Tape::new(mode), options)
}

fn record(model: &str, side: usize, classes: usize, mode: Mode) -> Recorded {
    record_with(model, side, classes, mode, NetOptions::default())
}

#[test]
fn each_convolution_but_1x1_is_blurred() {
    let tape = record_with("yolov5n", 64, 3, Mode::Eval, NetOptions { blur: true, ..NetOptions::default() }).tape;
    let blurs: Vec<&str> =
        tape.records().iter().filter(|record| record.op == "blur").map(|record| record.name.as_str()).collect();
    // Seven convolutions of stride 2, and the second one of each of eleven bottlenecks.
    assert_eq!(blurs.len(), 7 + 11, "{blurs:?}");
    assert_eq!((blurs[0], blurs[2]), ("model.0.blur", "model.2.m.0.cv2.blur"));
}

#[test]
fn sizes_are_those_of_the_public_models() {
    for (model, classes, expected, entries) in [
        ("yolov5n", 80, 1_872_157, 349),
        ("yolov5n", 20, 1_790_977, 349),
        ("yolov5s", 80, 7_235_389, 349),
        ("yolov5s", 20, 7_073_569, 349),
        ("yolov5m", 80, 21_190_557, 481),
        ("yolov5m", 20, 20_948_097, 481),
    ] {
        let tape = record(model, 64, classes, Mode::Train).tape;
        let count: usize = tape.parameters().iter().map(|declared| declared.shape.count()).sum();
        assert_eq!(count, expected, "{model} {classes}");
        // The public state dicts also count the batches of each norm, and have the anchors.
        let (trained, states) = (tape.parameters().len(), tape.states().len());
        assert_eq!(trained + states + states / 2 + 1, entries, "{model}");
    }
}

/// The parameters of each of the 25 modules of yolov5s with 20 classes.
#[test]
fn modules_have_the_published_parameters_and_a_depth_each() {
    let expected = [
        3520, 18560, 18816, 73984, 115_712, 295_424, 625_152, 1_180_672, 1_182_720, 656_896, 131_584, 0, 0, 361_984,
        33024, 0, 0, 90880, 147_712, 0, 296_448, 590_336, 0, 1_182_720, 67425,
    ];
    let Recorded { tape, layers, .. } = record("yolov5s", 64, 20, Mode::Train);
    let mut found = [0; 25];
    for declared in tape.parameters() {
        let module: usize = declared.name.split('.').nth(1).unwrap().parse().unwrap();
        found[module] += declared.shape.count();
        assert_eq!(layers[declared.layer].depth, module + 1, "{}", declared.name);
    }
    assert_eq!(found, expected);
    for granularity in [Granularity::Module, Granularity::Block] {
        let depths = curriculum::depths(&layers, granularity);
        assert_eq!(depths.iter().max(), Some(&19), "as many as modules with parameters");
    }
}

#[test]
fn initial_values_are_those_of_the_original() {
    let tape = record("yolov5n", 64, 3, Mode::Train).tape;
    let of = |name: &str| tape.parameters().iter().find(|declared| declared.name == name).unwrap();
    assert_eq!(of("model.0.conv.weight").init, Init::Uniform(1.0 / 108f64.sqrt()));
    assert_eq!((of("model.0.bn.bias").init, of("model.0.bn.bias").group), (Init::Zeros, Group::NormBias));
    let expected = |cells: f64, inputs: f64| Init::DetectorBias {
        bound: 1.0 / inputs.sqrt(),
        fields: 8,
        object: (8.0 / (cells * cells)).ln(),
        class: (0.6 / (3.0 - 0.99999f64)).ln(),
    };
    assert_eq!(of("model.24.m.0.bias").init, expected(80.0, 64.0));
    assert_eq!(of("model.24.m.2.bias").init, expected(20.0, 256.0));
    assert_eq!(of("model.24.m.2.bias").group, Group::Bias);
}

/// Objects that no small change moves to another cell.
fn objects(images: usize, head: &Head) -> Vec<f64> {
    let row = |i: usize| {
        let part = |by: usize, of: usize| ((i * by) % of) as f64 / of as f64;
        let class = if i % head.most == head.most - 1 { -1.0 } else { (i % head.classes) as f64 };
        let centre = [0.03 + 0.94 * part(5, 23), 0.02 + 0.95 * part(11, 29)];
        [class, centre[0], centre[1], 0.06 + 0.7 * part(3, 13), 0.09 + 0.6 * part(4, 11), 0.0]
    };
    (0..images * head.most).flat_map(row).collect()
}

#[test]
fn gradients_of_the_loss_are_finite_differences() {
    for (side, classes, images) in [(64, 3, 2), (32, 1, 3), (96, 2, 1)] {
        let head = Head::yolov5(side, classes, 6);
        let objects = objects(images, &head);
        for level in 0..LEVELS {
            let z = test_values(images * head.width(level), level as u64);
            let detached = reference::Detached::of(&z, &objects, &head, level);
            let loss = |z: &[f64]| -> f64 { reference::losses(z, &detached, &head, level).iter().flatten().sum() };
            let gradient = reference::backward(&z, &detached, &head, level);
            let largest = gradient.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            for i in 0..z.len() {
                let at = |by: f64| {
                    let mut moved = z.clone();
                    moved[i] += by;
                    loss(&moved)
                };
                let expected = (at(1e-5) - at(-1e-5)) / 2e-5;
                let difference = (gradient[i] - expected).abs();
                assert!(difference < 1e-6 * largest.max(1.0), "level {level}, {i}: {} for {expected}", gradient[i]);
            }
        }
    }
}

#[test]
fn an_object_belongs_to_its_cell_and_to_the_two_nearest_ones() {
    let head = Head::yolov5(64, 2, 2);
    // 16 x 20 pixels at (20, 45): on the level of stride 8 in cell (2, 5), whose left and lower
    // borders are nearer than half a cell... 2.5 and 5.625.
    let of = |x: f64, y: f64| {
        let none = [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let object = [1.0, x / 64.0, y / 64.0, 16.0 / 64.0, 20.0 / 64.0, 0.0];
        [object, none].concat()
    };
    let cells = |objects: &[f64]| -> Vec<(usize, [usize; 2])> {
        reference::matches(objects, &head, 0).iter().map(|m| (m.anchor, m.cell)).collect()
    };
    // The anchors are 10x13, 16x30 and 33x23: no side differs by a factor of 4.
    let around = |others: &[[usize; 2]]| -> Vec<(usize, [usize; 2])> {
        let cells: Vec<[usize; 2]> = [&[[2, 5]], others].concat();
        cells.into_iter().flat_map(|cell| (0..3).map(move |anchor| (anchor, cell))).collect()
    };
    assert_eq!(cells(&of(19.0, 45.0)), around(&[[1, 5], [2, 6]]));
    assert_eq!(cells(&of(21.0, 43.0)), around(&[[2, 4], [3, 5]]));
    // Exactly in the middle of a cell neither border is nearer than half a cell.
    assert_eq!(cells(&of(20.0, 44.0)), around(&[]));
    // No cells outside: the centre must be more than a cell away from the border.
    let corner = cells(&of(3.0, 62.0));
    assert!(corner.iter().all(|(_, cell)| *cell == [0, 7]), "{corner:?}");
    // A difficult object, and one of which a side differs by a factor of 4 or more.
    let mut difficult = of(19.0, 45.0);
    difficult[5] = 1.0;
    assert_eq!(cells(&difficult), []);
    let mut long = of(19.0, 45.0);
    long[3] = 40.0 / 64.0;
    assert!(!cells(&long).is_empty() && cells(&long).iter().all(|(anchor, _)| *anchor > 0));
}

#[test]
fn the_last_match_of_a_cell_decides_its_objectness() {
    let head = Head::yolov5(64, 2, 2);
    let object = |class: f64, w: f64| [class, 20.0 / 64.0, 44.0 / 64.0, w / 64.0, 20.0 / 64.0, 0.0];
    let z = vec![0.5; head.width(0)];
    let losses = |objects: &[f64]| {
        let detached = reference::Detached::of(&z, objects, &head, 0);
        reference::losses(&z, &detached, &head, 0)[0][1]
    };
    let [first, last] = [object(0.0, 12.0), object(1.0, 30.0)];
    let none = [-1.0; OBJECT];
    assert_eq!(losses(&[first, last].concat()), losses(&[last, none].concat()));
    assert!(losses(&[first, last].concat()) != losses(&[last, first].concat()));
    assert_eq!(head.fields(), BOX + 2);
}
