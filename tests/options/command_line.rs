//! The command line where it needs no device: help, schedules, configuration files and output.

use crate::common::errors::{Fault, assert_contains, assert_error};
use crate::common::files::directory;
use crate::common::program::{assert_refused, command, json, lerac, stderr, stdout};
use lerac::curriculum::{DuringCurriculum, Granularity, Ladder, Pace};
use lerac::data::{DATA_SETS, Normalise};
use lerac::nn::MODELS;
use lerac::nn::objective::ClassWeights;
use lerac::ops::regression::Loss;
use lerac::tape::{KernelChoices, Variant};
use lerac::train::{Config, Method, Preset, ScheduleKind};

#[test]
fn help_names_every_command() {
    let help = stdout(&["--help"]);
    for command in [
        "info",
        "schedule",
        "train",
        "resume",
        "compare",
        "paper",
        "eval",
        "predict",
        "export",
        "trace",
        "bench",
        "tune",
        "man",
        "completions",
    ] {
        assert!(help.contains(command), "{help}");
    }
    for command in ["schedule", "train", "compare"] {
        assert!(stdout(&[command, "--help"]).contains("--range"));
    }
}

/// The names that the help of an option of `lerac train` lists, between `before` and `end`.
fn listed(before: &str, end: char) -> Vec<String> {
    let help = stdout(&["train", "--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = help.split_once(before).unwrap_or_else(|| panic!("{before:?} is not in {help}"));
    let list = rest.split(end).next().unwrap().replace(" or ", ", ");
    list.split(", ").map(|name| name.trim().to_owned()).collect()
}

#[test]
fn help_lists_every_data_set_and_every_model() {
    let sets: Vec<&str> = DATA_SETS.iter().map(|set| set.name).collect();
    assert_eq!(listed("Data set: ", '['), sets);
    let mut listed = listed("Model: ", ';');
    let large: Vec<String> = listed[listed.len() - 3..].iter().map(|name| format!("{name}-imagenet")).collect();
    listed.extend(large);
    listed.extend(self::listed("For boxes: ", '.'));
    listed.extend(self::listed("For texts: ", '['));
    let mut models: Vec<&str> = MODELS.iter().map(|entry| entry.name).collect();
    listed.sort();
    models.sort_unstable();
    assert_eq!(listed, models);
}

#[test]
fn a_model_is_described() {
    let table = stdout(&["info", "--model", "resnet18", "--data", "cifar100", "--batch-size", "8"]);
    assert_contains(&table, &["resnet18", "cifar100", "11220132", "555.5 M"]);
    let row = "| 6     | 4     | layer2.0.shortcut.0 | [8,128,16,16] | 8448       | 2097152 ";
    assert!(table.contains(row), "{table}");
    let model = json(&["info", "--model", "cnn", "--json"]);
    assert_eq!((model["parameters"].as_u64(), model["layers"].as_array().unwrap().len()), (Some(24_346), 4));
    assert_refused(&["info", "--model", "cnn", "--data", "cifar"], "--data", &["cifar10"]);
    // The numbers of torchvision for ImageNet.
    let table =
        stdout(&["info", "--model", "resnet50", "--classes", "1000", "--image-size", "224", "--batch-size", "1"]);
    assert_contains(&table, &["resnet50", "1000 classes", "224x224", "25557032", "4089.2 M"]);
}

#[test]
fn every_command_has_a_page_and_completions() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let pages = pages.to_str().unwrap();
    stdout(&["man", pages]);
    for (page, option) in
        [("lerac.1", "compare"), ("lerac-train.1", "epochs"), ("lerac-compare.1", "take"), ("lerac-export.1", "sample")]
    {
        let text = std::fs::read_to_string(format!("{pages}/{page}")).unwrap();
        assert!(text.starts_with(".") || text.contains(".TH"), "{page} is no page of man");
        assert!(text.contains(option), "{page} lacks {option}");
    }
    assert_refused(&["man", pages], "DIR", &["lerac.1", "exists", "--overwrite"]);
    stdout(&["man", pages, "--overwrite"]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert_contains(&stdout(&["completions", shell]), &["compare", "take-over"]);
    }
}

/// Every option at a non-default value.
fn unusual() -> Config {
    Config::default().with(|c| {
        c.data.name = "cifar100".into();
        c.data.data_dir = Some("some/where".into());
        c.data.image_size = Some(48);
        c.data.resize = Some(56);
        c.data.class_list = Some("some/classes.txt".into());
        c.data.cache = Some("some/cache".into());
        c.data.skip_bad = true;
        c.data.train_examples = Some(12);
        c.data.validation = 3;
        c.data.flip = true;
        c.data.shift = 4;
        c.data.normalise = Normalise::Imagenet;
        c.data.random_resized_crop = Some(0.25);
        c.data.jitter = vec![0.4, 0.3, 0.2];
        c.data.cutout = 8;
        c.data.vocab = Some("some/vocab.txt".into());
        c.data.max_length = Some(64);
        c.data.vocab_size = Some(5000);
        c.data.min_count = Some(3);
        c.data.text_columns = vec!["premise".into(), "hypothesis".into()];
        c.data.label_column = Some("gold".into());
        c.model.name = "resnet8".into();
        c.model.init = Some("some/weights.safetensors".into());
        c.model.init_partial = true;
        c.curriculum.method = Method::Lerac;
        c.training.epochs = 7;
        c.training.batch_size = 5;
        c.training.micro_batch = Some(5);
        c.training.mixup = Some(0.3);
        c.training.seed = i64::MAX as u64;
        c.training.log_every = 9;
        c.training.snr_every = 11;
        c.training.snr_batches = 4;
        c.optimizer.eta = 0.1 + 0.2;
        c.optimizer.name = "adamw".into();
        c.optimizer.momentum = 0.8;
        c.optimizer.nesterov = true;
        c.optimizer.beta1 = 0.8;
        c.optimizer.beta2 = 0.99;
        c.optimizer.epsilon = 1e-6;
        c.optimizer.weight_decay = 1e-3;
        c.optimizer.spare_norm_and_bias = true;
        c.optimizer.clip_norm = Some(2.5);
        c.training.loss = Some(Loss::Mse);
        c.training.label_smoothing = 0.125;
        c.training.class_weights = Some(ClassWeights::Given(vec![0.5, 2.0]));
        c.optimizer.schedule = ScheduleKind::Step;
        c.optimizer.milestones = vec![1.5, 3.0];
        c.optimizer.gamma = 0.3;
        c.optimizer.patience = 4;
        c.optimizer.final_rate = 1e-5;
        c.optimizer.warmup_epochs = 0.5;
        c.curriculum.preset = Preset::Reference;
        c.curriculum.range = Some("3e-1..1e-7".parse().unwrap());
        c.curriculum.k = Some(2.5);
        c.curriculum.schedule_during_curriculum = Some(DuringCurriculum::Off);
        c.training.early_stopping = Some(2);
        c.curriculum.granularity = Granularity::Block;
        c.curriculum.pace = Pace::Epoch;
        c.curriculum.ladder = Ladder::Bert;
        c.curriculum.min_lr = 1e-6;
        c.curriculum.clf = 1e-2;
        c.curriculum.stop_lr = Some(0.4);
        c.curriculum.updates_per_epoch = 4;
        c.curriculum.stop_update_epoch = Some(6);
        c.curriculum.sigma = 1.5;
        c.curriculum.sigma_decay = 0.7;
        c.curriculum.sigma_every = 2;
        c.kernels = KernelChoices([("linear forward [5,64] x [64,100]".to_owned(), Variant::Shared)].into());
    })
}

#[test]
fn every_option_survives_its_file() {
    let (usual, unusual) =
        (toml::Table::try_from(Config::default()).unwrap(), toml::Table::try_from(unusual()).unwrap());
    for (section, values) in unusual.iter().filter(|(section, _)| *section != "kernels") {
        for (key, value) in values.as_table().unwrap() {
            assert_ne!(usual[section].get(key), Some(value), "{key} is at its default");
        }
    }
    let text = toml::to_string(&unusual).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), self::unusual());
    // Valid except for options that exclude each other: classes have no --loss; ages have neither
    // mixup nor label smoothing.
    self::unusual().with(|c| c.training.loss = None).check().unwrap();
    self::unusual()
        .with(|c| {
            c.data.name = "utkface-age".into();
            c.training.mixup = None;
            c.training.label_smoothing = 0.0;
            c.training.class_weights = None;
        })
        .check()
        .unwrap();
    for (change, option) in [
        (Config::default().with(|c| c.data.jitter = vec![0.1, 0.2]), "jitter"),
        (Config::default().with(|c| c.data.jitter = vec![0.1, 0.2, 1.5]), "jitter"),
        (Config::default().with(|c| c.data.random_resized_crop = Some(0.0)), "random_resized_crop"),
        (Config::default().with(|c| c.data.random_resized_crop = Some(f64::NAN)), "random_resized_crop"),
        (Config::default().with(|c| c.data.cutout = 1025), "cutout"),
        (Config::default().with(|c| c.data.max_length = Some(4)), "max_length"),
        (Config::default().with(|c| c.data.min_count = Some(0)), "min_count"),
        (Config::default().with(|c| c.data.text_columns = ["a", "b", "c"].map(String::from).into()), "text_columns"),
    ] {
        assert_error(change.check(), Fault::Setting(option), &[]);
    }
    let too_large = Config::default().with(|c| c.training.seed = u64::MAX);
    assert_error(too_large.check(), Fault::Setting("seed"), &[]);
    for milestones in [vec![2.0, 1.0], vec![-1.0], vec![0.0], vec![1.0, 1.0], vec![f64::NAN]] {
        let config = Config::default().with(|c| c.optimizer.milestones = milestones);
        assert_error(config.check(), Fault::Setting("milestones"), &[]);
    }
}

