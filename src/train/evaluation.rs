//! Loading weights from a file, and evaluation over whole data sets.

use super::fit::Fit;
use super::names::remove_anchors;
use super::session::STABILITY_HINT;
use super::weights::{WeightsFile, read_weights};
use super::{Config, Observer, Session, Task, Tensor};
use crate::curriculum::Time;
use crate::data::{Batch, Examples, Loader};
use crate::error::{Error, Result};
use crate::gpu::Gpu;
use crate::nn::objective::{Answer, Evaluator, FurtherScore, Scores};
use crate::ops::sums::Totals;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Metadata keys of a file of weights: the step at which it was saved, and the steps per epoch.
pub(crate) const STEP: &str = "step";
pub(crate) const STEPS_PER_EPOCH: &str = "steps_per_epoch";

/// The head that weights of an encoder lack. Training starts with a new one.
const HEAD: &str = "classifier";

/// The head of a detector, whose shape depends on the number of classes.
const DETECTOR_HEAD: &str = "model.24.m.";

/// Tensors with the names that a session uses.
struct Renamed {
    tensors: Vec<Tensor>,
    metadata: HashMap<String, String>,
    notes: Vec<String>,
}

/// Loads the weights of `--init`, if that option is given. Returns notes for the user.
pub(crate) fn load_weights(session: &mut Session, config: &Config) -> Result<Vec<String>> {
    let Some(path) = &config.model.init else { return Ok(vec![]) };
    let Renamed { tensors, mut notes, .. } = read_for(session, path)?;
    let partial = config.model.init_partial;
    let found = session.fit(&tensors);
    let (new_head, other_head) = (found.lacks_only(HEAD), found.differs_only_in(DETECTOR_HEAD));
    let fit = session.load(&tensors, partial || new_head || other_head).map_err(|fit| {
        let remedy = if partial { "" } else { "; `init_partial` takes the tensors that fit" };
        misfit(path, config, &fit, remedy)
    })?;
    if !partial && other_head {
        notes.push(format!(
            "{} has a head for other classes, so that of the model starts at random values",
            path.display()
        ));
    }
    if !partial && new_head {
        let (file, new) = (path.display(), fit.absent.join(", "));
        notes.push(format!("{file} has no {HEAD}, so it is new and starts at random values: {new}"));
    }
    if partial {
        notes.push(format!("`init_partial`: {}", fit.in_words()));
    }
    Ok(notes)
}

/// The tensors of a file with the names that a session uses, and notes about the changes.
fn read_for(session: &Session, path: &Path) -> Result<Renamed> {
    let WeightsFile { mut tensors, metadata, converted } = read_weights(path)?;
    let file = path.display();
    let mut notes: Vec<String> = converted
        .iter()
        .map(|(dtype, count)| format!("{file}: {count} tensors were converted from {dtype} to F32"))
        .collect();
    remove_anchors(path, &mut tensors)?;
    notes.extend(session.adopt_names(&mut tensors).into_iter().map(|note| format!("{file}: {note}")));
    Ok(Renamed { tensors, metadata, notes })
}

/// The error about a file whose tensors do not fit the model.
fn misfit(path: &Path, config: &Config, fit: &Fit, remedy: &str) -> Error {
    let (path, model, differences) = (path.display(), &config.model.name, fit.differences());
    if let Some((name, rows, tokens)) = fit.other_vocabulary() {
        let message = format!(
            "{path} is for a vocabulary of {rows} tokens ({name}), and that of the data has {tokens}; give the \
             vocabulary of these weights"
        );
        return Error::setting("vocab", message);
    }
    Error::setting("init", format!("{path} does not fit the model {model}: {differences}{remedy}"))
}

/// The model of a task with the weights of `--init`, at the step at which they were saved. `note`
/// receives notes for the user.
///
/// # Errors
/// [`Error::Setting`], [`Error::Capacity`], and the errors of reading the file.
pub fn trained(gpu: &Gpu, task: &Task, note: &mut dyn FnMut(&str)) -> Result<Session> {
    let config = &task.config;
    let Some(path) = &config.model.init else {
        return Err(Error::setting("init", "expected a file of weights, such as the model.safetensors of a run"));
    };
    let mut session = task.session(gpu, 1)?;
    let Renamed { tensors, metadata, notes } = read_for(&session, path)?;
    notes.iter().for_each(|text| note(text));
    // Random values would make a prediction worthless, so all weights must be there. Tensors of the
    // file that the model lacks do no harm if they were allowed.
    match session.load(&tensors, config.model.init_partial) {
        Ok(fit) if fit.is_complete() => {}
        Ok(fit) => return Err(misfit(path, config, &fit, "; a prediction needs all weights")),
        Err(fit) => return Err(misfit(path, config, &fit, "")),
    }
    let number = |key: &str| metadata.get(key).and_then(|number| number.parse::<u64>().ok());
    // A file without this metadata counts as saved at the end of the run that the options describe.
    // The step determines the blur of Curriculum by Smoothing.
    let steps_per_epoch = match number(STEPS_PER_EPOCH) {
        Some(steps) => steps,
        None => {
            let held_out = match task.data.train.held_out() {
                0 => config.data.validation,
                published => published,
            };
            let left = task.data.train.len().saturating_sub(held_out);
            (config.data.train_examples.unwrap_or(left) / config.training.batch_size) as u64
        }
    };
    let steps_per_epoch = steps_per_epoch.max(1);
    let step = number(STEP).unwrap_or(steps_per_epoch.saturating_mul(config.training.epochs));
    session.set_time(Time { step, steps_per_epoch });
    Ok(session)
}

