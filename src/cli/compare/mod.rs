//! `lerac compare`: a list of tasks, each a run of the grid. Tasks are run one after the other,
//! side by side, or by processes on several hosts that share the output directory.

mod collect;
mod jobs;
mod slurm;
mod task;

use super::grid::{Grid, Run};
use super::progress::{Progress, open_data};
use super::saving::SavingArgs;
use super::{ConfigArgs, DeviceArgs, OverwriteArgs, create_dir, in_words, note_unused_options, print, print_stderr};
use crate::data::Splits;
use crate::error::{Error, Result};
use crate::files::{Claim, DirectoryLock, Life, Overwrite, Replace, read_if_exists, write_shared};
use crate::records::{Finished, RunDir, Saving};
use crate::study::Comparison;
use crate::train::Config;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Options of `lerac compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    saving: SavingArgs,
    #[command(flatten)]
    grid: Grid,
    #[command(flatten)]
    tasks: TaskArgs,
    #[command(flatten)]
    slurm: slurm::SlurmArgs,
    /// Output directory, with a directory per run, report.html, results.csv, compare.json,
    /// compare.toml and plots; runs that are finished there are not run again
    #[arg(long, default_value = "out/compare")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Also write event files for TensorBoard, into the directory tensorboard of each run
    #[arg(long)]
    tensorboard: bool,
    /// Show no progress, only the result and notes
    #[arg(long)]
    quiet: bool,
}

/// Which tasks this process runs, and how.
#[derive(Debug, Args)]
struct TaskArgs {
    /// List the tasks with their numbers and states; run none
    #[arg(long, group = "mode", help_heading = "Tasks")]
    list: bool,
    /// Run only the task with this number, or continue it; a finished one is left as it is
    #[arg(long, value_name = "N", group = "mode", help_heading = "Tasks")]
    task: Option<usize>,
    /// Make tables and report of the tasks that are finished; run none
    #[arg(long, group = "mode", help_heading = "Tasks")]
    collect: bool,
    /// Run this many tasks side by side, a process each [default: one per adapter of --adapters]
    #[arg(long, value_name = "N", group = "mode", value_parser = clap::value_parser!(u32).range(1..=256), help_heading = "Tasks")]
    jobs: Option<u32>,
    /// Adapters of these processes, each by number or part of its name, in turn
    #[arg(long, value_delimiter = ',', conflicts_with_all = ["list", "task", "collect", "slurm", "adapter"], help_heading = "Tasks")]
    adapters: Vec<String>,
    /// Take over tasks of processes that ended without saying so, such as those of a host that
    /// failed. Make sure that they have ended
    #[arg(long, conflicts_with_all = ["list", "collect", "slurm"], help_heading = "Tasks")]
    take_over: bool,
    /// Report progress to a process of --jobs, and stop when it ends.
    #[arg(long, hide = true, requires = "task")]
    worker: bool,
}

/// The file that marks the directory of a comparison.
const OPTIONS_FILE: &str = Comparison::FILES[0];

/// The directory of claims: a file for each task that a process runs.
const CLAIMS: &str = "claims";

/// The data of each fold of the grid, with their fingerprint.
type Folds = BTreeMap<Option<u32>, (Splits, u32)>;

/// A comparison, before any work.
struct Plan {
    /// The options that all tasks share.
    config: Config,
    /// A file of options that repeats the comparison.
    file: String,
    /// The tasks.
    runs: Vec<Run>,
    out: PathBuf,
    claims: PathBuf,
    overwrite: Overwrite,
    tensorboard: bool,
    quiet: bool,
}

/// The data of each fold of the grid, with their fingerprint. Notes are printed for the first.
fn open_folds<'r>(runs: impl IntoIterator<Item = &'r Run>, quiet: bool) -> Result<Folds> {
    let mut opened = BTreeMap::new();
    for run in runs {
        let data = &run.config.data;
        if opened.contains_key(&data.fold) {
            continue;
        }
        let splits = match opened.is_empty() {
            true => open_data(&data.source(), quiet)?,
            false => data.source().open(&mut |_| ())?,
        };
        let fingerprint = splits.fingerprint();
        opened.insert(data.fold, (splits, fingerprint));
    }
    Ok(opened)
}

/// Refuses options of a single run for which the grid has a list.
///
/// # Errors
/// [`Error::Option`] for an option that the list replaces.
fn refuse_unused_options(grid: &Grid, matches: &ArgMatches) -> Result<()> {
    let given = |key: &str| matches.value_source(key) == Some(ValueSource::CommandLine);
    let idle = [
        ("method", "methods", true),
        ("fold", "folds", grid.folds),
        ("k", "ks", !grid.ks.is_empty()),
        ("range", "ranges", !grid.ranges.is_empty()),
    ];
    match idle.into_iter().find(|&(one, _, idle)| idle && given(one)) {
        Some((one, many, _)) => {
            Err(Error::option(format!("--{one}"), format!("has no effect with --{many}; leave it out")))
        }
        None => Ok(()),
    }
}

impl Plan {
    /// Checks all options, and that every file may be written.
    fn new(args: &CompareArgs, matches: &ArgMatches) -> Result<Self> {
        let mut config = args.config.resolve(matches)?;
        let grid = args.config.resolve_grid(&args.grid, matches)?;
        if grid.folds {
            config.data.fold = None;
        }
        refuse_unused_options(&grid, matches)?;
        let runs = grid.runs(&config, &args.out)?;
        if args.out.join("config.toml").exists() {
            let message = format!("{} contains a run (config.toml); choose another directory", args.out.display());
            return Err(Error::option("--out", message));
        }
        let overwrite = args.overwrite.reading(args.config.file());
        let own = args.out.join(OPTIONS_FILE).exists() && DirectoryLock::was_taken(&args.out);
        overwrite.clone().reading(config.inputs()).check_directory(&args.out, &Comparison::FILES, own)?;
        runs.iter().try_for_each(|run| RunDir::check(&run.dir, &run.config, &overwrite))?;
        let file = grid.file(&config);
        let (out, claims) = (args.out.clone(), args.out.join(CLAIMS));
        let (tensorboard, quiet) = (args.tensorboard, args.quiet);
        Ok(Self { config, file, runs, out, claims, overwrite, tensorboard, quiet })
    }

    /// Creates the output directory with the options. Several processes may share it.
    fn open(&self) -> Result<DirectoryLock> {
        create_dir(&self.out)?;
        let lock = DirectoryLock::share(&self.out)?;
        let path = self.out.join(OPTIONS_FILE);
        if read_if_exists(&path)?.is_none_or(|bytes| bytes != self.file.as_bytes()) {
            write_shared(&path, self.file.as_bytes())?;
        }
        Ok(lock)
    }

    /// Reads the result of a task; `None` if it is not finished. Its options are checked.
    fn load(&self, run: &Run, folds: &Folds) -> Result<Option<Finished>> {
        let fingerprint = folds[&run.config.data.fold].1;
        let finished = Finished::load(&run.dir, &run.arm, &run.config, Some(fingerprint))?;
        if finished.is_none() {
            RunDir::check_options(&run.dir, &run.config)?;
        }
        Ok(finished)
    }

    /// The results of all tasks.
    fn load_all(&self, folds: &Folds) -> Result<Vec<Option<Finished>>> {
        self.runs.iter().map(|run| self.load(run, folds)).collect()
    }

    /// The state of a task that is not finished.
    fn state(&self, run: &Run) -> Result<String> {
        Ok(match Claim::holder(&self.claims, &run.name())? {
            Some(held) if held.life == Life::Running => format!("run by {held}"),
            Some(held) => format!("claimed by {held}"),
            None if RunDir::can_be_resumed(&run.dir) => "ended early".to_owned(),
            None => "not started".to_owned(),
        })
    }

    fn list(&self) -> Result<()> {
        let mut table = super::table(["task", "run", "state"]);
        for (number, run) in self.runs.iter().enumerate() {
            let state = if RunDir::is_finished(&run.dir) { "finished".to_owned() } else { self.state(run)? };
            table.add_row([number.to_string(), run.title(), state]);
        }
        print(&table.to_string());
        Ok(())
    }
}

/// Lists, runs or collects the tasks. `line` are the arguments of the command.
pub(super) fn run(args: &CompareArgs, matches: &ArgMatches, line: &[OsString]) -> Result<()> {
    let plan = Plan::new(args, matches)?;
    if args.tasks.list {
        return plan.list();
    }
    if args.slurm.slurm.is_some() {
        return slurm::write(args, &plan, line);
    }
    if !args.tasks.worker {
        note_unused_options(plan.runs.iter().map(|run| &run.config), matches);
    }
    if let Some(number) = args.tasks.task {
        return task::run(args, &plan, number);
    }
    let folds = open_folds(&plan.runs, args.quiet)?;
    if args.tasks.collect {
        let _lock = plan.open()?;
        return collect::collect(&plan, &folds, None, &[]);
    }
    if args.tasks.jobs.is_some() || !args.tasks.adapters.is_empty() {
        return jobs::run(args, &plan, &folds, line);
    }
    in_this_process(args, &plan, &folds)
}

/// Runs all tasks that are not finished, and that no other process runs.
fn in_this_process(args: &CompareArgs, plan: &Plan, folds: &Folds) -> Result<()> {
    let gpu = args.device.open()?;
    let lock = plan.open()?;
    let finished = plan.load_all(folds)?;
    let saving = Saving { keep_last: false, ..args.saving.start(plan.overwrite.clone())? };
    let replace = if args.tasks.take_over { Replace::Unknown } else { Replace::Ended };
    let bars = MultiProgress::new();
    let left: Vec<&Run> =
        plan.runs.iter().zip(&finished).filter(|(_, done)| done.is_none()).map(|(run, _)| run).collect();
    let overall = Progress::overall(&bars, args.quiet, left.len() as u64);
    note_finished(plan, left.len());
    let mut failures = vec![];
    for run in left {
        if saving.stop.load(Ordering::Relaxed) {
            let title = run.title();
            return Err(Error::Interrupted(format!("interrupted before {title}; the same command continues it")));
        }
        let splits = &folds[&run.config.data.fold].0;
        let progress = Progress::new(&run.title(), splits, args.quiet, &bars);
        match task::train(plan, run, folds, (&gpu, saving.clone(), replace), progress) {
            // A task of another process is reported at the end, if it is not finished by then.
            Ok(_) => {}
            Err(Error::Interrupted(place)) => {
                let message = format!("{}: {place}; the same command continues it", run.title());
                return Err(Error::Interrupted(message));
            }
            Err(error) => {
                print_stderr(&format!("error: {}: {}", run.title(), in_words(&error)));
                failures.push(run.title());
                // After a lost device no other run can start.
                if matches!(error, Error::Device(_)) {
                    break;
                }
            }
        }
        overall.inc(1);
    }
    overall.finish_and_clear();
    lock.check()?;
    collect::collect(plan, folds, Some(gpu.info()), &failures)
}

/// Says how many runs need not be run again, if there are any.
fn note_finished(plan: &Plan, left: usize) {
    let all = plan.runs.len();
    if !plan.quiet && left < all {
        print_stderr(&format!("{} of {all} runs are finished already in {}", all - left, plan.out.display()));
    }
}
