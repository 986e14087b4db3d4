//! `lerac schedule`.

use super::{ConfigArgs, OverwriteArgs, check_files, note_options_without_use, note_unused_options, print};
use crate::curriculum::{Curriculum, Layer, Schedule, Time, bias_rate_of, rate_of};
use crate::data::Meaning;
use crate::error::{Error, Result};
use crate::files::write_shared_by;
use crate::nn;
use crate::nn::objective::{ObjectiveOptions, objective_for};
use crate::study::plots::{self, HeatMap, Panel, Series};
use crate::tape::{Mode, Tape};
use crate::train::{Config, Method, ScheduleKind, whole_number};
use clap::{ArgMatches, Args};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use std::path::{Path, PathBuf};

/// Options of `lerac schedule`.
#[derive(Debug, Args)]
pub(super) struct ScheduleArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Steps per epoch
    #[arg(long, default_value_t = 100, value_parser = whole_number::<u64>)]
    steps_per_epoch: u64,
    /// Write the rates of every step to this CSV file, as step,epoch,depth,layer,learning_rate and,
    /// with such a warm-up, bias_learning_rate and momentum
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Draw the rates to this PNG file
    #[arg(long)]
    plot: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// A row of the CSV file: the learning rate of a layer after `step` steps, and in runs with such a
/// warm-up that of its biases and the momentum.
#[derive(serde::Serialize)]
struct Row<'a> {
    step: u64,
    epoch: f64,
    depth: usize,
    layer: &'a str,
    learning_rate: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bias_learning_rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    momentum: Option<f64>,
}

/// The options that change the rates.
const USED: [&str; 26] = [
    "data",
    "model",
    "epochs",
    "seed",
    "eta",
    "schedule",
    "milestones",
    "gamma",
    "final_rate",
    "warmup_epochs",
    "warmup_steps",
    "bias_warmup",
    "warmup_momentum",
    "method",
    "preset",
    "range",
    "k",
    "schedule_during_curriculum",
    "granularity",
    "pace",
    "ladder",
    "min_lr",
    "clf",
    "stop_lr",
    "updates_per_epoch",
    "stop_update_epoch",
];

/// The largest number of columns of the printed table and of the plot.
const MAX_TABLE_COLUMNS: u64 = 8;
const MAX_PLOT_COLUMNS: u64 = 400;

/// The layers of a model, which do not depend on the data, and whether each of them has biases.
fn layers_of(config: &Config) -> Result<(Vec<Layer>, Vec<bool>)> {
    let names = Meaning::Classes((0..10).map(|i| format!("class {i}")).collect());
    let form = nn::usual_form(&config.model.name, None, &names);
    let (model, objective) = (config.model.model()?, objective_for(&form, ObjectiveOptions::default())?);
    nn::Model::accepts(&model, &form)?;
    let recorded = nn::record(&model, &form, &*objective, 1, Tape::new(Mode::Eval), config.net_options());
    let mut biased = vec![false; recorded.layers.len()];
    recorded.tape.parameters().iter().for_each(|declared| biased[declared.layer] |= declared.group.is_bias());
    Ok((recorded.layers, biased))
}

/// The rates and the momentum of a run as functions of the step.
struct Rates {
    layers: Vec<Layer>,
    curriculum: Box<dyn Curriculum>,
    schedule: Schedule,
    /// The factor of each layer's rate.
    scales: Vec<f64>,
    steps_per_epoch: u64,
    /// The rows of the table and of the heat map: layers, and biases with rates of their own.
    rows: Vec<(usize, Part)>,
}

/// The parameters of a layer that share a rate.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// All, or all but the biases.
    Layer,
    Biases,
}

impl Rates {
    fn of(config: &Config, steps_per_epoch: u64) -> Result<Self> {
        let (layers, biased) = layers_of(config)?;
        let (curriculum, schedule) = (config.curriculum(&layers)?, config.common_rate()?);
        let scales = config.optimizer.layer_scales()?.of(&layers)?;
        let (start, grows_until) = (Time { step: 0, steps_per_epoch }, curriculum.grows_until());
        let differ = schedule.bias_rate(start, grows_until) != schedule.rate(start, grows_until);
        let of_biases = (0..layers.len()).filter(|&i| differ && biased[i]);
        let rows = (0..layers.len()).map(|i| (i, Part::Layer)).chain(of_biases.map(|i| (i, Part::Biases))).collect();
        Ok(Self { layers, curriculum, schedule, scales, steps_per_epoch, rows })
    }

    fn time(&self, step: u64) -> Time {
        Time { step, steps_per_epoch: self.steps_per_epoch }
    }

    /// The rate of each layer, or that of its biases.
    fn at(&self, step: u64, part: Part) -> Vec<f64> {
        let (curriculum, schedule, time) = (self.curriculum.as_ref(), &self.schedule, self.time(step));
        let (rate, bias_rate) = (rate_of(curriculum, schedule, time), bias_rate_of(curriculum, schedule, time));
        let of = |layer| if part == Part::Layer { rate(layer) } else { bias_rate(layer) };
        self.scales.iter().enumerate().map(|(layer, scale)| of(layer) * scale).collect()
    }

    /// The rate of each of `rows`.
    fn of_rows(&self, step: u64) -> Vec<f64> {
        let (layers, biases) = (self.at(step, Part::Layer), self.at(step, Part::Biases));
        self.rows.iter().map(|&(i, part)| if part == Part::Layer { layers[i] } else { biases[i] }).collect()
    }

