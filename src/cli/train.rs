//! `lerac train`.

use super::progress::Progress;
use super::{ConfigArgs, DeviceArgs, print, table_of};
use crate::data;
use crate::error::Result;
use crate::study::{RunDir, bench};
use crate::train;
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use std::path::PathBuf;

/// Steps that a profile is the median of.
const PROFILED: usize = 5;

/// Options of `lerac train`.
#[derive(Debug, Args)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Directory for metrics, pictures, summary and weights
    #[arg(long, default_value = "out/train")]
    out: PathBuf,
    /// Print the result alone
    #[arg(long)]
    quiet: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Print where the time of a step goes, record by record, after training
    #[arg(long)]
    profile: bool,
}

/// Trains one model.
pub(super) fn run(args: &TrainArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    let splits = data::open(&config.data, config.data_dir.as_deref())?;
    let gpu = args.device.open()?;
    let mut dir = RunDir::create(&args.out, &config)?;
    let title = format!("{} {} on {}", config.model, config.method, config.data);
    let mut progress = Progress::new(&title, args.quiet, &MultiProgress::new()).beside(&mut dir);
    let outcome = train::run(&gpu, &config, &splits, &mut progress)?;
    progress.finish();
    dir.finish(&outcome, &config.method.to_string())?;
    let summary = &outcome.summary;
    if args.profile {
        eprintln!("{}", table_of(&bench::profile(&gpu, outcome.session.program(), PROFILED)?));
    }
    if args.json {
        print(&serde_json::to_string_pretty(summary).expect("a summary is plain data"));
        return Ok(());
    }
    let validation = summary.validation_accuracy.map_or(String::new(), |a| format!(", validation {:.2} %", 100.0 * a));
    print(&format!(
        "test accuracy {:.2} % of {} images (epoch {}{validation}); {} steps in {:.1} s, {:.0} images/s, {:.1} ms per step; {}",
        100.0 * summary.test_accuracy,
        summary.test_images,
        summary.best_epoch,
        summary.steps,
        summary.seconds,
        summary.images_per_second,
        summary.milliseconds_per_step,
        args.out.display()
    ));
    Ok(())
}
