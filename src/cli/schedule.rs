//! `lerac schedule`.

use super::{ConfigArgs, OverwriteArgs, check_files, note_options_without_use, note_unused_options, print};
use crate::curriculum::{Layer, Time, rates};
use crate::data::Meaning;
use crate::error::{Error, Result};
use crate::files::write_shared_by;
use crate::nn;
use crate::nn::objective::{ObjectiveOptions, objective_for};
use crate::study::plots::{self, HeatMap};
use crate::tape::{Mode, Tape};
use crate::train::{Config, Method, ScheduleKind, whole_number};
use clap::{ArgMatches, Args};
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use std::path::PathBuf;

/// Options of `lerac schedule`.
#[derive(Debug, Args)]
pub(super) struct ScheduleArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Steps per epoch
    #[arg(long, default_value_t = 100, value_parser = whole_number::<u64>)]
    steps_per_epoch: u64,
    /// Write the rates of every step to this CSV file, as step,epoch,depth,layer,learning_rate
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Draw the rates to this PNG file
    #[arg(long)]
    plot: Option<PathBuf>,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// A row of the CSV file: the learning rate of a layer after `step` steps.
#[derive(serde::Serialize)]
struct Row<'a> {
    step: u64,
    epoch: f64,
    depth: usize,
    layer: &'a str,
    learning_rate: f64,
}

/// The options that change the rates.
const USED: [&str; 23] = [
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

/// The layers of a model, which do not depend on the data.
fn layers_of(config: &Config) -> Result<Vec<Layer>> {
    let names = Meaning::Classes((0..10).map(|i| format!("class {i}")).collect());
    let form = nn::usual_form(&config.model.name, None, &names);
    let (model, objective) = (config.model.model()?, objective_for(&form, ObjectiveOptions::default())?);
    nn::Model::accepts(&model, &form)?;
    let tape = Tape::new(Mode::Eval);
    Ok(nn::record(&model, &form, &*objective, 1, tape, config.net_options()).layers)
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
    note_options_without_use("schedule", matches, &USED);
    let layers = layers_of(&config)?;
    let (curriculum, schedule) = (config.curriculum(&layers)?, config.common_rate()?);
    let scales = config.optimizer.layer_scales()?.of(&layers)?;
    let steps = config.training.epochs.saturating_mul(args.steps_per_epoch);
    if steps > u64::from(u32::MAX) {
        let message = format!(
            "{} of {} steps (--steps-per-epoch) are more than 4294967295 steps",
            config.training.epochs, args.steps_per_epoch
        );
        return Err(Error::option("--epochs", message));
    }
    let time = |step| Time { step, steps_per_epoch: args.steps_per_epoch };
    let at = |step| -> Vec<f64> {
        let rates = rates(curriculum.as_ref(), &schedule, time(step), layers.len());
        rates.zip(&scales).map(|(rate, scale)| rate * scale).collect()
    };
    let sample = |most: u64| (0..=steps).step_by(steps.div_ceil(most).max(1) as usize);

    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let printed: Vec<_> = sample(MAX_TABLE_COLUMNS).map(|step| (time(step).epochs(), at(step))).collect();
    let epochs = printed.iter().map(|(epoch, _)| format!("epoch {}", (epoch * 100.0).round() / 100.0));
    table.set_header(["depth", "layer", "start"].map(String::from).into_iter().chain(epochs));
    let start = at(0);
    for (i, layer) in layers.iter().enumerate() {
        let cells = printed.iter().map(|(_, rates)| format!("{:.2e}", rates[i]));
        let start = format!("{:e}", start[i]);
        table.add_row([layer.depth.to_string(), layer.name.clone(), start].into_iter().chain(cells));
    }

    if let Some(path) = &args.csv {
        write_shared_by(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            let mut write_row =
                |row: Row<'_>| writer.serialize(row).map_err(|fault| Error::io(path, "write")(fault.into()));
            for step in 0..=steps {
                for (layer, learning_rate) in layers.iter().zip(at(step)) {
                    let (epoch, depth, layer) = (time(step).epochs(), layer.depth, layer.name.as_str());
                    write_row(Row { step, epoch, depth, layer, learning_rate })?;
                }
            }
            writer.flush().map_err(Error::io(path, "write"))
        })?;
    }
    if let Some(path) = &args.plot {
        let drawn: Vec<_> = sample(MAX_PLOT_COLUMNS).collect();
        let columns: Vec<_> = drawn.iter().map(|&step| at(step)).collect();
        let method = match config.curriculum.method {
            Method::Lerac | Method::LeracCbs => {
                format!("{} ({:?})", config.curriculum.method, config.curriculum.preset).to_lowercase()
            }
            other => other.to_string(),
        };
        plots::heat_map(
            path,
            &HeatMap {
                title: format!("Learning rates of {} under {method}", config.model.name),
                rows: layers.iter().map(|layer| layer.name.clone()).collect(),
                x_label: "epoch".into(),
                x: drawn.iter().map(|&step| time(step).epochs()).collect(),
                values: (0..layers.len()).map(|i| columns.iter().map(|rates| rates[i]).collect()).collect(),
                value_label: "learning rate".into(),
            },
        )?;
    }
    print(&table.to_string());
    Ok(())
}
