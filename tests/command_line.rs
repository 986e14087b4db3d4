//! The command line as a user runs it, where it needs no device: help, schedules, and what is refused.
#![cfg(feature = "cli")]

use lerac::curriculum::{DuringCurriculum, Granularity, Ladder, Pace};
use lerac::data::{DATA_SETS, Normalise};
use lerac::nn::MODELS;
use lerac::ops::regression::Loss;
use lerac::tape::{KernelChoices, Variant};
use lerac::train::{Config, Method, Preset, ScheduleKind};
use std::path::Path;
use std::process::{Command, Output};

fn lerac(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lerac")).args(arguments).output().unwrap()
}

fn stdout(arguments: &[&str]) -> String {
    let output = lerac(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a refused call says; it must end with a non-zero code and no panic.
fn refusal(arguments: &[&str]) -> String {
    let output = lerac(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().expect("no signal");
    assert!(code == 1 || code == 2, "{arguments:?} ended with {code}: {text}");
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    assert!(output.stdout.is_empty(), "{arguments:?} printed results");
    text
}

fn assert_refused(arguments: &[&str], parts: &[&str]) {
    let text = refusal(arguments);
    for part in parts {
        assert!(text.contains(part), "{arguments:?}: {text:?} lacks {part:?}");
    }
}

#[test]
fn help_names_every_command() {
    let help = stdout(&["--help"]);
    for command in ["info", "schedule", "train", "resume", "compare", "eval", "predict", "trace", "bench", "tune"] {
        assert!(help.contains(command), "{help}");
    }
    for command in ["schedule", "train", "compare"] {
        assert!(stdout(&[command, "--help"]).contains("--range"));
    }
}

/// The names that the help of an option of `lerac train` lists after `before`, up to `end`.
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
    assert!(stdout(&["train", "--help"]).contains("the last three"), "the help says of which there are others");
    let large: Vec<String> = listed[listed.len() - 3..].iter().map(|name| format!("{name}-imagenet")).collect();
    listed.extend(large);
    let mut models: Vec<&str> = MODELS.iter().map(|entry| entry.name).collect();
    listed.sort();
    models.sort_unstable();
    assert_eq!(listed, models);
}

#[test]
fn a_model_is_described() {
    let table = stdout(&["info", "--model", "resnet18", "--data", "cifar100", "--batch-size", "8"]);
    assert!(table.contains("resnet18 on cifar100: 11220132 parameters, 555.5 M multiply-adds"), "{table}");
    assert!(table.contains("| 6     | 4     | layer2.0.shortcut.0 | [8,128,16,16] | 8448       | 2097152 "), "{table}");
    let json: serde_json::Value = serde_json::from_str(&stdout(&["info", "--model", "cnn", "--json"])).unwrap();
    assert_eq!((json["parameters"].as_u64(), json["layers"].as_array().unwrap().len()), (Some(24_346), 4));
    assert_refused(&["info", "--model", "cnn", "--data", "cifar"], &["--data", "cifar10"]);
    // As torchvision counts them for ImageNet.
    let table =
        stdout(&["info", "--model", "resnet50", "--classes", "1000", "--image-size", "224", "--batch-size", "1"]);
    assert!(
        table.contains("resnet50 on 1000 classes of 224x224: 25557032 parameters, 4089.2 M multiply-adds"),
        "{table}"
    );
}

#[test]
fn classes_and_ages_have_options_of_their_own() {
    assert_refused(&["train", "--loss", "mse"], &["--loss", "is for ages, which shapes has not"]);
    assert_refused(&["train", "--loss", "l2"], &["--loss", "l1", "mse"]);
    let of_ages = ["train", "--data", "utkface-age", "--data-dir", "nowhere"];
    for option in ["--label-smoothing", "--mixup"] {
        let refused = [&of_ages[..], &[option, "0.2"]].concat();
        assert_refused(&refused, &[option, "is for classes, which utkface-age has not"]);
    }
    assert_refused(&of_ages, &["--data-dir", "no directory nowhere"]);
    let table = stdout(&["info", "--model", "lenet", "--data", "utkface-age", "--image-size", "32"]);
    assert!(table.contains("| fc3   | [64,1]"), "{table}");
}

#[test]
fn runs_and_comparisons_have_directories_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let out = ["--out", dir.path().to_str().unwrap()];
    std::fs::write(dir.path().join("compare.toml"), "").unwrap();
    assert_refused(&[&["train"], &out[..]].concat(), &["--out", "holds a comparison"]);
    std::fs::rename(dir.path().join("compare.toml"), dir.path().join("config.toml")).unwrap();
    assert_refused(&[&["compare"], &out[..]].concat(), &["--out", "holds a run"]);
}

#[test]
#[cfg(unix)]
fn weights_out_of_a_pipe_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let read = lerac::train::read_safetensors(&pipe).unwrap_err().to_string();
    assert!(read.contains("expected a file, found a directory, a pipe or a device"), "{read}");
}

