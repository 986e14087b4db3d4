//! `lerac predict`.

use super::{
    ConfigArgs, DeviceArgs, OF_TRAINED, OverwriteArgs, create_dir, in_words, note_options_without_use, print,
    print_note, print_stderr,
};
use crate::data::{Batch, CLASSES_FILE, DataSet, Examples, Source, Splits, TOKENIZER_FILE, read_image};
use crate::error::{Error, Result};
use crate::gpu::block_on;
use crate::nn::objective::{FoundObject, Prediction};
use crate::study::plots::{NamedBox, draw_boxes, write_png};
use crate::train::{Config, DataOptions, ModelCard, Task, trained, whole_number};
use clap::{ArgMatches, Args};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Options of `lerac predict`.
#[derive(Debug, Args)]
#[command(
    override_usage = "lerac predict --init FILE [OPTIONS] <FILES>...\n       lerac predict --init FILE [OPTIONS] --text A [--text B]"
)]
pub(super) struct PredictArgs {
    /// Images, resized and cropped like the training images, or sounds
    #[arg(required_unless_present = "text")]
    files: Vec<PathBuf>,
    /// A text; give it twice for a pair. The vocabulary is --vocab, or tokenizer.json next to the
    /// weights
    #[arg(long, conflicts_with = "files")]
    text: Vec<String>,
    /// Number of classes to print for each example [default: 5]
    #[arg(long, value_parser = whole_number::<usize>)]
    top: Option<usize>,
    /// Detectors: write each image with its boxes into this directory, as PNG
    #[arg(long, value_name = "DIR")]
    draw: Option<PathBuf>,
    /// Print one line of JSON per file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// Prints the prediction for each file.
pub(super) fn run(args: &PredictArgs, matches: &ArgMatches) -> Result<()> {
    let (config, card) = args.config.resolve_trained(matches)?;
    config.check()?;
    note_options_without_use("predict", matches, &OF_TRAINED);
    let set = DataSet::named(&config.data.name)?;
    let is_text = set.of_text;
    let kind = if set.of_sounds { "sound" } else { "image" };
    if is_text == args.text.is_empty() {
        let (option, kind) = if is_text { ("--text", "texts") } else { ("--data", &*format!("{kind}s")) };
        let message = format!("the model was trained on {}, so it needs {kind}", config.data.name);
        return Err(Error::option(option, message));
    }
    let splits = match is_text {
        true => text_splits(&config, &args.text)?,
        false => file_splits(&config, card)?,
    };
    let task = Task::of(&config, &splits)?;
    if splits.test.form().classes().is_empty() && args.top.is_some() {
        return Err(Error::option(
            "--top",
            format!("is for classes, which {} does not have; leave it out", config.data.name),
        ));
    }
    if let Some(dir) = &args.draw {
        if splits.test.form().boxes().is_none() {
            let message = format!("is for detectors, and {} predicts no boxes; leave it out", config.model.name);
            return Err(Error::option("--draw", message));
        }
        check_drawn(dir, args)?;
    }
    let (paths, faults) = match config.data.skip_bad {
        true => good_files(&*splits.test, &args.files),
        false => (args.files.clone(), vec![]),
    };
    let examples = match is_text {
        true => splits.test.clone(),
        false => splits.test.of_files(&paths)?,
    };
    let shown: Vec<Shown> = match is_text {
        true => vec![Shown { name: args.text.join(" | "), key: "texts", value: json!(args.text) }],
        false => paths.iter().map(|path| Shown::file(path, kind)).collect(),
    };
    let gpu = args.device.open()?;
    let session = trained(&gpu, &task, &mut print_note).map_err(|error| args.config.explain(error))?;
    let indices: Vec<u32> = (0..examples.len() as u32).collect();
    let batches = indices
        .chunks(config.training.batch_size)
        .map(|i| Batch::gather(&*examples, i, config.training.batch_size, None));
    let (mut predicted, inputs) = (vec![], examples.form().inputs.len());
    block_on(session.predict_async(batches, |batch, place, outputs| {
        let is_finite = outputs.iter().all(|output| output.iter().all(|v| v.is_finite()));
        let targets = batch.example_from(inputs, place);
        predicted.push(is_finite.then(|| task.objective.predict_example(outputs, &targets)));
    }))?;
    for (i, (shown, prediction)) in shown.iter().zip(predicted).enumerate() {
        let Some(prediction) = prediction else {
            let message =
                format!("{}: the outputs of the model are not finite; check the weights of --init", shown.name);
            return Err(Error::NonFinite(message));
        };
        if let (Some(dir), Prediction::Boxes(found)) = (&args.draw, &prediction) {
            draw(&paths[i], found, &drawn_file(dir, &paths[i]))?;
        }
        print(&line(shown, prediction, args));
    }
    faults.iter().for_each(|fault| print_stderr(&format!("error: {}", in_words(fault))));
    match faults.len() {
        0 => Ok(()),
        bad => Err(Error::Failed(format!("{bad} of {} files cannot be read", args.files.len()))),
    }
}

/// The file in `dir` for the image at `path`, with its boxes.
fn drawn_file(dir: &Path, path: &Path) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(".png");
    dir.join(name)
}

