//! The moving average of the weights: against its f64 reference and against NumPy, in passes, in
//! evaluation, and in runs that are killed and resumed.

use crate::common::{Test, in_two_dialects, test};
use crate::recorded::{OfNumbers, of_numbers};
use crate::sessions::{batch, plain_model, session_with};
use crate::training::{Epochs, Silent, config, data, run};
use lerac::checks::{assert_close, narrow, test_values};
use lerac::data::{Batch, Examples};
use lerac::gpu::Gpu;
use lerac::nn::Net;
use lerac::ops::sums::Totals;
use lerac::optim::{Averages, Averaging};
use lerac::tape::{Declared, Group, Init, Mode, Storage, Tape, Var};
use lerac::train::{Config, ScheduleKind, Session, Tensor};
use safetensors::SafeTensors;

/// Parameters and states of odd sizes; the largest takes 74 blocks.
fn tape() -> Tape {
    let mut tape = Tape::new(Mode::Train);
    let declared = |i: usize, shape: &[usize]| Declared {
        name: format!("t{i}"),
        shape: shape.to_vec().into(),
        init: Init::Zeros,
        layer: 0,
        group: Group::Weight,
    };
    for (i, shape) in [&[7, 3, 3, 3][..], &[1], &[133, 141], &[256]].into_iter().enumerate() {
        tape.parameter(declared(i, shape));
    }
    for (i, shape) in [&[5][..], &[300]].into_iter().enumerate() {
        tape.state(declared(4 + i, shape));
    }
    tape
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| v.into()).collect()
}

/// The averages after five steps. From step `halted` on, counted from 1, a loss is not finite.
fn averaged(gpu: &Gpu, storage: &Storage, averaging: Averaging, halted: u64) -> Vec<Vec<f32>> {
    let sums = gpu.buffer("sums", 16).unwrap();
    gpu.write(&sums, 0, &Totals::zero(1).words());
    let averages = Averages::new(gpu, storage, &sums.whole(), averaging).unwrap();
    for (i, (_, arena, span)) in averages.storage().tensors().enumerate() {
        arena.write(gpu, span, &narrow(&test_values(span.count, i as u64)));
    }
    for step in 1..=5 {
        for (i, (_, arena, span)) in storage.tensors().enumerate() {
            arena.write(gpu, span, &narrow(&test_values(span.count, 100 * step + i as u64)));
        }
        if step == halted {
            gpu.write(&sums, 0, &Totals { halted: 1, ..Totals::zero(1) }.words());
        }
        averages.prepare(gpu, step);
        gpu.run(averages.calls()).unwrap();
    }
    averages.storage().tensors().map(|(_, arena, span)| arena.read(gpu, span).unwrap()).collect()
}

fn matches_reference(gpu: &Gpu) {
    for averaging in [(0.9999, 2000), (0.9, 5), (0.5, 0), (0.0, 0)].map(|(decay, warmup)| Averaging { decay, warmup }) {
        for (storage, windows) in
            [(Storage::new(gpu, &tape()).unwrap(), 1), (Storage::with_windows(gpu, &tape(), 74 << 10).unwrap(), 3)]
        {
            assert_eq!(storage.layout.windows().len(), windows);
            for halted in [1, 3, u64::MAX] {
                let found = averaged(gpu, &storage, averaging, halted);
                for (i, (found, (_, _, span))) in found.iter().zip(storage.tensors()).enumerate() {
                    let mut expected = test_values(span.count, i as u64);
                    for step in (1..=5).take_while(|&step| step < halted) {
                        let values = test_values(span.count, 100 * step + i as u64);
                        let of = |(average, value): (&f64, f64)| averaging.reference(step, *average, value);
                        expected = expected.iter().zip(values).map(of).collect();
                    }
                    assert_close(&format!("{averaging:?}, {windows} windows, t{i}"), found, &expected, 1e-6);
                }
            }
        }
    }
}

/// Batch norm, the mean of each channel, and a linear layer.
fn model(net: &mut Net, x: Var, classes: usize) -> Var {
    let x = net.layer("bn", |net| net.batch_norm("bn", x));
    let x = net.global_mean_pool("pool", x);
    net.linear("linear", x, classes)
}