#[test]
fn impossible_tuning_is_refused() {
    for seconds in ["-1", "nan", "1e9"] {
        assert_refused(&["tune", "--seconds", seconds], &["--seconds", "expected 0 to 1000000"]);
    }
    assert_refused(&["tune", "--model", "cnm"], &["--model", "cnn"]);
    assert_refused(&["tune", "--data", "cifar"], &["--data", "cifar10"]);
    assert_refused(&["tune", "--batch-size", "0"], &["--batch-size"]);
    assert_refused(&["train", "--tune", "--tuned"], &["--tuned"]);
    assert_refused(&["bench", "step", "--variants"], &["--variants", "bench ops"]);
    assert_refused(&["bench", "ops", "--variants", "--plot", "x.png"], &["--variants", "roofline"]);
}

/// Every option at a value that is not its default.
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
    // All but those that never go together: classes have no --loss, ages neither mixup nor label smoothing.
    self::unusual().with(|c| c.training.loss = None).check().unwrap();
    self::unusual()
        .with(|c| {
            c.data.name = "utkface-age".into();
            c.training.mixup = None;
            c.training.label_smoothing = 0.0;
        })
        .check()
        .unwrap();
    for (change, option) in [
        (Config::default().with(|c| c.data.jitter = vec![0.1, 0.2]), "jitter"),
        (Config::default().with(|c| c.data.jitter = vec![0.1, 0.2, 1.5]), "jitter"),
        (Config::default().with(|c| c.data.random_resized_crop = Some(0.0)), "random_resized_crop"),
        (Config::default().with(|c| c.data.random_resized_crop = Some(f64::NAN)), "random_resized_crop"),
        (Config::default().with(|c| c.data.cutout = 1025), "cutout"),
    ] {
        let text = change.check().unwrap_err().to_string();
        assert!(text.starts_with(option) && text.contains("expected"), "{text}");
    }
    let too_large = Config::default().with(|c| c.training.seed = u64::MAX);
    assert!(too_large.check().unwrap_err().to_string().starts_with("seed"));
    for milestones in [vec![2.0, 1.0], vec![-1.0], vec![0.0], vec![1.0, 1.0], vec![f64::NAN]] {
        let config = Config::default().with(|c| c.optimizer.milestones = milestones);
        assert!(config.check().unwrap_err().to_string().starts_with("milestones"));
    }
}

