//! `lerac info`.

use super::boxes::BoxArgs;
use super::{DeviceArgs, OverwriteArgs, boxes, clips, print};
use crate::curriculum::Layer;
use crate::data::{DataSet, Meaning, SoundOptions, Source, TextOptions, check_side};
use crate::error::{Error, Result};
use crate::gpu::{Gpu, GpuOptions, adapters, choose};
use crate::nn::objective::{ObjectiveOptions, objective_for};
use crate::nn::{self, Model, NetOptions};
use crate::tape::{Keep, Mode, Operand, Tape, mebibytes};
use crate::train::ModelOptions;
use clap::Args;
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use std::path::{Path, PathBuf};

/// Options of `lerac info`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("subject").args(["model", "plot"]).multiple(true)))]
pub(super) struct InfoArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// Describe this model instead; needs no adapter
    #[arg(long)]
    model: Option<String>,
    /// Data set that determines the input and the number of classes
    #[arg(long, default_value = "shapes", requires = "subject")]
    data: String,
    /// Directory of the data set's files, needed by imagefolder
    #[arg(long, requires = "subject")]
    data_dir: Option<PathBuf>,
    /// Image folders, boxes: side of the square that images are resized to [default: 64, for boxes
    /// 640]
    #[arg(long, requires = "subject")]
    image_size: Option<usize>,
    /// imagefolder, voc, text-pairs: use only the classes listed in this file
    #[arg(long, requires = "subject")]
    class_list: Option<PathBuf>,
    /// Texts: vocabulary, a vocab.txt or tokenizer.json [default: the words of the training part]
    #[arg(long, requires = "subject")]
    vocab: Option<PathBuf>,
    /// Texts: tokens per example [default: 128]
    #[arg(long, requires = "subject")]
    max_length: Option<usize>,
    /// text-pairs: names of the columns of one or two texts
    #[arg(long, requires = "subject", value_name = "A[,B]", value_delimiter = ',')]
    text_columns: Vec<String>,
    /// text-pairs: name of the column of labels [default: label]
    #[arg(long, requires = "subject", value_name = "NAME")]
    label_column: Option<String>,
    /// Sounds: samples from one frame to the next [default: 64 for crema-d, otherwise 128]
    #[arg(long, requires = "subject")]
    hop: Option<usize>,
    /// Sounds: number of mel bands [default: 128]
    #[arg(long, requires = "subject")]
    mel_bands: Option<usize>,
    /// Check every file first, and leave bad ones out with a warning
    #[arg(long, requires = "subject")]
    skip_bad: bool,
    #[command(flatten)]
    boxes: BoxArgs,
    /// Sounds, boxes: draw some training examples into this PNG file instead; needs no adapter
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Number of classes, without a data set. The image size is --image-size [default: the model's
    /// usual one]; ImageNet has 1000 classes and size 224
    #[arg(long, requires = "subject", conflicts_with_all = ["data", "data_dir", "class_list"], value_parser = clap::value_parser!(u32).range(1..=1 << 16))]
    classes: Option<u32>,
    /// Examples per step
    #[arg(long, default_value_t = 64, requires = "subject", value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    batch_size: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl InfoArgs {
    /// The data set.
    fn source(&self) -> Source<'_> {
        Source {
            name: &self.data,
            dir: self.data_dir.as_deref(),
            image_size: self.image_size,
            class_list: self.class_list.as_deref(),
            text: TextOptions {
                vocab: self.vocab.as_deref(),
                max_length: self.max_length,
                columns: &self.text_columns,
                label_column: self.label_column.as_deref(),
                ..TextOptions::default()
            },
            skip_bad: self.skip_bad,
            augmentation: self.boxes.flip(),
            boxes: self.boxes.options(),
            sound: SoundOptions { hop: self.hop, mel_bands: self.mel_bands, ..SoundOptions::default() },
            ..Source::default()
        }
    }
}

