//! The curriculum of every method, the optimiser's settings, and options that exclude each other.

use crate::common::errors::{Fault, assert_contains, assert_error};
use approx::assert_relative_eq;
use lerac::curriculum::{Curriculum, DuringCurriculum, Granularity, Ladder, Layer, Pace, Range, Time};
use lerac::data::{Column, Form};
use lerac::ops::regression::Loss;
use lerac::optim::{Rule, Settings};
use lerac::train::{Config, Method, Preset, ScheduleKind};

/// Three layers, each at a tenth of the previous layer's rate; growth until epoch 2; a blur that
/// halves every epoch.
fn config(method: Method) -> Config {
    Config::default().with(|c| {
        c.curriculum.method = method;
        c.optimizer.eta = 0.1;
        c.curriculum.range = Some(Range { first: 0.1, last: 1e-3 });
        c.curriculum.k = Some(2.0);
        c.training.seed = 2;
        c.curriculum.sigma = 0.8;
        c.curriculum.sigma_decay = 0.5;
        c.curriculum.sigma_every = 1;
    })
}

fn layers() -> Vec<Layer> {
    (1..=3).map(|depth| Layer { name: format!("layer{depth}"), depth, block: depth }).collect()
}

fn at(curriculum: &dyn Curriculum, step: u64) -> [f64; 3] {
    [0, 1, 2].map(|layer| curriculum.factor(Time { step, steps_per_epoch: 10 }, layer))
}

fn assert_factors(what: &str, found: [f64; 3], expected: [f64; 3]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!((found / expected - 1.0).abs() <= 1e-12, "{what}: {found}, expected {expected}");
    }
}

#[test]
fn every_method_has_its_curriculum() {
    let root = 0.1f64.sqrt();
    let start = [1.0, 0.1, 0.01];
    // s + (1 - s) (1 - ln((s + 1) / 2) / ln s) for s = .1 and .01.
    let logarithmic = [1.0, 0.766_326_420_544_819_5, 0.853_129_232_168_737_4];
    // The rates at the start and at k / 2.
    let expected = [
        (Method::Conventional, [1.0; 3], [1.0; 3]),
        (Method::Lerac, start, [1.0, root, 0.1]),
        // A factor of 10 per block, and clf for the last layer; ten times as much after an epoch.
        (Method::LeracReference, [1.0, 0.1, 1e-3], [1.0, 1.0, 1e-2]),
        (Method::Cbs, [1.0; 3], [1.0; 3]),
        (Method::LeracCbs, start, [1.0, root, 0.1]),
        (Method::Reversed, [0.01, 0.1, 1.0], [0.1, root, 1.0]),
        // The permutation of seed 2. Seed 0 would give .01, 1, .1.
        (Method::Shuffled, [0.1, 1.0, 0.01], [root, 1.0, 0.1]),
        (Method::Uniform, [0.1; 3], [root; 3]),
        (Method::Linear, start, [1.0, 0.55, 0.505]),
        (Method::Logarithmic, start, logarithmic),
    ];
    assert_eq!(expected.map(|(method, ..)| method), Method::ALL);
    for (method, first, halfway) in expected {
        let curriculum = config(method).curriculum(&layers()).unwrap();
        assert_factors(&format!("{method} at the start"), at(curriculum.as_ref(), 0), first);
        assert_factors(&format!("{method} halfway"), at(curriculum.as_ref(), 10), halfway);
        let blurred = matches!(method, Method::Cbs | Method::LeracCbs);
        let sigma = |step| curriculum.sigma(Time { step, steps_per_epoch: 10 });
        assert_eq!((sigma(0), sigma(10)), (blurred.then_some(0.8), blurred.then_some(0.4)), "{method}");
        assert_eq!(config(method).net_options().blur, blurred, "{method}");
    }
}

