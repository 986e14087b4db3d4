//! `lerac eval`.

use super::progress::open_data;
use super::{ConfigArgs, DeviceArgs, print};
use crate::data::Splits;
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::train::{Config, Training, begin};
use clap::{ArgMatches, Args};
use serde_json::json;

/// Options of `lerac eval`.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The model of `config` with the weights of `--init`, as it stood when they were saved.
pub(super) fn loaded<'g, 'c>(gpu: &'g Gpu, config: &'c Config, splits: &Splits) -> Result<Training<'g, 'c>> {
    if config.init.is_none() {
        return Err(Error::option("--init", "expected the file of weights, such as model.safetensors of a run"));
    }
    let mut training = begin(gpu, config, splits)?;
    let loaded = training.load_weights()?;
    if let Some(name) = loaded.skipped.first() {
        let message = format!("the file has no {name} of this shape, and random values predict nothing");
        return Err(Error::option("--init-partial", message));
    }
    // Where the file does not say, the run was over: a blur has faded as far as it does.
    training.session.set_step(loaded.step.unwrap_or(training.steps));
    Ok(training)
}

/// Prints loss and accuracy over the test set.
pub(super) fn run(args: &EvalArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    let splits = open_data(&config.source(), false)?;
    let gpu = args.device.open()?;
    let (sums, _) = loaded(&gpu, &config, &splits)?.read_test_set()?;
    let (loss, top1, top5) = (sums.mean_loss(), sums.accuracy(), sums.top5_accuracy());
    print(&match args.json {
        true => {
            json!({"test_accuracy": top1, "test_top5": top5, "test_loss": loss, "test_images": sums.images}).to_string()
        }
        false => format!(
            "test accuracy {:.2} % of {} images, {:.2} % among the first five, loss {loss:.4}",
            100.0 * top1,
            sums.images,
            100.0 * top5
        ),
    });
    Ok(())
}