/// Prints the layers of a model with depth, parameters and multiply-adds, and the memory of a
/// training step.
fn describe(model: &str, args: &InfoArgs) -> Result<()> {
    let batch_size = args.batch_size as usize;
    let source = args.source();
    let (form, whose) = match args.classes {
        Some(classes) => {
            args.image_size.map_or(Ok(()), check_side)?;
            let names = Meaning::Classes((0..classes).map(|i| format!("class {i}")).collect());
            let form = nn::usual_form(model, args.image_size, &names);
            let shape = form.inputs[0].shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
            (form, format!("{classes} classes of {shape}"))
        }
        None => (source.form()?, args.data.clone()),
    };
    let network = match nn::bert_options(model) {
        Some(_) => nn::named(model)?,
        None => ModelOptions::named(model)?.model()?,
    };
    network.accepts(&form)?;
    let objective = objective_for(&form, ObjectiveOptions::default())?;
    let tape = Tape::new(Mode::Train);
    let recorded = nn::record(&network, &form, &*objective, batch_size, tape, NetOptions::default());
    let tape = &recorded.tape;
    let rows = recorded.layers.iter().enumerate().map(|(i, layer)| {
        let of_layer = tape.parameters().iter().filter(|declared| declared.layer == i);
        let record = tape.records().iter().find(|record| record.name == layer.name);
        let dispatches = tape.records().iter().filter(|record| is_part(&record.name, &layer.name));
        let dispatches = dispatches.flat_map(|record| &record.forward);
        LayerLine {
            layer,
            parameters: of_layer.map(|declared| declared.shape.count()).sum(),
            multiply_adds: dispatches.map(|dispatch| dispatch.multiply_adds).sum::<u64>() / batch_size as u64,
            output: record.and_then(|record| record.result).map(|var| tape.shape(var).to_string()),
        }
    });
    let rows: Vec<LayerLine<'_>> = rows.collect();
    let parameters: usize = rows.iter().map(|row| row.parameters).sum();
    let multiply_adds: u64 = rows.iter().map(|row| row.multiply_adds).sum();
    let outputs = recorded.outputs.iter().copied().map(Operand::Value);
    let kept: Vec<Operand> = recorded.columns.iter().flatten().copied().chain(outputs).collect();
    let plan = tape.plan(Keep::Only(&kept), &[]);
    if args.json {
        let report = serde_json::json!({
            "model": model, "data": whose, "batch_size": batch_size, "layers": rows, "parameters": parameters,
            "multiply_adds_per_example": multiply_adds, "training_bytes": plan.total(), "plan": plan,
        });
        print(&serde_json::to_string_pretty(&report).expect("a report is plain data"));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["depth", "block", "layer", "output", "parameters", "multiply-adds per example"]);
    for row in &rows {
        table.add_row([
            row.layer.depth.to_string(),
            row.layer.block.to_string(),
            row.layer.name.clone(),
            row.output.clone().unwrap_or_default(),
            row.parameters.to_string(),
            row.multiply_adds.to_string(),
        ]);
    }
    print(&format!(
        "{table}\n{model} on {}: {parameters} parameters, {:.1} M multiply-adds forward per example; a training step of {batch_size} \
         takes {} of device memory, without the optimiser's moments",
        whose,
        multiply_adds as f64 / 1e6,
        mebibytes(plan.total())
    ));
    Ok(())
}

/// Whether the operation `name` belongs to a layer: it has its name, or one that is followed by a
/// dot.
fn is_part(name: &str, layer: &str) -> bool {
    name.strip_prefix(layer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A row of a model's table.
#[derive(serde::Serialize)]
struct LayerLine<'l> {
    #[serde(flatten)]
    layer: &'l Layer,
    parameters: usize,
    multiply_adds: u64,
    output: Option<String>,
}

/// Draws examples of the data set.
fn plot(args: &InfoArgs, path: &Path) -> Result<()> {
    let (source, set) = (args.source(), DataSet::named(&args.data)?);
    match (set.of_sounds, set.of_boxes) {
        (true, _) => clips::plot(&source, path, &args.overwrite),
        (_, true) => boxes::plot(&source, path, &args.overwrite),
        _ => Err(Error::option("--plot", format!("draws sounds or boxes; {} has neither", args.data))),
    }
}

/// Prints the adapters and the limits of the chosen one.
pub(super) fn run(args: &InfoArgs) -> Result<()> {
    if let Some(model) = &args.model {
        return describe(model, args);
    }
    if let Some(path) = &args.plot {
        return plot(args, path);
    }
    let list = adapters()?;
    let chosen = choose(&list, &args.device.choice()).map_err(|error| args.device.with_source(error))?;
    let gpu = Gpu::open(&GpuOptions { adapter: args.device.choice(), ..GpuOptions::default() })?;
    if args.json {
        let report = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "adapters": list,
            "chosen": chosen.index,
            "limits": gpu.limits(),
            "timestamps": chosen.timestamps,
        });
        print(&serde_json::to_string_pretty(&report).expect("a report is plain data"));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["", "adapter", "kind", "backend", "driver", "binds up to"]);
    for info in &list {
        table.add_row([
            format!("{}{}", if info.index == chosen.index { "*" } else { " " }, info.index),
            info.name.clone(),
            format!("{:?}", info.kind).to_lowercase(),
            info.backend.clone(),
            info.driver.clone(),
            format!("{} MiB", info.max_binding_bytes >> 20),
        ]);
    }
    let limits = gpu.limits();
    let timing = if chosen.timestamps { "dispatches can be timed" } else { "dispatches cannot be timed" };
    print(&format!(
        "{table}\n* is used: buffers up to {} MiB, bindings up to {} MiB, {timing}",
        limits.buffer_bytes >> 20,
        limits.binding_bytes >> 20
    ));
    Ok(())
}
