//! `lerac predict`.

use super::{ConfigArgs, DeviceArgs, print};
use crate::data::{Augmentation, Dataset, HostBatch, Meaning, Source, read_image};
use crate::error::{Error, Result};
use crate::train::{Prediction, trained, whole};
use clap::{ArgMatches, Args};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Options of `lerac predict`.
#[derive(Debug, Args)]
#[command(override_usage = "lerac predict --config FILE --init FILE [OPTIONS] <IMAGES>...")]
pub(super) struct PredictArgs {
    /// PNG or JPEG files; each is scaled and cropped as the images of --data are
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// Classes to name for each image [default: 5]
    #[arg(long, value_parser = whole::<usize>)]
    top: Option<usize>,
    /// Print a JSON line per image
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
}

/// exp(z) / sum exp(z).
fn softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&z| f64::from(z - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Prints the most probable classes of each image, or its age.
pub(super) fn run(args: &PredictArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    // Of the set's own images none is read.
    let splits = Source { cache: None, skip_bad: false, ..config.data.source() }.open(&mut |_| ())?;
    let known = &splits.test;
    if known.meaning == Meaning::Years && args.top.is_some() {
        return Err(Error::option("--top", format!("is for classes, which {} has not; leave it out", known.name)));
    }
    let bytes = args.images.iter().map(|path| Ok(known.frame().fit(&read_image(path)?)));
    let bytes = bytes.collect::<Result<Vec<_>>>()?.concat();
    let given = Dataset { images: bytes.into(), labels: vec![0; args.images.len()], ..known.clone() };
    let gpu = args.device.open()?;
    let session = trained(&gpu, &config, &splits)?;
    let indices: Vec<u32> = (0..given.len() as u32).collect();
    let batches = indices.chunks(config.training.batch_size);
    let batches = batches.map(|i| HostBatch::gather(&given, i, config.training.batch_size, || Augmentation::IDENTITY));
    for (path, logits) in args.images.iter().zip(session.logits(batches)?) {
        if logits.iter().any(|logit| !logit.is_finite()) {
            let message = format!(
                "{}: what the model makes of it is not finite: the weights of --init are out of bounds",
                path.display()
            );
            return Err(Error::NonFinite(message));
        }
        print(&match session.prediction(&logits) {
            Prediction::Class(_) => classes_line(path, &logits, known.classes(), args),
            Prediction::Number(years) => years_line(path, years, args),
        });
    }
    Ok(())
}

/// The most probable classes of the image at `path`.
fn classes_line(path: &Path, logits: &[f32], names: &[String], args: &PredictArgs) -> String {
    let mut classes: Vec<(f64, &String)> = softmax(logits).into_iter().zip(names).collect();
    classes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    classes.truncate(args.top.unwrap_or(5));
    match args.json {
        true => {
            let classes = classes.iter().map(|(p, class)| json!({"class": class, "probability": p}));
            json!({"image": path.to_string_lossy(), "classes": classes.collect::<Vec<_>>()}).to_string()
        }
        false => {
            let classes = classes.iter().map(|(p, class)| format!("{class} {:.1} %", 100.0 * p));
            format!("{}: {}", path.display(), classes.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The age of the face at `path`.
fn years_line(path: &Path, years: f32, args: &PredictArgs) -> String {
    match args.json {
        true => json!({"image": path.to_string_lossy(), "years": years}).to_string(),
        false => format!("{}: {years:.1} years", path.display()),
    }
}
