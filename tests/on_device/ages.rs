//! Ages as numbers, from image files to the report.

use crate::common::errors::{Fault, assert_contains, assert_fault};
use crate::common::program::{assert_refused, json, stdout};
use crate::common::{Test, test};
use crate::training::{Kept, resume, run};
use lerac::data::{PictureSplits, Source};
use lerac::gpu::Gpu;
use lerac::nn::objective::{Answer, Better, Scores};
use lerac::ops::regression::Loss;
use lerac::train::{Checkpoint, Config, EpochRecord, Method, Outcome, ScheduleKind};
use std::path::Path;
use tempfile::TempDir;

const AGES: &str = "utkface-age";

/// Images named like UTKFace's: the older, the brighter.
fn faces() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..200u32 {
        let age = i * 37 % 101;
        let face = image::RgbImage::from_fn(16, 16, |x, y| image::Rgb([(2 * age + (x * 7 + y * 3 + i) % 40) as u8; 3]));
        face.save(dir.path().join(format!("{age}_{}_{}_2017{i:010}.png", i % 2, i % 5))).unwrap();
    }
    dir
}

fn opened(dir: &TempDir) -> PictureSplits {
    let source = Source { name: AGES, dir: Some(dir.path()), image_size: Some(16), ..Source::default() };
    source.open_pictures(&mut |_| ()).unwrap()
}

/// No batch norm, so that a batch may be split into passes. The rate falls after an epoch that is
/// not much better.
fn config(loss: Loss) -> Config {
    Config::default().with(|c| {
        c.data.name = AGES.into();
        c.model.name = "lenet".into();
        c.curriculum.method = Method::Lerac;
        c.training.loss = Some(loss);
        c.training.epochs = 8;
        c.training.batch_size = 16;
        c.data.validation = 32;
        c.optimizer.eta = 0.02;
        c.optimizer.schedule = ScheduleKind::Plateau;
        c.optimizer.patience = 0;
        c.optimizer.gamma = 0.5;
    })
}

