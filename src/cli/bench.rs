//! `lerac bench`.

use super::progress::open_pictures;
use super::{DeviceArgs, OverwriteArgs, check_files, markdown_table, print};
use crate::data::Source;
use crate::error::{Error, Result};
use crate::files::write_shared;
use crate::gpu::Gpu;
use crate::records::csv_with_header;
use crate::study::bench::{self, Cell, Peaks, Report, TuningModel, TuningOptions};
use crate::study::plots::{self, Panel, Series};
use crate::train::{Config, ModelOptions, whole_number};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// Every kernel of a model's training step
    Ops,
    /// The fused update at several sizes, compared with a dispatch per tensor
    Update,
    /// The fused update with a rate per layer, from 1 to 1,000 layers, compared with one rate for
    /// all
    Layers,
    /// Whole training steps of models under every method
    Step,
    /// The data loader, without training
    Loader,
}

/// More runs do not change a median.
const MAX_RUNS: usize = 100_000;

/// Options of `lerac bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    device: DeviceArgs,
    /// What to time
    #[arg(value_enum)]
    what: Benchmark,
    /// Models of `step`, or the model of `ops` [default: cnn,resnet8,resnet20 for step, resnet20
    /// for ops]
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// With `ops`: time every kernel variant of convolutions and linear layers
    #[arg(long)]
    variants: bool,
    /// Data set of `loader`, with a name as in `lerac train`
    #[arg(long, default_value = "shapes")]
    data: String,
    /// Directory of the data set's files
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Image folders: side of the square that images are resized to [default: 64]
    #[arg(long)]
    image_size: Option<usize>,
    /// Image folders: decode every image once, store it in this file, and time reading the file
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Examples per step
    #[arg(long, default_value_t = 64, value_parser = whole_number::<usize>)]
    batch_size: usize,
    /// Timed runs; the median is reported
    #[arg(long, default_value_t = 7, value_parser = whole_number::<usize>)]
    runs: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the table to this CSV file
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Draw the roofline of `ops` to this PNG file
    #[arg(long)]
    plot: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// Runs a benchmark and prints its table.
pub(super) fn run(args: &BenchArgs) -> Result<()> {
    let config = Config::default().with(|c| c.training.batch_size = args.batch_size);
    config.check()?;
    args.models.iter().try_for_each(|model| ModelOptions::named(model).map(drop)).map_err(|error| match error {
        Error::Setting { message, .. } => Error::setting("models", message),
        other => other,
    })?;
    if !(1..=MAX_RUNS).contains(&args.runs) {
        return Err(Error::option("--runs", format!("expected 1 to {MAX_RUNS}, found {}", args.runs)));
    }
    if args.plot.is_some() && args.what != Benchmark::Ops {
        return Err(Error::option("--plot", "only `lerac bench ops` draws a roofline"));
    }
    if args.variants && (args.what != Benchmark::Ops || args.plot.is_some()) {
        return Err(Error::option("--variants", "is for `lerac bench ops` without --plot"));
    }
    let (name, dir) = (args.data.as_str(), args.data_dir.as_deref());
    let (image_size, cache) = (args.image_size, args.cache.as_deref());
    let source = Source { name, dir, image_size, cache, ..Source::default() };
    let data = source.directories().into_iter().map(|dir| ("data_dir", dir));
    let overwrite = args.overwrite.reading(cache.map(|path| ("cache", path.to_owned())).into_iter().chain(data));
    check_files(&overwrite, &[("csv", &args.csv), ("plot", &args.plot)])?;
    if args.what == Benchmark::Loader {
        let splits = open_pictures(&source, false)?;
        return show(args, None, &bench::loader(&splits.train, args.batch_size, args.runs)?);
    }
    let gpu = args.device.open()?;
    let peaks = Peaks::measure(&gpu, args.runs)?;
    let report = match args.what {
        Benchmark::Ops => {
            let model = args.models.first().map_or("resnet20", String::as_str);
            let options = ModelOptions::named(model)?;
            let config = config.with(|c| c.model = options);
            if args.variants {
                let subject = TuningModel::of(&config, bench::task(&config)?.data.train.form())?;
                let measured = subject.measure(&gpu, TuningOptions { all: true, time: Duration::MAX }, |_, _, _| ())?;
                return show(args, Some((&gpu, &peaks)), &bench::variants(&measured, &peaks));
            }
            let (session, _) = bench::session(&gpu, &config)?;
            let report = bench::ops(&gpu, session.program(), args.runs, &peaks)?;
            if let Some(path) = &args.plot {
                roofline(path, &format!("{model} on {}", gpu.info().name), &report, &peaks)?;
            }
            report
        }
        Benchmark::Update => bench::updates(&gpu, args.runs)?,
        Benchmark::Layers => bench::layers(&gpu, args.runs)?,
        Benchmark::Step | Benchmark::Loader => {
            let small = || ["cnn", "resnet8", "resnet20"].map(String::from).to_vec();
            let models = if args.models.is_empty() { small() } else { args.models.clone() };
            bench::steps(&gpu, &models, &config, args.runs)?
        }
    };
    show(args, Some((&gpu, &peaks)), &report)
}

