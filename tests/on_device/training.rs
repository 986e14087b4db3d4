//! Whole runs: they are reproducible bit for bit, equal rates are plain training, the best epoch is
//! kept, and a loss that is not finite is explained.

use crate::common::errors::{Fault, assert_fault};
use crate::common::{Test, test};
use lerac::curriculum::{DuringCurriculum, PlateauState, Range, Time, rates};
use lerac::data::{Loader, Meaning, PictureSplits, Pictures, shapes, train_validation_split};
use lerac::error::{Error, Result};
use lerac::gpu::Gpu;
use lerac::nn::objective::Scores;
use lerac::train::{
    Checkpoint, Config, EpochRecord, IntervalRecord, Method, NoiseRecord, Observer, Outcome, ScheduleKind, Task,
};
use std::sync::Arc;

pub struct Silent;

impl Observer for Silent {}

/// Collects the records of epochs.
#[derive(Default)]
pub struct Epochs(pub Vec<EpochRecord>);

impl Observer for Epochs {
    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.0.push(record.clone());
        Ok(())
    }
}

/// Two epochs of six steps.
pub fn config() -> Config {
    Config::default().with(|c| {
        c.training.epochs = 2;
        c.training.batch_size = 16;
        c.data.validation = 20;
        c.training.log_every = 3;
        c.data.flip = true;
        c.data.shift = 2;
    })
}

/// Shapes without augmentation.
pub fn data() -> PictureSplits {
    shapes(120, 37, 5)
}

/// The task of `config` on these images, with the augmentation of the options.
pub fn task(config: &Config, mut data: PictureSplits) -> Task {
    data.augment(config.data.source().augmentation).unwrap();
    Task::of(config, &data.into()).unwrap()
}

pub fn run(gpu: &Gpu, config: &Config, data: &PictureSplits, observer: &mut dyn Observer) -> Result<Outcome> {
    lerac::train::run(gpu, &task(config, data.clone()), observer)
}

pub fn resume(
    gpu: &Gpu,
    config: &Config,
    data: &PictureSplits,
    checkpoint: &Checkpoint,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    lerac::train::resume(gpu, &task(config, data.clone()), checkpoint, observer)
}

/// The bits of all weights after a run, and its test accuracy.
fn bits(gpu: &Gpu, config: &Config) -> (Vec<u32>, f64) {
    let outcome = run(gpu, config, &data(), &mut Silent).unwrap();
    let weights = outcome.session.snapshot().unwrap().tensors;
    (weights.iter().flatten().map(|v| v.to_bits()).collect(), outcome.summary.test())
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

    // The same holds if the schedule multiplies, and if it waits.
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

/// Counts the checkpoints, one after every second step, and those with a loss that is not finite.
#[derive(Default)]
struct Saved {
    all: usize,
    broken: usize,
}

impl Observer for Saved {
    fn wants_checkpoint(&self, step: u64) -> bool {
        step.is_multiple_of(2)
    }

    fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.all += 1;
        self.broken += usize::from(checkpoint.state.sums.halted != 0);
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

fn a_broken_loss_is_explained(gpu: &Gpu) {
    let config = config().with(|c| {
        c.optimizer.eta = 1e30;
        c.training.log_every = 1;
    });
    let error = run(gpu, &config, &data(), &mut Silent).err().expect("a rate of 1e30 breaks the loss");
    assert_fault(&error, Fault::NonFinite, &["step 1", "1e30", "`eta`"]);
}

fn a_loss_that_breaks_later_is_explained(gpu: &Gpu) {
    // Six steps an epoch. The rate explodes in the middle of the second, between two readings of
    // the sums.
    let milestones = vec![1.5];
    let config = config().with(|c| {
        c.optimizer.schedule = ScheduleKind::Step;
        c.optimizer.milestones = milestones;
        c.optimizer.gamma = 1e30;
        c.training.log_every = 1000;
    });
    let error = run(gpu, &config, &data(), &mut Silent).err().expect("a rate of 1e29 breaks the loss");
    // Step 9 is the first with that rate, so the loss of step 10 is not finite.
    assert_fault(&error, Fault::NonFinite, &["step 10"]);
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
        assert_fault(&error.expect("weights of 1e30 break the loss"), Fault::NonFinite, &[part, "step 1"]);
    }
}

fn the_best_epoch_is_kept(gpu: &Gpu) {
    // The last epoch has a rate so high that accuracy falls to chance.
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
    let accuracies: Vec<f64> = epochs.0.iter().map(|record| record.validation.as_ref().unwrap().value()).collect();
    let best = accuracies.iter().copied().fold(0.0, f64::max);
    let first = accuracies.iter().position(|&accuracy| accuracy == best).unwrap();
    assert!(accuracies[3] < best, "the last epoch is the best: {accuracies:?}");
    assert_eq!(outcome.summary.best_epoch, first as u64 + 1, "{accuracies:?}");
    assert_eq!(outcome.summary.validation(), Some(best));
    let (_, validation) =
        train_validation_split(data.train.len(), config.data.validation, config.training.seed).unwrap();
    let batches = Loader::evaluation(Arc::new(data.train), validation.into(), 32);
    let found = outcome.session.scores(&outcome.session.evaluate(batches).unwrap());
    assert_eq!(found.value(), best, "the session holds the best epoch's weights");
}

/// Collects rates, epochs, and a checkpoint after every fifth and every sixth step.
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
        self.epochs.push(record.clone());
        Ok(())
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        step.is_multiple_of(5) || step.is_multiple_of(6)
    }

    fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.checkpoints.push(checkpoint.clone());
        Ok(())
    }
}

