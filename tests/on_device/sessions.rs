//! Sessions without the training loop: batches in passes, evaluation, weights by name, shared
//! buffers.

use crate::common::{Test, test};
use crate::recorded::{names, prepare, totals};
use crate::training::{config, data};
use lerac::checks::assert_close;
use lerac::data::{Batch, Examples, Form, Pictures};
use lerac::error::Error;
use lerac::gpu::Gpu;
use lerac::nn::objective::{Answer, Objective, objective_for};
use lerac::nn::{self, Conv, Model, Net, Recorded};
use lerac::ops::batch_norm::{Activation, After};
use lerac::ops::sums::Totals;
use lerac::tape::{Controls, Init, Mode, Program, Storage, Tape, Target, Var};
use lerac::train::{Config, Method, Session, Task, session, write_safetensors};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The objective of `config` for data of this form.
fn objective_of(form: &Form, config: &Config) -> Arc<dyn Objective> {
    objective_for(form, config.training.objective()).unwrap()
}

/// A session of an unnamed model, with four steps an epoch.
pub fn session_with(gpu: &Gpu, model: &dyn Model, form: &Form, config: &Config) -> Session {
    let objective = objective_of(form, config);
    session(gpu, config, model, (form, objective), &|layers| config.curriculum(layers), 4).unwrap()
}

/// A session of a model of the table on `shapes`.
pub fn session_of(gpu: &Gpu, model: &str, batch_size: usize) -> Session {
    let config = config().with(|c| {
        c.model.name = model.into();
        c.training.batch_size = batch_size;
    });
    session_with(gpu, &nn::named(model).unwrap(), &data().train.form(), &config)
}

/// A batch of the examples from `first` on.
pub fn batch(data: &Pictures, first: usize, count: usize, capacity: usize) -> Batch {
    let indices: Vec<u32> = (first as u32..(first + count) as u32).collect();
    Batch::gather(data, &indices, capacity, None).unwrap()
}

/// Fills the empty rows of a batch with values that would be noticed if they were read.
fn spoilt(mut batch: Batch) -> Batch {
    for words in &mut batch.columns {
        let filled = words.len() / batch.capacity * batch.count;
        words[filled..].fill(u32::MAX);
    }
    batch
}

/// A model without batch norm, so that examples are independent.
pub fn plain_model(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = net.conv2d("conv", x, Conv { bias: true, ..Conv::same3x3(5, 2) });
    let x = net.relu("relu", x);
    let x = net.flatten(x);
    net.linear("linear", x, classes)
}

fn model_with_dropout(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = net.conv2d("conv", x, Conv { bias: true, ..Conv::same3x3(5, 2) });
    let x = net.relu("relu", x);
    let x = net.dropout("dropout", x, 0.4);
    let y = net.stochastic_depth("depth", x, 0.4);
    let x = net.add("sum", x, y);
    let x = net.flatten(x);
    net.linear("linear", x, classes)
}

/// The results of training in batches of twelve.
struct Trained {
    tensors: Vec<Vec<f32>>,
    training: Totals,
    evaluation: Totals,
    answers: Vec<Answer>,
    noise: Vec<f64>,
    /// Mean losses of training and evaluation.
    losses: [f64; 2],
}

/// Three steps, an evaluation of a batch and of a partial batch, and a noise measurement.
fn trained(gpu: &Gpu, model: &dyn Model, data: &Pictures, config: &Config) -> Trained {
    let mut session = session_with(gpu, model, &data.form(), config);
    (0..3).for_each(|step| session.step(&batch(data, 12 * step, 12, 12)).unwrap());
    let training = session.training_totals().unwrap();
    let parts = [batch(data, 0, 12, 12), spoilt(batch(data, 12, 7, 12))];
    let (evaluation, answers) = session.predict(parts.clone().into_iter().map(Ok)).unwrap();
    assert_eq!((training.examples, evaluation.examples, answers.len()), (36, 19, 19));
    assert_eq!(session.evaluate(parts.into_iter().map(Ok)).unwrap(), evaluation);
    let tensors = session.snapshot().unwrap().tensors;
    let two = [0, 12].map(|first| Ok(batch(data, first, 12, 12)));
    let noise = session.signal_to_noise(two.into_iter()).unwrap();
    let losses = [&training, &evaluation].map(|totals| session.scores(totals).loss);
    Trained { tensors, training, evaluation, answers, noise, losses }
}

