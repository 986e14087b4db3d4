//! Whole runs: reproducible to the bit, equal rates equal plain training, evaluation counts every image, a broken loss is explained.

use crate::common::compare::assert_close;
use crate::common::{Test, test};
use lerac::curriculum::{DuringCurriculum, PlateauState, Range, Time, rates};
use lerac::data::{Augmentation, Dataset, HostBatch, Meaning, Splits, shapes, split};
use lerac::error::{Error, Result};
use lerac::gpu::Gpu;
use lerac::nn::{self, Conv, Model, Net, Recorded, Task};
use lerac::ops::batch_norm::{Activation, After};
use lerac::ops::metrics::{METRICS, Metrics};
use lerac::tape::{CONTROLS, Controls, Init, Mode, Program, Storage, Tape, Target, Var};
use lerac::train::{
    Checkpoint, Config, EpochRecord, IntervalRecord, Method, NoiseRecord, Observer, Outcome, Parts, ScheduleKind,
    Session, TestResult, resume, run, write_safetensors,
};

struct Silent;

impl Observer for Silent {}

/// Keeps the epochs' records.
#[derive(Default)]
struct Epochs(Vec<EpochRecord>);

impl Observer for Epochs {
    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.0.push(*record);
        Ok(())
    }
}

fn config() -> Config {
    Config::default().with(|c| {
        c.training.epochs = 2;
        c.training.batch_size = 16;
        c.data.validation = 20;
        c.training.log_every = 3;
        c.data.flip = true;
        c.data.shift = 2;
    })
}

fn data() -> Splits {
    shapes(120, 37, 5)
}

/// The bits of all weights after a run, and its test accuracy.
fn bits(gpu: &Gpu, config: &Config) -> (Vec<u32>, f64) {
    let outcome = run(gpu, config, &data(), &mut Silent).unwrap();
    let weights = outcome.session.snapshot().unwrap().tensors;
    (weights.iter().flatten().map(|v| v.to_bits()).collect(), outcome.summary.result.test().value)
}

fn same_bytes_twice(gpu: &Gpu) {
    for method in Method::ALL {
        let config = config().with(|c| c.curriculum.method = method);
        let (first, accuracy) = bits(gpu, &config);
        assert_eq!((first.clone(), accuracy), bits(gpu, &config), "{method}");
        assert_ne!(
            first,
            bits(gpu, &config.with(|c| c.training.seed = 1)).0,
            "{method}: another seed gives other weights"
        );
    }
}

fn equal_rates_are_plain_training(gpu: &Gpu) {
    let plain = bits(gpu, &config());
    let equal = Range { first: 0.1, last: 0.1 };
    let lerac = config().with(|c| {
        c.curriculum.method = Method::Lerac;
        c.curriculum.range = Some(equal);
        c.curriculum.k = Some(1.0);
    });
    assert_eq!(plain, bits(gpu, &lerac));
    let unequal = Range { first: 0.1, last: 0.01 };
    assert_ne!(plain, bits(gpu, &lerac.clone().with(|c| c.curriculum.range = Some(unequal))));

    // So it is where the schedule multiplies, and where it waits and would do nothing until then.
    let cosine = |c: &mut Config| {
        c.optimizer.schedule = ScheduleKind::Cosine;
        c.optimizer.warmup_epochs = 0.5;
    };
    let steps = |c: &mut Config| {
        c.optimizer.schedule = ScheduleKind::Step;
        c.optimizer.milestones = vec![1.0, 1.5];
    };
    let multiply = |c: &mut Config| c.curriculum.schedule_during_curriculum = Some(DuringCurriculum::Multiply);
    let plain_cosine = bits(gpu, &config().with(cosine));
    assert_eq!(plain_cosine, bits(gpu, &lerac.clone().with(cosine).with(multiply)));
    assert_ne!(plain_cosine, bits(gpu, &lerac.clone().with(cosine)), "a cosine waits for the curriculum");
    assert_eq!(bits(gpu, &config().with(steps)), bits(gpu, &lerac.with(steps)));
}

fn task() -> Task {
    Task::new([3, 32, 32], 10)
}

fn session<'g>(gpu: &'g Gpu, model: &str, batch_size: usize) -> Session<'g> {
    session_of(
        gpu,
        &config().with(|c| {
            c.model.name = model.into();
            c.training.batch_size = batch_size;
        }),
    )
}