/// Rates fall according to the validation accuracy, multiplied by each layer's factor. A resumed
/// run has the same rates.
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
    let weights = |outcome: Outcome| outcome.session.snapshot().unwrap();
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
        common.observe_epoch(time, curriculum.grows_until(), epoch.validation.as_ref().unwrap().to_maximise());
    }
    let falls = |state: &PlateauState| state.factor < 1.0;
    assert!(kept.checkpoints.iter().any(|c| c.state.plateau.as_ref().is_some_and(falls)), "no rate fell in time");
    let whole = weights(outcome);
    for checkpoint in &kept.checkpoints {
        let checkpoint = Checkpoint::from_bytes("checkpoint".as_ref(), &checkpoint.to_bytes()).unwrap();
        let mut again = Kept::default();
        let resumed = resume(gpu, &config, &data, &checkpoint, &mut again).unwrap();
        let step = checkpoint.state.step;
        assert!(kept.rates.ends_with(&again.rates), "other rates after step {step}");
        assert!(weights(resumed) == whole, "other weights after step {step}");
    }
}

/// A run with constant validation accuracy ends after the patience that was set. From each of its
/// checkpoints it ends at the same epoch.
fn early_stopping_ends_a_run(gpu: &Gpu) {
    let config = config().with(|c| {
        // A model without running statistics, and a rate too low to change a prediction.
        c.model.name = "lenet".into();
        c.optimizer.eta = 1e-30;
        c.training.epochs = 6;
        c.training.early_stopping = Some(2);
    });
    let (data, mut kept) = (data(), Kept::default());
    let outcome = run(gpu, &config, &data, &mut kept).unwrap();
    assert_eq!((outcome.summary.steps, outcome.summary.best_epoch, kept.epochs.len()), (18, 1, 3));
    assert_eq!(kept.checkpoints.last().unwrap().state.step, 18);
    for checkpoint in &kept.checkpoints {
        let resumed = resume(gpu, &config, &data, checkpoint, &mut Kept::default()).unwrap();
        assert_eq!(resumed.summary.steps, 18, "from step {}", checkpoint.state.step);
    }
    let patient = config.with(|c| c.training.early_stopping = Some(6));
    assert_eq!(run(gpu, &patient, &data, &mut Silent).unwrap().summary.steps, 36);
}