/// Asserts that steps in whole batches of twelve and in passes of these sizes give the same
/// results. Returns the weights of whole batches.
fn same_in_passes(gpu: &Gpu, model: &dyn Model, data: &Pictures, config: &Config, sizes: &[usize]) -> Vec<Vec<f32>> {
    let of = |micro_batch: usize| {
        let config = config.clone().with(|c| {
            c.training.batch_size = 12;
            c.training.micro_batch = Some(micro_batch);
        });
        trained(gpu, model, data, &config)
    };
    let whole = of(12);
    for &micro_batch in sizes {
        let found = of(micro_batch);
        assert_eq!(found.answers, whole.answers, "{micro_batch}");
        for (loss, expected) in found.losses.into_iter().zip(whole.losses) {
            approx::assert_relative_eq!(loss, expected, max_relative = 1e-5);
        }
        // Hits are integers.
        assert_eq!(found.training.parts[1..], whole.training.parts[1..], "{micro_batch}");
        assert_eq!(found.evaluation.parts[1..], whole.evaluation.parts[1..], "{micro_batch}");
        approx::assert_relative_eq!(found.noise[..], whole.noise[..], max_relative = 1e-3);
        for (found, expected) in found.tensors.iter().zip(&whole.tensors) {
            let expected: Vec<f64> = expected.iter().map(|&v| v.into()).collect();
            let what = format!("in passes of {micro_batch}, clipped to {:?}", config.optimizer.clip_norm);
            assert_close(&what, found, &expected, 1e-5);
        }
    }
    whole.tensors
}

fn calm() -> Config {
    config().with(|c| {
        c.optimizer.eta = 0.05;
        c.training.label_smoothing = 0.1;
        c.training.seed = 3;
    })
}

/// Without batch norm a step does not depend on the number of passes: gradients, their norm and
/// noise, masks of dropout and stochastic depth, and evaluation, also of a partial batch.
fn passes_are_a_batch(gpu: &Gpu) {
    let same = |clip_norm: Option<f64>| {
        let config = calm().with(|c| c.optimizer.clip_norm = clip_norm);
        same_in_passes(gpu, &model_with_dropout, &data().train, &config, &[4, 3, 1])
    };
    assert_ne!(same(None), same(Some(0.5)), "this norm clips");
}

/// Images of random bytes, ten classes.
fn noise(image: [usize; 3], count: usize) -> Pictures {
    let bytes = count * image.iter().product::<usize>();
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8;
    let labels = (0..count as u32).map(|i| byte(7 * i + 1) % 10);
    Pictures::new("noise", image, names(10).to_vec(), (0..bytes as u32).map(byte).collect(), labels)
}

/// An example's bytes are padded to whole words, and passes start at the right word.
fn passes_of_odd_examples_are_a_batch(gpu: &Gpu) {
    for image in [[1, 5, 7], [3, 5, 3], [1, 3, 2]] {
        assert_ne!(image.iter().product::<usize>() % 4, 0);
        same_in_passes(gpu, &plain_model, &noise(image, 40), &calm(), &[6, 4, 1]);
    }
}

/// Mixup pairs examples from both ends of the batch, for any number of passes. No dropout: its
/// masks depend on the position in a pass.
fn passes_are_a_batch_under_mixup(gpu: &Gpu) {
    let mixed = calm().with(|c| c.training.mixup = Some(0.4));
    for data in [data().train, noise([1, 5, 7], 40)] {
        let whole = same_in_passes(gpu, &plain_model, &data, &mixed, &[6, 4, 2]);
        assert_ne!(whole, same_in_passes(gpu, &plain_model, &data, &calm(), &[]), "mixup changes what is learnt");
    }
}