pub const PAPER: &[&str] =
    &["schedule", "--model", "cnn", "--method", "lerac", "--eta", "0.1", "--range", "1e-1..1e-4"];

#[test]
fn a_schedule_is_written_as_csv() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rates.csv");
    let arguments = [PAPER, &["--k", "2", "--epochs", "4", "--steps-per-epoch", "5", "--csv", path.to_str().unwrap()]];
    let table = stdout(&arguments.concat());
    assert!(table.contains("conv1") && table.contains("linear"), "{table}");
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows: Vec<_> = table.lines().map(cells).collect();
    assert_eq!(rows[0][..4], ["", "depth", "layer", "start"]);
    let starts: Vec<f64> = rows[2..].iter().map(|row| row[3].parse().unwrap()).collect();
    for (start, expected) in starts.iter().zip([1e-1, 1e-2, 1e-3, 1e-4]) {
        approx::assert_relative_eq!(*start, expected, max_relative = 1e-12);
    }
    let mut reader = csv::Reader::from_path(&path).unwrap();
    assert_eq!(reader.headers().unwrap(), vec!["step", "epoch", "depth", "layer", "learning_rate"]);
    let rows: Vec<(u64, f64, usize, String, f64)> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 21 * 4);
    let rate = |step, layer: &str| rows.iter().find(|row| row.0 == step && row.3 == layer).unwrap().4;
    approx::assert_relative_eq!(rate(0, "linear"), 1e-4, max_relative = 1e-12);
    approx::assert_relative_eq!(rate(5, "linear"), 10f64.powf(-2.5), max_relative = 1e-12);
    assert_eq!((rate(10, "linear"), rate(20, "conv3"), rate(0, "conv1")), (0.1, 0.1, 0.1));
}