    fn name(&self, (layer, part): (usize, Part)) -> String {
        let name = &self.layers[layer].name;
        if part == Part::Layer { name.clone() } else { format!("{name} biases") }
    }

    fn momentum(&self, step: u64) -> Option<f64> {
        self.schedule.momentum(self.time(step), self.curriculum.grows_until())
    }

    /// A table of the rates at `steps`.
    fn table(&self, steps: &[u64]) -> Table {
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        let epochs = steps.iter().map(|&step| format!("epoch {}", (self.time(step).epochs() * 100.0).round() / 100.0));
        table.set_header(["depth", "layer", "start"].map(String::from).into_iter().chain(epochs));
        let (start, columns) = (self.of_rows(0), steps.iter().map(|&step| self.of_rows(step)).collect::<Vec<_>>());
        for (i, &row) in self.rows.iter().enumerate() {
            let cells = columns.iter().map(|rates| format!("{:.2e}", rates[i]));
            let start = format!("{:e}", start[i]);
            table.add_row([self.layers[row.0].depth.to_string(), self.name(row), start].into_iter().chain(cells));
        }
        if let Some(start) = self.momentum(0) {
            let cells = steps.iter().filter_map(|&step| Some(format!("{:.4}", self.momentum(step)?)));
            table.add_row([String::new(), "momentum".into(), format!("{start:.4}")].into_iter().chain(cells));
        }
        table
    }

    /// Writes the rates of all steps up to `last` to a CSV file.
    fn write_csv(&self, path: &Path, last: u64) -> Result<()> {
        write_shared_by(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            for step in 0..=last {
                let (epoch, momentum, rates) =
                    (self.time(step).epochs(), self.momentum(step), self.at(step, Part::Layer));
                let bias_rates = self.schedule.warmup.bias_rate.map(|_| self.at(step, Part::Biases));
                for (i, layer) in self.layers.iter().enumerate() {
                    let (depth, layer, learning_rate) = (layer.depth, layer.name.as_str(), rates[i]);
                    let bias_learning_rate = bias_rates.as_ref().map(|rates| rates[i]);
                    let row = Row { step, epoch, depth, layer, learning_rate, bias_learning_rate, momentum };
                    writer.serialize(row).map_err(|fault| Error::io(path, "write")(fault.into()))?;
                }
            }
            writer.flush().map_err(Error::io(path, "write"))
        })
    }

    /// Draws the rates at `steps` as a heat map, and the momentum below it if it changes.
    fn plot(&self, path: &Path, title: String, steps: &[u64]) -> Result<()> {
        let columns: Vec<_> = steps.iter().map(|&step| self.of_rows(step)).collect();
        let map = HeatMap {
            title,
            rows: self.rows.iter().map(|&row| self.name(row)).collect(),
            x_label: "epoch".into(),
            x: steps.iter().map(|&step| self.time(step).epochs()).collect(),
            values: (0..self.rows.len()).map(|i| columns.iter().map(|rates| rates[i]).collect()).collect(),
            value_label: "learning rate".into(),
        };
        if self.schedule.warmup.momentum.is_none() {
            return plots::heat_map(path, &map);
        }
        let point = |&step: &u64| Some((self.time(step).epochs(), self.momentum(step)?));
        let points = steps.iter().filter_map(point).collect();
        let series = Series { label: "momentum".into(), points, ..Series::default() };
        let (x_label, y_label) = ("epoch".to_owned(), "momentum".to_owned());
        let panel = Panel { title: "Momentum".into(), x_label, y_label, series: vec![series], ..Panel::default() };
        plots::heat_map_and_curves(path, &map, &panel)
    }
}

/// Prints, writes and draws the rates.
pub(super) fn run(args: &ScheduleArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    let overwrite = args.overwrite.reading(args.config.file());
    check_files(&overwrite, &[("csv", &args.csv), ("plot", &args.plot)])?;
    if args.steps_per_epoch == 0 {
        return Err(Error::option("--steps-per-epoch", "expected at least 1, found 0"));
    }
    if config.optimizer.schedule == ScheduleKind::Plateau {
        let message = "the rates of a plateau schedule depend on validation scores; see layers.csv of a run";
        return Err(Error::option("--schedule", message));
    }
    note_unused_options([&config], matches);
    let momentum = config.optimizer.warmup_momentum.map(|_| "momentum");
    note_options_without_use("schedule", matches, &USED.into_iter().chain(momentum).collect::<Vec<_>>());
    let rates = Rates::of(&config, args.steps_per_epoch)?;
    let steps = config.training.epochs.saturating_mul(args.steps_per_epoch);
    if steps > u64::from(u32::MAX) {
        let message = format!(
            "{} of {} steps (--steps-per-epoch) are more than 4294967295 steps",
            config.training.epochs, args.steps_per_epoch
        );
        return Err(Error::option("--epochs", message));
    }
    let sample = |most: u64| -> Vec<u64> { (0..=steps).step_by(steps.div_ceil(most).max(1) as usize).collect() };
    if let Some(path) = &args.csv {
        rates.write_csv(path, steps)?;
    }
    if let Some(path) = &args.plot {
        let method = match config.curriculum.method {
            Method::Lerac | Method::LeracCbs => {
                format!("{} ({:?})", config.curriculum.method, config.curriculum.preset).to_lowercase()
            }
            other => other.to_string(),
        };
        let title = format!("Learning rates of {} under {method}", config.model.name);
        rates.plot(path, title, &sample(MAX_PLOT_COLUMNS))?;
    }
    print(&rates.table(&sample(MAX_TABLE_COLUMNS)).to_string());
    Ok(())
}