/// A pass under mixup contains whole pairs.
fn odd_passes_under_mixup_are_refused(gpu: &Gpu) {
    let of = |batch_size, micro_batch, mixup| {
        config().with(|c| {
            c.training.batch_size = batch_size;
            c.training.micro_batch = micro_batch;
            c.training.mixup = mixup;
        })
    };
    let data = data();
    for (batch_size, micro_batch, mixup, fits) in [
        (12, Some(3), Some(0.4), false),
        (12, Some(1), Some(0.4), false),
        (9, Some(3), Some(0.4), false),
        (12, Some(5), Some(0.4), false),
        (12, Some(0), None, false),
        (12, Some(5), None, false),
        (12, Some(3), None, true),
        (12, Some(6), Some(0.4), true),
        // In a single pass the middle example is mixed with itself.
        (9, Some(9), Some(0.4), true),
        (9, None, Some(0.4), true),
    ] {
        let case = format!("{batch_size}, {micro_batch:?}, {mixup:?}");
        let config = of(batch_size, micro_batch, mixup);
        match Task::of(&config, &data.clone().into()) {
            Ok(task) => {
                assert!(fits, "{case}");
                task.session(gpu, 4).unwrap();
            }
            Err(Error::Setting { field, .. }) => {
                assert!(!fits && field == "micro_batch", "{case}: {field}");
                // Without an explicit check it panics.
                let made = AssertUnwindSafe(|| session_with(gpu, &plain_model, &data.train.form(), &config));
                assert!(catch_unwind(made).is_err(), "{case}");
            }
            Err(other) => panic!("{case}: {other}"),
        }
    }
}

fn evaluation_counts_every_example(gpu: &Gpu) {
    let data = data().test;
    let sums = |batch_size: usize| {
        let session = session_of(gpu, "cnn", batch_size);
        let firsts = (0..37).step_by(batch_size);
        let batches = firsts.map(|first| Ok(batch(&data, first, batch_size.min(37 - first), batch_size)));
        session.evaluate(batches).unwrap()
    };
    let (whole, parts) = (sums(37), sums(16));
    assert_eq!((whole.examples, parts.examples), (37, 37));
    assert_eq!(whole.parts[1..], parts.parts[1..], "hits");
    approx::assert_relative_eq!(whole.values()[0], parts.values()[0], max_relative = 1e-6);
}

/// The content of empty rows has no effect, in evaluation and in training.
fn empty_places_change_nothing(gpu: &Gpu) {
    let data = data().train;
    let form = data.form();
    for micro_batch in [16, 4, 1] {
        let config = calm().with(|c| {
            c.training.batch_size = 16;
            c.training.micro_batch = Some(micro_batch);
        });
        let session = session_with(gpu, &plain_model, &form, &config);
        let predicted = |batch: Batch| session.predict(std::iter::once(Ok(batch))).unwrap();
        let (_, all) = predicted(batch(&data, 0, 16, 16));
        for count in [5, 4, 1, 0] {
            let (clean, broken) = (batch(&data, 0, count, 16), spoilt(batch(&data, 0, count, 16)));
            let (totals, answers) = predicted(clean);
            assert_eq!(predicted(broken), (totals.clone(), answers.clone()), "{count} in passes of {micro_batch}");
            assert_eq!((totals.examples as usize, totals.halted, &answers[..]), (count, 0, &all[..count]));
        }
    }

    // A step is over the valid examples.
    let step = |batch_size: usize, batch: Batch| {
        let config = calm().with(|c| c.training.batch_size = batch_size);
        let mut session = session_with(gpu, &plain_model, &form, &config);
        session.step(&batch).unwrap();
        (session.training_totals().unwrap(), session.snapshot().unwrap().tensors)
    };
    let (totals, tensors) = step(12, spoilt(batch(&data, 0, 7, 12)));
    assert_eq!(step(12, batch(&data, 0, 7, 12)), (totals.clone(), tensors.clone()));
    let (expected, whole) = step(7, batch(&data, 0, 7, 7));
    assert_eq!((totals.examples, expected.examples), (7, 7));
    approx::assert_relative_eq!(totals.values()[..], expected.values()[..], max_relative = 1e-6);
    for (found, expected) in tensors.iter().zip(&whole) {
        assert_close("weights", found, &expected.iter().map(|&v| v.into()).collect::<Vec<_>>(), 1e-5);
    }
}

