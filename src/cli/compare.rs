//! `lerac compare`.

use super::progress::Progress;
use super::{ConfigArgs, DeviceArgs, make_dir, print};
use crate::curriculum::Range;
use crate::data::{self, Splits};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::study::{Comparison, Finished, RunDir, Setting, report, results_csv};
use crate::train::{self, Config, Method, write_whole};
use clap::{ArgMatches, Args};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use indicatif::MultiProgress;
use std::path::{Path, PathBuf};

/// Options of `lerac compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Methods, the one that others are held against first
    #[arg(long, value_enum, value_delimiter = ',', default_value = "conventional,lerac,cbs", help_heading = "Grid")]
    methods: Vec<Method>,
    /// Number of seeds, from --seed on; every method gets the same
    #[arg(long, default_value_t = 1, help_heading = "Grid")]
    seeds: u64,
    /// Values of --k, each of which makes a method of its own of every method that has one
    #[arg(long, value_delimiter = ',', help_heading = "Grid")]
    ks: Vec<f64>,
    /// Values of --range, likewise
    #[arg(long, value_delimiter = ',', help_heading = "Grid")]
    ranges: Vec<Range>,
    /// Directory for a directory per run, report.html, results.csv, compare.json and compare.png; what is finished there is not run again
    #[arg(long, default_value = "out/compare")]
    out: PathBuf,
    /// Print the result alone
    #[arg(long)]
    quiet: bool,
}

/// Enough for every interval, and few enough for a list of runs.
const MOST_SEEDS: u64 = 10_000;

/// One run of the grid.
struct Run {
    arm: String,
    config: Config,
    dir: PathBuf,
}

impl Run {
    fn title(&self) -> String {
        format!("{} seed {}", self.arm, self.config.seed)
    }
}

/// Every method, and of those that have a ramp one for each k and range.
fn arms(args: &CompareArgs, config: &Config) -> Vec<(String, Config)> {
    let ks: Vec<_> = if args.ks.is_empty() { vec![config.k] } else { args.ks.iter().copied().map(Some).collect() };
    let ranges: Vec<_> =
        if args.ranges.is_empty() { vec![config.range] } else { args.ranges.iter().copied().map(Some).collect() };
    let mut arms = vec![];
    for &method in &args.methods {
        if !method.has_ramp() {
            arms.push((method.to_string(), Config { method, ..config.clone() }));
            continue;
        }
        for &k in &ks {
            for &range in &ranges {
                let mut name = method.to_string();
                if let (Some(k), true) = (k, ks.len() > 1) {
                    name.push_str(&format!(" k={k}"));
                }
                if let (Some(range), true) = (range, ranges.len() > 1) {
                    name.push_str(&format!(" {range}"));
                }
                arms.push((name, Config { method, k, range, ..config.clone() }));
            }
        }
    }
    arms
}

/// All runs by seed, checked before the first of them starts.
fn grid(args: &CompareArgs, config: &Config) -> Result<Vec<Run>> {
    if !(1..=MOST_SEEDS).contains(&args.seeds) {
        return Err(Error::option("--seeds", format!("expected 1 to {MOST_SEEDS}, found {}", args.seeds)));
    }
    let arms = arms(args, config);
    if let Some(i) = (1..arms.len()).find(|&i| arms[..i].iter().any(|arm| arm.0 == arms[i].0)) {
        return Err(Error::option("--methods", format!("{} is named twice; once will do", arms[i].0)));
    }
    let run = |seed: u64, (arm, config): &(String, Config)| {
        let config = Config { seed: config.seed.wrapping_add(seed), ..config.clone() };
        let dir = args.out.join(format!("{}-seed{}", arm.replace(' ', "-").replace('=', ""), config.seed));
        config.check().map(|()| Run { arm: arm.clone(), config, dir })
    };
    (0..args.seeds).flat_map(|seed| arms.iter().map(move |arm| run(seed, arm))).collect()
}

/// Trains one run into its directory and reads it back.
fn train(gpu: &Gpu, run: &Run, splits: &Splits, progress: Progress) -> Result<Finished> {
    let mut dir = RunDir::create(&run.dir, &run.config)?;
    let mut progress = progress.beside(&mut dir);
    let outcome = train::run(gpu, &run.config, splits, &mut progress)?;
    progress.finish();
    dir.finish(&outcome, &run.arm)?;
    let finished = Finished::load(&run.dir, &run.arm, &run.config)?;
    finished.ok_or_else(|| Error::option("--out", format!("{} has vanished", run.dir.display())))
}

