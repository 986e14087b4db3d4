//! `lerac eval`.

use super::predict::text_options;
use super::progress::{EvaluationProgress, open_data, open_pictures};
use super::{ConfigArgs, DeviceArgs, OF_TRAINED, note_options_without_use, print, print_note};
use crate::data::{Normalise, Source};
use crate::error::Result;
use crate::gpu::block_on;
use crate::nn::objective::FurtherScore;
use crate::train::{Task, read_test_set, trained};
use clap::{ArgMatches, Args};
use serde::Serialize;
use std::collections::BTreeMap;

/// Options of `lerac eval`.
#[derive(Debug, Args)]
#[command(override_usage = "lerac eval --init FILE [--data-dir DIR] [OPTIONS]")]
pub(super) struct EvalArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The result as JSON.
#[derive(Serialize)]
struct Evaluated {
    #[serde(flatten)]
    scores: BTreeMap<String, f64>,
    test_loss: f64,
    test_examples: u32,
}

/// Evaluates the test set and prints loss and scores.
pub(super) fn run(args: &EvalArgs, matches: &ArgMatches) -> Result<()> {
    let (config, card) = args.config.resolve_trained(matches)?;
    config.check()?;
    note_options_without_use("eval", matches, &OF_TRAINED);
    let splits = match card {
        Some(card) if card.sound.is_some() || card.has_boxes() => {
            let splits = open_data(&config.data.source(), false)?;
            card.check_classes(&splits.train.form())?;
            splits
        }
        Some(card) if card.image.is_some() => {
            // The model has its own mean and deviation.
            let source = Source { normalise: Normalise::Half, ..config.data.source() };
            let mut pictures = open_pictures(&source, false)?;
            card.prepare(&mut pictures)?;
            pictures.into()
        }
        Some(card) if card.tokens.is_some() => open_data(&text_options(&config).source(), false)?,
        _ => open_data(&config.data.source(), false)?,
    };
    let task = Task::of(&config, &splits)?;
    let gpu = args.device.open()?;
    let session = trained(&gpu, &task, &mut print_note).map_err(|error| args.config.explain(error))?;
    let mut progress = EvaluationProgress::new();
    let test = block_on(read_test_set(&session, splits.test.clone(), config.training.batch_size, &mut progress))?;
    drop(progress);
    let (scores, examples, further) = (&test.scores, test.examples, &test.further);
    let baseline = task.objective.baseline(&*splits.train, &*splits.test)?;
    let measure = scores.measure();
    print(&match args.json {
        true => {
            let mut of_test = scores.named("test");
            of_test.extend(baseline.map(|baseline| (baseline.score_name(measure), baseline.value)));
            of_test.extend(further.iter().map(FurtherScore::named));
            let evaluated = Evaluated { scores: of_test, test_loss: scores.loss, test_examples: examples };
            serde_json::to_string(&evaluated).expect("an evaluation is plain data")
        }
        false => {
            let others = scores.measures.iter().zip(&scores.values).skip(1);
            let others: String =
                others.map(|(measure, value)| format!(", {} {}", measure.name, measure.text(*value))).collect();
            let further: String = further.iter().map(|score| format!(", {} {:.4}", score.name, score.value)).collect();
            let baseline = baseline.map_or(String::new(), |baseline| format!(" ({})", baseline.in_words(measure)));
            let (name, loss) = (&measure.name, scores.loss);
            format!("test {name} {scores}{baseline} of {examples} examples{others}{further}, loss {loss:.4}")
        }
    });
    Ok(())
}
