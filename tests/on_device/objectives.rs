//! Custom data, model and objective: two outputs, two losses, and results.

use crate::common::{Test, test};
use crate::observers::same_end;
use crate::recorded::names;
use crate::training::{Kept, config};
use lerac::checks::assert_close;
use lerac::data::{Column, Draw, Element, Examples, Form, Splits, bytes_of, floats_of};
use lerac::error::Result;
use lerac::gpu::Gpu;
use lerac::nn::objective::{Answer, CROSS_ENTROPY_SUMS, Losses, Measure, Prediction, REGRESSION_SUMS};
use lerac::nn::{Conv, Model, Net, Objective, Output};
use lerac::ops::regression::{Loss, Regression};
use lerac::tape::{Group, Init, Var};
use lerac::train::{Checkpoint, Config, Session, Task, resume, run, session};
use std::sync::Arc;

const CLASSES: usize = 3;
const SIDE: usize = 5;

/// Grey images of 25 bytes and two numbers. One half of an image is bright. The targets are the
/// half and its brightness.
struct Halves {
    count: usize,
    first: usize,
}

impl Examples for Halves {
    fn name(&self) -> &str {
        "halves"
    }

    fn form(&self) -> Form {
        let image = Column::plain("picture", Element::U8, [1, SIDE, SIDE]);
        let pixels = lerac::data::Meaning::Pixels { mean: vec![0.5], std: vec![0.25] };
        let hints = Column::plain("hints", Element::F32, [2]);
        Form {
            inputs: vec![Column { meaning: pixels, ..image }, hints],
            targets: vec![Column::class("half", names(CLASSES)), Column::number("brightness", "bytes", 150.0, 40.0)],
        }
    }

    fn len(&self) -> usize {
        self.count
    }

    fn read(&self, index: usize, draw: Option<Draw>, into: &mut [&mut [u32]]) -> Result<()> {
        let [picture, hints, half, brightness] = into else { panic!("four columns") };
        let seen = self.first + index;
        let (class, bright) = (seen % CLASSES, 80 + seen * 29 % 140);
        // In training every example is augmented with random numbers.
        let shade = draw.map_or(0, |draw| rand::RngExt::random_range(&mut draw.generator(index), 0..20u8));
        for (i, byte) in bytes_of(picture)[..SIDE * SIDE].iter_mut().enumerate() {
            let inside = [i / SIDE < 2, i / SIDE > 2, i % SIDE > 2][class];
            *byte = if inside { bright as u8 } else { shade };
        }
        floats_of(hints).copy_from_slice(&[bright as f32 / 255.0, 1.0]);
        half[0] = class as u32;
        floats_of(brightness)[0] = bright as f32;
        Ok(())
    }

    fn fingerprint(&self, add: &mut dyn FnMut(&[u8])) {
        add(&[self.count as u8, self.first as u8]);
    }
}

fn data() -> Splits {
    Splits { train: Arc::new(Halves { count: 120, first: 0 }), test: Arc::new(Halves { count: 37, first: 500 }) }
}

/// A convolution over the image for both outputs. The number also depends on the hints.
struct TwoHeads;

impl Model for TwoHeads {
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let (x, hints) = (net.pixels(), net.values("hints"));
        let x = net.conv2d("trunk", x, Conv { bias: true, ..Conv::same3x3(4, 1) });
        let x = net.relu("relu", x);
        let x = net.flatten(x);
        let head = |output: &Output| match output.name.as_str() {
            "brightness" => {
                let of_picture = net.linear("number", x, output.width);
                let of_hints = net.linear("hint", hints, output.width);
                net.add("brightness", of_picture, of_hints)
            }
            "half" => net.linear("class", x, output.width),
            other => panic!("{other}: no such output"),
        };
        wanted.iter().map(head).collect()
    }
}

/// An objective for half and brightness, with a weight for each loss. The first measure combines
/// both.
struct Both {
    of_class: f64,
    of_number: f64,
}

impl Both {
    const REGRESSION: Regression = Regression { loss: Loss::Mse, mean: 150.0, std: 40.0 };
}

impl Objective for Both {
    fn outputs(&self) -> Vec<Output> {
        vec![Output::new("brightness", 1), Output::new("half", CLASSES)]
    }

    fn sums(&self) -> usize {
        REGRESSION_SUMS + CROSS_ENTROPY_SUMS
    }

    fn record(&self, losses: &mut Losses<'_>, outputs: &[Var]) {
        losses.regression("number_loss", outputs[0], "brightness", Self::REGRESSION, self.of_number);
        losses.cross_entropy("class_loss", outputs[1], "half", 0.0, self.of_class);
    }

    fn measures(&self) -> Vec<Measure> {
        vec![Measure::error("distance", "distance", "bytes"), Measure::accuracy()]
    }

