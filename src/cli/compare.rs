//! `lerac compare`.

use super::grid::{Grid, Run};
use super::progress::{Progress, open_data};
use super::saving::SavingArgs;
use super::{ConfigArgs, DeviceArgs, OverwriteArgs, create_dir, in_words, note_unused_options, print, print_stderr};
use crate::data::Splits;
use crate::error::{Error, Result};
use crate::files::{DirectoryLock, write_whole};
use crate::gpu::Gpu;
use crate::records::{Finished, RunDir, Saving};
use crate::study::{Comparison, Setting, write_report};
use crate::train::Task;
use crate::trainer::{Start, Trainer};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use indicatif::MultiProgress;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    /// Output directory, with a directory per run, report.html, results.csv, compare.json,
    /// compare.toml and plots; runs that are finished there are not run again
    #[arg(long, default_value = "out/compare")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArgs,
    /// Show no progress, only the result and notes
    #[arg(long)]
    quiet: bool,
}

/// The file that marks the directory of a comparison.
const OPTIONS_FILE: &str = Comparison::FILES[0];

/// Trains one run into its directory, or continues it, and reads the result.
fn train(gpu: &Gpu, run: &Run, splits: &Splits, saving: Saving, progress: Progress) -> Result<Finished> {
    let trainer = Trainer::of(gpu, Task::of(&run.config, splits)?).title(&run.arm);
    trainer.kept(&run.dir, saving, Start::Continue).observer(progress).run()?;
    let finished = Finished::load(&run.dir, &run.arm, &run.config, None)?;
    finished.ok_or_else(|| Error::option("--out", format!("{} no longer exists", run.dir.display())))
}

/// The data of each fold of the grid, with their fingerprint. Notes are printed for the first.
fn open_folds(runs: &[Run], quiet: bool) -> Result<BTreeMap<Option<u32>, (Splits, u32)>> {
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

/// Trains with every method and seed, and prints the table.
pub(super) fn run(args: &CompareArgs, matches: &ArgMatches) -> Result<()> {
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
    note_unused_options(runs.iter().map(|run| &run.config), matches);
    let data = open_folds(&runs, args.quiet)?;
    let gpu = args.device.open()?;
    create_dir(&args.out)?;
    let lock = DirectoryLock::take(&args.out)?;
    let mut finished = vec![];
    for run in &runs {
        let fingerprint = data[&run.config.data.fold].1;
        let loaded = Finished::load(&run.dir, &run.arm, &run.config, Some(fingerprint))?;
        match &loaded {
            None => RunDir::check_options(&run.dir, &run.config)?,
            Some(_) => RunDir::tidy(&run.dir, false)?,
        }
        finished.push(loaded);
    }
    let saving = Saving { keep_last: false, ..args.saving.start(overwrite)? };
    let file = grid.file(&config);
    write_whole(&args.out.join(OPTIONS_FILE), file.as_bytes())?;

    let bars = MultiProgress::new();
    let left = finished.iter().filter(|run| run.is_none()).count();
    let overall = Progress::overall(&bars, args.quiet, left as u64);
    if !args.quiet && left < runs.len() {
        print_stderr(&format!(
            "{} of {} runs are finished already in {}",
            runs.len() - left,
            runs.len(),
            args.out.display()
        ));
    }
    let mut failures = vec![];
    for (run, finished) in runs.iter().zip(&mut finished).filter(|(_, finished)| finished.is_none()) {
        if saving.stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted(format!(
                "interrupted before {}; the same command continues it",
                run.title()
            )));
        }
        let (splits, _) = &data[&run.config.data.fold];
        match train(&gpu, run, splits, saving.clone(), Progress::new(&run.title(), splits, args.quiet, &bars)) {
            Ok(done) => *finished = Some(done),
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

    let not_started = finished.iter().filter(|run| run.is_none()).count() - failures.len();
    // Sort by method in the grid's order, even if some runs failed.
    let mut finished: Vec<Finished> = finished.into_iter().flatten().collect();
    finished.sort_by_key(|run| runs.iter().position(|of_grid| of_grid.arm == run.arm));
    if !finished.is_empty() {
        let setting = Setting {
            config: &config,
            baseline: &runs[0].arm,
            file,
            command: command_line(),
            adapter: gpu.info(),
            failures: &failures,
            data: &data[&finished[0].fold].0,
        };
        show(&args.out, &setting, &finished)?;
    }
    match failures.is_empty() {
        true => Ok(()),
        false => {
            let not_started =
                if not_started > 0 { format!("; {not_started} more were not started") } else { String::new() };
            let (failed, all, which) = (failures.len(), runs.len(), failures.join(", "));
            Err(Error::Failed(format!("{failed} of {all} runs failed: {which}{not_started}")))
        }
    }
}

/// Writes the report of the finished runs, and prints table and summary.
fn show(out: &Path, setting: &Setting<'_>, finished: &[Finished]) -> Result<()> {
    let comparison = write_report(setting, finished, out)?;
    print(&table(&comparison));
    comparison.in_words().iter().for_each(|sentence| print(sentence));
    let (config, summary) = (setting.config, &finished[0].summary);
    print(&format!(
        "{} on {}, {} epoch(s) of {} examples, batch size {}, {} test examples, {}; relative time is the median over pairs of \
         intervals, and other load on the machine affects it; report.html and other files are in {}",
        config.model.name,
        config.data.name,
        config.training.epochs,
        summary.examples_per_epoch,
        config.training.batch_size,
        summary.test_examples,
        setting.adapter.name,
        out.display()
    ));
    Ok(())
}

/// The command line, quoted for a shell where needed.
fn command_line() -> String {
    let quote = |argument: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map_or("lerac".into(), |name| name.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments.map(quote)).collect::<Vec<_>>().join(" ")
}

fn table(comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let measure = &comparison.measure;
    let test = format!("test {}", measure.name);
    table.set_header(["method", &test, "seeds", "ms per step", "time per step, relative"]);
    for result in &comparison.arms {
        let deviation = result.test_score_sd.map_or(String::new(), |sd| format!(" ± {:.2}", measure.shown(sd)));
        table.add_row([
            result.arm.clone(),
            format!("{:.2}{deviation} {}", measure.shown(result.test_score), measure.unit),
            result.seeds.len().to_string(),
            format!("{:.1}", result.milliseconds_per_step),
            result.relative_time.map_or(String::new(), |ratio| format!("{ratio:.3}")),
        ]);
    }
    table.to_string()
}