/// The evaluation of a test set.
pub struct TestResults {
    /// The scores over its examples.
    pub(crate) scores: Scores,
    /// Further scores.
    pub(crate) further: Vec<FurtherScore>,
    /// Number of examples.
    pub(crate) examples: u32,
    /// The target and the prediction of each example.
    pub answers: Vec<(Answer, Answer)>,
    /// The probability of each prediction; empty if the objective knows none.
    pub probabilities: Vec<f64>,
    /// Files about the test set that a run writes: name and content.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

/// Evaluates the test set.
///
/// # Errors
/// [`Error::NonFinite`] and [`Error::Device`]; [`Error::Interrupted`], with the number of examples
/// read, if the observer stops the evaluation.
pub(crate) async fn read_test_set(
    session: &Session,
    test: Arc<dyn Examples>,
    batch_size: usize,
    observer: &mut dyn Observer,
) -> Result<TestResults> {
    let (part, expected, inputs) = ("test", test.len(), test.form().inputs.len());
    let everything: Arc<[u32]> = (0..expected as u32).collect();
    let (mut answers, mut probabilities) = (Vec::with_capacity(expected), vec![]);
    let objective = session.objective();
    let mut evaluator = objective.evaluator();
    let on_example = |batch: &Batch, place: usize, outputs: &[&[f32]]| {
        let targets = batch.example_from(inputs, place);
        answers.push((objective.truth(&targets), objective.answer(outputs)));
        probabilities.extend(objective.probability(outputs));
        evaluator.iter_mut().for_each(|evaluator| evaluator.add(outputs, &targets));
    };
    let batches = observed_batches(part, (test, everything), batch_size, observer);
    let totals = session.predict_async(batches, on_example).await?;
    check(session, part, &totals, expected)?;
    match totals.is_full() {
        true => Err(Error::NonFinite(format!(
            "the errors over the test examples overflow: no epoch has learnt anything. Try {STABILITY_HINT}"
        ))),
        false => {
            let of_evaluator = evaluator.as_ref().map_or(vec![], |evaluator| evaluator.further_scores());
            Ok(TestResults {
                scores: scores_of(session, &totals, evaluator.as_deref()),
                further: [objective.further_scores(&answers), of_evaluator].concat(),
                examples: totals.examples,
                files: evaluator.as_ref().map_or(vec![], |evaluator| evaluator.files()),
                answers,
                probabilities,
            })
        }
    }
}

/// The scores of these sums, with the measures that `evaluator` computes.
fn scores_of(session: &Session, totals: &Totals, evaluator: Option<&(dyn Evaluator + '_)>) -> Scores {
    let scores = session.scores(totals);
    match evaluator {
        Some(evaluator) => Scores { values: evaluator.values(), ..scores },
        None => scores,
    }
}

/// The scores over the examples `indices` of the set called `part`. Every example must have been
/// read and have a finite loss.
///
/// # Errors
/// [`Error::NonFinite`] and [`Error::Device`]; [`Error::Interrupted`], with the number of examples
/// read, if the observer stops the evaluation.
pub(super) async fn evaluate(
    session: &Session,
    part: &str,
    (data, indices): (Arc<dyn Examples>, Arc<[u32]>),
    batch_size: usize,
    observer: &mut dyn Observer,
) -> Result<Scores> {
    let (expected, inputs) = (indices.len(), data.form().inputs.len());
    let mut evaluator = session.objective().evaluator();
    let batches = observed_batches(part, (data, indices), batch_size, observer);
    let totals = match &mut evaluator {
        None => session.evaluate_async(batches).await?,
        Some(evaluator) => {
            let on_example = |batch: &Batch, place: usize, outputs: &[&[f32]]| {
                evaluator.add(outputs, &batch.example_from(inputs, place));
            };
            session.predict_async(batches, on_example).await?
        }
    };
    check(session, part, &totals, expected)?;
    Ok(scores_of(session, &totals, evaluator.as_deref()))
}

/// The batches of the examples `indices`. The observer is notified before each batch and may stop
/// the evaluation there.
fn observed_batches<'o>(
    part: &'o str,
    (data, indices): (Arc<dyn Examples>, Arc<[u32]>),
    batch_size: usize,
    observer: &'o mut dyn Observer,
) -> impl Iterator<Item = Result<Batch>> + use<'o> {
    let (mut seen, expected) = (0, indices.len());
    Loader::evaluation(data, indices, batch_size).map(move |batch| {
        if observer.wants_to_stop() {
            return Err(Error::Interrupted(format!(", with {seen} of {expected} {part} examples read")));
        }
        observer.reading(part, seen, expected);
        seen = (seen + batch_size).min(expected);
        batch
    })
}

/// Checks that all examples of a part were evaluated, each with a finite loss.
fn check(session: &Session, part: &str, totals: &Totals, expected: usize) -> Result<()> {
    if totals.halted != 0 {
        return Err(Error::NonFinite(format!(
            "the loss over the {part} examples is not finite after step {}: the weights have diverged. When training, try {STABILITY_HINT}",
            session.time().step
        )));
    }
    if totals.examples as usize != expected {
        let seen = totals.examples;
        return Err(Error::Device(format!("the loader's thread ended after {seen} of {expected} {part} examples")));
    }
    Ok(())
}