/// The model of [`session_with`], with a buffer for each tensor.
struct Unshared {
    storage: Storage,
    recorded: [Recorded; 2],
    programs: [Program; 2],
}

impl Unshared {
    fn new(gpu: &Gpu, model: &dyn Model, form: &Form, config: &Config) -> Self {
        let objective = objective_of(form, config);
        let recorded = [Mode::Train, Mode::Eval].map(|mode| {
            let tape = Tape::new(mode).with_target(Target::of(gpu.info()));
            nn::record(model, form, &*objective, config.training.batch_size, tape, config.net_options())
        });
        let storage = Storage::new(gpu, &recorded[0].tape).unwrap();
        let program = |recorded: &Recorded| Program::new(gpu, recorded.tape.clone(), &storage).unwrap();
        let programs = [program(&recorded[0]), program(&recorded[1])];
        Self { storage, recorded, programs }
    }

    /// Runs the program for training or for evaluation on `session`'s current weights, and returns
    /// its sums.
    fn run(&self, gpu: &Gpu, session: &Session, which: usize, batch: &Batch, sigma: f64) -> Totals {
        let (program, recorded) = (&self.programs[which], &self.recorded[which]);
        for ((_, arena, span), values) in self.storage.tensors().zip(&session.snapshot().unwrap().tensors) {
            arena.write(gpu, span, values);
        }
        prepare(gpu, program, recorded, batch, Controls { sigma: sigma as f32, ..Controls::default() });
        gpu.run(program.forward().iter().chain(program.backward())).unwrap();
        totals(gpu, program, recorded.sums)
    }
}

/// Two dense layers, which write parts of one tensor.
fn dense_block(net: &mut Net, x: Var) -> Var {
    let [n, c, h, w] = net.shape(x).nchw("dense block");
    let features = net.allocate("features", [n, c + 8, h, w]);
    net.write_channels("input", features, 0, x);
    for channels in [c, c + 4] {
        net.scope(&format!("from{channels}"), |net| {
            let y = net.norm_relu_conv_of_first(channels, "norm1", "conv1", features, Conv::pointwise(6, 1));
            let y = net.norm_relu_conv("norm2", "conv2", y, Conv::same3x3(4, 1));
            net.write_channels("output", features, channels, y);
        });
    }
    features
}

/// A wide depthwise convolution between two 1x1 convolutions, and a residual after the last.
fn inverted_residual(net: &mut Net, x: Var) -> Var {
    let [_, c, _, _] = net.shape(x).nchw("inverted residual");
    let relu6 = After { activation: Activation::Relu6, residual: None };
    let y = net.conv2d("widen", x, Conv::pointwise(3 * c, 1));
    let y = net.batch_norm_then("norm1", y, relu6);
    let mut depthwise = Conv::same3x3(3 * c, 1);
    depthwise.options.groups = 3 * c;
    let y = net.conv2d("depthwise", y, depthwise);
    let y = net.batch_norm_then("norm2", y, relu6);
    let y = net.conv2d("narrow", y, Conv::pointwise(c, 1));
    net.batch_norm_then("norm3", y, After { activation: Activation::Identity, residual: Some(x) })
}