/// |prediction - age| of each test image.
fn errors(outcome: &Outcome) -> Vec<f64> {
    let error = |answer: &(Answer, Answer)| match answer {
        (Answer::Whole(age), Answer::Number(years)) => (f64::from(*years) - f64::from(*age)).abs(),
        other => panic!("{other:?}"),
    };
    outcome.answers.iter().map(error).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Under both losses. A run that is resumed from any checkpoint gives the same result.
fn ages_are_learnt(gpu: &Gpu) {
    let dir = faces();
    let data = opened(&dir);
    let mut found = vec![];
    for loss in [Loss::L1, Loss::Mse] {
        let (config, mut kept) = (config(loss), Kept::default());
        let outcome = run(gpu, &config, &data, &mut kept).unwrap();
        let score = |key: &str| outcome.summary.scores[key];
        let (test_mae, median_mae, validation_mae) = (score("test_mae"), score("median_mae"), score("validation_mae"));
        assert_eq!((outcome.summary.scores.len(), outcome.summary.test()), (3, test_mae));
        assert_eq!(outcome.summary.baseline.as_ref().map(|baseline| baseline.value), Some(median_mae));
        approx::assert_relative_eq!(test_mae, mean(&errors(&outcome)), max_relative = 1e-5);
        // 160 training ages: their median, and its distance from the 40 test ages.
        let mut ages = data.train.labels.clone();
        ages.sort_unstable();
        let off: Vec<f64> = data.test.labels.iter().map(|&age| (f64::from(age) - f64::from(ages[80])).abs()).collect();
        assert_eq!(median_mae, mean(&off));
        assert!(test_mae < 0.5 * median_mae, "{loss:?}: {test_mae} years off, the median {median_mae}");
        // The best epoch is the first one with the lowest error.
        let validation: Vec<f64> = kept.epochs.iter().map(|epoch| epoch.validation.as_ref().unwrap().value()).collect();
        let least = validation.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!((validation_mae, outcome.summary.validation()), (least, Some(least)));
        let first = validation.iter().position(|&error| error == least).unwrap();
        assert_eq!(outcome.summary.best_epoch, first as u64 + 1, "{validation:?}");
        assert!(validation[0] > 1.2 * least, "{validation:?}: the first epoch is as good as any");
        assert!(kept.checkpoints.len() > 3);
        for checkpoint in &kept.checkpoints {
            let checkpoint = Checkpoint::from_bytes("checkpoint".as_ref(), &checkpoint.to_bytes()).unwrap();
            let mut again = Kept::default();
            let resumed = resume(gpu, &config, &data, &checkpoint, &mut again).unwrap();
            assert_eq!((&resumed.summary.scores, &resumed.answers), (&outcome.summary.scores, &outcome.answers));
            let scores =
                |epochs: &[EpochRecord]| -> Vec<Scores> { epochs.iter().map(|epoch| epoch.training.clone()).collect() };
            assert!(scores(&kept.epochs).ends_with(&scores(&again.epochs)), "{:?}", again.epochs);
        }
        found.push(outcome.summary.test_loss / test_mae);
    }
    // |d| and d^2 in units of 20 years: the L1 loss is the error itself.
    approx::assert_relative_eq!(found[0], 1.0 / 20.0, max_relative = 1e-5);
    assert!((found[1] * 20.0 - 1.0).abs() > 0.1, "{found:?}: both losses are one");
}

/// A batch that is split into passes gives the same result.
fn passes_predict_the_same(gpu: &Gpu) {
    let dir = faces();
    let data = opened(&dir);
    let of = |micro_batch: Option<usize>| {
        let config = config(Loss::Mse).with(|c| {
            c.training.micro_batch = micro_batch;
            c.training.epochs = 1;
        });
        let outcome = run(gpu, &config, &data, &mut Kept::default()).unwrap();
        errors(&outcome)
    };
    let whole = of(None);
    for micro_batch in [8, 1] {
        approx::assert_relative_eq!(of(Some(micro_batch))[..], whole[..], max_relative = 1e-3, epsilon = 1e-3);
    }
}

/// Sums saturate at 2^32; a saturated sum is an error.
fn errors_beyond_all_bounds_are_no_result(gpu: &Gpu) {
    let dir = faces();
    let config = config(Loss::L1).with(|c| {
        c.curriculum.method = Method::Conventional;
        c.optimizer.schedule = ScheduleKind::Constant;
        c.optimizer.momentum = 0.0;
        c.optimizer.eta = 1e5;
        c.training.epochs = 1;
        c.data.train_examples = Some(16);
    });
    let error = run(gpu, &config, &opened(&dir), &mut Kept::default()).err().expect("weights of 1e5");
    assert_fault(&error, Fault::NonFinite, &[]);
}

/// No real data set has equal ages, but a user's may.
fn equal_ages_are_defined(gpu: &Gpu) {
    let dir = faces();
    let mut data = opened(&dir);
    data.train.labels.fill(30);
    data.test.labels.fill(30);
    let config = config(Loss::L1).with(|c| c.training.epochs = 2);
    let outcome = run(gpu, &config, &data, &mut Kept::default()).unwrap();
    let (test_mae, median_mae) = (outcome.summary.test(), outcome.summary.scores["median_mae"]);
    assert!(median_mae == 0.0 && test_mae < 10.0, "{test_mae} years off");
    let measure = outcome.summary.measure();
    assert_eq!((measure.key.as_str(), measure.unit.as_str(), measure.better), ("mae", "years", Better::Less));
}

fn commands_take_ages() {
    let dir = faces();
    let root = dir.path().to_str().unwrap();
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("run").to_str().unwrap().to_owned();
    let data = ["--data", AGES, "--data-dir", root, "--image-size", "16"];
    let short = ["--model", "lenet", "--epochs", "4", "--batch-size", "16", "--validation", "32", "--eta", "0.02"];
    let options = [&data[..], &short].concat();
    let printed = stdout(&[&["train", "--quiet", "--out", &out], &options[..]].concat());
    assert_contains(&printed, &["mean absolute error", " years"]);
    let read = |name: &str| std::fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let header = read("metrics.csv").lines().next().unwrap().to_owned();
    assert_eq!(header, "kind,step,epoch,train_loss,train_mae,validation_loss,validation_mae");
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let summary = parsed(&read("summary.json"));
    assert!(summary.get("test_accuracy").is_none() && summary["validation_mae"].as_f64().is_some(), "{summary}");

    let (config, weights) = (format!("{out}/config.toml"), format!("{out}/model.safetensors"));
    let from = ["--config", config.as_str(), "--init", &weights];
    let found = json(&[&["eval", "--json"], &from[..]].concat());
    for key in ["test_mae", "median_mae", "test_loss", "test_examples"] {
        assert_eq!(found[key], summary[key], "{key}");
    }
    assert_contains(&stdout(&[&["eval"], &from[..]].concat()), &["median", " years", "40 examples"]);

    // `predict` gives a higher age for the oldest face than for the youngest.
    let face = |age: u32| {
        let mut names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let of_age =
            |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{age}_"));
        names.find(of_age).unwrap().to_str().unwrap().to_owned()
    };
    let (young, old) = (face(2), face(98));
    let lines = stdout(&[&["predict", &young, &old, "--json"], &from[..]].concat());
    let years: Vec<f64> = lines.lines().map(|line| parsed(line)["years"].as_f64().unwrap()).collect();
    assert!(years[0] + 20.0 < years[1], "{lines}");
    let line = stdout(&[&["predict", &young], &from[..]].concat());
    assert_eq!(line.trim(), format!("{young}: {:.1} years", years[0]));
    assert_refused(&[&["predict", &young, "--top", "2"], &from[..]].concat(), "--top", &["utkface-age"]);

    let compared = work.path().join("compare").to_str().unwrap().to_owned();
    let grid = ["--methods", "conventional,lerac", "--seeds", "2"];
    let table = stdout(&[&["compare", "--quiet", "--out", &compared], &grid[..], &options].concat());
    assert_contains(&table, &["mean absolute error", " years "]);
    let report = std::fs::read_to_string(Path::new(&compared).join("report.html")).unwrap();
    for part in ["mean absolute error, years", "median"] {
        assert!(report.contains(part), "the report lacks {part:?}");
    }
    assert!(!report.contains("accuracy"), "the report speaks of accuracy");
    let results = std::fs::read_to_string(Path::new(&compared).join("results.csv")).unwrap();
    assert!(results.starts_with("method,seed,test_mae,test_loss,validation_mae,best_epoch,"), "{results}");
    // Finished runs are not run again.
    assert_eq!(stdout(&[&["compare", "--quiet", "--out", &compared], &grid[..], &options].concat()), table);
}

pub fn tests() -> Vec<Test> {
    vec![
        test("ages: are learnt under both losses, and resumed", ages_are_learnt),
        test("ages: passes predict the same", passes_predict_the_same),
        test("ages: all equal", equal_ages_are_defined),
        test("ages: errors beyond all bounds", errors_beyond_all_bounds_are_no_result),
        test("ages: every command takes them", |_| commands_take_ages()),
    ]
}
