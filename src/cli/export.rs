//! `lerac export`.

use super::predict::file_splits;
use super::{
    ConfigArgs, DeviceArgs, OF_TRAINED, OverwriteArgs, check_files, note_options_without_use, print, print_note,
};
use crate::data::{Augmentation, Batch, Column, Element, Form};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::nn::Model;
use crate::study::{Exported, onnx};
use crate::train::{CardTarget, ModelCard, Session, Task, Tensor, trained, write_safetensors};
use clap::{ArgMatches, Args};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Random examples of --sample.
const SAMPLES: usize = 4;

/// Options of `lerac export`.
#[derive(Debug, Args)]
#[command(override_usage = "lerac export FILE --init FILE [OPTIONS]")]
pub(super) struct ExportArgs {
    /// The ONNX file to write
    file: PathBuf,
    /// Also write random examples with the outputs of this device to a safetensors file, for
    /// another program to compare
    #[arg(long, value_name = "FILE")]
    sample: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// Writes the model with its weights as a file of ONNX.
pub(super) fn run(args: &ExportArgs, matches: &ArgMatches) -> Result<()> {
    let (config, card) = args.config.resolve_trained(matches)?;
    // No more than the samples are computed.
    let config = config.with(|c| (c.training.batch_size, c.training.micro_batch) = (SAMPLES, None));
    config.check()?;
    note_options_without_use("export", matches, &OF_TRAINED);
    let inputs = args.config.file().map(|(field, path)| (field, path.to_owned()));
    let overwrite = args.overwrite.reading(inputs.chain(config.model.init.clone().map(|path| ("init", path))));
    let files = check_files(&overwrite, &[("file", &Some(args.file.clone())), ("sample", &args.sample)]);
    files.map_err(|error| match error {
        Error::Setting { field: "file", message } => Error::option("FILE", message),
        other => other,
    })?;
    if card.as_ref().is_some_and(|card| card.tokens.is_some()) {
        let message =
            format!("{} reads tokens; only models of images and spectrograms can be exported", config.model.name);
        return Err(Error::setting("model", message));
    }
    let metadata = card.as_ref().map(meaning).unwrap_or_default();
    let splits = file_splits(&config, card)?;
    let task = Task::of(&config, &splits)?;
    let gpu = args.device.open()?;
    let session = trained(&gpu, &task, &mut print_note).map_err(|error| args.config.explain(error))?;
    let form = task.data.train.form();
    let bytes = onnx(&Exported {
        model: &*task.model as &dyn Model,
        name: &config.model.name,
        form: &form,
        objective: &*task.objective,
        tensors: &session.named(&session.snapshot()?, ""),
        sigma: session.sigma_of_weights(),
        metadata,
    })?;
    if let Some(path) = &args.sample {
        write_safetensors(path, &sample(&session, &form)?, BTreeMap::new())?;
    }
    write_whole(&args.file, &bytes)?;
    print(&format!(
        "{}: {} with {:.1} MiB",
        args.file.display(),
        config.model.name,
        bytes.len() as f64 / f64::from(1 << 20)
    ));
    Ok(())
}

/// What the outputs mean: the names of the classes as a list in JSON, or mean, deviation and unit
/// of a number.
fn meaning(card: &ModelCard) -> Vec<(&'static str, String)> {
    match &card.target {
        CardTarget::Classes(names) | CardTarget::Boxes(names) => vec![("classes", json!(names).to_string())],
        CardTarget::Number { unit, mean, std } => {
            vec![("unit", unit.clone()), ("mean", mean.to_string()), ("std", std.to_string())]
        }
        CardTarget::Other => vec![],
    }
}

/// Random examples, and the first output of the model for each.
fn sample(session: &Session, form: &Form) -> Result<Vec<Tensor>> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut tensors = vec![];
    let mut columns = vec![];
    for column in &form.inputs {
        let (words, values) = random_column(column, &mut random);
        columns.push(words);
        if !values.is_empty() {
            let shape = [&[SAMPLES], &column.shape[..]].concat();
            tensors.push(Tensor { name: column.name.clone(), shape, values });
        }
    }
    columns.extend(form.targets.iter().map(|column| vec![0; SAMPLES * column.words()]));
    let batch = Batch { columns, count: SAMPLES, capacity: SAMPLES };
    let outputs = session.outputs(std::iter::once(Ok(batch)))?;
    let width = outputs[0].len();
    tensors.push(Tensor { name: "output".to_owned(), shape: vec![SAMPLES, width], values: outputs.concat() });
    Ok(tensors)
}

/// The words of a random column, and its values: bytes for images, numbers around 0 for
/// spectrograms. The only other column of these data is the movement of images, which stay.
fn random_column(column: &Column, random: &mut impl Rng) -> (Vec<u32>, Vec<f32>) {
    let (words, elements) = (column.words(), column.shape.iter().product::<usize>());
    let mut all = vec![0; SAMPLES * words];
    let mut values = vec![];
    for example in all.chunks_mut(words) {
        match column.element {
            Element::U8 => {
                let bytes: Vec<u8> = (0..elements).map(|_| random.random::<u8>()).collect();
                bytemuck::cast_slice_mut::<u32, u8>(example)[..elements].copy_from_slice(&bytes);
                values.extend(bytes.iter().map(|&byte| f32::from(byte)));
            }
            Element::F32 => {
                let numbers: Vec<f32> = (0..elements).map(|_| random.random_range(-1.5..1.5)).collect();
                example.copy_from_slice(bytemuck::cast_slice(&numbers));
                values.extend(numbers);
            }
            _ => example.fill(Augmentation::IDENTITY),
        }
    }
    (all, values)
}
