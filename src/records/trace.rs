//! Writes training steps with all their inputs and results, for another program to check.

use crate::data::{Batch, Column, Element, Form};
use crate::error::{Error, Result};
use crate::files::{Overwrite, write_whole};
use crate::gpu::Gpu;
use crate::tape::{Group, Var};
use crate::train::{Config, ScheduleKind, Session, Task, Tensor, begin, load_weights, write_safetensors};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Trains `steps` steps of a task and writes into `dir`:
///
/// - `initial.safetensors`: the weights before the first step.
/// - `step-0001.safetensors` and so on: each `input.NAME` as the model receives it, each
///   `target.NAME`, every `gradient.NAME`, and every tensor after the step as `after.NAME`.
/// - `trace.json`: the options, the layers, and for each step the loss and each layer's learning
///   rate; in a warm-up that changes them, also that of its biases and the momentum.
///
/// `note` receives notes for the user.
///
/// # Errors
/// The errors of [`check_trace`]; [`Error::Setting`] for more steps than the run has; the errors of
/// [`crate::train::run`].
pub fn trace(
    gpu: &Gpu,
    task: &Task,
    steps: u64,
    dir: &Path,
    (overwrite, note): (&Overwrite, &mut dyn FnMut(&str)),
) -> Result<()> {
    check_trace(dir, &task.config, steps, overwrite)?;
    let (config, form) = (&task.config, task.data.train.form());
    let mut training = begin(gpu, task)?;
    let all = training.steps;
    if !(1..=all).contains(&steps) {
        return Err(Error::setting("steps", format!("expected 1 to {all}, the steps of the run, found {steps}")));
    }
    if config.training.micro_batch_size() < config.training.batch_size {
        return Err(Error::setting("micro_batch", "a trace contains whole batches; leave this option out"));
    }
    let epoch = training.session.time().steps_per_epoch;
    if config.optimizer.schedule == ScheduleKind::Plateau && steps > epoch {
        let message = format!(
            "a trace has no validation, which the plateau schedule needs after each epoch; expected at most {epoch}"
        );
        return Err(Error::setting("steps", message));
    }
    load_weights(&mut training.session, config)?.iter().for_each(|text| note(text));
    std::fs::create_dir_all(dir).map_err(Error::io(dir, "create"))?;
    let session = &mut training.session;
    let write = |name: &str, tensors: &[Tensor]| write_safetensors(&dir.join(name), tensors, Default::default());
    write(INITIAL, &session.named(&session.trained_snapshot()?, ""))?;
    let mut records = vec![];
    for step in 1..=steps {
        let (bias_rates, momentum) = (session.bias_rates(), session.momentum());
        let (rates, sigma, mix) = (session.rates().collect::<Vec<_>>(), session.sigma(), session.mixing_part());
        let batch = training.loader.next_batch()?;
        session.step(&batch)?;
        let totals = session.training_totals()?;
        if totals.halted != 0 {
            return Err(session.explain(step - 1, &batch)?);
        }
        let mut found = gradients(gpu, session)?;
        found.extend(session.named(&session.trained_snapshot()?, "after."));
        found.extend(inputs(gpu, session)?);
        found.extend(targets(&form, &batch));
        write(&of_step(step), &found)?;
        let by_layer = |rates: Vec<f64>| -> HashMap<_, _> {
            session.layers().iter().map(|layer| layer.name.clone()).zip(rates).collect()
        };
        let mut record = json!({
            "step": step,
            "loss": session.scores(&totals).loss,
            "sigma": sigma,
            "mix": mix,
            "learning_rates": by_layer(rates),
        });
        if let Some(rates) = bias_rates {
            record["bias_learning_rates"] = json!(by_layer(rates));
        }
        if let Some(momentum) = momentum {
            record["momentum"] = json!(momentum);
        }
        records.push(record);
    }
    let text = serde_json::to_string_pretty(&description(gpu, config, session, records)).expect("plain data");
    write_whole(&dir.join(TRACE), text.as_bytes())
}

const INITIAL: &str = "initial.safetensors";
const TRACE: &str = "trace.json";

/// The name of the file of a step.
fn of_step(step: u64) -> String {
    format!("step-{step:04}.safetensors")
}

/// Checks that `steps` steps of `config` may be written into `dir`. A trace is not continued: `dir`
/// must hold no files unless `overwrite` allows it.
///
/// # Errors
/// [`Error::Setting`] that names the first file that may not be written over.
pub fn check_trace(dir: &Path, config: &Config, steps: u64, overwrite: &Overwrite) -> Result<()> {
    let existing = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let existing = existing.filter_map(|entry| entry.file_name().into_string().ok());
    let step = |name: &String| name.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok();
    let written = existing.filter(|name| step(name).is_some_and(|step| (1..=steps).contains(&step)));
    let names: Vec<String> = [INITIAL, TRACE].map(str::to_owned).into_iter().chain(written).collect();
    overwrite.clone().reading(config.inputs()).check_directory(dir, &names, false)
}

/// The content of `trace.json`.
fn description(gpu: &Gpu, config: &Config, session: &Session, steps: Vec<Value>) -> Value {
    let parameters = session.storage().parameters().iter().map(|declared| {
        json!({
            "name": declared.name,
            "layer": session.layers()[declared.layer].name,
            "norm_or_bias": declared.group != Group::Weight,
            "bias": declared.group.is_bias(),
        })
    });
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapter": gpu.info().name,
        "config": config,
        "goal": session.objective().describe(),
        "layers": session.layers(),
        "parameters": parameters.collect::<Vec<_>>(),
        "steps": steps,
    })
}

/// The gradient of every parameter, named `gradient.NAME`.
fn gradients(gpu: &Gpu, session: &Session) -> Result<Vec<Tensor>> {
    let storage = session.storage();
    let values = storage.grads.read_all(gpu, &storage.layout)?;
    let named = storage.parameters().iter().zip(values).map(|(declared, values)| Tensor {
        name: format!("gradient.{}", declared.name),
        shape: declared.shape.dims().to_vec(),
        values,
    });
    Ok(named.collect())
}

/// The inputs as the model receives them.
fn inputs(gpu: &Gpu, session: &Session) -> Result<Vec<Tensor>> {
    let program = session.program();
    let input = |(name, var): &(String, Var)| {
        let shape = program.tape().shape(*var).clone();
        let values = gpu.read(&program.value(*var).part(0, shape.bytes()))?;
        Ok(Tensor { name: format!("input.{name}"), shape: shape.dims().to_vec(), values })
    };
    session.inputs().iter().map(input).collect()
}

/// The targets of a batch, converted to f32.
fn targets(form: &Form, batch: &Batch) -> Vec<Tensor> {
    let target = |(i, column): (usize, &Column)| {
        let words = batch.places(form.inputs.len() + i, 0, batch.count);
        let values = match column.element {
            Element::F32 => words.iter().map(|&word| f32::from_bits(word)).collect(),
            Element::U32 => words.iter().map(|&word| word as f32).collect(),
            Element::U8 => words.iter().flat_map(|word| word.to_le_bytes()).map(f32::from).collect(),
        };
        let bytes_are_padded = column.element == Element::U8;
        let of_example = if bytes_are_padded { vec![4 * column.words()] } else { column.shape.clone() };
        let shape = std::iter::once(batch.count).chain(of_example).collect();
        Tensor { name: format!("target.{}", column.name), shape, values }
    };
    form.targets.iter().enumerate().map(target).collect()
}