/// Checks that each drawn image may be written, and that no two are the same file.
fn check_drawn(dir: &Path, args: &PredictArgs) -> Result<()> {
    let overwrite = args.overwrite.reading(args.files.iter().map(|path| ("files", path)));
    let mut names = HashSet::new();
    for drawn in args.files.iter().map(|path| drawn_file(dir, path)) {
        overwrite.check_file("draw", &drawn)?;
        if !names.insert(drawn.clone()) {
            let message = format!("two images would be drawn into {}; draw them one at a time", drawn.display());
            return Err(Error::setting("draw", message));
        }
    }
    create_dir(dir)
}

/// Draws the image at `path` with the objects found in it.
fn draw(path: &Path, found: &[FoundObject], to: &Path) -> Result<()> {
    let mut image = read_image(path)?;
    let named = |found: &FoundObject| NamedBox {
        class: found.class,
        caption: format!("{} {:.0} %", found.name, 100.0 * found.confidence),
        corners: found.corners,
    };
    // The most confident one is drawn last, above the others.
    draw_boxes(&mut image, &found.iter().rev().map(named).collect::<Vec<_>>())?;
    write_png(to, &image, image.dimensions())
}

/// The files that can be read, and the errors of the others.
fn good_files(data: &dyn Examples, paths: &[PathBuf]) -> (Vec<PathBuf>, Vec<Error>) {
    let (mut good, mut faults) = (vec![], vec![]);
    for path in paths {
        match data.of_files(std::slice::from_ref(path)) {
            Ok(_) => good.push(path.clone()),
            Err(fault) => faults.push(fault),
        }
    }
    (good, faults)
}

/// The images or sounds that the model reads, without examples. Only PyTorch's weights need the
/// data set: it provides classes and normalisation.
pub(super) fn file_splits(config: &Config, card: Option<ModelCard>) -> Result<Splits> {
    match card {
        Some(card) => {
            let examples = card.empty_set()?;
            Ok(Splits { train: examples.clone(), test: examples })
        }
        None => Source { cache: None, skip_bad: false, ..config.data.source() }.open(&mut |_| ()),
    }
}

/// The options of the data of a model of texts: vocabulary and classes are the files next to the
/// weights, unless options name others.
pub(super) fn text_options(config: &Config) -> DataOptions {
    let mut data = config.data.clone();
    let dir = config.model.init.as_ref().and_then(|init| init.parent());
    let existing = |name| dir.map(|dir| dir.join(name)).filter(|path| path.is_file());
    data.vocab = data.vocab.or_else(|| existing(TOKENIZER_FILE));
    if !data.text_columns.is_empty() {
        data.class_list = data.class_list.or_else(|| existing(CLASSES_FILE));
    }
    data
}

/// The texts as an example, encoded with the vocabulary and the classes next to the weights.
fn text_splits(config: &Config, texts: &[String]) -> Result<Splits> {
    let data = text_options(config);
    let encoder = data.source().text_encoder()?.ok_or_else(|| {
        let message = format!(
            "expected {TOKENIZER_FILE} and {CLASSES_FILE} of the run next to the weights; give them as `vocab` and \
             `class_list`"
        );
        Error::setting("vocab", message)
    })?;
    let examples: Arc<dyn Examples> = Arc::new(encoder.unlabelled(&data.name, &[texts.to_vec()])?);
    Ok(Splits { train: examples.clone(), test: examples })
}

/// An example as it is printed.
struct Shown {
    name: String,
    /// Its key and value in JSON.
    key: &'static str,
    value: Value,
}

impl Shown {
    fn file(path: &Path, kind: &'static str) -> Self {
        Self { name: path.display().to_string(), key: kind, value: json!(path.to_string_lossy()) }
    }
}

/// The line to print for an example.
fn line(example: &Shown, prediction: Prediction, args: &PredictArgs) -> String {
    let Shown { name: shown, key, value } = example;
    match (prediction, args.json) {
        (Prediction::Classes(mut classes), json) => {
            classes.truncate(args.top.unwrap_or(5));
            match json {
                true => {
                    let classes = classes.iter().map(|(class, p)| json!({"class": class, "probability": p}));
                    json!({*key: value, "classes": classes.collect::<Vec<_>>()}).to_string()
                }
                false => {
                    let classes = classes.iter().map(|(class, p)| format!("{class} {:.1} %", 100.0 * p));
                    format!("{shown}: {}", classes.collect::<Vec<_>>().join(", "))
                }
            }
        }
        (Prediction::Boxes(found), json) => {
            let rounded = |v: f32| (f64::from(v) * 10.0).round() / 10.0;
            let in_json = |found: &FoundObject| json!({"class": found.name, "confidence": found.confidence, "box": found.corners.map(rounded)});
            let in_words = |found: &FoundObject| {
                let [left, top, right, bottom] = found.corners;
                let percent = 100.0 * found.confidence;
                format!("{} {percent:.1} % at {left:.0},{top:.0},{right:.0},{bottom:.0}", found.name)
            };
            match json {
                true => json!({*key: value, "objects": found.iter().map(in_json).collect::<Vec<_>>()}).to_string(),
                false if found.is_empty() => format!("{shown}: no objects"),
                false => format!("{shown}: {}", found.iter().map(in_words).collect::<Vec<_>>().join("; ")),
            }
        }
        (Prediction::Number(number, unit), true) => json!({*key: value, unit: number as f32}).to_string(),
        (Prediction::Number(number, unit), false) => format!("{shown}: {number:.1} {unit}"),
        (Prediction::Text(text), true) => json!({*key: value, "text": text}).to_string(),
        (Prediction::Text(text), false) => format!("{shown}: {text}"),
    }
}