fn session_of<'g>(gpu: &'g Gpu, config: &Config) -> Session<'g> {
    session_with(gpu, &nn::named(&config.model.name).unwrap(), config)
}

/// The same with a model that has no name.
fn session_with<'g>(gpu: &'g Gpu, model: &Model, config: &Config) -> Session<'g> {
    let parts = Parts {
        model,
        task: &task(),
        batch_size: config.training.batch_size,
        micro_batch: config.training.micro_batch_size(),
        net_options: config.net_options(),
        settings: config.optimizer.settings().unwrap(),
        schedule: config.common_rate().unwrap(),
        curriculum: &|layers| config.curriculum(layers),
        steps_per_epoch: 4,
        seed: 0,
        mixup: config.training.mixup,
        kernels: &config.kernels,
    };
    Session::new(gpu, &parts).unwrap()
}

/// Without batch norm a step is the same however many passes it has: gradients, their norm and noise, dropout's masks, and evaluation, of
/// a part of a batch too.
fn passes_are_a_batch(gpu: &Gpu) {
    let model: Model = Box::new(|net, x, classes| {
        let x = net.conv2d("conv", x, Conv { bias: true, ..Conv::same3x3(5, 2) });
        let x = net.relu("relu", x);
        let x = net.dropout("dropout", x, 0.4);
        let x = net.flatten(x);
        net.linear("linear", x, classes)
    });
    let data = data().train;
    let train = |micro_batch: usize, clip_norm: Option<f64>| {
        let config = config().with(|c| {
            c.optimizer.eta = 0.05;
            c.training.label_smoothing = 0.1;
            c.optimizer.clip_norm = clip_norm;
        });
        let parts = Parts {
            model: &model,
            task: &task(),
            batch_size: 12,
            micro_batch,
            net_options: config.net_options(),
            settings: config.optimizer.settings().unwrap(),
            schedule: config.common_rate().unwrap(),
            curriculum: &|layers| config.curriculum(layers),
            steps_per_epoch: 4,
            seed: 3,
            mixup: config.training.mixup,
            kernels: &config.kernels,
        };
        let mut session = Session::new(gpu, &parts).unwrap();
        let batch = |first: u32, count: u32| {
            let indices: Vec<u32> = (first..first + count).collect();
            HostBatch::gather(&data, &indices, 12, || Augmentation::IDENTITY)
        };
        (0..3).for_each(|step| session.step(&batch(12 * step, 12).unwrap()).unwrap());
        let trained = session.training_metrics().unwrap();
        let (evaluated, predictions) = session.predict([batch(0, 12), batch(12, 7)].into_iter()).unwrap();
        assert_eq!((trained.images, evaluated.images, predictions.len()), (36, 19, 19));
        let tensors = session.snapshot().unwrap().tensors;
        let noise = session.signal_to_noise([batch(0, 12), batch(12, 12)].into_iter()).unwrap();
        (tensors, [trained.mean_loss(), evaluated.mean_loss()], predictions, noise)
    };
    let same = |clip_norm: Option<f64>| {
        let (whole, losses, predictions, noise) = train(12, clip_norm);
        for micro_batch in [4, 3, 1] {
            let (tensors, found, classes, ratios) = train(micro_batch, clip_norm);
            assert_eq!(classes, predictions, "{micro_batch}");
            for (loss, expected) in found.into_iter().zip(losses) {
                approx::assert_relative_eq!(loss, expected, max_relative = 1e-5);
            }
            approx::assert_relative_eq!(ratios[..], noise[..], max_relative = 1e-3);
            for (found, expected) in tensors.iter().zip(&whole) {
                let expected: Vec<f64> = expected.iter().map(|&v| v.into()).collect();
                assert_close(&format!("in passes of {micro_batch}, clipped to {clip_norm:?}"), found, &expected, 1e-5);
            }
        }
        whole
    };
    assert_ne!(same(None), same(Some(0.5)), "this norm clips");
}

/// Counts the checkpoints of a run, one behind every second step, and those of a broken loss.
#[derive(Default)]
struct Saved {
    all: usize,
    broken: usize,
}

