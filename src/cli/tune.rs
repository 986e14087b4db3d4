//! `lerac tune`, and the choice of kernels for `lerac train --tune` and `--tuned`.

use super::{ConfigArgs, DeviceArgs, markdown_table, note_options_without_use, print, print_stderr, progress};
use crate::data::Form;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::study::KernelCache;
use crate::study::bench::{self, TuningModel, TuningOptions, VariantTimes};
use crate::tape::KernelChoices;
use crate::train::Config;
use clap::{ArgMatches, Args};
use std::time::Duration;

/// Options of `lerac tune`.
#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Time limit: after it only the first operation is still measured
    #[arg(long, default_value_t = DEFAULT_SECONDS, allow_negative_numbers = true)]
    seconds: f64,
    /// Show no progress, only the result
    #[arg(long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The options that change the operations of a model.
const USED: [&str; 13] = [
    "data",
    "data_dir",
    "image_size",
    "resize",
    "class_list",
    "model",
    "batch_size",
    "micro_batch",
    "method",
    "mixup",
    "loss",
    "label_smoothing",
    "clip_norm",
];

/// Default time limit of a measurement.
const DEFAULT_SECONDS: f64 = 3.0;

/// Times the kernel variants of `config`'s model for data with these columns, and stores the
/// fastest in the cache.
fn measure(
    gpu: &Gpu,
    config: &Config,
    form: Form,
    seconds: f64,
    quiet: bool,
) -> Result<(KernelCache, Vec<VariantTimes>)> {
    let mut cache = KernelCache::read(&KernelCache::path()?)?;
    let bar = progress::counter(&format!("tuning {}", config.model.name), quiet);
    let effort = TuningOptions { all: false, time: Duration::from_secs_f64(seconds) };
    let measured = TuningModel::of(config, form)?.measure(gpu, effort, |done, all, task| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
        bar.set_message(task.to_owned());
    });
    bar.finish_and_clear();
    let measured = measured?;
    let winners = measured.iter().filter_map(|m| Some((m.task.clone(), m.winner()?)));
    cache.add(gpu.info(), KernelChoices(winners.collect()));
    cache.write()?;
    Ok((cache, measured))
}

/// Times the kernels, stores the fastest, and prints them.
pub(super) fn run(args: &TuneArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    note_options_without_use("tune", matches, &USED);
    if !(0.0..=1e6).contains(&args.seconds) {
        return Err(Error::option("--seconds", format!("expected 0 to 1000000, found {}", args.seconds)));
    }
    let form = config.data.source().form()?;
    let gpu = args.device.open()?;
    let (_, measured) = measure(&gpu, &config, form, args.seconds, args.quiet)?;
    let report = bench::winners(&measured);
    let path = KernelCache::path()?;
    print(&match args.json {
        true => serde_json::json!({"adapter": gpu.info(), "cache": path.to_string_lossy(), "rows": report.json()})
            .to_string(),
        false => {
            let left = untimed_note(&measured);
            format!("{}\nstored in {}; `lerac train --tuned` uses them{left}", markdown_table(&report), path.display())
        }
    });
    Ok(())
}

/// A note about the operations that were not timed; empty if all were.
fn untimed_note(measured: &[VariantTimes]) -> String {
    match measured.iter().filter(|m| m.winner().is_none()).count() {
        0 => String::new(),
        left => format!("; {left} of {} were not reached: `lerac tune --seconds` gives more time", measured.len()),
    }
}

/// The kernels for `config`'s model and data with these columns: measured now, or from the cache.
pub(super) fn kernels(gpu: &Gpu, config: &Config, form: Form, now: bool, quiet: bool) -> Result<KernelChoices> {
    let (cache, measured) = match now {
        true => measure(gpu, config, form.clone(), DEFAULT_SECONDS, quiet)?,
        false => (KernelCache::read(&KernelCache::path()?)?, vec![]),
    };
    let tape = TuningModel::of(config, form)?.tape(gpu, KernelChoices::default());
    let choices = cache.choices(gpu.info(), &tape).ok_or_else(|| {
        let message = format!(
            "nothing is stored for {} at this batch size and data of this form on {}; run `lerac tune` with the same options",
            config.model.name,
            gpu.info().name
        );
        Error::option("--tuned", message)
    })?;
    if !quiet {
        let (all, other) = (
            tape.tunable_ops().count(),
            tape.tunable_ops().filter(|(_, task)| choices.0.contains_key(&task.name)).count(),
        );
        let left = untimed_note(&measured);
        print_stderr(&format!(
            "{other} of {all} convolutions and products use a kernel other than the default one{left}"
        ));
    }
    Ok(choices)
}