    fn evaluate(&self, examples: f64, sums: &[f64]) -> (f64, Vec<f64>) {
        let loss = self.of_number * sums[0] + self.of_class * sums[2];
        (loss / examples, vec![sums[1] / examples, sums[3] / examples])
    }

    fn answer(&self, outputs: &[&[f32]]) -> Answer {
        let class = (0..CLASSES).fold(0, |best, i| if outputs[1][i] > outputs[1][best] { i } else { best });
        Answer::Text(format!("{class} at {:.1}", Self::REGRESSION.number(outputs[0][0])))
    }

    fn truth(&self, targets: &[&[u32]]) -> Answer {
        Answer::Text(format!("{} at {:.1}", targets[0][0], f32::from_bits(targets[1][0])))
    }

    fn predict(&self, outputs: &[&[f32]]) -> Prediction {
        let Answer::Text(text) = self.answer(outputs) else { panic!("answers are texts") };
        Prediction::Text(text)
    }

    fn describe(&self) -> serde_json::Value {
        serde_json::json!({"of_class": self.of_class, "of_number": self.of_number})
    }
}

const BOTH: Both = Both { of_class: 2.0, of_number: 0.5 };

fn own_config() -> Config {
    config().with(|c| {
        c.data.name = "halves".into();
        c.model.name = "two heads".into();
        c.optimizer.eta = 0.02;
        c.training.epochs = 4;
    })
}

fn own_task(config: Config) -> Task {
    Task { config, model: Arc::new(TwoHeads), data: data(), objective: Arc::new(BOTH), curriculum: None }
}

fn session_for(gpu: &Gpu, config: &Config, objective: Both) -> Session {
    let form = data().train.form();
    session(gpu, config, &TwoHeads, (&form, Arc::new(objective)), &|layers| config.curriculum(layers), 4).unwrap()
}

/// The gradients of a batch by parameter name.
fn gradients(gpu: &Gpu, objective: Both, micro_batch: usize) -> Vec<(String, Vec<f32>)> {
    let config = own_config().with(|c| c.training.micro_batch = Some(micro_batch));
    let mut session = session_for(gpu, &config, objective);
    let indices: Vec<u32> = (0..16).collect();
    let batch = lerac::data::Batch::gather(&*data().train, &indices, 16, None).unwrap();
    session.step(&batch).unwrap();
    let storage = session.storage();
    let values = storage.grads.read_all(gpu, &storage.layout).unwrap();
    storage.parameters().iter().map(|declared| declared.name.clone()).zip(values).collect()
}

/// The gradient of both losses is the weighted sum of their gradients, also when the batch is split
/// into passes.
fn losses_add_up(gpu: &Gpu) {
    let both = gradients(gpu, BOTH, 16);
    let of_class = gradients(gpu, Both { of_class: 1.0, of_number: 0.0 }, 16);
    let of_number = gradients(gpu, Both { of_class: 0.0, of_number: 1.0 }, 16);
    let in_passes = gradients(gpu, BOTH, 4);
    for (i, (name, found)) in both.iter().enumerate() {
        let (a, b) = (&of_class[i].1, &of_number[i].1);
        let expected: Vec<f64> =
            a.iter().zip(b).map(|(&a, &b)| BOTH.of_class * f64::from(a) + BOTH.of_number * f64::from(b)).collect();
        assert_close(name, found, &expected, 1e-5);
        assert_close(&format!("{name} in passes"), &in_passes[i].1, &expected, 1e-5);
        let [has_class, has_number] = [a, b].map(|values| values.iter().any(|&v| v != 0.0));
        let layer = name.split('.').next().unwrap();
        let expected = [layer == "trunk" || layer == "class", layer != "class"];
        assert_eq!([has_class, has_number], expected, "{name}");
    }
}