/// Trains under every method and seed and prints the table.
pub(super) fn run(args: &CompareArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    let runs = grid(args, &config)?;
    let mut finished = vec![];
    for run in &runs {
        finished.push(Finished::load(&run.dir, &run.arm, &run.config)?);
    }
    let splits = data::open(&config.data, config.data_dir.as_deref())?;
    let gpu = args.device.open()?;
    make_dir(&args.out)?;

    let bars = MultiProgress::new();
    let left = finished.iter().filter(|run| run.is_none()).count();
    let overall = Progress::overall(&bars, args.quiet, left as u64);
    if !args.quiet && left < runs.len() {
        eprintln!("{} of {} runs are finished already in {}", runs.len() - left, runs.len(), args.out.display());
    }
    let mut failures = vec![];
    for (run, finished) in runs.iter().zip(&mut finished).filter(|(_, finished)| finished.is_none()) {
        match train(&gpu, run, &splits, Progress::new(&run.title(), args.quiet, &bars)) {
            Ok(done) => *finished = Some(done),
            Err(error) => {
                eprintln!("error: {}: {error}", run.title());
                failures.push(run.title());
            }
        }
        overall.inc(1);
    }
    overall.finish_and_clear();

    let finished: Vec<Finished> = finished.into_iter().flatten().collect();
    if !finished.is_empty() {
        show(args, &config, &gpu, &finished, &failures)?;
    }
    match failures.is_empty() {
        true => Ok(()),
        false => {
            Err(Error::Failed(format!("{} of {} runs failed: {}", failures.len(), runs.len(), failures.join(", "))))
        }
    }
}

/// Writes and prints what the finished runs say.
fn show(args: &CompareArgs, config: &Config, gpu: &Gpu, finished: &[Finished], failures: &[String]) -> Result<()> {
    let comparison = Comparison::of(finished);
    comparison.plot(finished, &args.out.join("compare.png"))?;
    let json = serde_json::to_string_pretty(&comparison).expect("a comparison is plain data");
    write_whole(&args.out.join("compare.json"), json.as_bytes())?;
    write_whole(&args.out.join("results.csv"), &results_csv(finished))?;
    let setting = Setting { config, command: command_line(), adapter: gpu.info(), failures };
    let html = report(&setting, &comparison, finished, &run_dirs(args, finished))?;
    write_whole(&args.out.join("report.html"), html.as_bytes())?;
    print(&table(&comparison));
    comparison.in_words().iter().for_each(|sentence| print(sentence));
    print(&format!(
        "{} on {}, {} seed(s), {} epoch(s) of {} images, batch size {}, {} test images, {}; files in {}, first of all report.html",
        config.model,
        config.data,
        args.seeds,
        config.epochs,
        finished[0].summary.images_per_epoch,
        config.batch_size,
        finished[0].summary.test_images,
        gpu.info().name,
        args.out.display()
    ));
    Ok(())
}

/// The first run of each method, whose pictures the report shows.
fn run_dirs(args: &CompareArgs, finished: &[Finished]) -> Vec<(String, PathBuf)> {
    let mut dirs: Vec<(String, PathBuf)> = vec![];
    for run in finished {
        if dirs.iter().all(|(arm, _)| *arm != run.arm) {
            let name = format!("{}-seed{}", run.arm.replace(' ', "-").replace('=', ""), run.seed);
            dirs.push((run.arm.clone(), args.out.join(name)));
        }
    }
    dirs
}

/// The command as it was given, quoted where a shell asks for it.
fn command_line() -> String {
    let quote = |argument: String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) { argument } else { format!("'{argument}'") }
    };
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map_or("lerac".into(), |name| name.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments.map(quote)).collect::<Vec<_>>().join(" ")
}

fn table(comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["method", "test accuracy", "ms per step", "time per step, relative"]);
    for result in &comparison.arms {
        let deviation = result.test_accuracy_sd.map_or(String::new(), |sd| format!(" ± {:.2}", 100.0 * sd));
        table.add_row([
            result.arm.clone(),
            format!("{:.2}{deviation} %", 100.0 * result.test_accuracy),
            format!("{:.1}", result.milliseconds_per_step),
            format!("{:.3}", result.relative_time),
        ]);
    }
    table.to_string()
}