/// Requests a stop after the steps of the epoch that `step` ends, before its validation, and keeps
/// the checkpoint.
struct StopsBeforeValidation {
    step: u64,
    done: u64,
    checkpoint: Option<Checkpoint>,
}

impl Observer for StopsBeforeValidation {
    fn step(&mut self, step: u64) {
        self.done = step;
    }

    fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.checkpoint = Some(checkpoint.clone());
        Ok(())
    }

    fn wants_to_stop(&self) -> bool {
        self.done == self.step
    }
}

/// A run that learns and then stops early gives the same result from any of its checkpoints,
/// including one before an epoch's validation and one after the last step.
fn early_stopping_resumes_to_the_same_end(gpu: &Gpu) {
    const STEPS: u64 = 10;
    let config = config().with(|c| {
        c.optimizer.eta = 0.05;
        c.training.batch_size = 32;
        c.data.validation = 80;
        c.training.epochs = 40;
        c.training.early_stopping = Some(2);
    });
    let (data, mut kept) = (shapes(400, 37, 5), Kept::default());
    let end = |outcome: Outcome| {
        let (weights, summary) = (outcome.session.snapshot().unwrap(), outcome.summary);
        (weights, summary.steps, summary.best_epoch, summary.scores, outcome.answers)
    };
    let whole = end(run(gpu, &config, &data, &mut kept).unwrap());
    let (steps, epochs) = (whole.1, kept.epochs.len() as u64);
    assert!(
        steps == STEPS * epochs && whole.2 == epochs - 2 && (4..40).contains(&epochs),
        "{steps} steps, {epochs} epochs"
    );
    // A part of them, to save time.
    let of_last_epochs = kept.checkpoints.iter().filter(|c| c.state.step + 2 * STEPS >= steps);
    let mut checkpoints: Vec<Checkpoint> = of_last_epochs.cloned().collect();
    assert_eq!(checkpoints.last().unwrap().state.step, steps);
    for step in [steps - STEPS, steps] {
        let mut stops = StopsBeforeValidation { step, done: 0, checkpoint: None };
        let stopped = run(gpu, &config, &data, &mut stops).err();
        assert!(matches!(stopped, Some(Error::Interrupted(_))), "{stopped:?}");
        let checkpoint = stops.checkpoint.expect("an interrupted run takes a checkpoint");
        assert!(checkpoint.state.epoch_open && checkpoint.state.step == step);
        checkpoints.push(checkpoint);
    }
    for checkpoint in checkpoints {
        let step = checkpoint.state.step;
        let checkpoint = Checkpoint::from_bytes("checkpoint".as_ref(), &checkpoint.to_bytes()).unwrap();
        let mut again = Kept::default();
        let resumed = end(resume(gpu, &config, &data, &checkpoint, &mut again).unwrap());
        assert!(resumed == whole, "another end after step {step}, open: {}", checkpoint.state.epoch_open);
        assert!(kept.rates.ends_with(&again.rates), "other rates after step {step}");
    }
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
    // Sigma falls after one epoch or after two. No step depends on the difference, and no
    // evaluation may.
    let accuracy = |sigma_every| {
        let cbs = config().with(|c| {
            c.curriculum.method = Method::Cbs;
            c.curriculum.sigma_every = sigma_every;
            c.curriculum.sigma_decay = 0.01;
            c.training.epochs = 1;
        });
        let outcome = run(gpu, &cbs, &data(), &mut Silent).unwrap();
        (outcome.summary.test_loss, outcome.summary.validation())
    };
    assert_eq!(accuracy(1), accuracy(2));
}