/// Blocks of DenseNet and MobileNet; the models themselves take minutes.
fn dense_and_inverted(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = net.conv2d("stem", x, Conv::same3x3(5, 2));
    let x = net.block("dense", |net| dense_block(net, x));
    let x = net.norm_relu_conv("norm", "transition", x, Conv::pointwise(6, 1));
    let x = net.mean_pool("pool", x, 2, 2);
    let x = net.block("inverted", |net| inverted_residual(net, x));
    let x = net.global_mean_pool("global", x);
    net.linear("linear", x, classes)
}

fn shared_buffers_change_no_bit(gpu: &Gpu) {
    let data = data().train;
    let form = data.form();
    let batch = |i: usize| batch(&data, 2 * i, 2, 2);
    let named = ["cnn", "lenet", "resnet8", "resnet20"]
        .map(|name| (name, Arc::new(nn::named(name).unwrap()) as Arc<dyn Model>));
    let own: Arc<dyn Model> = Arc::new(dense_and_inverted);
    for (name, model) in named.into_iter().chain([("dense and inverted", own)]) {
        for method in [Method::Conventional, Method::Cbs] {
            let config = config().with(|c| {
                c.curriculum.method = method;
                c.training.batch_size = 2;
            });
            let mut session = session_with(gpu, &*model, &form, &config);
            let unshared = Unshared::new(gpu, &*model, &form, &config);
            // In the second step the buffers contain values of the first step and of the
            // evaluation.
            for step in 0..2 {
                let what = format!("{name} {method}, step {step}");
                let expected = unshared.run(gpu, &session, 0, &batch(step), config.curriculum.sigma);
                session.step(&batch(step)).unwrap();
                assert_eq!(session.training_totals().unwrap(), expected, "{what}");
                let gradients = |storage: &Storage| storage.grads.read_all(gpu, &storage.layout).unwrap();
                for ((found, expected), declared) in gradients(session.storage())
                    .iter()
                    .zip(gradients(&unshared.storage))
                    .zip(unshared.storage.parameters())
                {
                    assert!(found.iter().any(|&g| g != 0.0), "{what}: {} has no gradient", declared.name);
                    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                    assert!(bits(found) == bits(&expected), "{what}: gradient of {}", declared.name);
                }
                let expected = unshared.run(gpu, &session, 1, &batch(7), config.curriculum.sigma);
                assert_eq!(session.evaluate(std::iter::once(Ok(batch(7)))).unwrap(), expected, "{what}: evaluation");
            }
        }
    }
}

fn small_models_take_a_step(gpu: &Gpu) {
    let data = data().train;
    // The others have the same parts, and take minutes to compile on a software adapter.
    for model in ["cnn", "lenet", "resnet8", "resnet20", "resnet18"] {
        let mut session = session_of(gpu, model, 4);
        let before = session.snapshot().unwrap().tensors;
        session.step(&batch(&data, 0, 4, 4)).unwrap();
        assert_eq!(session.training_totals().unwrap().examples, 4);
        let after = session.snapshot().unwrap().tensors;
        for ((before, after), (declared, ..)) in before.iter().zip(&after).zip(session.storage().tensors()) {
            assert!(after.iter().all(|v| v.is_finite()), "{model}: {}", declared.name);
            assert!(before != after, "{model}: {} did not change", declared.name);
        }
    }
}

fn weights_are_saved_by_name(gpu: &Gpu) {
    let session = session_of(gpu, "resnet8", 2);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let snapshot = session.snapshot().unwrap();
    write_safetensors(&path, &session.named(&snapshot, ""), Default::default()).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let saved = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(saved.len(), snapshot.tensors.len());
    for (declared, arena, span) in session.storage().tensors() {
        let tensor = saved.tensor(&declared.name).unwrap();
        let values: Vec<f32> =
            tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(
            (tensor.shape(), values),
            (declared.shape.dims(), arena.read(gpu, span).unwrap()),
            "{}",
            declared.name
        );
    }
}