/// A run with custom parts has records, a best epoch, answers and checkpoints like a built-in one,
/// and learns.
fn custom_runs_are_complete(gpu: &Gpu) {
    let (task, mut kept) = (own_task(own_config()), Kept::default());
    let outcome = run(gpu, &task, &mut kept).unwrap();
    let summary = &outcome.summary;
    let keys: Vec<&str> = summary.scores.keys().map(String::as_str).collect();
    assert_eq!(keys, ["test_accuracy", "test_distance", "validation_distance"]);
    assert_eq!((summary.measure().key.as_str(), summary.test_examples), ("distance", 37));
    assert!(summary.scores["test_accuracy"] > 0.9 && summary.test() < 25.0, "{summary:?}");

    // The scores match the answers.
    let parts = |answer: &Answer| match answer {
        Answer::Text(text) => {
            let (class, number) = text.split_once(" at ").unwrap();
            (class.to_owned(), number.parse::<f64>().unwrap())
        }
        other => panic!("{other:?}"),
    };
    let (mut hits, mut distance) = (0.0, 0.0);
    for (i, (truth, answer)) in outcome.answers.iter().enumerate() {
        let (truth, answer) = (parts(truth), parts(answer));
        assert_eq!(truth.0, ((500 + i) % CLASSES).to_string());
        hits += f64::from(truth.0 == answer.0);
        distance += (truth.1 - answer.1).abs();
    }
    approx::assert_relative_eq!(summary.scores["test_accuracy"], hits / 37.0, max_relative = 1e-9);
    approx::assert_relative_eq!(summary.test(), distance / 37.0, epsilon = 0.05, max_relative = 0.0);

    // The first measure is better when lower.
    let validation: Vec<f64> = kept.epochs.iter().map(|epoch| epoch.validation.as_ref().unwrap().value()).collect();
    let least = validation.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(summary.validation(), Some(least));
    assert_eq!(validation[summary.best_epoch as usize - 1], least);
    for checkpoint in &kept.checkpoints {
        let checkpoint = Checkpoint::from_bytes("checkpoint".as_ref(), &checkpoint.to_bytes()).unwrap();
        let resumed = resume(gpu, &task, &checkpoint, &mut Kept::default()).unwrap();
        same_end(&resumed, &outcome);
    }
}

/// The outputs of each example, in the objective's order, for any number of passes.
fn outputs_are_in_order(gpu: &Gpu) {
    let of = |micro_batch: usize| {
        let config = own_config().with(|c| c.training.micro_batch = Some(micro_batch));
        let session = session_for(gpu, &config, BOTH);
        let indices: Vec<u32> = (0..13).collect();
        let batch = lerac::data::Batch::gather(&*data().train, &indices, 16, None);
        let mut seen = vec![];
        let see = |_: &lerac::data::Batch, place: usize, outputs: &[&[f32]]| {
            seen.push((place, outputs.iter().map(|values| values.to_vec()).collect::<Vec<_>>()));
        };
        pollster::block_on(session.predict_async(std::iter::once(batch.map_err(|_| unreachable!())), see)).unwrap();
        seen
    };
    let whole = of(16);
    assert_eq!(whole.iter().map(|(place, _)| *place).collect::<Vec<_>>(), (0..13).collect::<Vec<_>>());
    assert!(whole.iter().all(|(_, outputs)| [outputs[0].len(), outputs[1].len()] == [1, CLASSES]));
    assert_eq!(of(4), whole);
}

/// Parameters of a custom operation belong to the layer that it begins.
fn custom_operations_have_layers(gpu: &Gpu) {
    let model = |net: &mut Net, x: Var, classes: usize| {
        let x = net.flatten(x);
        let x = net.linear("first", x, 6);
        let x = net.layer("scale", |net| {
            let weight = net.parameter("scale.weight", [6, 6], Init::Normal(0.5), Group::Weight);
            let bias = net.parameter("scale.bias", [6], Init::Zeros, Group::Bias);
            let name = net.full_name("scale");
            lerac::ops::linear::linear(net.tape(), &name, x, weight, bias)
        });
        net.linear("last", x, classes)
    };
    let config = config().with(|c| {
        c.optimizer.eta = 5e-4;
        c.training.epochs = 4;
    });
    let task = crate::training::task(&config, crate::training::data());
    let task = Task { model: Arc::new(model), ..task };
    let mut kept = Kept::default();
    let outcome = run(gpu, &task, &mut kept).unwrap();
    let layers: Vec<_> = outcome.session.layers().iter().map(|layer| (layer.name.as_str(), layer.depth)).collect();
    assert_eq!(layers, [("first", 1), ("scale", 2), ("last", 3)]);
    let declared = outcome.session.storage().parameters().iter();
    let places: Vec<_> = declared.map(|declared| (declared.name.as_str(), declared.layer)).collect();
    let expected = ["first", "scale", "last"].into_iter().enumerate();
    let expected = expected.flat_map(|(i, name)| [(format!("{name}.weight"), i), (format!("{name}.bias"), i)]);
    assert!(places.into_iter().eq(expected.collect::<Vec<_>>().iter().map(|(name, i)| (name.as_str(), *i))));
    let losses: Vec<f64> = kept.epochs.iter().map(|epoch| epoch.training.loss).collect();
    assert!(losses[3] < losses[0], "{losses:?}");
}

pub fn tests() -> Vec<Test> {
    vec![
        test("objectives: two losses add up", losses_add_up),
        test("objectives: custom runs are complete", custom_runs_are_complete),
        test("objectives: outputs are in order", outputs_are_in_order),
        test("objectives: custom operations have layers", custom_operations_have_layers),
    ]
}
