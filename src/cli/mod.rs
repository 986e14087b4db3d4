//! Floor 11: the command line. Results go to standard output, progress and errors to standard
//! error.
//! Exit codes: 0; 1 after an error; 2 for an option that cannot be parsed; 130 after an interrupt.

mod bench;
mod boxes;
mod clips;
mod compare;
mod eval;
mod export;
mod grid;
mod info;
mod manual;
mod options;
mod paper;
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
use crate::files::Overwrite;
use crate::gpu::{AdapterChoice, AdapterKind, Gpu, GpuOptions};
use crate::study::bench::Report;
use crate::train::{Config, check_tilde};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use options::ConfigArgs;
use std::any::TypeId;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wording::{in_words, with_options};

/// Trains small networks under Learning Rate Curriculum (LeRaC) on any Vulkan, Metal or DX12 GPU,
/// or on the CPU.
#[derive(Debug, Parser)]
#[command(name = "lerac", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List adapters and their limits, and which one is chosen; or describe a model, or draw sounds
    /// or boxes
    Info(info::InfoArgs),
    /// Print or plot the learning rate of every layer over time; needs no GPU
    Schedule(Box<schedule::ScheduleArgs>),
    /// Train one model
    Train(Box<train::TrainArgs>),
    /// Continue a run that ended early; the results are those of an uninterrupted run. With
    /// --epochs, train a finished run longer
    Resume(resume::ResumeArgs),
    /// Train under several methods with paired seeds and compare them
    Compare(Box<compare::CompareArgs>),
    /// The experiments of the paper: published results, what can be run here, and your own results
    Paper(paper::PaperArgs),
    /// Evaluate weights from a file on the test set
    Eval(Box<eval::EvalArgs>),
    /// Classify images, sounds or texts with weights from a file
    Predict(Box<predict::PredictArgs>),
    /// Write a model with its weights as an ONNX file
    Export(Box<export::ExportArgs>),
    /// Write training steps with all their tensors, for another program to check
    Trace(Box<trace::TraceArgs>),
    /// Time kernels, the update, whole steps or the loader on this device
    Bench(bench::BenchArgs),
    /// Find the fastest kernels for a model on this device, for `lerac train --tuned`
    Tune(Box<tune::TuneArgs>),
    /// Write the manual pages of all commands
    Man(manual::ManArgs),
    /// Print the completions of a shell
    Completions(manual::CompletionsArgs),
}

/// The options that change the results of a trained model. A file without the step at which it was
/// saved counts as saved at the end of the run, whose length depends on epochs and examples.
const OF_TRAINED: [&str; 36] = [
    "data",
    "data_dir",
    "image_size",
    "resize",
    "class_list",
    "cache",
    "skip_bad",
    "normalise",
    "sample_rate",
    "duration",
    "n_fft",
    "window_length",
    "hop",
    "mel_bands",
    "mel_scale",
    "centred",
    "fold",
    "split_by",
    "voc_years",
    "voc_train",
    "difficult",
    "train_examples",
    "validation",
    "model",
    "init",
    "init_partial",
    "epochs",
    "batch_size",
    "micro_batch",
    "loss",
    "label_smoothing",
    "class_weights",
    "method",
    "sigma",
    "sigma_decay",
    "sigma_every",
];

/// Refuses paths that begin with `~`.
///
/// # Errors
/// [`Error::Option`] with the path to write instead.
fn check_tildes(command: &clap::Command, matches: &ArgMatches) -> Result<()> {
    let is_path = |arg: &&clap::Arg| arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    for arg in command.get_arguments().filter(is_path) {
        let paths = matches.get_many::<PathBuf>(arg.get_id().as_str()).into_iter().flatten();
        let name = arg.get_long().map_or_else(|| arg.get_id().to_string(), |long| format!("--{long}"));
        for path in paths {
            check_tilde(path).map_err(|message| Error::option(&name, message))?;
        }
    }
    Ok(())
}

