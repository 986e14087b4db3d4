//! `lerac paper`.

use super::recipes::{self, Recipe};
use super::{DeviceArgs, OverwriteArgs, check_files, compare, print};
use crate::clock::Instant;
use crate::data::{Batch, Form, Splits};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::gpu::Gpu;
use crate::nn;
use crate::study::bench::{Peaks, Seconds};
use crate::study::paper::{Experiment, OwnResults, PublishedResult, experiments, page};
use crate::tape::{Keep, Mode, Tape, mebibytes};
use crate::train::{Config, Task};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Timed runs of a measurement.
const RUNS: usize = 3;

/// A step does the multiply-adds of forward three times: forward, and both gradients.
const PASSES: f64 = 3.0;

/// Options of `lerac paper`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct PaperArgs {
    #[command(subcommand)]
    command: Option<PaperCommand>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Directory that contains the data sets [default: LERAC_DATA, then the usual places]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Directory of your own results, with a comparison per row
    #[arg(long, default_value = "out/paper")]
    out: PathBuf,
    /// Take a few real training steps of this row, for the time of a run; needs its data
    #[arg(long, value_name = "ROW")]
    measure: Option<String>,
    /// Also list the ablations
    #[arg(long)]
    ablations: bool,
    /// Write the tables as a page to this HTML file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

#[derive(Debug, Subcommand)]
enum PaperCommand {
    /// Run an experiment: compare its methods with the settings of its recipe
    Run(RunArgs),
}

/// Options of `lerac paper run`.
#[derive(Debug, Args)]
struct RunArgs {
    /// The experiment, as in the first column of `lerac paper`
    row: String,
    /// Number of seeds [default: 5]
    #[arg(long)]
    seeds: Option<u32>,
    /// Train on this many examples only; the results are labelled as shortened
    #[arg(long)]
    train_examples: Option<u32>,
    /// Epochs, if not those of the recipe; the results are labelled as shortened
    #[arg(long)]
    epochs: Option<u32>,
    /// Directory of the data set's files
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Directory of the results; the row gets its own directory in it
    #[arg(long, default_value = "out/paper")]
    out: PathBuf,
    /// More options, as those of `lerac compare`
    #[arg(last = true, value_name = "OPTIONS")]
    more: Vec<String>,
}

/// What is known of an experiment on this machine.
#[derive(Clone, Debug, Default, serde::Serialize)]
struct Here {
    /// Whether a recipe has its settings.
    has_recipe: bool,
    /// Whether the data are on this disk.
    has_data: bool,
    /// Steps of a run.
    steps: Option<u64>,
    /// Bytes of a training step on the device, without the optimiser's moments.
    bytes: Option<u64>,
    /// Multiply-adds of a run.
    multiply_adds: Option<f64>,
}

impl Here {
    fn text(&self) -> &'static str {
        match self {
            Self { has_recipe: false, .. } => "missing: no recipe yet",
            Self { has_data: false, .. } => "data not found",
            _ => "ready",
        }
    }

    /// The least hours of a run: at the device's peak.
    fn least_hours(&self, peaks: &Peaks) -> Option<f64> {
        self.multiply_adds.map(|count| 2.0 * count / (1e9 * peaks.gflops) / 3600.0)
    }
}

/// The data sets that were looked for, by their options.
#[derive(Default)]
struct FoundData(HashMap<String, Option<Splits>>);

impl FoundData {
    /// The data of a recipe, if its files are on this disk.
    fn of(&mut self, config: &Config) -> Option<Splits> {
        let source = config.data.source();
        let open = || source.open(&mut |_| ()).ok();
        self.0.entry(format!("{source:?}")).or_insert_with(open).clone()
    }
}

/// The options of a recipe, with `data_dir` in place of its directory.
fn options(recipe: &Recipe, data_dir: Option<&Path>) -> Result<Config> {
    let (config, _) = Config::from_toml_with_grid(Path::new(recipe.name), recipe.text.as_bytes())?;
    Ok(config.with(|c| c.data.data_dir = data_dir.map(Path::to_owned)))
}

