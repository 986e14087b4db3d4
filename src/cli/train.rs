//! `lerac train`.

use super::progress::{Progress, open_data};
use super::saving::SavingArgs;
use super::{ConfigArgs, DeviceArgs, OverwriteArgs, markdown_table, note_unused_options, print, print_stderr, tune};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::records::{RunDir, Saving};
use crate::study::{TensorBoard, bench};
use crate::train::{Config, Summary, Task};
use crate::trainer::{Start, Trainer};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use std::path::{Path, PathBuf};

/// Steps of a profile; medians are reported.
const PROFILED_STEPS: usize = 5;

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
    /// First find the fastest kernels on this device, for at most 3 seconds, and train with them;
    /// config.toml records them
    #[arg(long, conflicts_with = "tuned")]
    tune: bool,
    /// Train with the kernels that `lerac tune` found
    #[arg(long)]
    tuned: bool,
    /// Output directory for tables, plots, checkpoints, summary and weights
    #[arg(long, default_value = "out/train")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// Options of the output of a run.
#[derive(Debug, Args)]
pub(super) struct ShownArgs {
    /// Show no progress, only the result and notes
    #[arg(long)]
    pub(super) quiet: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Also write event files for TensorBoard, into the directory tensorboard of the run
    #[arg(long)]
    tensorboard: bool,
    /// After training, print the time of each operation of a step
    #[arg(long)]
    profile: bool,
}

/// Trains one model.
pub(super) fn run(args: &TrainArgs, matches: &ArgMatches) -> Result<()> {
    let mut config = args.config.resolve(matches)?;
    config.check()?;
    if args.out.join("compare.toml").exists() {
        let out = args.out.display();
        let message = format!("{out} contains a comparison (compare.toml); choose another directory");
        return Err(Error::option("--out", message));
    }
    let overwrite = args.overwrite.reading(args.config.file());
    RunDir::check(&args.out, &config, &overwrite)?;
    note_unused_options([&config], matches);
    let splits = open_data(&config.data.source(), args.shown.quiet)?;
    let gpu = args.device.open()?;
    if args.tune || args.tuned {
        config.kernels = tune::kernels(&gpu, &config, splits.train.form(), args.tune, args.shown.quiet)?;
    }
    let saving = args.saving.start(overwrite)?;
    train_and_print(&gpu, &Task::of(&config, &splits)?, (&args.out, saving, Start::New), &args.shown)
}

/// Trains, or continues training, and prints the result.
pub(super) fn train_and_print(
    gpu: &Gpu,
    task: &Task,
    (out, saving, start): (&Path, Saving, Start),
    shown: &ShownArgs,
) -> Result<()> {
    if shown.profile {
        bench::can_profile(gpu)?;
    }
    let Config { data, model, curriculum, .. } = &task.config;
    let title = format!("{} {} on {}", model.name, curriculum.method, data.name);
    let progress = Progress::new(&title, &task.data, shown.quiet, &MultiProgress::new());
    let mut trainer = Trainer::of(gpu, task.clone()).kept(out, saving, start).observer(progress);
    if shown.tensorboard {
        trainer = trainer.observer(TensorBoard::new(out));
    }
    let outcome = trainer.run().map_err(|error| match error {
        Error::Interrupted(place) if RunDir::can_be_resumed(out) => {
            Error::Interrupted(format!("{place}; `lerac resume {}` continues it", out.display()))
        }
        Error::Device(fault) if RunDir::can_be_resumed(out) => {
            Error::Device(format!("{fault}; `lerac resume {}` continues after the last checkpoint", out.display()))
        }
        other => other,
    })?;
    if shown.profile {
        let (program, update) = (outcome.session.program(), outcome.session.optimizer().calls());
        print_stderr(&markdown_table(&bench::profile(gpu, program, update, PROFILED_STEPS)?));
    }
    print(&match shown.json {
        true => serde_json::to_string_pretty(&outcome.summary).expect("a summary is plain data"),
        false => in_words(&outcome.summary, out),
    });
    Ok(())
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
