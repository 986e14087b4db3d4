//! Floor 8: the command line. Results go to standard output, progress and errors to standard error; every error ends the
//! program with exit code 1, a wrong option with 2.

mod bench;
mod compare;
mod info;
mod progress;
mod schedule;
mod trace;
mod train;

use crate::error::{Error, Result};
use crate::gpu::{AdapterChoice, AdapterKind, Gpu, Options};
use crate::study::bench::Report;
use crate::train::Config;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Trains small networks under Learning Rate Curriculum (LeRaC) on any Vulkan, Metal or DX12 GPU.
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
    /// Train under several methods with paired seeds and compare them
    Compare(Box<compare::CompareArgs>),
    /// Write training steps with all their tensors, for another program to check
    Trace(Box<trace::TraceArgs>),
    /// Time kernels, the update, whole steps or the loader on this device
    Bench(bench::BenchArgs),
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

    /// Opens the adapter and says so where it is a software one.
    fn open(&self) -> Result<Gpu> {
        let gpu = Gpu::open(&Options { adapter: self.choice(), ..Options::default() })?;
        if gpu.info().kind == AdapterKind::Software {
            eprintln!("note: {} computes on the processor; a GPU is many times faster", gpu.info().name);
        }
        Ok(gpu)
    }
}

/// A run's options, and a file that can hold them.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// TOML file with these options as keys; options given beside it win
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(flatten)]
    options: Config,
}

impl ConfigArgs {
    /// The file's options under those of the command line.
    fn resolve(&self, matches: &ArgMatches) -> Result<Config> {
        let Some(path) = &self.config else { return Ok(self.options.clone()) };
        self.options.check_storable()?;
        let text = std::fs::read_to_string(path).map_err(Error::io(path, "read"))?;
        let bad = |error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            let line = 1 + text[..offset].matches('\n').count();
            Error::format(path, offset as u64, format!("line {line}: {}", error.message()))
        };
        let from_file: Config = toml::from_str(&text).map_err(bad)?;
        let mut merged = toml::Table::try_from(&from_file).expect("every option has a TOML form");
        let given = toml::Table::try_from(&self.options).expect("every option has a TOML form");
        for (key, value) in given {
            let argument = key.replace('-', "_");
            if matches.value_source(&argument) == Some(ValueSource::CommandLine) {
                merged.insert(key, value);
            }
        }
        Ok(merged.try_into().expect("options that were valid apart are valid together"))
    }
}

/// A directory for results, made here so that a bad one is noticed before any work.
fn make_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::io(dir, "create"))
}

/// Parses the arguments, runs the command, and reports an error if there is one.
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (_, of_command) = matches.subcommand().expect("clap demands a command");
    let result = match &cli.command {
        Command::Info(args) => info::run(args),
        Command::Schedule(args) => schedule::run(args, of_command),
        Command::Train(args) => train::run(args, of_command),
        Command::Compare(args) => compare::run(args, of_command),
        Command::Trace(args) => trace::run(args, of_command),
        Command::Bench(args) => bench::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
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

/// Prints results; a reader that has gone away is no error.
fn print(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
}