const PAPER: &[&str] = &["schedule", "--model", "cnn", "--method", "lerac", "--eta", "0.1", "--range", "1e-1..1e-4"];

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
fn what_does_nothing_is_said_in_the_words_of_the_command_line() {
    let arguments = [PAPER, &["--k", "2", "--epochs", "4", "--warmup-epochs", "1"]].concat();
    let output = lerac(&arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "note: --warmup-epochs does nothing, since rates grow by the curriculum; --schedule-during-curriculum \
                    multiply lets it act from the first step on\n";
    assert!(output.status.success() && said == expected, "{said}");
    assert!(lerac(&[&arguments[..], &["--preset", "reference"]].concat()).stderr.is_empty());
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
    // The last layer, at the bottom, starts at the lowest rate (dark violet) and ends at the highest (yellow).
    let at = |x: u32| picture.get_pixel(x, picture.height() - 90).0;
    let (early, late) = (at(picture.width() / 5), at(picture.width() * 3 / 4));
    assert!(early[2] > early[1] && late[0] > 200 && late[2] < 80, "{early:?} {late:?}");
}

#[test]
fn wrong_options_are_refused_with_a_remedy() {
    assert_refused(&["schedule", "--model", "resnet7"], &["--model", "resnet7", "resnet8"]);
    assert_refused(&["train", "--data", "fashion"], &["--data", "fashion-mnist"]);
    assert_refused(&["train", "--data", "cifar10", "--data-dir", "/nowhere"], &["/nowhere", "--data-dir"]);
    assert_refused(&[PAPER, &["--k", "9", "--epochs", "4"]].concat(), &["--k", "--epochs 4"]);
    assert_refused(&[PAPER, &["--k", "0"]].concat(), &["--k"]);
    assert_refused(&["schedule", "--eta", "-0.1"], &["--eta", "positive"]);
    assert_refused(&["schedule", "--method", "lerac", "--range", "1e-8..1e-1"], &["--range", "wrong way round"]);
    assert_refused(&["schedule", "--method", "lerac", "--range", "-1..-2"], &["--range", "positive"]);
    assert_refused(&["schedule", "--method", "lerac", "--preset", "reference", "--min-lr", "0"], &["--min-lr"]);
    assert_refused(&["schedule", "--epochs", "0"], &["--epochs"]);
    assert_refused(&["schedule", "--steps-per-epoch", "0"], &["--steps-per-epoch"]);
    assert_refused(&["schedule", "--optimizer", "rmsprop"], &["--optimizer", "adamax"]);
    assert_refused(&["schedule", "--momentum", "nan"], &["--momentum"]);
    assert_refused(&["schedule", "--csv", "/nowhere/rates.csv"], &["/nowhere/rates.csv"]);
    assert_refused(&["schedule", "--plot", "/nowhere/rates.png"], &["/nowhere/rates.png"]);
    assert_refused(&["compare", "--seeds", "0"], &["--seeds"]);
    assert_refused(&["compare", "--seeds", "18446744073709551615"], &["--seeds"]);
    for option in ["--batch-size", "--validation", "--train-examples", "--snr-batches", "--seed", "--epochs"] {
        assert_refused(&["schedule", option, "9223372036854775808"], &[option, "9223372036854775807"]);
    }
    assert_refused(&["compare", "--method", "lerac"], &["--method", "--methods"]);
    assert_refused(&["compare", "--k", "1", "--ks", "1,2"], &["--k", "--ks"]);
    assert_refused(&["train", "--init-partial"], &["--init-partial", "--init FILE"]);
    assert_refused(&["info", "--model", "lenet", "--batch-size", "4294967295"], &["--batch-size", "1048576"]);
    for side in ["0", "65536", "18446744073709551615"] {
        let image = ["info", "--model", "resnet8", "--classes", "10", "--image-size", side];
        assert_refused(&image, &["--image-size", "1 to 1024 pixels", side]);
    }
    assert_refused(&["train", "--recipe", "resnet7"], &["--recipe", "resnet18-cifar10"]);
    assert_refused(&["train", "--batch-size", "many"], &["--batch-size"]);
    assert_refused(&["fly"], &["fly"]);
}

#[test]
fn numbers_are_checked_whatever_the_method() {
    for [option, value, part] in [
        ["--k", "-1", "more than 0 epochs, found -1"],
        ["--sigma", "-3", "positive"],
        ["--sigma-decay", "2", "up to 1"],
        ["--sigma-every", "0", "at least 1"],
        ["--min-lr", "0", "positive"],
        ["--clf", "-1", "positive"],
        ["--stop-lr", "0", "positive"],
        ["--updates-per-epoch", "0", "at least 1"],
        ["--stop-update-epoch", "0", "at least 1"],
        ["--gamma", "0", "positive"],
        ["--final-rate", "-1", "0, or"],
        ["--beta1", "1", "0 <= beta1 < 1"],
        ["--beta2", "-0.1", "0 <= beta2 < 1"],
        ["--epsilon", "0", "positive"],
        ["--epsilon", "1e-300", "that f32 holds"],
        ["--clip-norm", "0", "positive"],
        ["--clip-norm", "1e-300", "that f32 holds"],
        ["--jitter", "-1,0,0", "numbers from 0 to 1, found -1"],
        ["--milestones", "-1,2", "above 0"],
        ["--train-examples", "0", "at least 1, found 0"],
        ["--batch-size", "9007199254740993", "found 9007199254740993"],
        ["--shift", "200", "127"],
        ["--shift", "300", "127"],
    ] {
        assert_refused(&["schedule", "--method", "conventional", option, value], &[option, part]);
    }
}

#[test]
fn negative_numbers_are_values() {
    let of_run = [
        "--train-examples",
        "--validation",
        "--epochs",
        "--batch-size",
        "--seed",
        "--log-every",
        "--snr-every",
        "--snr-batches",
        "--patience",
        "--updates-per-epoch",
        "--stop-update-epoch",
        "--sigma-every",
        "--steps-per-epoch",
    ];
    let of_run = of_run.map(|option| ("schedule", option));
    let others = [("trace", "--steps"), ("train", "--checkpoint-every"), ("predict", "--top")];
    for (command, option) in of_run.into_iter().chain(others) {
        let named = ["'-1'", &format!("'{option} <"), "expected a whole number from 0 to 9223372036854775807"];
        assert_refused(&[command, option, "-1"], &named);
    }
    for (command, option) in [("compare", "--seeds"), ("train", "--keep-checkpoints"), ("schedule", "--shift")] {
        assert_refused(&[command, option, "-1"], &["'-1'", &format!("'{option} <"), "-1 is not in"]);
    }
}

#[test]
fn rates_that_no_device_holds_are_refused() {
    let reference = ["schedule", "--method", "lerac-reference"];
    for (arguments, option) in [
        (vec!["schedule", "--method", "lerac", "--range", "1e300..1e-300"], "--range"),
        (vec!["schedule", "--method", "lerac", "--range", "1e-1..1e-300"], "--range"),
        (vec!["schedule", "--eta", "1e300"], "--eta"),
        (vec!["schedule", "--eta", "1e-300"], "--eta"),
        ([&reference[..], &["--clf", "1e-300"]].concat(), "--clf"),
        ([&reference[..], &["--stop-lr", "1e300"]].concat(), "--stop-lr"),
        (vec!["schedule", "--schedule", "step", "--milestones", "1,2", "--gamma", "1e-100"], "--gamma"),
        (vec!["schedule", "--schedule", "step", "--milestones", "1,2", "--gamma", "1e100"], "--gamma"),
    ] {
        assert_refused(&arguments, &[option, "positive learning rate", "1.2e-38 to 3.4e38"]);
    }
    let far = stdout(&["schedule", "--method", "lerac", "--range", "3e38..2e-38"]);
    assert!(far.contains("3.00e38") && far.contains("2.00e-38") && !far.contains("inf"), "{far}");
}

#[test]
fn schedules_ask_for_what_they_need() {
    assert_refused(&["schedule", "--schedule", "step"], &["--milestones", "30,60"]);
    assert_refused(
        &["schedule", "--schedule", "plateau"],
        &["--schedule", "how the validation examples are predicted", "layers.csv"],
    );
    let plateau = ["train", "--schedule", "plateau"];
    assert_refused(&[&plateau[..], &["--validation", "0"]].concat(), &["--schedule", "--validation 0"]);
    assert_refused(&[&plateau[..], &["--gamma", "1"]].concat(), &["--gamma", "below 1"]);
}

#[test]
fn grids_blame_the_option_that_is_wrong() {
    let lerac = ["compare", "--methods", "lerac"];
    for (more, option) in [
        (["--methods", "lerac,lerac"], "--methods"),
        (["--ks", "1,1"], "--ks"),
        (["--ks", "0"], "--ks"),
        (["--ks", "-1,2"], "--ks"),
        (["--ks", "1,99"], "--ks"),
        (["--ranges", "1e-1..1e-2,1e-1..1e-2"], "--ranges"),
    ] {
        let arguments: Vec<&str> = match more[0] {
            "--methods" => vec!["compare", more[0], more[1]],
            _ => [&lerac[..], &more].concat(),
        };
        assert_refused(&arguments, &[&format!("error: {option}: ")]);
    }
    assert_refused(&["bench", "step", "--models", "none"], &["error: --models: ", "resnet8"]);
}

fn config(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.toml");
    std::fs::write(&path, text).unwrap();
    let name = path.to_str().unwrap().to_owned();
    (dir, name)
}

#[test]
fn a_file_holds_options_and_the_command_line_wins() {
    let (dir, path) =
        config("model = \"lenet\"\nmethod = \"lerac\"\nepochs = 3\nrange = \"1e-2..1e-3\"\neta = 0.01\nk = 1\n");
    let csv = dir.path().join("rates.csv");
    let arguments = ["schedule", "--config", &path, "--epochs", "2", "--steps-per-epoch", "1", "--csv"];
    stdout(&[&arguments[..], &[csv.to_str().unwrap()]].concat());
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.contains("fc3,0.001"), "the file's model and range: {text}");
    assert_eq!(text.lines().count(), 1 + 3 * 5, "the command line's two epochs: {text}");
}

