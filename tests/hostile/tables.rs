//! The directory of a finished run: its summary and its tables.

use crate::checkpoints::{JSON, full_config};
use crate::common::errors::{Fault, assert_error};
use crate::config::toml_of;
use crate::harness::{JUST_OVER, Limit, SMALL, Subject, measured, run, tokens};
use lerac::error::Result;
use lerac::nn::objective::{Baseline, Measure};
use lerac::records::Finished;
use lerac::study::Comparison;
use lerac::train::{Config, Summary};
use std::collections::{BTreeMap, HashSet};
use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use std::time::Instant;

/// Tables: a field takes one or two bytes in the file.
const TABLES: Limit = Limit { multiple: 64, constant: SMALL };

const METRICS: &str = "kind,step,epoch,train_loss,train_accuracy,train_top5,validation_loss,validation_accuracy,validation_top5\n\
    interval,5,0.5,2.3,0.1,0.6,,,\ninterval,10,1.0,2.1,0.25,0.8,,,\nepoch,10,1.0,2.2,0.2,0.7,2.0,0.3,0.9\n";
const SPEED: &str = "step,examples_per_second\n5,100.5\n10,1e3\n";
const PREDICTIONS: &str = "example,label,prediction\n0,1,1\n1,2,3\n2,4,4\n";
const LAYERS: &str = "step,epoch,depth,layer,learning_rate,gradient_norm,update_norm,weight_norm,effective_rate\n\
    4,0.4,0,conv1,0.1,1.0,0.5,2.0,0.25\n4,0.4,1,\"head, last\",0.1,1.0,0.5,2.0,0.25\n9,0.9,0,conv1,0.1,1.0,0.5,2.0,0.25\n\
    9,0.9,1,\"head, last\",0.1,1.0,0.5,2.0,0.25\n";
const NOISE: &str = "step,epoch,depth,layer,signal_to_noise\n5,0.5,0,conv1,0.75\n5,0.5,1,\"head, last\",0.5\n";
const NAMES: [&str; 7] =
    ["summary.json", "config.toml", "metrics.csv", "speed.csv", "predictions.csv", "layers.csv", "noise.csv"];

/// Files of earlier versions: examples were called images, and measures were not listed.
const EARLIER_SUMMARY: &str = r#"{"test_accuracy":0.6666666666666666,"test_top5":1.0,"validation_accuracy":0.3,"test_loss":1.5,
    "test_images":3,"best_epoch":1,"steps":10,"images_per_epoch":320,"seconds":1.0,"images_per_second":320.0,
    "milliseconds_per_step":100.0,"device_bytes":1,"data_crc32":null,"adapter":"adapter","version":"0.1.0"}"#;
const EARLIER_METRICS: &str = "kind,step,epoch,train_loss,train_accuracy,validation_loss,validation_accuracy\n\
    interval,5,0.5,2.3,0.1,,\ninterval,10,1.0,2.1,0.25,,\nepoch,10,1.0,2.2,0.2,2.0,0.3\n";
const EARLIER_SPEED: &str = "step,images_per_second\n5,100.5\n10,1e3\n";
const EARLIER_PREDICTIONS: &str = "image,label,prediction\n0,1,1\n1,2,3\n2,4,4\n";

