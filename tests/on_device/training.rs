//! Whole runs: reproducible to the bit, equal rates equal plain training, evaluation counts every image, a broken loss is explained.

use crate::common::{Test, test};
use lerac::curriculum::Range;
use lerac::data::{Augmentation, HostBatch, Splits, shapes};
use lerac::error::Error;
use lerac::gpu::Gpu;
use lerac::nn::{self, Task};
use lerac::train::{Config, Method, Observer, Parts, Session, run};

struct Silent;

impl Observer for Silent {}

fn config() -> Config {
    Config { epochs: 2, batch_size: 16, validation: 20, log_every: 3, flip: true, shift: 2, ..Config::default() }
}

fn data() -> Splits {
    shapes(120, 37, 5)
}

/// The bits of all weights after a run, and its test accuracy.
fn bits(gpu: &Gpu, config: &Config) -> (Vec<u32>, f64) {
    let outcome = run(gpu, config, &data(), &mut Silent).unwrap();
    let weights = outcome.session.snapshot().unwrap();
    (weights.iter().flatten().map(|v| v.to_bits()).collect(), outcome.summary.test_accuracy)
}

fn same_bytes_twice(gpu: &Gpu) {
    for method in [Method::Conventional, Method::Lerac, Method::Cbs] {
        let config = Config { method, ..config() };
        let (first, accuracy) = bits(gpu, &config);
        assert_eq!((first.clone(), accuracy), bits(gpu, &config), "{method}");
        assert_ne!(first, bits(gpu, &Config { seed: 1, ..config }).0, "{method}: another seed gives other weights");
    }
}

fn equal_rates_are_plain_training(gpu: &Gpu) {
    let plain = bits(gpu, &config());
    let equal = Range { first: 0.1, last: 0.1 };
    let lerac = Config { method: Method::Lerac, range: Some(equal), k: Some(1.0), ..config() };
    assert_eq!(plain, bits(gpu, &lerac));
    let unequal = Range { first: 0.1, last: 0.01 };
    assert_ne!(plain, bits(gpu, &Config { range: Some(unequal), ..lerac }));
}

fn session<'g>(gpu: &'g Gpu, model: &str, batch_size: usize) -> Session<'g> {
    let config = Config { model: model.into(), ..config() };
    let task = Task { image: [3, 32, 32], classes: 10, mean: vec![0.5; 3], std: vec![0.5; 3], label_smoothing: 0.0 };
    let parts = Parts {
        model: &nn::named(model).unwrap(),
        task: &task,
        batch_size,
        net_options: config.net_options(),
        settings: config.settings().unwrap(),
        schedule: config.common_rate().unwrap(),
        curriculum: &|layers| config.curriculum(layers),
        steps_per_epoch: 4,
        seed: 0,
    };
    Session::new(gpu, &parts).unwrap()
}

fn evaluation_counts_every_image(gpu: &Gpu) {
    let data = data().test;
    let everything: Vec<u32> = (0..37).collect();
    let sums = |batch_size: usize| {
        let session = session(gpu, "cnn", batch_size);
        let batches = everything.chunks(batch_size);
        let batches = batches.map(|i| HostBatch::gather(&data, i, batch_size, || Augmentation::IDENTITY));
        session.evaluate(batches).unwrap()
    };
    let (whole, parts) = (sums(37), sums(16));
    assert_eq!((whole.images, parts.images), (37, 37));
    assert_eq!((whole.top1, whole.top5), (parts.top1, parts.top5));
    assert!((whole.loss - parts.loss).abs() <= 1e-4 * whole.loss, "{} and {}", whole.loss, parts.loss);
}

fn a_broken_loss_is_explained(gpu: &Gpu) {
    let config = Config { eta: 1e30, log_every: 1, ..config() };
    let error = run(gpu, &config, &data(), &mut Silent).err().expect("a rate of 1e30 breaks the loss");
    let Error::NonFinite(message) = error else { panic!("{error}") };
    for part in ["step 1", "learning rate 1e30", "--eta"] {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

fn every_model_takes_a_step(gpu: &Gpu) {
    let data = data().train;
    for model in nn::NAMES {
        let mut session = session(gpu, model, 4);
        let before = session.snapshot().unwrap();
        let batch = HostBatch::gather(&data, &[0, 1, 2, 3], 4, || Augmentation::IDENTITY);
        session.step(&batch).unwrap();
        assert_eq!(session.training_metrics().unwrap().images, 4);
        let after = session.snapshot().unwrap();
        for ((before, after), (declared, ..)) in before.iter().zip(&after).zip(session.storage().tensors()) {
            assert!(after.iter().all(|v| v.is_finite()), "{model}: {}", declared.name);
            assert!(before != after, "{model}: {} did not change", declared.name);
        }
    }
}

fn shapes_are_learnt(gpu: &Gpu) {
    let config = Config { epochs: 3, batch_size: 32, validation: 0, eta: 0.05, ..Config::default() };
    let outcome = run(gpu, &config, &shapes(1600, 200, 1), &mut Silent).unwrap();
    let accuracy = outcome.summary.test_accuracy;
    assert!(accuracy >= 0.5, "150 steps bring {accuracy} where chance is 0.1");
}

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        test("training gives the same bytes twice", same_bytes_twice),
        test("training at equal rates is plain training, bit for bit", equal_rates_are_plain_training),
        test("training: evaluation counts every image once", evaluation_counts_every_image),
        test("training: a loss that is not finite is explained", a_broken_loss_is_explained),
        test("training: every model takes a step", every_model_takes_a_step),
        test("training: shapes are learnt", shapes_are_learnt),
    ]
}