/// Against the gradients of three batches.
fn noise_is_that_of_the_gradients(gpu: &Gpu) {
    let mut session = session_of(gpu, "cnn", 4);
    let images = data().train;
    let batch = |i: usize| Ok(batch(&images, 4 * i, 4, 4));
    let found = session.signal_to_noise((0..3).map(batch)).unwrap();
    let mut gradients: Vec<Vec<Vec<f32>>> = vec![];
    for i in 0..3 {
        // The gradients of the last batch remain.
        session.signal_to_noise([batch(i), batch(i)].into_iter()).unwrap();
        gradients.push(session.storage().grads.read_all(gpu, &session.storage().layout).unwrap());
    }
    for (layer, found) in found.iter().enumerate() {
        let (mut signal, mut variance) = (0.0, 0.0);
        for (t, declared) in session.storage().parameters().iter().enumerate().filter(|(_, d)| d.layer == layer) {
            let of_batch = |b: usize| gradients[b][t].iter().map(|&g| f64::from(g));
            assert_eq!(of_batch(0).count(), declared.shape.count());
            for ((a, b), c) in of_batch(0).zip(of_batch(1)).zip(of_batch(2)) {
                let values = [a, b, c];
                let mean = values.iter().sum::<f64>() / 3.0;
                signal += mean * mean;
                variance += values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0;
            }
        }
        assert!((found / (signal / variance) - 1.0).abs() < 1e-9, "layer {layer}: {found}, {}", signal / variance);
    }
}

fn initial_values_follow_their_declarations(gpu: &Gpu) {
    let session = session_of(gpu, "resnet8", 2);
    let mut drawn = vec![];
    for (declared, arena, span) in session.storage().tensors() {
        let values = arena.read(gpu, span).unwrap();
        let n = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let deviation = (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
        let expected = match declared.init {
            Init::Zeros | Init::Ones => {
                assert_eq!((deviation, mean), (0.0, f64::from(declared.init == Init::Ones)), "{}", declared.name);
                continue;
            }
            Init::Normal(deviation) => deviation,
            Init::Uniform(bound) => {
                assert!(values.iter().all(|&v| f64::from(v).abs() <= bound * (1.0 + 1e-6)), "{}", declared.name);
                bound / 3f64.sqrt()
            }
            Init::DetectorBias { .. } => unreachable!("resnet8 is no detector"),
        };
        // Five standard deviations of the estimate. The smallest tensor has ten values.
        assert!((deviation / expected - 1.0).abs() <= 5.0 / (2.0 * n).sqrt(), "{}: {deviation}", declared.name);
        assert!(mean.abs() <= 5.0 * expected / n.sqrt(), "{}: mean {mean}", declared.name);
        let first = values[0].to_bits();
        assert!(!drawn.contains(&first), "{} begins like another tensor", declared.name);
        drawn.push(first);
    }
    assert!(drawn.len() > 8);
}

pub fn tests() -> Vec<Test> {
    vec![
        test("sessions: passes are a batch", passes_are_a_batch),
        test("sessions: passes of odd examples are a batch", passes_of_odd_examples_are_a_batch),
        test("sessions: passes are a batch under mixup", passes_are_a_batch_under_mixup),
        test("sessions: odd passes under mixup are refused", odd_passes_under_mixup_are_refused),
        test("sessions: evaluation counts every example once", evaluation_counts_every_example),
        test("sessions: empty places change nothing", empty_places_change_nothing),
        test("sessions: small models take a step", small_models_take_a_step),
        test("sessions: shared buffers change no bit", shared_buffers_change_no_bit),
        test("sessions: weights are saved by name", weights_are_saved_by_name),
        test("sessions: noise is that of the gradients", noise_is_that_of_the_gradients),
        test("sessions: initial values follow their declarations", initial_values_follow_their_declarations),
    ]
}
