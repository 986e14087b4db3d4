//! `lerac compare`.

use super::progress::Progress;
use super::{ConfigArgs, DeviceArgs, make_dir, print};
use crate::data;
use crate::error::{Error, Result};
use crate::study::{Comparison, Finished, RunDir};
use crate::train::{self, Config, Method, write_whole};
use clap::{ArgMatches, Args};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use std::path::PathBuf;

/// Enough for every interval, and few enough for a list of runs.
const MOST_SEEDS: u64 = 10_000;

/// Options of `lerac compare`.
#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Methods, the one that others are held against first
    #[arg(long, value_enum, value_delimiter = ',', default_value = "conventional,lerac,cbs")]
    methods: Vec<Method>,
    /// Number of seeds, from --seed on; every method gets the same
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Directory for one directory per run, compare.json and compare.png
    #[arg(long, default_value = "out/compare")]
    out: PathBuf,
    /// Print the result alone
    #[arg(long)]
    quiet: bool,
}

/// Trains under every method and seed and prints the table.
pub(super) fn run(args: &CompareArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    if !(1..=MOST_SEEDS).contains(&args.seeds) {
        return Err(Error::option("--seeds", format!("expected 1 to {MOST_SEEDS}, found {}", args.seeds)));
    }
    if let Some(i) = (1..args.methods.len()).find(|&i| args.methods[..i].contains(&args.methods[i])) {
        return Err(Error::option("--methods", format!("{} is named twice; once will do", args.methods[i])));
    }
    let runs: Vec<Config> = (0..args.seeds)
        .flat_map(|seed| args.methods.iter().map(move |&method| (seed, method)))
        .map(|(seed, method)| Config { method, seed: config.seed.wrapping_add(seed), ..config.clone() })
        .collect();
    let dir_of = |run: &Config| args.out.join(format!("{}-seed{}", run.method, run.seed));
    runs.iter().try_for_each(|run| run.check().and_then(|()| RunDir::check_free(&dir_of(run))))?;
    let splits = data::open(&config.data, config.data_dir.as_deref())?;
    let gpu = args.device.open()?;
    make_dir(&args.out)?;
    let mut finished = vec![];
    for run in &runs {
        let title = format!("{} seed {}", run.method, run.seed);
        let mut dir = RunDir::create(&dir_of(run), run)?;
        let mut progress = Progress::new(&title, args.quiet, &mut dir);
        let outcome = train::run(&gpu, run, &splits, &mut progress)?;
        let curves = progress.finish();
        dir.finish(&outcome, &run.method.to_string())?;
        finished.push(Finished { method: run.method, summary: outcome.summary, curves });
    }
    let comparison = Comparison::of(&finished);
    comparison.plot(&finished, &args.out.join("compare.png"))?;
    let json = serde_json::to_string_pretty(&comparison).expect("a comparison is plain data");
    write_whole(&args.out.join("compare.json"), json.as_bytes())?;
    print(&table(&comparison));
    print(&format!(
        "{} on {}, {} seed(s), {} epoch(s) of {} images, batch size {}, {} test images, {}; files in {}",
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

fn table(comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["method", "test accuracy", "ms per step", "time per step, relative"]);
    for result in &comparison.methods {
        let deviation = result.test_accuracy_sd.map_or(String::new(), |sd| format!(" ± {:.2}", 100.0 * sd));
        table.add_row([
            result.method.to_string(),
            format!("{:.2}{deviation} %", 100.0 * result.test_accuracy),
            format!("{:.1}", result.milliseconds_per_step),
            format!("{:.3}", result.relative_time),
        ]);
    }
    table.to_string()
}