/// Whether an option was given on the command line.
fn is_given(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).is_ok() && matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// Notes which options have no effect, and whether the blur of Curriculum by Smoothing never fades.
/// Of several runs, an option has no effect if it has none in any.
fn note_unused_options<'c>(configs: impl IntoIterator<Item = &'c Config> + Clone, matches: &ArgMatches) {
    let schedules: BTreeSet<_> = configs.clone().into_iter().flat_map(Config::idle_schedules).collect();
    schedules.iter().for_each(|sentence| print_note(sentence));
    let mut idle = configs.clone().into_iter().map(|config| config.idle(&|field| is_given(matches, field)));
    let first = idle.next().unwrap_or_default();
    let others: Vec<_> = idle.collect();
    let in_all = |field: &str| others.iter().all(|idle| idle.iter().any(|(other, _)| *other == field));
    first.iter().filter(|(field, _)| in_all(field)).for_each(|(_, sentence)| print_note(sentence));
    if let Some(config) = configs.into_iter().find(|config| config.blur_stays()) {
        let (every, epochs, method) = (config.curriculum.sigma_every, config.training.epochs, config.curriculum.method);
        print_note(&format!("{method}: the blur does not fade within {epochs} epoch(s), `sigma_every` is {every}"));
    }
}

/// Which device to use.
#[derive(Debug, Args)]
struct DeviceArgs {
    /// Adapter by number or part of its name, see `lerac info` [default: LERAC_ADAPTER or
    /// WGPU_ADAPTER_NAME, then the fastest kind]
    #[arg(long)]
    adapter: Option<String>,
}

impl DeviceArgs {
    fn choice(&self) -> AdapterChoice {
        AdapterChoice::from_option(self.adapter.as_deref())
    }

    /// Names the option or the environment variable in the error about an unknown adapter.
    fn with_source(&self, error: Error) -> Error {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match error {
            Error::Adapter(message) => match message.strip_prefix("adapter ") {
                Some(adapter) if self.adapter.is_none() => {
                    let variable = if is_set("LERAC_ADAPTER") { "LERAC_ADAPTER" } else { "WGPU_ADAPTER_NAME" };
                    Error::Adapter(format!("{variable}={adapter}"))
                }
                Some(adapter) => Error::Adapter(format!("--adapter {adapter}")),
                None => Error::Adapter(message),
            },
            other => other,
        }
    }

    /// Opens the adapter; notes if it is a software adapter.
    fn open(&self) -> Result<Gpu> {
        let opened = Gpu::open(&GpuOptions { adapter: self.choice(), cache: cache_dir(), ..GpuOptions::default() });
        let gpu = opened.map_err(|error| self.with_source(error))?;
        if gpu.info().kind == AdapterKind::Software {
            print_stderr(&format!("note: {} runs on the CPU; a GPU is many times faster", gpu.info().name));
        }
        Ok(gpu)
    }
}

/// Whether existing files may be replaced.
#[derive(Debug, Args)]
struct OverwriteArgs {
    /// Replace existing files that are no part of a run. Files that this command reads are never
    /// replaced
    #[arg(long)]
    overwrite: bool,
}

impl OverwriteArgs {
    /// The files that may be replaced by a command that reads `inputs`.
    fn reading<P: Into<PathBuf>>(&self, inputs: impl IntoIterator<Item = (&'static str, P)>) -> Overwrite {
        Overwrite { allowed: self.overwrite, inputs: vec![] }.reading(inputs)
    }
}

/// Checks that the files of these options may be written, and that no two are the same file.
fn check_files(overwrite: &Overwrite, files: &[(&'static str, &Option<PathBuf>)]) -> Result<()> {
    let files: Vec<_> = files.iter().filter_map(|(field, path)| Some((*field, path.as_deref()?))).collect();
    for (i, (field, path)) in files.iter().enumerate() {
        overwrite.check_file(field, path)?;
        if let Some((other, _)) = files[..i].iter().find(|(_, other)| other == path) {
            return Err(Error::setting(field, format!("{} is also `{other}`; choose another file", path.display())));
        }
    }
    Ok(())
}

/// Creates the directory for results before any work, so that an invalid one is reported early.
fn create_dir(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::io(dir, "create"))
}

/// The clap command. A negative number is parsed as the value of an option, so that the option
/// itself can report the range that it expects.
fn command() -> clap::Command {
    Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let takes_values = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes_values)
        })
    })
}