/// Prints the report with the device and its peak performance, and writes it to the CSV file.
fn show(args: &BenchArgs, device: Option<(&Gpu, &Peaks)>, report: &Report) -> Result<()> {
    if let Some(path) = &args.csv {
        write_csv(path, report)?;
    }
    if args.json {
        let json = serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "adapter": device.map(|(gpu, _)| gpu.info()),
            "peaks": device.map(|(_, peaks)| peaks),
            "batch_size": args.batch_size,
            "runs": args.runs,
            "rows": report.json(),
        });
        print(&serde_json::to_string_pretty(&json).expect("a report is plain data"));
        return Ok(());
    }
    if let Some((gpu, peaks)) = device {
        let info = gpu.info();
        print(&format!(
            "{}, {} {}: {:.1} GFLOP/s of multiply-adds, {:.1} GB/s of copying; medians of {} runs after one to warm up",
            info.name, info.backend, info.driver, peaks.gflops, peaks.gbytes, args.runs
        ));
    }
    print(&markdown_table(report));
    Ok(())
}

fn write_csv(path: &Path, report: &Report) -> Result<()> {
    let unrounded = |cell: &Cell| match cell {
        Cell::Number(value, _) => value.to_string(),
        other => other.to_string(),
    };
    let rows = report.rows.iter().map(|row| row.iter().map(unrounded).collect::<Vec<_>>());
    write_shared(path, &csv_with_header(&report.columns, rows))
}

/// Draws the speed of each operation over its arithmetic intensity, below the device's two limits.
fn roofline(path: &Path, title: &str, report: &Report, peaks: &Peaks) -> Result<()> {
    let column = |name: &str| report.columns.iter().position(|&column| column == name).expect("a column of ops");
    let (direction, gflops, gbytes) = (column("direction"), column("GFLOP/s"), column("GB/s"));
    let points = |wanted: &str| -> Vec<(f64, f64)> {
        let rows = report.rows.iter().filter(|row| row[direction] == Cell::from(wanted));
        rows.filter_map(|row| match (&row[gflops], &row[gbytes]) {
            (Cell::Number(flops, _), Cell::Number(bytes, _)) => Some((flops / bytes, *flops)),
            _ => None,
        })
        .collect()
    };
    let (forward, backward) = (points("forward"), points("backward"));
    let ridge = peaks.gflops / peaks.gbytes;
    let intensities = forward.iter().chain(&backward).map(|point| point.0);
    let most = intensities.fold(4.0 * ridge, f64::max);
    let roof = vec![(ridge / 8.0, peaks.gflops / 8.0), (ridge, peaks.gflops), (most, peaks.gflops)];
    let series = |label: &str, points, marks| Series { label: label.into(), points, marks, ..Default::default() };
    let panel = Panel {
        title: format!("Roofline: {title}"),
        x_label: "floating-point operations per byte of the operands".into(),
        y_label: "GFLOP/s".into(),
        log_x: true,
        log_y: true,
        series: vec![
            series("device", roof, false),
            series("forward", forward, true),
            series("backward", backward, true),
        ],
    };
    plots::curves(path, &[panel])
}
