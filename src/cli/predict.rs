//! `lerac predict`.

use super::{ConfigArgs, DeviceArgs, OF_TRAINED, in_words, note_options_without_use, print, print_note, print_stderr};
use crate::data::{Batch, Examples, PictureSplits, Source, Splits};
use crate::error::{Error, Result};
use crate::nn::objective::Prediction;
use crate::train::{Task, trained, whole_number};
use clap::{ArgMatches, Args};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Options of `lerac predict`.
#[derive(Debug, Args)]
#[command(override_usage = "lerac predict --init FILE [OPTIONS] <IMAGES>...")]
pub(super) struct PredictArgs {
    /// PNG or JPEG files; resized and cropped like the training images
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Number of classes to print for each image [default: 5]
    #[arg(long, value_parser = whole_number::<usize>)]
    top: Option<usize>,
    /// Print one line of JSON per image
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
    let splits: Splits = match card {
        Some(card) => {
            let pictures = card.pictures()?;
            PictureSplits { train: pictures.clone(), test: pictures }.into()
        }
        // The data set only provides classes and normalisation; none of its examples is predicted.
        None => Source { cache: None, skip_bad: false, ..config.data.source() }.open(&mut |_| ())?,
    };
    let task = Task::of(&config, &splits)?;
    if splits.test.form().classes().is_empty() && args.top.is_some() {
        return Err(Error::option(
            "--top",
            format!("is for classes, which {} does not have; leave it out", config.data.name),
        ));
    }
    let (paths, faults) = match config.data.skip_bad {
        true => good_files(&*splits.test, &args.images),
        false => (args.images.clone(), vec![]),
    };
    let images = splits.test.of_files(&paths)?;
    let gpu = args.device.open()?;
    let session = trained(&gpu, &task, &mut print_note).map_err(|error| args.config.explain(error))?;
    let indices: Vec<u32> = (0..images.len() as u32).collect();
    let batches = indices
        .chunks(config.training.batch_size)
        .map(|i| Batch::gather(&*images, i, config.training.batch_size, None));
    for (path, outputs) in paths.iter().zip(session.outputs(batches)?) {
        if outputs.iter().any(|output| !output.is_finite()) {
            let message =
                format!("{}: the outputs of the model are not finite; check the weights of --init", path.display());
            return Err(Error::NonFinite(message));
        }
        print(&line(path, task.objective.predict(&[&outputs]), args));
    }
    faults.iter().for_each(|fault| print_stderr(&format!("error: {}", in_words(fault))));
    match faults.len() {
        0 => Ok(()),
        bad => Err(Error::Failed(format!("{bad} of {} files cannot be read", args.images.len()))),
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

/// The line to print for the file at `path`.
fn line(path: &Path, prediction: Prediction, args: &PredictArgs) -> String {
    let (shown, name) = (path.display(), path.to_string_lossy());
    match (prediction, args.json) {
        (Prediction::Classes(mut classes), json) => {
            classes.truncate(args.top.unwrap_or(5));
            match json {
                true => {
                    let classes = classes.iter().map(|(class, p)| json!({"class": class, "probability": p}));
                    json!({"image": name, "classes": classes.collect::<Vec<_>>()}).to_string()
                }
                false => {
                    let classes = classes.iter().map(|(class, p)| format!("{class} {:.1} %", 100.0 * p));
                    format!("{shown}: {}", classes.collect::<Vec<_>>().join(", "))
                }
            }
        }
        (Prediction::Number(number, unit), true) => json!({"image": name, unit: number as f32}).to_string(),
        (Prediction::Number(number, unit), false) => format!("{shown}: {number:.1} {unit}"),
        (Prediction::Text(text), true) => json!({"image": name, "text": text}).to_string(),
        (Prediction::Text(text), false) => format!("{shown}: {text}"),
    }
}