impl Observer for Saved {
    fn wants_checkpoint(&self, step: u64) -> bool {
        step.is_multiple_of(2)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<()> {
        self.all += 1;
        self.broken += usize::from(checkpoint.standing.sums.halted != 0);
        Ok(())
    }
}

fn a_broken_loss_reaches_no_checkpoint(gpu: &Gpu) {
    let mut saved = Saved::default();
    let config = config().with(|c| {
        c.optimizer.eta = 1e12;
        c.training.log_every = 1000;
        c.training.epochs = 2;
    });
    let failure = run(gpu, &config, &data(), &mut saved).err().expect("the loss overflows");
    assert!(matches!(failure, Error::NonFinite(_)), "{failure}");
    assert_eq!(saved.broken, 0, "of {} checkpoints", saved.all);
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
    approx::assert_relative_eq!(whole.loss(), parts.loss(), max_relative = 1e-6);
}

fn a_broken_loss_is_explained(gpu: &Gpu) {
    let config = config().with(|c| {
        c.optimizer.eta = 1e30;
        c.training.log_every = 1;
    });
    let error = run(gpu, &config, &data(), &mut Silent).err().expect("a rate of 1e30 breaks the loss");
    let Error::NonFinite(message) = error else { panic!("{error}") };
    for part in ["step 1", "learning rate 1e30", "`eta`"] {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

fn a_loss_that_breaks_later_is_explained(gpu: &Gpu) {
    // Six steps an epoch; the rate explodes in the middle of the second, between two readings of the sums.
    let milestones = vec![1.5];
    let config = config().with(|c| {
        c.optimizer.schedule = ScheduleKind::Step;
        c.optimizer.milestones = milestones;
        c.optimizer.gamma = 1e30;
        c.training.log_every = 1000;
    });
    let error = run(gpu, &config, &data(), &mut Silent).err().expect("a rate of 1e29 breaks the loss");
    // Step 9 is the first with that rate, so the loss breaks in step 10.
    assert!(error.to_string().contains("not finite at step 10:"), "{error}");
}

fn an_evaluation_that_is_not_finite_is_an_error(gpu: &Gpu) {
    // The only step's loss is finite, but its update is not.
    let config = config().with(|c| {
        c.optimizer.eta = 1e30;
        c.training.epochs = 1;
        c.training.batch_size = 100;
    });
    for (validation, part) in [(20, "validation"), (0, "test")] {
        let error = run(gpu, &config.clone().with(|c| c.data.validation = validation), &data(), &mut Silent).err();
        let error = error.expect("weights of 1e30 break the loss").to_string();
        assert!(error.contains(part) && error.contains("not finite after step 1:"), "{error}");
    }
}

fn the_best_epoch_is_kept(gpu: &Gpu) {
    // A last epoch at a rate so high that accuracy falls to chance.
    let milestones = vec![3.0];
    let config = config().with(|c| {
        c.optimizer.schedule = ScheduleKind::Step;
        c.optimizer.milestones = milestones;
        c.optimizer.gamma = 1e3;
    });
    let config = config.with(|c| {
        c.training.epochs = 4;
        c.optimizer.eta = 0.05;
        c.training.batch_size = 32;
        c.data.validation = 80;
    });
    let data = shapes(400, 37, 5);
    let mut epochs = Epochs::default();
    let outcome = run(gpu, &config, &data, &mut epochs).unwrap();
    let accuracies: Vec<f64> = epochs.0.iter().map(|record| record.validation_score.unwrap().value).collect();
    let best = accuracies.iter().copied().fold(0.0, f64::max);
    let first = accuracies.iter().position(|&accuracy| accuracy == best).unwrap();
    assert!(accuracies[3] < best, "the last epoch is the best: {accuracies:?}");
    assert_eq!(outcome.summary.best_epoch, first as u64 + 1, "{accuracies:?}");
    assert_eq!(outcome.summary.result.validation().map(|score| score.value), Some(best));
    let (_, validation) = split(data.train.len(), config.data.validation, config.training.seed).unwrap();
    let batches = validation.chunks(32);
    let batches = batches.map(|i| HostBatch::gather(&data.train, i, 32, || Augmentation::IDENTITY));
    let metrics = outcome.session.evaluate(batches).unwrap();
    assert_eq!(f64::from(metrics.top1) / f64::from(metrics.images), best, "the session holds the best epoch's weights");
}

/// Keeps what it hears, and a checkpoint every five steps.
#[derive(Default)]
pub struct Kept {
    pub rates: Vec<(u64, Vec<f64>)>,
    pub epochs: Vec<EpochRecord>,
    pub checkpoints: Vec<Checkpoint>,
}

impl Observer for Kept {
    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.rates.push((record.step - 1, record.rates.clone()));
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.epochs.push(*record);
        Ok(())
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        step.is_multiple_of(5) || step.is_multiple_of(6)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<()> {
        self.checkpoints.push(checkpoint);
        Ok(())
    }
}

/// Rates fall where accuracies say so, times each layer's factor, and go on from any checkpoint as they would have.
fn a_plateau_follows_the_validation_accuracy(gpu: &Gpu) {
    let schedule = ScheduleKind::Plateau;
    let config = config().with(|c| {
        c.curriculum.method = Method::Lerac;
        c.optimizer.schedule = schedule;
        c.optimizer.patience = 0;
        c.optimizer.gamma = 0.5;
        c.training.epochs = 6;
    });
    let (data, mut kept) = (data(), Kept::default());
    let weights = |outcome: Outcome<'_>| outcome.session.snapshot().unwrap();
    let outcome = run(gpu, &config, &data, &mut kept).unwrap();
    let layers = outcome.session.layers();
    let (curriculum, mut common) = (config.curriculum(layers).unwrap(), config.common_rate().unwrap());
    for epoch in &kept.epochs {
        for (step, found) in kept.rates.iter().filter(|(step, _)| step / 6 + 1 == epoch.epoch) {
            let time = Time { step: *step, steps_per_epoch: 6 };
            assert_eq!(
                found,
                &rates(curriculum.as_ref(), &common, time, layers.len()).collect::<Vec<_>>(),
                "step {step}"
            );
        }
        let time = Time { step: epoch.step, steps_per_epoch: 6 };
        common.observe_epoch(time, curriculum.grows_until(), epoch.validation_score.unwrap().merit());
    }
    let falls = |state: &PlateauState| state.factor < 1.0;
    assert!(kept.checkpoints.iter().any(|c| c.standing.plateau.as_ref().is_some_and(falls)), "no rate fell in time");
    let whole = weights(outcome);
    for checkpoint in &kept.checkpoints {
        let checkpoint = Checkpoint::from_bytes("checkpoint".as_ref(), &checkpoint.to_bytes()).unwrap();
        let mut again = Kept::default();
        let resumed = resume(gpu, &config, &data, &checkpoint, &mut again).unwrap();
        let step = checkpoint.standing.step;
        assert!(kept.rates.ends_with(&again.rates), "other rates behind step {step}");
        assert!(weights(resumed) == whole, "other weights behind step {step}");
    }
}

/// A run whose validation accuracy stays the same ends as many epochs after the first as it is told to wait, and so do those that
/// go on from its checkpoints.
fn early_stopping_ends_a_run(gpu: &Gpu) {
    let config = config().with(|c| {
        // A model without running statistics and a rate that moves no prediction.
        c.model.name = "lenet".into();
        c.optimizer.eta = 1e-30;
        c.training.epochs = 6;
        c.training.early_stopping = Some(2);
    });
    let (data, mut kept) = (data(), Kept::default());
    let outcome = run(gpu, &config, &data, &mut kept).unwrap();
    assert_eq!((outcome.summary.steps, outcome.summary.best_epoch, kept.epochs.len()), (18, 1, 3));
    assert_eq!(kept.checkpoints.last().unwrap().standing.step, 18);
    for checkpoint in &kept.checkpoints {
        let resumed = resume(gpu, &config, &data, checkpoint, &mut Kept::default()).unwrap();
        assert_eq!(resumed.summary.steps, 18, "from step {}", checkpoint.standing.step);
    }
    let patient = config.with(|c| c.training.early_stopping = Some(6));
    assert_eq!(run(gpu, &patient, &data, &mut Silent).unwrap().summary.steps, 36);
}

fn a_blur_changes_what_is_learnt(gpu: &Gpu) {
    let weights = |method| {
        bits(
            gpu,
            &config().with(|c| {
                c.curriculum.method = method;
                c.training.epochs = 1;
            }),
        )
        .0
    };
    assert_ne!(weights(Method::Cbs), weights(Method::Conventional));
    assert_ne!(weights(Method::LeracCbs), weights(Method::Lerac));
}

fn cbs_is_evaluated_under_the_blur_it_trained_with(gpu: &Gpu) {
    // Sigma falls after the only epoch or after two: no step sees the difference, and no evaluation may.
    let accuracy = |sigma_every| {
        let cbs = config().with(|c| {
            c.curriculum.method = Method::Cbs;
            c.curriculum.sigma_every = sigma_every;
            c.curriculum.sigma_decay = 0.01;
            c.training.epochs = 1;
        });
        let outcome = run(gpu, &cbs, &data(), &mut Silent).unwrap();
        (outcome.summary.test_loss, outcome.summary.result.validation())
    };
    assert_eq!(accuracy(1), accuracy(2));
}

/// What no real data set is, but a user's may be.
fn degenerate_data_are_defined(gpu: &Gpu) {
    let config = config().with(|c| {
        c.training.epochs = 1;
        c.optimizer.eta = 0.01;
    });
    let with = |config: &Config, change: &dyn Fn(&mut Dataset)| {
        let mut data = data();
        change(&mut data.train);
        change(&mut data.test);
        let outcome = run(gpu, config, &data, &mut Silent).unwrap();
        // Not all of them show in the loss: over an infinite running variance everything is 0.
        let weights = outcome.session.snapshot().unwrap().tensors;
        assert!(weights.iter().flatten().all(|weight| weight.is_finite()), "weights that are no numbers");
        outcome.summary
    };
    let only = with(&config, &|set| {
        set.meaning = Meaning::Classes(vec!["all".into()]);
        set.labels.fill(0);
    });
    let all = TestResult::Classes { test_accuracy: 1.0, test_top5: 1.0, validation_accuracy: Some(1.0) };
    assert_eq!((only.result, only.test_loss), (all, 0.0));
    let few = with(&config, &|set| set.labels.iter_mut().for_each(|label| *label %= 2));
    assert!(few.test_loss.is_finite() && few.result.test().value > 0.0, "{few:?}");
    let black = with(&config, &|set| set.images = vec![0; set.len() * set.image_bytes()].into());
    assert!(black.test_loss.is_finite(), "{black:?}");
    let single = with(
        &config.clone().with(|c| {
            c.training.batch_size = 1;
            c.data.train_examples = Some(20);
        }),
        &|_| {},
    );
    assert!(single.test_loss.is_finite() && single.steps == 20, "{single:?}");
}

/// An epoch's sums are added up in integers, so that it does not matter when they are read.
fn epochs_do_not_depend_on_intervals(gpu: &Gpu) {
    let losses = |log_every| {
        let mut epochs = Epochs::default();
        run(gpu, &config().with(|c| c.training.log_every = log_every), &data(), &mut epochs).unwrap();
        epochs.0.iter().map(|record| (record.train_loss, record.train_score)).collect::<Vec<_>>()
    };
    assert_eq!(losses(1), losses(1_000_000));
}

fn weights_are_saved_by_name(gpu: &Gpu) {
    let session = session(gpu, "resnet8", 2);
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

fn noise_is_measured_and_leaves_no_trace(gpu: &Gpu) {
    #[derive(Default)]
    struct Noise(Vec<NoiseRecord>);
    impl Observer for Noise {
        fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
            self.0.push(record.clone());
            Ok(())
        }
    }
    let plain = bits(gpu, &config());
    let with_noise = config().with(|c| {
        c.training.snr_every = 4;
        c.training.snr_batches = 3;
    });
    assert_eq!(bits(gpu, &with_noise), plain, "measuring changes no bit of the weights");
    let mut noise = Noise::default();
    let mut epochs = [Epochs::default(), Epochs::default()];
    run(gpu, &with_noise, &data(), &mut noise).unwrap();
    run(gpu, &with_noise, &data(), &mut epochs[0]).unwrap();
    run(gpu, &config(), &data(), &mut epochs[1]).unwrap();
    assert_eq!(epochs[0].0[1].train_score, epochs[1].0[1].train_score, "nor what was summed up");
    assert_eq!(noise.0.iter().map(|record| record.step).collect::<Vec<_>>(), [0, 4, 8]);
    assert!(noise.0.iter().flat_map(|record| &record.signal_to_noise).all(|ratio| *ratio > 0.0 && ratio.is_finite()));

    // By hand, from the gradients of three batches.
    let mut session = session(gpu, "cnn", 4);
    let images = data().train;
    let batch =
        |i: u32| HostBatch::gather(&images, &[4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3], 4, || Augmentation::IDENTITY);
    let found = session.signal_to_noise((0..3).map(batch)).unwrap();
    let mut gradients: Vec<Vec<Vec<f32>>> = vec![];
    for i in 0..3 {
        // The last batch leaves its gradients behind.
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
    let session = session(gpu, "resnet8", 2);
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
        };
        // Five deviations of the estimate; the smallest tensor has ten values.
        assert!((deviation / expected - 1.0).abs() <= 5.0 / (2.0 * n).sqrt(), "{}: {deviation}", declared.name);
        assert!(mean.abs() <= 5.0 * expected / n.sqrt(), "{}: mean {mean}", declared.name);
        let first = values[0].to_bits();
        assert!(!drawn.contains(&first), "{} begins like another tensor", declared.name);
        drawn.push(first);
    }
    assert!(drawn.len() > 8);
}

/// A model as [`session_with`] makes it, but with a buffer for each tensor.
struct Unshared {
    storage: Storage,
    recorded: [Recorded; 2],
    programs: [Program; 2],
}

impl Unshared {
    fn new(gpu: &Gpu, model: &Model, config: &Config) -> Self {
        let recorded = [Mode::Train, Mode::Eval].map(|mode| {
            let tape = Tape::new(mode).with_target(Target::of(gpu.info()));
            nn::record(model, &task(), config.training.batch_size, tape, config.net_options())
        });
        let storage = Storage::new(gpu, &recorded[0].tape).unwrap();
        let program = |recorded: &Recorded| Program::new(gpu, recorded.tape.clone(), &storage).unwrap();
        let programs = [program(&recorded[0]), program(&recorded[1])];
        Self { storage, recorded, programs }
    }

    /// Runs training's program or evaluation's on `session`'s weights of now, and returns its sums.
    fn run(&self, gpu: &Gpu, session: &Session<'_>, which: usize, batch: &HostBatch, sigma: f64) -> Metrics {
        let program = &self.programs[which];
        for ((_, arena, span), values) in self.storage.tensors().zip(&session.snapshot().unwrap().tensors) {
            arena.write(gpu, span, values);
        }
        let metrics = program.buffer_named(METRICS).unwrap();
        let controls = Controls { sigma: sigma as f32, ..Controls::default() };
        gpu.write(program.buffer(self.recorded[which].batch), 0, &batch.words);
        gpu.write(program.buffer_named(CONTROLS).unwrap(), 0, &[controls]);
        gpu.write(&metrics, 0, &[Metrics::default()]);
        gpu.run(program.forward().iter().chain(program.backward())).unwrap();
        gpu.read(&metrics).unwrap()[0]
    }
}

/// Two dense layers, which fill one tensor part by part.
fn dense_block(net: &mut Net, x: Var) -> Var {
    let [n, c, h, w] = net.shape(x).nchw("dense block");
    let features = net.room("features", [n, c + 8, h, w]);
    net.put("input", features, 0, x);
    for channels in [c, c + 4] {
        net.scope(&format!("from{channels}"), |net| {
            let y = net.norm_relu_conv_of_first(channels, "norm1", "conv1", features, Conv::pointwise(6, 1));
            let y = net.norm_relu_conv("norm2", "conv2", y, Conv::same3x3(4, 1));
            net.put("output", features, channels, y);
        });
    }
    features
}

/// A wide depthwise convolution between two 1x1 ones, and a residual behind the last.
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

/// What densenets and mobilenets are made of; these themselves take minutes.
fn dense_and_inverted() -> Model {
    Box::new(|net, x, classes| {
        let x = net.conv2d("stem", x, Conv::same3x3(5, 2));
        let x = net.block("dense", |net| dense_block(net, x));
        let x = net.norm_relu_conv("norm", "transition", x, Conv::pointwise(6, 1));
        let x = net.mean_pool("pool", x, 2, 2);
        let x = net.block("inverted", |net| inverted_residual(net, x));
        let x = net.global_mean_pool("global", x);
        net.linear("linear", x, classes)
    })
}

fn shared_buffers_change_no_bit(gpu: &Gpu) {
    let data = data();
    let batch = |i: u32| HostBatch::gather(&data.train, &[2 * i, 2 * i + 1], 2, || Augmentation::IDENTITY).unwrap();
    let named = ["cnn", "lenet", "resnet8", "resnet20"].map(|name| (name, nn::named(name).unwrap()));
    for (name, model) in named.into_iter().chain([("dense and inverted", dense_and_inverted())]) {
        for method in [Method::Conventional, Method::Cbs] {
            let config = config().with(|c| {
                c.curriculum.method = method;
                c.training.batch_size = 2;
            });
            let (mut session, unshared) = (session_with(gpu, &model, &config), Unshared::new(gpu, &model, &config));
            // The second step finds in its buffers what the first one and the evaluation have left there.
            for step in 0..2 {
                let what = format!("{name} {method}, step {step}");
                let expected = unshared.run(gpu, &session, 0, &batch(step), config.curriculum.sigma);
                session.step(&batch(step)).unwrap();
                assert_eq!(session.training_metrics().unwrap(), expected, "{what}");
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
    // The others are made of the same parts, and take minutes to compile on a software adapter.
    for model in ["cnn", "lenet", "resnet8", "resnet20", "resnet18"] {
        let mut session = session(gpu, model, 4);
        let before = session.snapshot().unwrap().tensors;
        let batch = HostBatch::gather(&data, &[0, 1, 2, 3], 4, || Augmentation::IDENTITY).unwrap();
        session.step(&batch).unwrap();
        assert_eq!(session.training_metrics().unwrap().images, 4);
        let after = session.snapshot().unwrap().tensors;
        for ((before, after), (declared, ..)) in before.iter().zip(&after).zip(session.storage().tensors()) {
            assert!(after.iter().all(|v| v.is_finite()), "{model}: {}", declared.name);
            assert!(before != after, "{model}: {} did not change", declared.name);
        }
    }
}

fn shapes_are_learnt(gpu: &Gpu) {
    let config = Config::default().with(|c| {
        c.training.epochs = 3;
        c.training.batch_size = 32;
        c.data.validation = 0;
        c.optimizer.eta = 0.05;
    });
    let outcome = run(gpu, &config, &shapes(1600, 200, 1), &mut Silent).unwrap();
    let accuracy = outcome.summary.result.test().value;
    assert!(accuracy >= 0.5, "150 steps bring {accuracy} where chance is 0.1");
}

/// The tests of this file.
pub fn tests() -> Vec<Test> {
    vec![
        test("training gives the same bytes twice", same_bytes_twice),
        test("training at equal rates is plain training, bit for bit", equal_rates_are_plain_training),
        test("training: passes are a batch", passes_are_a_batch),
        test("training: a broken loss reaches no checkpoint", a_broken_loss_reaches_no_checkpoint),
        test("training: evaluation counts every image once", evaluation_counts_every_image),
        test("training: a loss that is not finite is explained", a_broken_loss_is_explained),
        test("training: small models take a step", small_models_take_a_step),
        test("training: shapes are learnt", shapes_are_learnt),
        test("training: a loss that breaks between readings is explained", a_loss_that_breaks_later_is_explained),
        test("training: an evaluation that is not finite is an error", an_evaluation_that_is_not_finite_is_an_error),
        test("training: the best epoch is kept", the_best_epoch_is_kept),
        test("training: a plateau follows the validation accuracy", a_plateau_follows_the_validation_accuracy),
        test("training: early stopping ends a run", early_stopping_ends_a_run),
        test("training: a blur changes what is learnt", a_blur_changes_what_is_learnt),
        test("training: shared buffers change no bit", shared_buffers_change_no_bit),
        test("training: cbs is evaluated under its own blur", cbs_is_evaluated_under_the_blur_it_trained_with),
        test("training: degenerate data are defined", degenerate_data_are_defined),
        test("training: epochs do not depend on intervals", epochs_do_not_depend_on_intervals),
        test("training: weights are saved by name", weights_are_saved_by_name),
        test("training: noise is measured and leaves no trace", noise_is_measured_and_leaves_no_trace),
        test("training: initial values follow their declarations", initial_values_follow_their_declarations),
    ]
}
