//! `lerac eval`.

use super::progress::{Reading, open_data};
use super::{ConfigArgs, DeviceArgs, print};
use crate::error::Result;
use crate::train::{read_test_set, trained};
use clap::{ArgMatches, Args};
use serde_json::json;
use std::sync::Arc;

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

/// Prints loss and accuracy over the test set.
pub(super) fn run(args: &EvalArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    let splits = open_data(&config.source(), false)?;
    let gpu = args.device.open()?;
    let session = trained(&gpu, &config, &splits)?;
    let (sums, _) = read_test_set(&session, Arc::new(splits.test), config.batch_size, &mut Reading::new())?;
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