/// Twelve steps in three epochs, with every option of `tests/golden/make_average.py`.
fn golden(gpu: &Gpu) {
    let path = format!("{}/tests/golden/average.safetensors", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| -> Vec<f32> { bytemuck::pod_collect_to_vec(file.tensor(name).unwrap().data()) };
    let config = Config::default().with(|c| {
        (c.training.epochs, c.training.batch_size) = (3, 8);
        (c.optimizer.eta, c.optimizer.momentum, c.optimizer.nesterov) = (0.2, 0.937, true);
        (c.optimizer.weight_decay, c.optimizer.spare_norm_and_bias) = (0.05, true);
        (c.optimizer.schedule, c.optimizer.final_rate) = (ScheduleKind::Linear, 0.02);
        (c.optimizer.warmup_epochs, c.optimizer.bias_warmup, c.optimizer.warmup_momentum) = (1.5, Some(0.5), Some(0.5));
        (c.optimizer.ema, c.optimizer.ema_warmup) = (Some(0.9), Some(5));
    });
    let mut session = session_with(gpu, &OfNumbers(model), &of_numbers(&[3, 4, 4], 5), &config);
    let initial = |(declared, ..): (&Declared, &_, &_)| Tensor {
        name: declared.name.clone(),
        shape: declared.shape.dims().to_vec(),
        values: floats(&format!("initial.{}", declared.name)),
    };
    let initial: Vec<Tensor> = session.storage().tensors().map(initial).collect();
    session.load(&initial, false).unwrap();
    let (images, losses) = (floats("images"), floats("loss"));
    let labels: Vec<u32> = bytemuck::pod_collect_to_vec(file.tensor("labels").unwrap().data());
    for step in 0..12 {
        let images = bytemuck::cast_slice(&images[step * 384..(step + 1) * 384]).to_vec();
        let batch = Batch { columns: vec![images, labels[step * 8..(step + 1) * 8].to_vec()], count: 8, capacity: 8 };
        session.step(&batch).unwrap();
        let totals = session.training_totals().unwrap();
        let loss = session.scores(&totals).loss as f32;
        assert_close(&format!("loss of step {step}"), &[loss], &[losses[step].into()], 1e-5);
    }
    for tensor in session.state().unwrap() {
        let name = match tensor.name.split_once('.').unwrap() {
            ("first_moment", _) => continue,
            ("average", _) => tensor.name.clone(),
            _ => format!("final.{}", tensor.name),
        };
        assert_close(&name, &tensor.values, &wide(&floats(&name)), 1e-5);
    }
}

fn with_average(config: &Config) -> Config {
    config.clone().with(|c| (c.optimizer.ema, c.optimizer.ema_warmup) = (Some(0.95), Some(10)))
}

/// After four steps of 16 examples.
fn trained(gpu: &Gpu, model: &str, config: &Config) -> Session {
    let mut session = session_with(gpu, &lerac::nn::named(model).unwrap(), &data().train.form(), config);
    (0..4).for_each(|step| session.step(&batch(&data().train, 16 * step, 16, 16)).unwrap());
    session
}

/// Averaging changes no bit of what is trained. Evaluation uses the averages.
fn training_is_the_same_and_evaluation_is_not(gpu: &Gpu) {
    let mut plain = trained(gpu, "cnn", &config());
    let averaged = trained(gpu, "cnn", &with_average(&config()));
    let trained = plain.snapshot().unwrap();
    assert!(averaged.trained_snapshot().unwrap() == trained, "averaging changed a weight");
    assert!(plain.trained_snapshot().unwrap() == trained && plain.averages().is_none());
    let averages = averaged.snapshot().unwrap();
    for ((average, trained), (declared, ..)) in
        averages.tensors.iter().zip(&trained.tensors).zip(plain.storage().tensors())
    {
        assert_ne!(average, trained, "{} is averaged", declared.name);
    }
    let bytes = plain.plan().training.parameters + plain.plan().training.state;
    assert_eq!((averaged.plan().averages, averaged.plan().total()), (bytes, plain.plan().total() + bytes));
    assert_eq!(averaged.optimizer().calls().len(), plain.optimizer().calls().len());

    let examples = || [Ok(batch(&data().train, 64, 16, 16))].into_iter();
    let of_trained = plain.evaluate(examples()).unwrap();
    let found = averaged.evaluate(examples()).unwrap();
    plain.restore(&averages);
    assert!(found == plain.evaluate(examples()).unwrap() && found != of_trained, "another evaluation");
}

/// Before the first step the averages are the weights: random ones, and loaded ones.
fn averages_start_at_the_weights(gpu: &Gpu) {
    let config = with_average(&config());
    let start = || session_with(gpu, &lerac::nn::named("cnn").unwrap(), &data().train.form(), &config);
    let mut session = start();
    assert!(session.snapshot().unwrap() == session.trained_snapshot().unwrap());
    let other = trained(gpu, "cnn", &config);
    session.load(&other.named(&other.snapshot().unwrap(), ""), false).unwrap();
    let loaded = other.snapshot().unwrap().tensors;
    assert!(session.snapshot().unwrap().tensors == loaded && session.trained_snapshot().unwrap().tensors == loaded);
}

/// A step in passes updates the averages once.
fn passes_are_averaged_once(gpu: &Gpu) {
    let of = |micro_batch| {
        let config = with_average(&config()).with(|c| {
            (c.training.batch_size, c.training.micro_batch, c.optimizer.eta) = (12, Some(micro_batch), 0.05);
        });
        let mut session = session_with(gpu, &plain_model, &data().train.form(), &config);
        (0..4).for_each(|step| session.step(&batch(&data().train, 12 * step, 12, 12)).unwrap());
        session.snapshot().unwrap().tensors
    };
    for (found, whole) in of(4).iter().zip(of(12)) {
        assert_close("averages of a step in three passes", found, &wide(&whole), 1e-5);
    }
}

/// A whole run: the best epoch is that of the averages, and its weights are tested.
fn runs_keep_the_average(gpu: &Gpu) {
    let config = with_average(&config()).with(|c| c.training.epochs = 3);
    let mut epochs = Epochs::default();
    let outcome = run(gpu, &config, &data(), &mut epochs).unwrap();
    let again = run(gpu, &config, &data(), &mut Silent).unwrap();
    let weights = outcome.session.snapshot().unwrap();
    assert!(weights == again.session.snapshot().unwrap(), "two runs differ");
    assert_ne!(weights.tensors, outcome.session.trained_snapshot().unwrap().tensors);
    let mut plain = session_with(
        gpu,
        &lerac::nn::named("cnn").unwrap(),
        &data().train.form(),
        &config.with(|c| (c.optimizer.ema, c.optimizer.ema_warmup) = (None, None)),
    );
    plain.restore(&weights);
    let test = data().test;
    let batches = (0..test.len()).step_by(16).map(|first| Ok(batch(&test, first, 16.min(test.len() - first), 16)));
    let totals = plain.evaluate(batches).unwrap();
    assert_eq!(plain.scores(&totals).value(), outcome.summary.test());
    assert_eq!(plain.scores(&totals).loss, outcome.summary.test_loss);
    let best = epochs.0.iter().filter_map(|epoch| Some(epoch.validation.as_ref()?.value()));
    assert_eq!(outcome.summary.validation(), best.reduce(f64::max));
}

/// A run with every option of the warm-up and the average, killed twice, gives the bytes of a whole
/// run.
#[cfg(feature = "cli")]
fn killed_and_resumed() {
    use crate::resuming::{SHORT, assert_same, killed_while, resumes};
    let dir = tempfile::tempdir().unwrap();
    let shared = SHORT.iter().copied().filter(|word| !["--optimizer", "adam"].contains(word));
    let own = "--warmup-epochs 1.5 --bias-warmup 0.05 --warmup-momentum 0.5 --schedule linear --final-rate 0.001 \
               --schedule-during-curriculum multiply --ema 0.95 --ema-warmup 20";
    let options: Vec<&str> = shared.chain(own.split_whitespace()).collect();
    let train = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (whole, killed) = (train("whole"), train("killed"));
    crate::common::program::stdout(&[&options[..], &["--out", &whole]].concat());
    let start = [&options[..], &["--out", &killed]].concat();
    killed_while(&start, killed.as_ref(), |files| !files.is_empty());
    let later = |path: &std::path::PathBuf| path.file_name().unwrap() >= "step-0000000060.safetensors";
    killed_while(&resumes(killed.as_ref()), killed.as_ref(), |files| files.last().is_some_and(later));
    crate::common::program::stdout(&resumes(killed.as_ref()));
    assert_same(whole.as_ref(), killed.as_ref());
    let layers = std::fs::read_to_string(dir.path().join("killed/layers.csv")).unwrap();
    assert!(layers.starts_with("step,epoch,depth,layer,learning_rate,bias_learning_rate,gradient_norm"), "{layers}");
}

pub fn tests() -> Vec<Test> {
    let mut tests = vec![
        test("averages: golden steps", golden),
        test("averages: training is the same and evaluation is not", training_is_the_same_and_evaluation_is_not),
        test("averages start at the weights", averages_start_at_the_weights),
        test("averages: passes are averaged once", passes_are_averaged_once),
        test("averages: runs keep the average", runs_keep_the_average),
        #[cfg(feature = "cli")]
        test("averages: killed and resumed", |_| killed_and_resumed()),
    ];
    tests.extend(in_two_dialects("averages match their reference", matches_reference));
    tests
}