/// Runs `lerac compare` with these arguments.
fn compare(arguments: Vec<String>) -> Result<()> {
    let line: Vec<_> = arguments.iter().map(OsString::from).collect();
    let matches = command().get_matches_from(["lerac", "compare"].map(str::to_owned).into_iter().chain(arguments));
    let (_, of_compare) = matches.subcommand().expect("clap requires a command");
    let args = compare::CompareArgs::from_arg_matches(of_compare).unwrap_or_else(|error| error.exit());
    compare::run(&args, of_compare, &line)
}

/// Parses the arguments, runs the command, and reports an error if there is one.
pub fn main() -> ExitCode {
    // Ignore SIGXFSZ, so that a limit on file sizes is reported as a write error like a full disk.
    // If this fails, the signal ends the program.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Default::default());
    let mut all = command();
    let matches = all.get_matches_mut();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let (name, command_matches) = matches.subcommand().expect("clap requires a command");
    let of_command = all.find_subcommand(name).expect("clap knows its commands");
    let run = || match &cli.command {
        Command::Info(args) => info::run(args),
        Command::Schedule(args) => schedule::run(args, command_matches),
        Command::Train(args) => train::run(args, command_matches),
        Command::Resume(args) => resume::run(args),
        Command::Compare(args) => compare::run(args, command_matches, &std::env::args_os().skip(2).collect::<Vec<_>>()),
        Command::Paper(args) => paper::run(args),
        Command::Eval(args) => eval::run(args, command_matches),
        Command::Predict(args) => predict::run(args, command_matches),
        Command::Export(args) => export::run(args, command_matches),
        Command::Trace(args) => trace::run(args, command_matches),
        Command::Bench(args) => bench::run(args),
        Command::Tune(args) => tune::run(args, command_matches),
        Command::Man(args) => manual::pages(args),
        Command::Completions(args) => manual::completions(args),
    };
    match check_tildes(of_command, command_matches).and_then(|()| run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_stderr(&format!("error: {}", in_words(&error)));
            match error {
                Error::Interrupted(_) => ExitCode::from(saving::INTERRUPTED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// An empty table in Markdown.
fn table<'c>(columns: impl IntoIterator<Item = &'c str>) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(columns);
    table
}

/// A report as a Markdown table.
fn markdown_table(report: &Report) -> String {
    let mut table = table(report.columns.iter().copied());
    for row in &report.rows {
        table.add_row(row.iter().map(ToString::to_string));
    }
    table.to_string()
}

/// Prints a line to standard error. Errors of writing are ignored.
fn print_stderr(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints a note with options in place of fields.
fn print_note(text: &str) {
    print_stderr(&format!("note: {}", with_options(text)));
}

/// Notes which options of a run were given to a command for which they mean nothing. `used` are the
/// fields that it reads.
fn note_options_without_use(command: &str, matches: &ArgMatches, used: &[&str]) {
    let all = Config::augment_args(clap::Command::new("lerac"));
    let ids = all.get_arguments().map(|arg| arg.get_id().as_str());
    let idle: Vec<_> =
        ids.filter(|id| !used.contains(id) && is_given(matches, id)).map(|id| format!("`{id}`")).collect();
    if !idle.is_empty() {
        print_note(&format!("{command} does not use {}", idle.join(", ")));
    }
}

/// Prints results to standard output. A closed pipe is not an error.
fn print(text: &str) {
    use std::io::{ErrorKind, Write, stdout};
    match writeln!(stdout(), "{text}").and_then(|()| stdout().flush()) {
        Err(fault) if fault.kind() != ErrorKind::BrokenPipe => {
            print_stderr(&format!("error: standard output: cannot write: {fault}"));
            std::process::exit(1);
        }
        _ => {}
    }
}