#[test]
fn a_broken_file_is_refused_with_its_line() {
    for (text, parts) in [
        ("epochs = 3\nmodle = \"cnn\"\n", ["line 2", "modle"]),
        ("epochs = \"three\"\n", ["line 1", "three"]),
        ("epochs = 3\neta = = 1\n", ["line 2", ""]),
        ("range = \"1e-8..1e-1\"\n", ["line 1", "wrong way round"]),
    ] {
        let (_dir, path) = config(text);
        assert_refused(&["schedule", "--config", &path], &[&path, parts[0], parts[1]]);
    }
    assert_refused(&["schedule", "--config", "/nowhere.toml"], &["/nowhere.toml"]);
    for (text, parts) in [
        ("eta = 0.1\n[grid]\nmethds = [\"cbs\"]\n", ["line 3", "methds"]),
        ("[grid]\nmethods = [\"sgd\"]\n", ["line 2", "sgd"]),
        ("eta = 0.1\n\n[grid]\nseeds = -1\n", ["line 4", "-1"]),
        ("[grid]\nmethods = []\n", ["--methods", "at least one"]),
    ] {
        let (_dir, path) = config(text);
        assert_refused(&["compare", "--config", &path], &parts);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    for arguments in [PAPER.to_vec(), vec!["train", "--data", "nothing"]] {
        let piped = || std::process::Stdio::piped();
        let mut child =
            Command::new(env!("CARGO_BIN_EXE_lerac")).args(&arguments).stdout(piped()).stderr(piped()).spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        // A panic would end it with 101, a signal without a code.
        let expected = if arguments[0] == "train" { 1 } else { 0 };
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{arguments:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_output_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_lerac"));
    let output = command.args(PAPER).stdout(full).stderr(std::process::Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output: cannot write"));
}

#[test]
#[cfg(unix)]
fn a_limit_on_the_size_of_files_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("rates.csv");
    let limited = "ulimit -f 1; exec \"$0\" \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_lerac")]).args(PAPER).args(["--csv", csv.to_str().unwrap()]);
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "no signal: {said}");
    assert!(said.contains("rates.csv: cannot write") && said.contains("too large"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_link_to_a_picture_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (link, target) = (dir.path().join("link.png"), dir.path().join("target.png"));
    std::fs::write(&target, "old").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    stdout(&[PAPER, &["--plot", link.to_str().unwrap()]].concat());
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink() && image::open(&target).is_ok());
    // What is no file is written to as it is.
    let (pipe, copy) = (dir.path().join("pipe"), dir.path().join("copy.png"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = "cat \"$0\" >\"$1\"";
    let mut reader = Command::new("sh").args(["-c", script]).args([&pipe, &copy]).spawn().unwrap();
    stdout(&[PAPER, &["--plot", pipe.to_str().unwrap()]].concat());
    assert!(reader.wait().unwrap().success() && image::open(&copy).is_ok());
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn without_an_adapter_it_says_what_to_install() {
    // A Vulkan loader that is told of no driver finds none; on other systems the adapter stays.
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lerac"))
        .args(["info"])
        .env("VK_DRIVER_FILES", Path::new(empty.path()).join("none.json"))
        .env("VK_ICD_FILENAMES", Path::new(empty.path()).join("none.json"))
        .output()
        .unwrap();
    if cfg!(target_os = "linux") {
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
        for part in ["mesa-vulkan-drivers", "Fedora", "macOS", "Windows"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
