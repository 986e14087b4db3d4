//! `lerac predict`.

use super::{ConfigArgs, DeviceArgs, OF_TRAINED, in_words, note_options_without_use, print, print_note, print_stderr};
use crate::data::{Batch, CLASSES_FILE, DataSet, Examples, Source, Splits, TOKENIZER_FILE};
use crate::error::{Error, Result};
use crate::nn::objective::Prediction;
use crate::train::{Config, DataOptions, ModelCard, Task, trained, whole_number};
use clap::{ArgMatches, Args};
use serde_json::{Value, json};
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
    /// Print one line of JSON per file
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
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
    for (shown, outputs) in shown.iter().zip(session.outputs(batches)?) {
        if outputs.iter().any(|output| !output.is_finite()) {
            let message =
                format!("{}: the outputs of the model are not finite; check the weights of --init", shown.name);
            return Err(Error::NonFinite(message));
        }
        print(&line(shown, task.objective.predict(&[&outputs]), args));
    }
    faults.iter().for_each(|fault| print_stderr(&format!("error: {}", in_words(fault))));
    match faults.len() {
        0 => Ok(()),
        bad => Err(Error::Failed(format!("{bad} of {} files cannot be read", args.files.len()))),
    }
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
        (Prediction::Number(number, unit), true) => json!({*key: value, unit: number as f32}).to_string(),
        (Prediction::Number(number, unit), false) => format!("{shown}: {number:.1} {unit}"),
        (Prediction::Text(text), true) => json!({*key: value, "text": text}).to_string(),
        (Prediction::Text(text), false) => format!("{shown}: {text}"),
    }
}