/// The files of earlier versions, each with its index in `NAMES`.
fn earlier() -> [(usize, &'static str); 4] {
    [(0, EARLIER_SUMMARY), (2, EARLIER_METRICS), (3, EARLIER_SPEED), (4, EARLIER_PREDICTIONS)]
}

fn scores(scores: &[(&str, f64)]) -> BTreeMap<String, f64> {
    scores.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

fn summary() -> Summary {
    Summary {
        measures: vec![Measure::accuracy(), Measure::share("top5", "accuracy within the first five")],
        scores: scores(&[("test_accuracy", 2.0 / 3.0), ("test_top5", 1.0), ("validation_accuracy", 0.3)]),
        baseline: None,
        test_loss: 1.5,
        test_examples: 3,
        best_epoch: 1,
        steps: 10,
        examples_per_epoch: 320,
        seconds: 1.0,
        examples_per_second: 320.0,
        milliseconds_per_step: 100.0,
        device_bytes: 1,
        data_crc32: None,
        earlier_tests: 0,
        adapter: "adapter".into(),
        version: "0.1.0".into(),
    }
}

fn config_of_run() -> Config {
    full_config().with(|c| c.training.snr_every = 5)
}

fn run_files() -> [Vec<u8>; 7] {
    let summary = serde_json::to_string_pretty(&summary()).unwrap();
    let config = toml_of(&config_of_run());
    [&summary, &config, METRICS, SPEED, PREDICTIONS, LAYERS, NOISE].map(|text| text.as_bytes().to_vec())
}

/// Loads a run's directory in which file `changed` contains `bytes`.
fn load(files: &[Vec<u8>; 7], changed: usize, bytes: &[u8]) -> Result<Finished> {
    let config = config_of_run();
    let read = |path: &Path| {
        let place = NAMES.iter().position(|name| path == Path::new("dir").join(name));
        let place = place.ok_or_else(|| IoError::from(ErrorKind::NotFound))?;
        Ok(if place == changed { bytes.to_vec() } else { files[place].clone() })
    };
    Finished::load_from(Path::new("dir"), "arm", &config, read).map(|run| run.expect("there is a summary"))
}

fn check_run(run: Finished) {
    // Only accuracy has right and wrong answers.
    let compared = if run.summary.measure().key == "accuracy" { run.summary.test_examples } else { 0 };
    assert_eq!(run.right.len() as u64, compared);
    assert_eq!(run.train_loss.len(), run.train_score.len());
    let names: HashSet<&str> = run.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names.len(), run.layers.len());
    assert!(run.layers.iter().all(|layer| !layer.effective_rate.is_empty()));
    assert_eq!(Comparison::of(&[run], "arm").arms.len(), 1);
}

/// The first byte selects the file that is replaced.
#[test]
fn tables_of_runs() {
    let files = run_files();
    let seeds = files.iter().enumerate().map(|(i, file)| [&[i as u8], file.as_slice()].concat());
    let seeds = seeds.chain(earlier().map(|(i, text)| [&[i as u8], text.as_bytes()].concat())).collect();
    let mut words = tokens(&JSON);
    words.extend(tokens(&[
        "\r\n", "\"\"", ",,", "nan", "inf", "-1", "NaN", "interval", "epoch", "\u{80}", "step", "layer", "image",
        "example",
    ]));
    let subject = Subject { name: "tables of a run", seeds, tokens: words, limit: TABLES, file: <[u8]>::to_vec };
    let parse = |input: &[u8]| {
        let (file, bytes) = input.split_first().unwrap_or((&0, &[]));
        load(&files, usize::from(*file) % NAMES.len(), bytes)
    };
    run(subject, parse, check_run);
}

/// Tables with `count` rows, columns or characters, each with its name and the index of its file.
fn dense_tables(count: usize) -> [(&'static str, usize, String); 12] {
    let row = |header: &str, row: &str| format!("{}\n{}", header.lines().next().unwrap(), row.repeat(count));
    let layers: String = (0..count).map(|i| format!("0,0,0,{i},0,0,0,0,0\n")).collect();
    [
        ("metrics", 2, row(METRICS, ",0,0,0,0,0,,,\n")),
        ("speed", 3, row(SPEED, "0,0\n")),
        ("predictions", 4, row(PREDICTIONS, "0,0,0\n")),
        ("layers", 5, row(LAYERS, "0,0,0,,0,0,0,0,0\n")),
        ("as many layers as rows", 5, row(LAYERS, "") + &layers),
        ("noise", 6, row(NOISE, "0,0,0,conv1,0\n")),
        ("commas", 3, ",".repeat(2 * count)),
        ("columns", 3, format!("{},step,examples_per_second\n{},1,1\n", ",".repeat(count), ",".repeat(count))),
        ("quotes", 3, "\"".repeat(2 * count)),
        ("line ends", 3, "\n".repeat(2 * count)),
        ("nested JSON", 0, "[".repeat(2 * count)),
        ("scores", 0, format!("{{{}", (0..count).map(|i| format!("\"{i:x}\":1,")).collect::<String>())),
    ]
}

#[test]
fn the_densest_tables_are_read_in_bounds() {
    let files = run_files();
    for (name, file, text) in dense_tables(JUST_OVER) {
        let (_, peak) = measured(|| load(&files, file, text.as_bytes()));
        TABLES.assert(name, text.len(), peak);
    }
}

/// No table takes many times as long as a normal table with as many rows. Comparing every row with
/// all others would.
#[test]
fn dense_tables_take_the_time_of_usual_ones() {
    let files = run_files();
    let tables = dense_tables(JUST_OVER);
    let mut least = [f64::INFINITY; 12];
    // Interleaved, and the minimum of three: other work on the machine only makes times longer.
    for _ in 0..3 {
        for ((_, file, text), least) in tables.iter().zip(&mut least) {
            let start = Instant::now();
            let _ = load(&files, *file, text.as_bytes());
            *least = least.min(start.elapsed().as_secs_f64());
        }
    }
    let ratios: Vec<_> = tables.iter().zip(least).map(|((name, ..), time)| (name, time / least[0])).collect();
    assert_eq!(*ratios[0].0, "metrics");
    assert!(ratios.iter().all(|(_, ratio)| *ratio <= 100.0), "{ratios:?}");
}

#[test]
fn predictions_must_be_of_all_examples() {
    for text in ["example,label,prediction\n0,1,1\n1,2,3\n", "example,label,prediction\n0,1,1\n2,2,3\n1,4,4\n"] {
        assert_error(load(&run_files(), 4, text.as_bytes()), Fault::Format("predictions.csv", None), &["3 examples"]);
    }
}

/// Loss and accuracy over few examples would be outliers in a curve.
#[test]
fn an_interval_that_was_cut_short_joins_the_one_before_it() {
    let mut files = run_files();
    let curve = |files: &[Vec<u8>; 7]| load(files, 3, &files[3]).unwrap().train_loss;
    assert_eq!(curve(&files), [(0.5, 2.3), (1.0, 2.1)]);
    files[2] = METRICS.replace("interval,5,", "interval,8,").into_bytes();
    files[3] = SPEED.replace("\n5,", "\n8,").into_bytes();
    let [(epoch, loss)] = curve(&files)[..] else { panic!("one point") };
    assert!(epoch == 1.0 && (loss - 2.26).abs() < 1e-12, "{loss} at {epoch}");
}

/// Asserts that a run is rejected if a file contains the text. The error names the file and one
/// more name.
fn assert_refused(files: &[Vec<u8>; 7], cases: &[(usize, String, &str)]) {
    for (file, text, name) in cases {
        assert_error(load(files, *file, text.as_bytes()), Fault::Format(NAMES[*file], None), &[name]);
    }
}

/// Tables that a finished run cannot have.
#[test]
fn tables_must_be_of_a_finished_run() {
    let files = run_files();
    load(&files, 2, METRICS.as_bytes()).unwrap();
    let header = |text: &str| format!("{}\n", text.lines().next().unwrap());
    let (row, end, columns) = ("row ", "step 10", "kind, step, epoch, train_loss, train_accuracy");
    assert_refused(
        &files,
        &[
            (2, header(METRICS), end),
            (2, METRICS.replace("epoch,10", "epoch,5"), end),
            (2, METRICS.replace("interval,10,1.0,2.1,0.25,0.8,,,\n", ""), end),
            (2, METRICS.replace("2.1,", "NaN,"), "row 2"),
            (2, METRICS.replace("0.25", "1.5"), row),
            (2, METRICS.replace("0.8", "1.5"), row),
            (2, METRICS.replace("2.0,0.3", "inf,0.3"), "row 3"),
            (2, METRICS.replace("2.0,0.3", "2.0,0.4"), "summary.json"),
            (2, METRICS.replace("0.3,0.9", "0.3,"), "row"),
            // No other column is used as the loss or the first measure.
            (2, METRICS.replace("train_loss", "loss"), columns),
            (2, METRICS.replace("train_accuracy", "accuracy"), columns),
            (2, METRICS.replace("validation_loss", "loss"), columns),
            (2, METRICS.replace("validation_accuracy", "accuracy"), columns),
            (3, header(SPEED), "interval"),
            (3, SPEED.replace("\n5,", "\n6,"), "interval"),
            (3, SPEED.replace("100.5", "0"), "row 1"),
            (3, SPEED.replace("100.5", "NaN"), row),
            (4, PREDICTIONS.replace("0,1,1", "0,1,1.0"), "prediction"),
            (4, PREDICTIONS.replace("0,1,1", "0,1,2"), "0.3333333333333333"),
            (5, header(LAYERS), "layer"),
            (5, LAYERS.replacen("9,0.9,0,conv1,0.1,1.0,0.5,2.0,0.25\n", "", 1), "layer"),
            (5, LAYERS.replacen("1.0,0.5", "NaN,0.5", 1), "row 1"),
            (5, LAYERS.replacen("2.0,0.25", "2.0,NaN", 1), row),
            (6, header(NOISE), "layer"),
            (6, NOISE.replace("5,0.5,0,conv1,0.75\n", ""), "layer"),
            (6, NOISE.replace("0.75", "NaN"), row),
        ],
    );
    // Norms that overflow f32 are infinite, and their quotient is NaN. A valid run may end like
    // this.
    let beyond = LAYERS.replacen("1.0,0.5,2.0,0.25", "inf,inf,inf,NaN", 1);
    load(&files, 5, beyond.as_bytes()).unwrap();
}

/// A summary with the first occurrence of `key` replaced.
fn changed(summary: &[u8], key: &str, value: &str) -> String {
    let text = std::str::from_utf8(summary).unwrap();
    let changed = text.replacen(key, value, 1);
    assert_ne!(text, changed);
    changed
}

const AGES: &str = "example,label,prediction\n0,1,2.0\n1,2,1.5\n2,4,6.25\n";

/// Renames the columns of accuracies to columns of errors.
fn of_errors(text: &str) -> String {
    text.replace("train_accuracy", "train_mae").replace("validation_accuracy", "validation_mae")
}

/// A run that predicts ages, 1, 0.5 and 2.25 years off.
fn run_of_ages() -> [Vec<u8>; 7] {
    let mut files = run_files();
    let of_ages = Summary {
        measures: vec![Measure::mean_absolute_error("years")],
        scores: scores(&[("test_mae", 1.25), ("validation_mae", 4.0), ("median_mae", 9.0)]),
        baseline: Some(Baseline { key: "median".into(), name: "the median, always predicted".into(), value: 9.0 }),
        ..summary()
    };
    files[0] = serde_json::to_vec(&of_ages).unwrap();
    files[2] = of_errors(EARLIER_METRICS).replace("2.0,0.3", "2.0,4.0").into_bytes();
    files[4] = AGES.into();
    files
}

#[test]
fn tables_of_numbers_must_be_of_a_finished_run() {
    let files = run_of_ages();
    load(&files, 4, AGES.as_bytes()).unwrap();
    let of_summary = |key: &str, value: &str| changed(&files[0], key, value);
    assert_refused(
        &files,
        &[
            (0, of_summary("\"median_mae\":9.0", "\"median_mae\":-7"), "score"),
            (0, of_summary("\"value\":9.0", "\"value\":-7"), "score"),
            (0, of_summary("\"validation_mae\":4.0", "\"validation_mae\":-4"), "score"),
            (0, of_summary("\"test_mae\":1.25,", ""), "score"),
            (0, of_summary("\"test_mae\"", "\"test_accuracy\""), "score"),
            (2, of_errors(EARLIER_METRICS), "summary.json"),
            (2, of_errors(EARLIER_METRICS).replace("2.1,", "2.1,-"), "row 2"),
            (2, EARLIER_METRICS.to_owned(), "kind, step, epoch, train_loss, train_mae"),
            (4, AGES.replace("6.25", "6.5"), "1.3333333333333333"),
            (4, AGES.replace("6.25", "6"), "prediction"),
            (4, AGES.replace("6.25", "NaN"), "NaN"),
        ],
    );
}

/// The predictions of a custom objective may be neither classes nor numbers, and its measure is
/// known only by its key.
#[test]
fn tables_of_other_measures_are_read() {
    let mut files = run_files();
    let of_boxes = Summary {
        measures: vec![Measure::share("iou", "intersection over union")],
        scores: scores(&[("test_iou", 0.5), ("validation_iou", 0.3)]),
        ..summary()
    };
    files[0] = serde_json::to_vec(&of_boxes).unwrap();
    files[2] = EARLIER_METRICS.replace("accuracy", "iou").into_bytes();
    files[4] = b"example,label,prediction\n0,1 2,1 2\n1,3 4,4 3\n2,,\n".to_vec();
    let run = load(&files, 4, &files[4]).unwrap();
    assert_eq!((run.summary.test(), run.summary.validation(), run.right.len()), (0.5, Some(0.3), 0));
    assert_eq!(run.train_score, [(0.5, 0.1), (1.0, 0.25)]);
    check_run(run);
}

#[test]
fn tables_of_earlier_versions_are_read() {
    let read = |files: &[Vec<u8>; 7]| load(files, 2, &files[2]).unwrap();
    let now = read(&run_files());
    let mut files = run_files();
    // Each file separately, since a run may be continued by a newer version, and all together.
    for (file, text) in earlier() {
        load(&run_files(), file, text.as_bytes()).unwrap();
        files[file] = text.into();
    }
    let run = read(&files);
    assert_eq!(run.summary, now.summary);
    assert_eq!((&run.train_loss, &run.train_score), (&now.train_loss, &now.train_score));
    assert_eq!((&run.validation_loss, &run.validation_score), (&now.validation_loss, &now.validation_score));
    assert_eq!((&run.examples_per_second, &run.right), (&now.examples_per_second, &now.right));
    assert_refused(&files, &[(0, changed(&files[0], "\"test_top5\":1.0", "\"test_top5\":1.1"), "score")]);

    let now = read(&run_of_ages());
    let mut files = run_of_ages();
    files[0] = changed(
        EARLIER_SUMMARY.as_bytes(),
        "\"test_accuracy\":0.6666666666666666,\"test_top5\":1.0,\"validation_accuracy\":0.3",
        "\"test_mae\":1.25,\"median_mae\":9.0,\"validation_mae\":4.0",
    )
    .into_bytes();
    files[4] = AGES.replace("example,", "image,").into_bytes();
    assert_eq!(read(&files).summary, now.summary);
    assert_refused(&files, &[(0, changed(&files[0], "\"median_mae\":9.0", "\"median_mae\":-7"), "score")]);
}