/// Steps, memory and work of an experiment.
fn look(row: &str, data_dir: Option<&Path>, data: &mut FoundData) -> Result<Here> {
    let Some(recipe) = recipes::named(row) else { return Ok(Here::default()) };
    let config = options(recipe, data_dir)?;
    let splits = data.of(&config);
    let mut here = Here { has_recipe: true, has_data: splits.is_some(), ..Here::default() };
    let form = match &splits {
        Some(splits) => Some(splits.train.form()),
        None => config.data.source().form().ok(),
    };
    let Some(form) = form else { return Ok(here) };
    let (bytes, per_example) = cost(&config, &form)?;
    here.bytes = Some(bytes);
    if let Some(splits) = splits {
        let validation = if splits.train.held_out() == 0 { config.data.validation } else { splits.train.held_out() };
        let examples = splits.train.len().saturating_sub(validation);
        let per_epoch = (config.data.train_examples.unwrap_or(examples) / config.training.batch_size) as u64;
        let steps = per_epoch * config.training.epochs;
        here.steps = Some(steps);
        let examples = steps as f64 * config.training.batch_size as f64;
        here.multiply_adds = Some(PASSES * per_example as f64 * examples);
    }
    Ok(here)
}

/// Bytes of a training step, and multiply-adds forward of an example.
fn cost(config: &Config, form: &Form) -> Result<(u64, u64)> {
    let model = config.model.model()?;
    nn::Model::accepts(&model, form)?;
    let (objective, size) = (config.objective(form)?, config.training.micro_batch_size());
    let recorded = nn::record(&model, form, &*objective, size, Tape::new(Mode::Train), config.net_options());
    let forward = recorded.tape.records().iter().flat_map(|record| &record.forward);
    let multiply_adds: u64 = forward.map(|dispatch| dispatch.multiply_adds).sum();
    Ok((recorded.tape.plan(Keep::Only(&[]), &[]).total(), multiply_adds / size as u64))
}

/// The median time of a real step, and the hours of a run with that time.
fn measure(row: &str, args: &PaperArgs, gpu: &Gpu, data: &mut FoundData) -> Result<String> {
    let recipe = known(row)?;
    let config = options(recipe, args.data_dir.as_deref())?;
    let here = look(row, args.data_dir.as_deref(), data)?;
    let (Some(splits), Some(steps)) = (data.of(&config), here.steps) else {
        // Opening the data again gives the reason.
        config.data.source().open(&mut |_| ())?;
        return Err(Error::option("--measure", format!("the data of {row} are not here")));
    };
    let mut session = Task::of(&config, &splits)?.session(gpu, steps.max(1))?;
    let indices: Vec<u32> = (0..config.training.batch_size.min(splits.train.len()) as u32).collect();
    let batch = Batch::gather(&*splits.train, &indices, config.training.batch_size, None)?;
    let start = Instant::now();
    session.step(&batch)?;
    gpu.wait()?;
    let first = start.elapsed().as_secs_f64();
    let seconds = Seconds::of(RUNS, || session.step(&batch).and_then(|()| gpu.wait()))?;
    Ok(format!(
        "{row}, measured: {:.1} ms per step (median of {RUNS}, first step {first:.1} s); {steps} steps take {:.1} hours",
        1e3 * seconds.median,
        steps as f64 * seconds.median / 3600.0
    ))
}

/// The recipe of a row.
fn known(row: &str) -> Result<&'static Recipe> {
    let (all, _) = experiments();
    if !all.iter().any(|of| of.row == row) {
        let mut rows: Vec<_> = all.iter().map(|of| of.row.as_str()).collect();
        rows.dedup();
        return Err(Error::option(
            "ROW",
            format!("{row:?} is no experiment of the paper; expected one of {}", rows.join(", ")),
        ));
    }
    recipes::named(row).ok_or_else(|| Error::option("ROW", format!("{row} has no recipe yet, so it cannot be run")))
}

