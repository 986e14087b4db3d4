//! Floor 11: the command line. Results go to standard output, progress and errors to standard error; an error ends the
//! program with exit code 1, an option that does not parse with 2, an interrupt with 130.

mod bench;
mod compare;
mod eval;
mod grid;
mod info;
mod options;
mod predict;
mod progress;
mod recipes;
mod resume;
mod saving;
mod schedule;
mod trace;
mod train;
mod tune;
mod wording;

use crate::cache_dir::cache_dir;
use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, AdapterKind, Gpu, GpuOptions};
use crate::study::bench::Report;
use crate::train::Config;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use options::ConfigArgs;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use wording::{in_words, with_options};

/// Trains small networks under Learning Rate Curriculum (LeRaC) on any Vulkan, Metal or DX12 GPU, or on the processor.
#[derive(Debug, Parser)]
#[command(name = "lerac", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List adapters and their limits, and which one is chosen
    Info(info::InfoArgs),
    /// Print or plot the learning rate of every layer over time; needs no GPU
    Schedule(Box<schedule::ScheduleArgs>),
    /// Train one model
    Train(Box<train::TrainArgs>),
    /// Go on with a run that ended early, to the same results
    Resume(resume::ResumeArgs),
    /// Train under several methods with paired seeds and compare them
    Compare(Box<compare::CompareArgs>),
    /// Read the test set with weights from a file
    Eval(Box<eval::EvalArgs>),
    /// Name what is on images, with weights from a file
    Predict(Box<predict::PredictArgs>),
    /// Write training steps with all their tensors, for another program to check
    Trace(Box<trace::TraceArgs>),
    /// Time kernels, the update, whole steps or the loader on this device
    Bench(bench::BenchArgs),
    /// Measure which kernels a model is fastest with on this device, for `lerac train --tuned`
    Tune(Box<tune::TuneArgs>),
}

/// Says once which options do nothing, and where a curriculum by smoothing is none.
fn note_what_is_idle<'c>(configs: impl IntoIterator<Item = &'c Config> + Clone) {
    let idle: BTreeSet<_> = configs.clone().into_iter().flat_map(Config::without_effect).collect();
    idle.iter().for_each(|sentence| say(&format!("note: {}", with_options(sentence))));
    if let Some(config) = configs.into_iter().find(|config| config.blur_stays()) {
        let (every, epochs, method) = (config.curriculum.sigma_every, config.training.epochs, config.curriculum.method);
        say(&format!("note: {method}: the blur does not fade within {epochs} epoch(s), --sigma-every is {every}"));
    }
}

/// Which device to use.
#[derive(Debug, Args)]
struct DeviceArgs {
    /// Adapter by number or part of its name, see `lerac info` [default: LERAC_ADAPTER, then the fastest kind]
    #[arg(long)]
    adapter: Option<String>,
}

impl DeviceArgs {
    fn choice(&self) -> AdapterChoice {
        AdapterChoice::from_option(self.adapter.as_deref())
    }

    /// Says where the wish for an adapter that is not there comes from.
    fn blamed(&self, error: Error) -> Error {
        match error {
            Error::Adapter(message) => match message.strip_prefix("adapter ") {
                Some(wish) if self.adapter.is_none() => Error::Adapter(format!("LERAC_ADAPTER={wish}")),
                Some(wish) => Error::Adapter(format!("--adapter {wish}")),
                None => Error::Adapter(message),
            },
            other => other,
        }
    }

    /// Opens the adapter and says so where it is a software one.
    fn open(&self) -> Result<Gpu> {
        let opened = Gpu::open(&GpuOptions { adapter: self.choice(), cache: cache_dir(), ..GpuOptions::default() });
        let gpu = opened.map_err(|error| self.blamed(error))?;
        if gpu.info().kind == AdapterKind::Software {
            say(&format!("note: {} computes on the processor; a GPU is many times faster", gpu.info().name));
        }
        Ok(gpu)
    }
}

/// A directory for results, made here so that a bad one is noticed before any work.
fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::io(dir, "create"))
}

/// What clap knows of the options: a number below 0 is a value, for which the option then says what it expects, and no other option.
fn command() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let takes_values = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes_values)
        })
    })
}

/// Parses the arguments, runs the command, and reports an error if there is one.
pub fn main() -> ExitCode {
    // A limit on the size of files is then an error like a full disk, and no signal. Where that cannot be, it stays one.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Default::default());
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (_, of_command) = matches.subcommand().expect("clap demands a command");
    let result = match &cli.command {
        Command::Info(args) => info::run(args),
        Command::Schedule(args) => schedule::run(args, of_command),
        Command::Train(args) => train::run(args, of_command),
        Command::Resume(args) => resume::run(args),
        Command::Compare(args) => compare::run(args, of_command),
        Command::Eval(args) => eval::run(args, of_command),
        Command::Predict(args) => predict::run(args, of_command),
        Command::Trace(args) => trace::run(args, of_command),
        Command::Bench(args) => bench::run(args),
        Command::Tune(args) => tune::run(args, of_command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {}", in_words(&error)));
            match error {
                Error::Interrupted(_) => ExitCode::from(saving::INTERRUPTED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// A report in Markdown.
fn table_of(report: &Report) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(report.columns.iter().copied());
    for row in &report.rows {
        table.add_row(row.iter().map(ToString::to_string));
    }
    table.to_string()
}

/// Says what happens, on standard error; a reader that has gone away is no error.
fn say(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints results; a reader that has gone away is no error.
fn print(text: &str) {
    use std::io::{ErrorKind, Write, stdout};
    match writeln!(stdout(), "{text}").and_then(|()| stdout().flush()) {
        Err(fault) if fault.kind() != ErrorKind::BrokenPipe => {
            say(&format!("error: standard output: cannot write: {fault}"));
            std::process::exit(1);
        }
        _ => {}
    }
}
