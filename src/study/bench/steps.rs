//! Times of whole training steps.

use super::random_boxes::RandomBoxes;
use super::random_tokens::RandomTokens;
use super::{Cell, Report, Seconds};
use crate::clock::Instant;
use crate::data::{Batch, Examples, Meaning, Splits, shapes};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::nn;
use crate::train::{Config, Method, ModelOptions, Session, Task};
use std::sync::Arc;

const COLUMNS: [&str; 10] = [
    "model",
    "method",
    "first step s",
    "ms per step",
    "fastest",
    "slowest",
    "examples/s",
    "host us per step",
    "MiB on the device",
    "peak MiB of the process",
];

/// Height and width of the images for detectors.
const DETECTOR_SIDE: usize = 320;

/// Generated data for a model: images of 3x32x32 of ten classes, texts of 128 random tokens of two
/// classes, or images of 3x320x320 with an object of one of two classes.
fn generated(config: &Config, examples: usize) -> Result<Splits> {
    let classes = Meaning::Classes(["first", "second"].map(str::to_owned).into());
    let form = nn::usual_form(&config.model.name, Some(DETECTOR_SIDE), &classes);
    let random: Arc<dyn Examples> = match (form.tokens(), form.boxes()) {
        (Some(_), _) => Arc::new(RandomTokens { form, examples }),
        (_, Some(_)) => Arc::new(RandomBoxes { form, examples }),
        _ => return Ok(Splits::from(shapes(examples, 1, 0))),
    };
    Ok(Splits { train: random.clone(), test: random })
}

/// The task that models are timed on: generated images of 3x32x32, or of 3x320x320 for detectors,
/// or texts of 128 random tokens.
///
/// # Errors
/// The errors of [`Task::of`].
pub fn task(config: &Config) -> Result<Task> {
    Task::of(config, &generated(config, 1)?)
}

/// A session of `config`'s model on generated data, and a batch for it.
///
/// # Errors
/// The errors of [`Session::new`].
pub fn session(gpu: &Gpu, config: &Config) -> Result<(Session, Batch)> {
    // Make the session first: it refuses a batch that does not fit the device.
    let session = task(config)?.session(gpu, 10)?;
    let size = config.training.batch_size;
    let indices: Vec<u32> = (0..size as u32).collect();
    let data = generated(config, size)?.train;
    Ok((session, Batch::gather(&*data, &indices, size, None)?))
}

/// The peak memory of this process since [`reset_peak_memory`], in MiB. On a software adapter this
/// includes the device memory. Only Linux provides it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(|kibibytes: f64| kibibytes / 1024.0)
}

/// Resets the peak memory, if the system allows it.
fn reset_peak_memory() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// A row per model and method: the first step, including all preparation, then `runs` steps, each
/// waited for. The host's time is the time for writing the tables and submitting.
///
/// # Errors
/// The errors of [`Session::new`]; [`crate::error::Error::Device`] if the device fails.
pub fn steps(gpu: &Gpu, models: &[String], config: &Config, runs: usize) -> Result<Report> {
    let mut report = Report::new(&COLUMNS);
    for model in models {
        for method in [Method::Conventional, Method::Lerac, Method::Cbs] {
            let options = ModelOptions::named(model)?;
            let config = config.clone().with(|c| {
                c.model = options;
                c.curriculum.method = method;
            });
            reset_peak_memory();
            let start = Instant::now();
            let (mut session, batch) = session(gpu, &config)?;
            session.step(&batch)?;
            gpu.wait()?;
            let first = start.elapsed().as_secs_f64();
            let mut host = vec![];
            let step = Seconds::of(runs, || {
                let start = Instant::now();
                session.step(&batch)?;
                host.push(start.elapsed().as_secs_f64());
                gpu.wait()
            })?;
            report.push(vec![
                model.as_str().into(),
                Cell::Text(method.to_string()),
                Cell::Number(first, 2),
                Cell::Number(1e3 * step.median, 1),
                Cell::Number(1e3 * step.least, 1),
                Cell::Number(1e3 * step.most, 1),
                Cell::Number(config.training.batch_size as f64 / step.median, 0),
                Cell::Number(1e6 * Seconds::of_sample(host).median, 0),
                Cell::Number(session.plan().total() as f64 / f64::from(1 << 20), 1),
                Cell::number(peak_memory(), 0),
            ]);
        }
    }
    Ok(report)
}