/// Runs the comparison of a row.
fn run_row(args: &RunArgs) -> Result<()> {
    let recipe = known(&args.row)?;
    let out = args.out.join(recipe.name);
    let mut line: Vec<String> = ["--recipe", recipe.name, "--out"].map(str::to_owned).to_vec();
    line.push(out.display().to_string());
    let numbers = [("--seeds", args.seeds), ("--train-examples", args.train_examples), ("--epochs", args.epochs)];
    for (name, number) in numbers {
        line.extend(number.map(|number| format!("{name}={number}")));
    }
    line.extend(args.data_dir.as_ref().map(|dir| format!("--data-dir={}", dir.display())));
    line.extend(args.more.iter().cloned());
    compare(line)
}

/// An experiment with what is known of it here, and one's own results.
type Row = (Experiment, Here, Option<OwnResults>);

fn table(rows: &[Row], peaks: &Peaks) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let headings = ["row", "data", "conventional", "CBS", "LeRaC", "here", "steps", "memory", "least hours"];
    table.set_header(headings);
    for (of, here, _) in rows {
        let [conventional, cbs, lerac] = of.results.each_ref().map(PublishedResult::text);
        table.add_row([
            of.row.clone(),
            of.data.clone(),
            conventional,
            cbs,
            lerac,
            here.text().to_owned(),
            here.steps.map_or(String::new(), |steps| steps.to_string()),
            here.bytes.map_or(String::new(), mebibytes),
            here.least_hours(peaks).map_or(String::new(), |hours| format!("{hours:.1}")),
        ]);
    }
    table.to_string()
}

fn ablation_table(ablations: &[PublishedResult]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["row", "table", "method", "changed", "published"]);
    for of in ablations {
        table.add_row([of.row.clone(), of.table.to_string(), of.method.clone(), of.options.clone(), of.text()]);
    }
    table.to_string()
}

fn list(args: &PaperArgs) -> Result<()> {
    check_files(&args.overwrite.reading(std::iter::empty::<(&str, PathBuf)>()), &[("html", &args.html)])?;
    let gpu = args.device.open()?;
    let peaks = Peaks::measure(&gpu, RUNS)?;
    let (all, ablations) = experiments();
    let mut data = FoundData::default();
    let mut rows: Vec<Row> = vec![];
    for of in all {
        let here = look(&of.row, args.data_dir.as_deref(), &mut data)?;
        let recipe = recipes::named(&of.row).map_or("", |recipe| recipe.text);
        let own = OwnResults::read(&args.out.join(&of.row), recipe)?;
        rows.push((of, here, own));
    }
    if let Some(path) = &args.html {
        let shown: Vec<_> =
            rows.iter().map(|(of, here, own)| (of.clone(), here.text().to_owned(), own.clone())).collect();
        write_whole(path, page(&shown, &ablations).as_bytes())?;
    }
    if args.json {
        let row = |(of, here, own): &Row| serde_json::json!({"experiment": of, "here": here, "least_hours": here.least_hours(&peaks), "own": own});
        let report = serde_json::json!({
            "adapter": gpu.info(), "peaks": peaks, "rows": rows.iter().map(row).collect::<Vec<_>>(), "ablations": ablations,
        });
        print(&serde_json::to_string_pretty(&report).expect("a report is plain data"));
        return Ok(());
    }
    print(&table(&rows, &peaks));
    print(&format!(
        "Published: mean ± sd of five runs (IJCV 133:291-314); ages of UTKFace are mean absolute errors in years, VOC is mAP. Least hours: one run at \
         the measured peak of {}, {:.1} GFLOP/s; `--measure ROW` takes real steps. `lerac paper run ROW` runs a row",
        gpu.info().name,
        peaks.gflops
    ));
    for (of, _, own) in &rows {
        if let Some(own) = own {
            print(&format!("own results, {} ({}): {}", of.row, of.measure, own.text()));
        }
    }
    if args.ablations {
        print(&ablation_table(&ablations));
    }
    if let Some(row) = &args.measure {
        print(&measure(row, args, &gpu, &mut data)?);
    }
    Ok(())
}

/// Lists the experiments, or runs one.
pub(super) fn run(args: &PaperArgs) -> Result<()> {
    match &args.command {
        Some(PaperCommand::Run(run)) => run_row(run),
        None => list(args),
    }
}