#[test]
fn notes_name_options_of_the_command_line() {
    let arguments = [PAPER, &["--k", "2", "--epochs", "4", "--warmup-epochs", "1"]].concat();
    let output = lerac(&arguments);
    assert!(output.status.success());
    let note = stderr(&output);
    assert!(note.starts_with("note: ") && note.lines().count() == 1, "{note}");
    assert_contains(&note, &["--warmup-epochs", "--schedule-during-curriculum multiply"]);
    let published = stderr(&lerac(&[&arguments[..], &["--preset", "reference"]].concat()));
    assert_eq!(published.lines().count(), 2, "{published}");
    assert_contains(&published, &["note: --k ", "note: --range "]);
    // An option at its default value is noted too if it is given; so are options that a command
    // does not use.
    let default = stderr(&lerac(&["schedule", "--optimizer", "adam", "--momentum", "0.9", "--flip"]));
    assert_contains(&default, &["note: --momentum ", "schedule", "--flip"]);
}

#[test]
fn a_reference_schedule_follows_the_published_ladder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rates.csv");
    let arguments = ["schedule", "--model", "resnet20", "--method", "lerac", "--preset", "reference", "--eta", "0.1"];
    let more = ["--min-lr", "1e-5", "--clf", "1e-3", "--stop-lr", "0.11", "--updates-per-epoch", "1", "--epochs", "6"];
    stdout(&[&arguments[..], &more, &["--steps-per-epoch", "2", "--csv", path.to_str().unwrap()]].concat());
    let rows: Vec<(u64, f64, usize, String, f64)> =
        csv::Reader::from_path(&path).unwrap().deserialize().map(Result::unwrap).collect();
    let rate = |step, layer: &str| rows.iter().find(|row| row.0 == step && row.3 == layer).unwrap().4;
    for (layer, expected) in [
        ("conv1", 1e-1),
        ("layer1.0.conv1", 1e-2),
        ("layer1.0.conv2", 1e-2),
        ("layer1.2.conv1", 1e-4),
        ("layer2.0.shortcut.0", 1e-5),
        ("layer2.1.conv1", 1e-6),
        ("layer3.2.conv2", 1e-6),
        ("linear", 1e-4),
    ] {
        approx::assert_relative_eq!(rate(0, layer), expected, max_relative = 1e-9);
    }
    approx::assert_relative_eq!(rate(2, "layer3.2.conv2"), 1e-5, max_relative = 1e-9);
    approx::assert_relative_eq!(rate(12, "layer3.2.conv2"), 1e-1, max_relative = 1e-9);
}

