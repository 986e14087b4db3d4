//! `lerac tune`, and what `lerac train --tune` and `--tuned` take of it.

use super::{ConfigArgs, DeviceArgs, print, progress, say, table_of};
use crate::data::Form;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::study::KernelCache;
use crate::study::bench::{self, Effort, Measured, Subject};
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
    /// Begin no measurement but the first after so many seconds
    #[arg(long, default_value_t = SECONDS, allow_negative_numbers = true)]
    seconds: f64,
    /// No progress: print the result alone
    #[arg(long)]
    quiet: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a measurement takes unless told otherwise.
const SECONDS: f64 = 3.0;

/// Times the kernels of `config`'s model on data of a form and keeps the winners in the cache.
fn measure(gpu: &Gpu, config: &Config, form: Form, seconds: f64, quiet: bool) -> Result<(KernelCache, Vec<Measured>)> {
    let mut cache = KernelCache::read(&KernelCache::path()?)?;
    let bar = progress::counter(&format!("tuning {}", config.model.name), quiet);
    let effort = Effort { all: false, time: Duration::from_secs_f64(seconds) };
    let measured = Subject::of(config, form)?.measure(gpu, effort, |done, all, task| {
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

/// Times, keeps and prints.
pub(super) fn run(args: &TuneArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
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
            let left = unreached(&measured);
            format!("{}\nkept in {}; `lerac train --tuned` takes them{left}", table_of(&report), path.display())
        }
    });
    Ok(())
}

/// Says how many kernels there was no time for, where there are any.
fn unreached(measured: &[Measured]) -> String {
    match measured.iter().filter(|m| m.winner().is_none()).count() {
        0 => String::new(),
        left => format!("; {left} of {} were not reached: `lerac tune --seconds` gives more time", measured.len()),
    }
}

/// Kernels of `config`'s model on data of a form: measured now, or in the cache.
pub(super) fn kernels(gpu: &Gpu, config: &Config, form: Form, now: bool, quiet: bool) -> Result<KernelChoices> {
    let (cache, measured) = match now {
        true => measure(gpu, config, form.clone(), SECONDS, quiet)?,
        false => (KernelCache::read(&KernelCache::path()?)?, vec![]),
    };
    let tape = Subject::of(config, form)?.tape(gpu, KernelChoices::default());
    let choices = cache.choices(gpu.info(), &tape).ok_or_else(|| {
        let message = format!(
            "nothing is kept of {} at this batch size, and for data of this form, on {}; `lerac tune` with the same options measures it",
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
        let left = unreached(&measured);
        say(&format!("{other} of {all} convolutions and products take another kernel than the usual one{left}"));
    }
    Ok(choices)
}