#[test]
fn the_preset_affects_only_lerac() {
    let with = |method, preset| config(method).with(|c| c.curriculum.preset = preset).curriculum(&layers()).unwrap();
    for method in Method::ALL {
        let (paper, reference) = (with(method, Preset::Paper), with(method, Preset::Reference));
        let differs = at(paper.as_ref(), 0) != at(reference.as_ref(), 0);
        assert_eq!(differs, matches!(method, Method::Lerac | Method::LeracCbs), "{method}");
    }
    let reference = with(Method::LeracReference, Preset::Paper);
    assert_eq!(at(with(Method::Lerac, Preset::Reference).as_ref(), 10), at(reference.as_ref(), 10));
}

/// From this epoch, and no earlier, every factor is constant: 1, or less if the published ladder
/// stops short of eta.
#[test]
fn grows_until_is_the_end_of_growth() {
    for method in Method::ALL {
        for stop_update_epoch in [None, Some(2)] {
            let config = config(method).with(|c| c.curriculum.stop_update_epoch = stop_update_epoch);
            let curriculum = config.curriculum(&layers()).unwrap();
            let end = (10.0 * curriculum.grows_until()) as u64;
            assert_eq!(end > 0, method.grows_rates(), "{method}");
            let last = at(curriculum.as_ref(), 1000);
            (end..end + 30).for_each(|step| assert_eq!(at(curriculum.as_ref(), step), last, "{method}, step {step}"));
            assert!(end == 0 || at(curriculum.as_ref(), end - 1) != last, "{method}");
        }
    }
}

#[test]
fn schedules_wait_for_the_paper_and_multiply_with_the_published_code() {
    let (off, multiply) = (DuringCurriculum::Off, DuringCurriculum::Multiply);
    for method in Method::ALL {
        let of = |preset| config(method).with(|c| c.curriculum.preset = preset).common_rate().unwrap();
        let paper = if method == Method::LeracReference { multiply } else { off };
        assert_eq!(of(Preset::Paper).during_curriculum, paper, "{method}");
        assert_eq!(of(Preset::Reference).during_curriculum, multiply, "{method}");
        let asked = config(method).with(|c| c.curriculum.schedule_during_curriculum = Some(off));
        assert_eq!(asked.common_rate().unwrap().during_curriculum, off, "{method}");
    }
}

#[test]
fn options_without_effect_are_noted() {
    let lerac = |c: &mut Config| (c.curriculum.method, c.curriculum.k) = (Method::Lerac, Some(2.0));
    let notes = |change: &dyn Fn(&mut Config)| Config::default().with(lerac).with(|c| change(c)).without_effect();
    let one_note = |change: &dyn Fn(&mut Config), names: &[&str]| match &notes(change)[..] {
        [note] => assert_contains(note, names),
        other => panic!("expected one note, found {other:?}"),
    };
    let multiply = Some(DuringCurriculum::Multiply);
    assert!(notes(&|_| ()).is_empty());
    let warms = |c: &mut Config| c.optimizer.warmup_epochs = 1.0;
    one_note(&warms, &["`warmup_epochs` does nothing"]);
    let momentum = |c: &mut Config| (warms(c), c.optimizer.warmup_momentum = Some(0.8)).1;
    one_note(&momentum, &["`warmup_epochs`, `warmup_momentum` do nothing"]);
    let both = |c: &mut Config| (momentum(c), c.optimizer.bias_warmup = Some(0.1)).1;
    one_note(&both, &["`warmup_epochs`, `bias_warmup`, `warmup_momentum` do nothing"]);
    one_note(&|c| c.optimizer.warmup_steps = Some(5), &["`warmup_steps` does nothing"]);
    assert!(notes(&|c| c.optimizer.warmup_steps = Some(0)).is_empty());
    let multiplies = |c: &mut Config| {
        warms(c);
        c.curriculum.schedule_during_curriculum = multiply;
    };
    assert!(notes(&multiplies).is_empty());
    let whole = |c: &mut Config| {
        c.optimizer.schedule = ScheduleKind::Cosine;
        c.training.epochs = 2;
    };
    one_note(&whole, &["`schedule`"]);
    let idle = |c: &mut Config| c.curriculum.schedule_during_curriculum = multiply;
    one_note(&idle, &["`schedule_during_curriculum`", "`schedule`", "`warmup_epochs`"]);
    let plain = |c: &mut Config| {
        multiplies(c);
        (c.curriculum.method, c.curriculum.k) = (Method::Conventional, None);
    };
    one_note(&plain, &["`schedule_during_curriculum`"]);
}

