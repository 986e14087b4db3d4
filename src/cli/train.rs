//! `lerac train`.

use super::progress::{Progress, open_data};
use super::saving::SavingArgs;
use super::{ConfigArgs, DeviceArgs, note_what_is_idle, print, say, table_of, tune};
use crate::data::Splits;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::study::{RunDir, bench};
use crate::train::{self, Checkpoint, Config, Outcome, Summary, Task};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use std::path::{Path, PathBuf};

/// Steps that a profile is the median of.
const PROFILED: usize = 5;

/// Options of `lerac train`.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    saving: SavingArgs,
    #[command(flatten)]
    shown: ShownArgs,
    /// First measure which kernels are fastest here, for 3 seconds at most, and train with them; config.toml says which
    #[arg(long, conflicts_with = "tuned")]
    tune: bool,
    /// Train with the kernels that `lerac tune` found
    #[arg(long)]
    tuned: bool,
    /// Directory for tables, pictures, checkpoints, summary and weights
    #[arg(long, default_value = "out/train")]
    out: PathBuf,
}

/// What is printed of a run.
#[derive(Debug, Args)]
pub(super) struct ShownArgs {
    /// No progress: print the result, and notes on standard error
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Print where the time of a step goes, record by record, after training
    #[arg(long)]
    profile: bool,
}

/// Trains one model.
pub(super) fn run(args: &TrainArgs, matches: &ArgMatches) -> Result<()> {
    let mut config = args.config.resolve(matches)?;
    config.check()?;
    if args.out.join("compare.toml").exists() {
        return Err(Error::option(
            "--out",
            format!("{} holds a comparison; choose another directory", args.out.display()),
        ));
    }
    note_what_is_idle([&config]);
    let splits = open_data(&config.data.source(), args.shown.quiet)?;
    let gpu = args.device.open()?;
    if args.tune || args.tuned {
        config.kernels = tune::kernels(
            &gpu,
            &config,
            splits.train.form(),
            args.tune,
            args.shown.quiet,
        )?;
    }
    let dir = RunDir::create(&args.out, &config, args.saving.start()?)?;
    carry_out(&gpu, &config, &splits, (dir, None), &args.out, &args.shown)
}

/// Trains, or goes on with training, and prints the result.
pub(super) fn carry_out(
    gpu: &Gpu,
    config: &Config,
    splits: &Splits,
    opened: (RunDir, Option<Checkpoint>),
    out: &Path,
    shown: &ShownArgs,
) -> Result<()> {
    if shown.profile {
        bench::can_profile(gpu)?;
    }
    let title = format!("{} {} on {}", config.model.name, config.curriculum.method, config.data.name);
    let progress = Progress::new(&title, shown.quiet, &MultiProgress::new());
    let trained = fill(gpu, config, splits, opened, &config.curriculum.method.to_string(), progress);
    let outcome = trained.map_err(|error| match error {
        Error::Interrupted(place) if RunDir::can_be_resumed(out) => {
            Error::Interrupted(format!("{place}; `lerac resume {}` goes on with it", out.display()))
        }
        Error::Device(fault) if RunDir::can_be_resumed(out) => {
            Error::Device(format!("{fault}; `lerac resume {}` continues after the last checkpoint", out.display()))
        }
        other => other,
    })?;
    if shown.profile {
        let (program, update) = (outcome.session.program(), outcome.session.optimizer().calls());
        say(&table_of(&bench::profile(gpu, program, update, PROFILED)?));
    }
    print(&match shown.json {
        true => serde_json::to_string_pretty(&outcome.summary).expect("a summary is plain data"),
        false => in_words(&outcome.summary, out),
    });
    Ok(())
}

/// Trains into a directory, from its checkpoint on if there is one.
pub(super) fn fill(
    gpu: &Gpu,
    config: &Config,
    splits: &Splits,
    (mut dir, checkpoint): (RunDir, Option<Checkpoint>),
    method: &str,
    progress: Progress,
) -> Result<Outcome> {
    let notes = std::mem::take(&mut dir.notes);
    let task = Task::of(config, splits)?;
    let mut shown = progress.start();
    notes.iter().for_each(|note| say(&format!("note: {note}")));
    let outcome = match &checkpoint {
        None => train::run(gpu, &task, &mut (&mut shown, &mut dir)),
        Some(checkpoint) => {
            let state = &checkpoint.state;
            shown.say(&format!("continues after step {}", state.step));
            if state.adapter != gpu.info().name {
                say(&format!(
                    "note: the checkpoint was made on {}; on {} results agree up to rounding only",
                    state.adapter,
                    gpu.info().name
                ));
            }
            if state.version != env!("CARGO_PKG_VERSION") {
                say(&format!(
                    "note: the checkpoint was made by lerac {}; what {} does from here on may differ by rounding",
                    state.version,
                    env!("CARGO_PKG_VERSION")
                ));
            }
            train::resume(gpu, &task, checkpoint, &mut (&mut shown, &mut dir))
        }
    };
    shown.finish();
    let outcome = outcome?;
    dir.finish(&outcome, method)?;
    Ok(outcome)
}

fn in_words(summary: &Summary, out: &Path) -> String {
    let text = |value| format!(", validation {}", summary.measure().text(value));
    let validation = summary.validation().map_or(String::new(), text);
    format!(
        "{} of {} examples (epoch {}{validation}); {} steps in {:.1} s, {:.0} examples/s, {:.1} ms per step; {}",
        summary.in_words(),
        summary.test_examples,
        summary.best_epoch,
        summary.steps,
        summary.seconds,
        summary.examples_per_second,
        summary.milliseconds_per_step,
        out.display()
    )
}
