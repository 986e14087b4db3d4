//! `lerac eval`.

use super::progress::{Reading, open_data};
use super::{ConfigArgs, DeviceArgs, print};
use crate::error::Result;
use crate::train::{TestResult, read_test_set, test_result, trained};
use clap::{ArgMatches, Args};
use serde::Serialize;
use std::sync::Arc;

/// Options of `lerac eval`.
#[derive(Debug, Args)]
#[command(override_usage = "lerac eval --config FILE --init FILE [OPTIONS]")]
pub(super) struct EvalArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Evaluated {
    #[serde(flatten)]
    result: TestResult,
    test_loss: f64,
    test_images: u32,
}

/// Prints loss and score over the test set.
pub(super) fn run(args: &EvalArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    let splits = open_data(&config.data.source(), false)?;
    let gpu = args.device.open()?;
    let session = trained(&gpu, &config, &splits)?;
    let test = Arc::new(splits.test);
    let (sums, _) = read_test_set(&session, test.clone(), config.training.batch_size, &mut Reading::new())?;
    let result = test_result(&sums, &splits.train, &test, None);
    let (test_loss, test_images) = (sums.mean_loss(), sums.images);
    print(&match (args.json, result) {
        (true, _) => {
            let evaluated = Evaluated { result, test_loss, test_images };
            serde_json::to_string(&evaluated).expect("an evaluation is plain data")
        }
        (false, TestResult::Classes { test_top5, .. }) => {
            format!(
                "{result} of {test_images} images, {:.2} % among the first five, loss {test_loss:.4}",
                100.0 * test_top5
            )
        }
        (false, TestResult::Years { .. }) => format!("{result} over {test_images} images, loss {test_loss:.4}"),
    });
    Ok(())
}
