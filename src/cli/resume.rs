//! `lerac resume`.

use super::progress::open_data;
use super::saving::SavingArgs;
use super::{DeviceArgs, print, print_stderr, train};
use crate::error::{Error, Result};
use crate::records::{Overwrite, RunDir};
use crate::train::Config;
use crate::train::{Task, whole_number};
use crate::trainer::Start;
use clap::Args;
use std::path::PathBuf;

/// Options of `lerac resume`.
#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Directory of a run that ended early, or with --epochs of a finished one
    dir: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    saving: SavingArgs,
    #[command(flatten)]
    shown: train::ShownArgs,
    /// Directory of the data, if they were moved
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Train for this many epochs in all, more than the run had
    #[arg(long, value_parser = whole_number::<u64>, conflicts_with = "force")]
    epochs: Option<u64>,
    /// Continue even if the options in config.toml differ from those of the checkpoint
    #[arg(long)]
    force: bool,
}

/// Continues after the newest valid checkpoint. The results are those of an uninterrupted run.
pub(super) fn run(args: &ResumeArgs) -> Result<()> {
    let (dir, shown) = (&args.dir, args.dir.display());
    if RunDir::is_finished(dir) && args.epochs.is_none() {
        return show_finished(args);
    }
    if dir.join("compare.toml").exists() {
        let message = format!(
            "{shown} contains a comparison; continue it with lerac compare --config {shown}/compare.toml --out {shown}"
        );
        return Err(Error::option("resume", message));
    }
    let file = dir.join("config.toml");
    if !file.exists() {
        return Err(Error::option("resume", format!("{shown} contains no run: there is no config.toml in it")));
    }
    let mut config = Config::read(&file)?;
    if args.data_dir.is_some() {
        config.data.data_dir.clone_from(&args.data_dir);
    }
    let mut start = if args.force { Start::ContinueAnyway } else { Start::Continue };
    match args.epochs {
        Some(epochs) if epochs != config.training.epochs => (config, start) = (config.extended(epochs)?, Start::Extend),
        Some(_) if RunDir::is_finished(dir) => return show_finished(args),
        _ => {}
    }
    config.check()?;
    if !RunDir::holds_run(dir) {
        let file = file.display();
        let message = format!("{shown} contains no run; `lerac train --config {file} --out DIR` starts one");
        return Err(Error::option("resume", message));
    }
    let splits = open_data(&config.data.source(), args.shown.quiet)?;
    let gpu = args.device.open()?;
    if start != Start::Extend && !RunDir::can_be_resumed(dir) {
        print_stderr(&format!("note: {shown} contains no checkpoint; the run starts from the beginning"));
    }
    let saving = args.saving.start(Overwrite::default())?;
    let task = Task::of(&config, &splits)?;
    match train::train_and_print(&gpu, &task, (dir, saving, start), &args.shown) {
        // Another process has finished the run in the meantime.
        Err(Error::Option { .. } | Error::Setting { field: "out", .. })
            if start != Start::Extend && RunDir::is_finished(dir) =>
        {
            show_finished(args)
        }
        result => result,
    }
}

/// Prints the summary of a finished run and removes its checkpoints.
fn show_finished(args: &ResumeArgs) -> Result<()> {
    let summary = RunDir::summary(&args.dir)?;
    RunDir::tidy(&args.dir, true)?;
    print(&match args.shown.json {
        true => serde_json::to_string_pretty(&summary).expect("a summary is plain data"),
        false => {
            format!(
                "{} contains a finished run; nothing is left to do; --epochs N trains it longer",
                args.dir.display()
            )
        }
    });
    Ok(())
}