#[test]
fn a_schedule_is_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rates.png");
    stdout(&[PAPER, &["--k", "2", "--epochs", "4", "--plot", path.to_str().unwrap()]].concat());
    let picture = image::open(&path).unwrap().to_rgb8();
    assert!(picture.width() >= 1000 && picture.height() >= 300);
    // The last layer, at the bottom, starts at the lowest rate (dark violet) and ends at the
    // highest (yellow).
    let at = |x: u32| picture.get_pixel(x, picture.height() - 90).0;
    let (early, late) = (at(picture.width() / 5), at(picture.width() * 3 / 4));
    assert!(early[2] > early[1] && late[0] > 200 && late[2] < 80, "{early:?} {late:?}");
}

/// Biases and momentum have rows of their own if they have a warm-up of their own.
#[test]
fn a_warmup_is_printed_written_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let [csv, png] = ["rates.csv", "rates.png"].map(|name| dir.path().join(name).to_str().unwrap().to_owned());
    let arguments = ["schedule", "--model", "cnn", "--epochs", "4", "--steps-per-epoch", "2", "--eta", "0.01"];
    let warmup = ["--warmup-epochs", "2", "--bias-warmup", "0.1", "--warmup-momentum", "0.8", "--momentum", "0.937"];
    let output = lerac(&[&arguments[..], &warmup, &["--csv", &csv, "--plot", &png]].concat());
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    let cells = |name: &str| -> Vec<String> {
        let row = table.lines().find(|row| row.contains(&format!("| {name} "))).unwrap_or_else(|| panic!("{table}"));
        row.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    assert_eq!(cells("linear biases")[4..9], ["7.75e-2", "5.50e-2", "3.25e-2", "1.00e-2", "1.00e-2"]);
    assert_eq!(cells("conv1")[4..9], ["2.50e-3", "5.00e-3", "7.50e-3", "1.00e-2", "1.00e-2"]);
    assert_eq!(cells("momentum")[4..9], ["0.8343", "0.8685", "0.9027", "0.9370", "0.9370"]);
    let mut reader = csv::Reader::from_path(&csv).unwrap();
    let header = ["step", "epoch", "depth", "layer", "learning_rate", "bias_learning_rate", "momentum"];
    assert_eq!(reader.headers().unwrap(), header.to_vec());
    let rows: Vec<(u64, f64, usize, String, f64, f64, f64)> = reader.deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 9 * 4);
    approx::assert_relative_eq!(rows[4].4, 0.005, max_relative = 1e-12);
    approx::assert_relative_eq!(rows[4].5, 0.055, max_relative = 1e-12);
    approx::assert_relative_eq!(rows[4].6, 0.8685, max_relative = 1e-12);
    // Below the heat map, the momentum rises from the left to the right.
    let (picture, plain) = (image::open(&png).unwrap().to_rgb8(), dir.path().join("plain.png"));
    stdout(&[&arguments[..], &["--plot", plain.to_str().unwrap()]].concat());
    assert!(picture.height() > image::open(&plain).unwrap().height() + 500);
    let blue = |x: u32| {
        let from = picture.height() - 600;
        (from..picture.height()).find(|&y| picture.get_pixel(x, y).0 == [0, 114, 178])
    };
    let (early, late) = (blue(picture.width() / 4).unwrap(), blue(picture.width() * 3 / 4).unwrap());
    assert!(early > late, "the momentum is at {early}, then at {late}");
}

#[test]
fn the_command_line_overrides_a_file() {
    let text = "model = \"lenet\"\nmethod = \"lerac\"\nepochs = 3\nrange = \"1e-2..1e-3\"\neta = 0.01\nk = 1\n";
    let dir = directory(&[("run.toml", text)]);
    let (file, csv) = (dir.path().join("run.toml"), dir.path().join("rates.csv"));
    let arguments =
        ["schedule", "--config", file.to_str().unwrap(), "--epochs", "2", "--steps-per-epoch", "1", "--csv"];
    stdout(&[&arguments[..], &[csv.to_str().unwrap()]].concat());
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.contains("fc3,0.001"), "the file's model and range: {text}");
    assert_eq!(text.lines().count(), 1 + 3 * 5, "the command line's two epochs: {text}");
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    for arguments in [PAPER.to_vec(), vec!["train", "--data", "nothing"]] {
        let mut child = command(&arguments).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        // A panic would end with code 101, and a signal without a code.
        let expected = if arguments[0] == "train" { 1 } else { 0 };
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{arguments:?}");
    }
}
