//! Configuration files: with sections, and without sections as the first version wrote them; and
//! their errors.

use crate::common::errors::{Fault, assert_error, assert_fault, error_of};
use crate::common::program::{assert_refused, refusal};
use lerac::curriculum::DuringCurriculum;
use lerac::error::Error;
use lerac::train::{Config, Method};
use std::path::Path;

fn read(text: &str) -> Result<Config, Error> {
    Config::from_toml(Path::new("run.toml"), text.as_bytes())
}

const SECTIONS: &str = r#"
[data]
name = "cifar10"
train-examples = 640
[model]
name = "lenet"
[training]
epochs = 7
[optimizer]
name = "adam"
eta = 0.01
[curriculum]
method = "lerac"
k = 2.0
[kernels]
"linear forward [5,64] x [64,100]" = "shared"
"#;

const FLAT: &str = r#"
data = "cifar10"
train-images = 640
model = "lenet"
epochs = 7
optimizer = "adam"
eta = 0.01
method = "lerac"
k = 2.0
[kernels]
"linear forward [5,64] x [64,100]" = "shared"
"#;

#[test]
fn a_flat_file_equals_one_with_sections() {
    let config = read(SECTIONS).unwrap();
    assert_eq!(config, read(FLAT).unwrap());
    assert_eq!((config.data.name.as_str(), config.data.train_examples), ("cifar10", Some(640)));
    assert_eq!((config.model.name.as_str(), config.training.epochs), ("lenet", 7));
    assert_eq!((config.optimizer.name.as_str(), config.optimizer.eta), ("adam", 0.01));
    assert_eq!((config.curriculum.method, config.curriculum.k), (Method::Lerac, Some(2.0)));
    assert_eq!(config.kernels.0.len(), 1);
    assert_eq!(read("").unwrap(), Config::default());
    let written = toml::to_string(&config).unwrap();
    for section in ["[data]", "[model]", "[training]", "[optimizer]", "[curriculum]", "[kernels]"] {
        assert!(written.lines().any(|line| line == section), "{written}");
    }
    assert_eq!(read(&written).unwrap(), config);
}

#[test]
fn errors_have_an_offset_and_names() {
    for (text, offset, names) in [
        ("epochs = 3\n[data]\nflip = true\n", Some(0), &["line 1: ", "epochs", "[training]"][..]),
        ("model = \"cnn\"\n[data]\nflip = true\n", Some(0), &["line 1: ", "[model]", "name"]),
        ("[training]\nepochs = 3\nepoch = 4\n", Some(22), &["line 3: ", "epoch ", "[training]", "epochs?"]),
        ("[data]\nepochs = 3\n", Some(7), &["line 2: ", "epochs", "[training]", "[data]"]),
        ("flip = true\nbatchsize = 3\n", Some(12), &["line 2: ", "batchsize", "batch-size?"]),
        ("[trainin]\nepochs = 3\n", None, &["line 1: ", "trainin", "training?"]),
        ("[training]\nepochs = \"many\"\n", Some(20), &["line 2: ", "many"]),
        ("flip = true\nepochs = \"many\"\n", Some(21), &["line 2: ", "many"]),
        ("[optimizer]\neta = inf\n", Some(18), &["line 2: eta: ", "inf"]),
        ("[optimizer]\nmilestones = [1.0, nan]\n", Some(25), &["line 2: milestones: "]),
        ("train-images = 1\ntrain-examples = 2\n", None, &["line ", "train-examples", "train-images"]),
        ("[data]\ntrain-images = 1\ntrain-examples = 2\n", None, &["line ", "train-examples", "train-images"]),
        ("[training]\nepochs = 3\n\n[grid]\nseeds = 2\n", None, &["line 4: ", "[grid]", "compare"]),
        ("epochs = \n", Some(9), &["line 1: "]),
        ("[training\n", None, &["line 1: "]),
    ] {
        assert_error(read(text), Fault::Format("run.toml", offset), names);
    }
}

/// A file without sections was written before `schedule-during-curriculum` existed. It keeps the
/// earlier default.
#[test]
fn a_flat_file_keeps_its_schedule() {
    let during = |text: &str| read(text).unwrap().curriculum.schedule_during_curriculum;
    for multiplies in [
        "method = \"lerac\"\nschedule = \"cosine\"\n",
        "method = \"lerac-reference\"\nwarmup-epochs = 0.5\n",
        "schedule = \"plateau\"\n",
    ] {
        assert_eq!(during(multiplies), Some(DuringCurriculum::Multiply), "{multiplies}");
    }
    for same in [
        "method = \"lerac\"\nschedule = \"constant\"\nwarmup-epochs = 0.0\n",
        "method = \"conventional\"\nschedule = \"cosine\"\n",
        "[curriculum]\nmethod = \"lerac\"\n[optimizer]\nschedule = \"cosine\"\n",
    ] {
        assert_eq!(during(same), None, "{same}");
    }
    let off = "schedule = \"cosine\"\nschedule-during-curriculum = \"off\"\n";
    assert_eq!(during(off), Some(DuringCurriculum::Off));
}

#[test]
fn a_grid_may_be_anywhere_in_a_file() {
    let text = "[grid]\nseeds = 2\n[training]\nepochs = 3\n";
    let (config, grid) = Config::from_toml_with_grid(Path::new("run.toml"), text.as_bytes()).unwrap();
    assert_eq!((config.training.epochs, grid["seeds"].as_integer()), (3, Some(2)));
    let fault = Config::from_toml_with_grid(Path::new("run.toml"), b"[training]\nepochs = 3\n[grid]\nseds = 2\n");
    assert_error(fault, Fault::Format("run.toml", None), &["line 4", "seds"]);
}

/// Errors of the library name fields; errors of the command line name options.
#[test]
fn errors_name_fields_or_options() {
    let config = Config::default().with(|c| {
        c.curriculum.method = Method::Lerac;
        c.curriculum.k = Some(9.0);
        c.training.epochs = 4;
    });
    let in_library = error_of(config.check());
    assert_fault(&in_library, Fault::Setting("k"), &["9", "`epochs` 4", "`k` 4"]);
    let at_the_command_line = refusal(&["schedule", "--method", "lerac", "--k", "9", "--epochs", "4"]);
    let in_options = format!("--{in_library}").replace("`epochs`", "--epochs").replace("`k`", "--k");
    assert_eq!(at_the_command_line, format!("error: {in_options}\n"));
    // An option's old name is accepted; the error contains the current one.
    assert_refused(&["schedule", "--train-images", "0"], "--train-examples", &["0"]);
}