/// Each option that not every run uses: its field, a change, and runs that use it.
type Optional = (&'static str, fn(&mut Config), fn(&mut Config));

const OPTIONAL: [Optional; 28] = [
    ("k", |c| c.curriculum.k = Some(1.0), |c| c.curriculum.method = Method::Uniform),
    ("range", |c| c.curriculum.range = Some(Range { first: 0.1, last: 0.01 }), |c| c.curriculum.method = Method::Lerac),
    ("granularity", |c| c.curriculum.granularity = Granularity::Block, |c| c.curriculum.method = Method::LeracCbs),
    ("pace", |c| c.curriculum.pace = Pace::Epoch, |c| c.curriculum.method = Method::Reversed),
    ("preset", |c| c.curriculum.preset = Preset::Reference, |c| c.curriculum.method = Method::Lerac),
    ("ladder", |c| c.curriculum.ladder = Ladder::WideResnet, published),
    ("min_lr", |c| c.curriculum.min_lr = 1e-4, published),
    ("clf", |c| c.curriculum.clf = 1e-2, published),
    ("stop_lr", |c| c.curriculum.stop_lr = Some(0.2), published),
    ("updates_per_epoch", |c| c.curriculum.updates_per_epoch = 2, published),
    ("stop_update_epoch", |c| c.curriculum.stop_update_epoch = Some(3), published),
    ("sigma", |c| c.curriculum.sigma = 2.0, |c| c.curriculum.method = Method::Cbs),
    ("sigma_decay", |c| c.curriculum.sigma_decay = 0.5, |c| c.curriculum.method = Method::LeracCbs),
    ("sigma_every", |c| c.curriculum.sigma_every = 2, |c| c.curriculum.method = Method::Cbs),
    ("beta1", |c| c.optimizer.beta1 = 0.8, |c| c.optimizer.name = "adam".into()),
    ("beta2", |c| c.optimizer.beta2 = 0.9, |c| c.optimizer.name = "adamw".into()),
    ("epsilon", |c| c.optimizer.epsilon = 1e-6, |c| c.optimizer.name = "adamax".into()),
    ("milestones", |c| c.optimizer.milestones = vec![2.0, 4.0], steps),
    ("gamma", |c| c.optimizer.gamma = 0.5, steps),
    ("gamma", |c| c.optimizer.gamma = 0.5, |c| c.optimizer.schedule = ScheduleKind::Plateau),
    ("patience", |c| c.optimizer.patience = 3, |c| c.optimizer.schedule = ScheduleKind::Plateau),
    ("final_rate", |c| c.optimizer.final_rate = 0.01, |c| c.optimizer.schedule = ScheduleKind::Cosine),
    ("final_rate", |c| c.optimizer.final_rate = 0.01, |c| c.optimizer.schedule = ScheduleKind::Linear),
    ("final_rate", |c| c.optimizer.final_rate = 0.01, |c| c.optimizer.schedule = ScheduleKind::Plateau),
    ("snr_batches", |c| c.training.snr_batches = 4, |c| c.training.snr_every = 5),
    ("momentum", |c| c.optimizer.momentum = 0.5, sgd),
    ("nesterov", |c| c.optimizer.nesterov = true, sgd),
    ("data_dir", |c| c.data.data_dir = Some("images".into()), |c| c.data.name = "imagefolder".into()),
];

fn published(config: &mut Config) {
    config.curriculum.method = Method::LeracReference;
}

fn steps(config: &mut Config) {
    config.optimizer.schedule = ScheduleKind::Step;
    config.optimizer.milestones = vec![2.0, 4.0];
}

fn sgd(config: &mut Config) {
    config.optimizer.name = "sgd".into();
}

/// A run of 20 epochs that uses none of [`OPTIONAL`].
fn plain() -> Config {
    Config::default().with(|c| c.training.epochs = 20)
}

#[test]
fn options_are_idle_exactly_where_no_run_uses_them() {
    assert_eq!(plain().without_effect(), [""; 0]);
    for (field, change, uses) in OPTIONAL {
        let plain = match field {
            "momentum" | "nesterov" => plain().with(|c| c.optimizer.name = "adam".into()),
            _ => plain(),
        };
        let said = plain.clone().with(change).without_effect();
        let [note] = &said[..] else { panic!("{field}: expected one note, found {said:?}") };
        assert_contains(note, &[&format!("`{field}` does nothing, since ")]);
        let used = plain.with(uses).with(change);
        used.check().unwrap();
        assert!(!used.without_effect().iter().any(|note| note.contains(&format!("`{field}`"))), "{field}");
    }
    let spared = plain().with(|c| c.optimizer.spare_norm_and_bias = true);
    assert!(spared.without_effect().is_empty());
    let [note] = &spared.with(|c| c.optimizer.weight_decay = 0.0).without_effect()[..] else { panic!("one note") };
    assert_contains(note, &["`spare_norm_and_bias`", "`weight_decay`"]);
}

#[test]
fn times_after_the_last_epoch_are_said() {
    type SetTime = fn(&mut Config, u64);
    let early: SetTime = |c, time| c.training.early_stopping = Some(time);
    let rows: [(&str, SetTime, u64); 5] = [
        ("milestones", |c, time| (steps(c), c.optimizer.milestones = vec![1.0, time as f64]).1, 19),
        ("patience", |c, time| (c.optimizer.schedule, c.optimizer.patience) = (ScheduleKind::Plateau, time), 19),
        ("warmup_epochs", |c, time| c.optimizer.warmup_epochs = time as f64, 20),
        ("stop_update_epoch", |c, time| (published(c), c.curriculum.stop_update_epoch = Some(time)).1, 20),
        ("early_stopping", early, 19),
    ];
    for (field, set, last) in rows {
        let said = |time| plain().with(|c| set(c, time)).without_effect();
        assert_eq!(said(last), [""; 0], "{field}");
        let notes = said(last + 1);
        let [note] = &notes[..] else { panic!("{field}: expected one note, found {notes:?}") };
        assert_contains(note, &[&format!("`{field}` {}", last + 1), "20 epochs"]);
    }
}

#[test]
fn nesterov_needs_a_momentum() {
    let still = |name: &str| {
        Config::default().with(|c| {
            (c.optimizer.nesterov, c.optimizer.momentum) = (true, 0.0);
            c.optimizer.name = name.into();
        })
    };
    assert_error(still("sgd").check(), Fault::Setting("nesterov"), &["`momentum`"]);
    still("adam").check().unwrap();
}

#[test]
fn a_warmup_of_biases_or_momentum_needs_a_warmup() {
    type Set = fn(&mut Config);
    let rows: [(&str, Set); 2] = [
        ("bias_warmup", |c| c.optimizer.bias_warmup = Some(0.1)),
        ("warmup_momentum", |c| c.optimizer.warmup_momentum = Some(0.8)),
    ];
    for (field, set) in rows {
        assert_error(Config::default().with(set).check(), Fault::Setting(field), &["`warmup_epochs`"]);
        let lengths: [Set; 2] = [|c| c.optimizer.warmup_epochs = 3.0, |c| c.optimizer.warmup_steps = Some(100)];
        for length in lengths {
            let warm = Config::default().with(set).with(length);
            warm.check().unwrap();
            assert_eq!(warm.without_effect(), [""; 0]);
        }
    }
    let adam = Config::default().with(|c| {
        (c.optimizer.name, c.optimizer.warmup_epochs, c.optimizer.warmup_momentum) = ("adam".into(), 3.0, Some(0.8));
    });
    assert_error(adam.check(), Fault::Setting("warmup_momentum"), &["sgd", "adam"]);
}

/// Files and checkpoints of runs without the newer options are those of earlier versions.
#[test]
fn options_that_are_not_given_are_not_written() {
    let text = serde_json::to_string(&Config::default()).unwrap();
    for name in ["ema", "warmup-steps", "bias-warmup", "warmup-momentum"] {
        assert!(!text.contains(name), "{name}: {text}");
    }
}

#[test]
fn custom_data_may_have_number_targets() {
    let config = |data: &str| {
        Config::default().with(|c| {
            c.data.name = data.to_owned();
            c.training.loss = Some(Loss::Mse);
        })
    };
    let number = Form { inputs: vec![], targets: vec![Column::number("weight", "grams", 20.0, 5.0)] };
    let class = Form { targets: vec![Column::class("kind", ["a", "b"].map(str::to_owned))], ..number.clone() };
    let own = config("my own");
    own.check_values().unwrap();
    own.objective(&number).unwrap();
    assert_error(own.objective(&class), Fault::Setting("loss"), &["my own"]);
    let mixed = own.with(|c| c.training.mixup = Some(0.2));
    assert_error(mixed.objective(&number), Fault::Setting("mixup"), &["my own"]);
    assert_error(config("shapes").check_values(), Fault::Setting("loss"), &["shapes"]);
}

#[test]
fn early_stopping_waits_for_a_better_epoch() {
    let stops = |early_stopping, epoch, best| {
        Config::default().with(|c| c.training.early_stopping = early_stopping).training.stops_after(epoch, best)
    };
    let ends: Vec<u64> = (1..=9).filter(|&epoch| stops(Some(3), epoch, epoch.min(4))).collect();
    assert_eq!(ends, [7, 8, 9], "epoch 4 is the best");
    assert!(stops(Some(1), 2, 1) && !stops(Some(1), 2, 2) && !stops(None, 1000, 1));
    let blind = Config::default().with(|c| {
        c.training.early_stopping = Some(3);
        c.data.validation = 0;
    });
    assert_error(blind.check(), Fault::Setting("early_stopping"), &[]);
}

#[test]
fn optimizer_settings_are_those_of_the_options() {
    let asked = Config::default().with(|c| {
        c.optimizer.momentum = 0.8;
        c.optimizer.nesterov = true;
        c.optimizer.beta1 = 0.7;
        c.optimizer.beta2 = 0.99;
        c.optimizer.epsilon = 1e-6;
        c.optimizer.weight_decay = 1e-3;
        c.optimizer.spare_norm_and_bias = true;
        c.optimizer.clip_norm = Some(2.5);
    });
    let (beta1, beta2, epsilon) = (0.7, 0.99, 1e-6);
    let rules = [
        ("sgd", Rule::Sgd { momentum: 0.8, nesterov: true }),
        ("adam", Rule::Adam { beta1, beta2, epsilon }),
        ("adamw", Rule::AdamW { beta1, beta2, epsilon }),
        ("adamax", Rule::Adamax { beta1, beta2, epsilon }),
    ];
    assert_eq!(rules.map(|(name, _)| name), Rule::NAMES);
    for (name, rule) in rules {
        let (weight_decay, clip_norm) = (1e-3, Some(2.5));
        let expected = Settings { rule, weight_decay, spare_norm_and_bias: true, clip_norm, layer_norms: true };
        assert_eq!(asked.clone().with(|c| c.optimizer.name = name.into()).optimizer.settings().unwrap(), expected);
    }
    let usual = Config::default().optimizer.settings().unwrap();
    assert_relative_eq!(usual.weight_decay, 1e-4);
    assert_eq!((usual.spare_norm_and_bias, usual.clip_norm), (false, None));
    assert_eq!(usual.rule, Rule::Sgd { momentum: 0.9, nesterov: false });
    let adam = Config::default().with(|c| c.optimizer.name = "adam".into()).optimizer.settings().unwrap();
    assert_eq!(adam.rule, Rule::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
}