/// No real data set is degenerate, but a user's may be.
fn degenerate_data_are_defined(gpu: &Gpu) {
    let config = config().with(|c| {
        c.training.epochs = 1;
        c.optimizer.eta = 0.01;
    });
    let with = |config: &Config, change: &dyn Fn(&mut Pictures)| {
        let mut data = data();
        change(&mut data.train);
        change(&mut data.test);
        let outcome = run(gpu, config, &data, &mut Silent).unwrap();
        // Not all of them affect the loss: with an infinite running variance everything is 0.
        let weights = outcome.session.snapshot().unwrap().tensors;
        assert!(weights.iter().flatten().all(|weight| weight.is_finite()), "weights that are no numbers");
        outcome.summary
    };
    let only = with(&config, &|set| {
        set.meaning = Meaning::Classes(["all".to_owned()].into());
        set.labels.fill(0);
    });
    let all = ["test_accuracy", "test_macro_f1", "test_top5", "validation_accuracy"].map(|key| (key.to_owned(), 1.0));
    // Nothing correlates with a single class.
    let scores = all.into_iter().chain([("test_matthews".to_owned(), 0.0)]).collect();
    assert_eq!((only.scores, only.test_loss), (scores, 0.0));
    let few = with(&config, &|set| set.labels.iter_mut().for_each(|label| *label %= 2));
    assert!(few.test_loss.is_finite() && few.test() > 0.0, "{few:?}");
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

/// An epoch's sums are added as integers, so the times of reading do not matter.
fn epochs_do_not_depend_on_intervals(gpu: &Gpu) {
    let losses = |log_every| {
        let mut epochs = Epochs::default();
        run(gpu, &config().with(|c| c.training.log_every = log_every), &data(), &mut epochs).unwrap();
        epochs.0.into_iter().map(|record| record.training).collect::<Vec<Scores>>()
    };
    assert_eq!(losses(1), losses(1_000_000));
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
    assert_eq!(epochs[0].0[1].training, epochs[1].0[1].training, "nor what was summed up");
    assert_eq!(noise.0.iter().map(|record| record.step).collect::<Vec<_>>(), [0, 4, 8]);
    assert!(noise.0.iter().flat_map(|record| &record.signal_to_noise).all(|ratio| *ratio > 0.0 && ratio.is_finite()));
}

fn shapes_are_learnt(gpu: &Gpu) {
    let config = Config::default().with(|c| {
        c.training.epochs = 3;
        c.training.batch_size = 32;
        c.data.validation = 0;
        c.optimizer.eta = 0.05;
    });
    let outcome = run(gpu, &config, &shapes(1600, 200, 1), &mut Silent).unwrap();
    let accuracy = outcome.summary.test();
    assert!(accuracy >= 0.5, "150 steps bring {accuracy} where chance is 0.1");
}

pub fn tests() -> Vec<Test> {
    vec![
        test("training gives the same bytes twice", same_bytes_twice),
        test("training at equal rates is plain training, bit for bit", equal_rates_are_plain_training),
        test("training: a broken loss reaches no checkpoint", a_broken_loss_reaches_no_checkpoint),
        test("training: a loss that is not finite is explained", a_broken_loss_is_explained),
        test("training: shapes are learnt", shapes_are_learnt),
        test("training: a loss that breaks between readings is explained", a_loss_that_breaks_later_is_explained),
        test("training: an evaluation that is not finite is an error", an_evaluation_that_is_not_finite_is_an_error),
        test("training: the best epoch is kept", the_best_epoch_is_kept),
        test("training: a plateau follows the validation accuracy", a_plateau_follows_the_validation_accuracy),
        test("training: early stopping ends a run", early_stopping_ends_a_run),
        test("training: early stopping resumes to the same end", early_stopping_resumes_to_the_same_end),
        test("training: a blur changes what is learnt", a_blur_changes_what_is_learnt),
        test("training: cbs is evaluated under its own blur", cbs_is_evaluated_under_the_blur_it_trained_with),
        test("training: degenerate data are defined", degenerate_data_are_defined),
        test("training: epochs do not depend on intervals", epochs_do_not_depend_on_intervals),
        test("training: noise is measured and leaves no trace", noise_is_measured_and_leaves_no_trace),
    ]
}
