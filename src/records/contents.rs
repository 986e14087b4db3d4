//! The contents of a run's files.

use super::tables::{LayerRow, MetricsRow, SpeedRow, WrittenPrediction, to_csv};
use crate::curriculum::Layer;
use crate::data::Examples;
use crate::train::{
    EpochRecord, IntervalRecord, ModelCard, Outcome, STEP, STEPS_PER_EPOCH, Snapshot, Summary, safetensors,
};
use std::collections::BTreeMap;

/// The rows of `layers.csv` for an interval.
pub(super) fn layer_rows(layers: &[Layer], record: &IntervalRecord) -> impl Iterator<Item = LayerRow> {
    // The rates are those of the interval's last step, which began one step before the end of the
    // interval.
    let step = record.step - 1;
    let epoch = record.epoch * step as f64 / record.step as f64;
    let layers = layers.iter().zip(&record.rates).zip(&record.norms).enumerate();
    layers.map(move |(i, ((layer, &learning_rate), norms))| LayerRow {
        step,
        epoch,
        depth: layer.depth,
        layer: layer.name.clone(),
        learning_rate,
        bias_learning_rate: record.bias_rates.as_ref().map(|rates| rates[i]),
        gradient_norm: norms.gradient,
        update_norm: norms.update,
        weight_norm: norms.weight,
        effective_rate: norms.effective_rate(),
    })
}

/// The row of `speed.csv` for an interval.
pub(super) fn speed_row(record: &IntervalRecord) -> SpeedRow {
    SpeedRow { step: record.step, examples_per_second: record.examples_per_second }
}

/// The row of `metrics.csv` for an interval.
pub(super) fn interval_row(record: &IntervalRecord) -> MetricsRow {
    MetricsRow {
        kind: "interval".into(),
        step: record.step,
        epoch: record.epoch,
        training: (&record.training).into(),
        validation: None,
    }
}

/// The row of `metrics.csv` for an epoch.
pub(super) fn epoch_row(record: &EpochRecord) -> MetricsRow {
    MetricsRow {
        kind: "epoch".into(),
        step: record.step,
        epoch: record.epoch as f64,
        training: (&record.training).into(),
        validation: record.validation.as_ref().map(Into::into),
    }
}

/// `model.safetensors`: the weights of a finished run.
pub(super) fn weights(outcome: &Outcome, snapshot: &Snapshot) -> Vec<u8> {
    let metadata = [
        ("format", "pt".to_owned()),
        (ModelCard::KEY, outcome.card.to_json()),
        (STEP, snapshot.step.to_string()),
        (STEPS_PER_EPOCH, outcome.session.time().steps_per_epoch.to_string()),
    ];
    safetensors(&outcome.session.named(snapshot, ""), BTreeMap::from(metadata))
}

/// `predictions.csv` of a finished run; `test` are its test examples.
pub(super) fn predictions(outcome: &Outcome, test: &dyn Examples) -> Vec<u8> {
    let row = |(example, (label, prediction))| WrittenPrediction {
        example,
        file: test.file_of(example),
        label_name: outcome.card.class(label),
        prediction_name: outcome.card.class(prediction),
        probability: outcome.probabilities.get(example).map(|&probability| probability as f32),
        label,
        prediction,
    };
    to_csv(outcome.answers.iter().map(|(label, prediction)| (label, prediction)).enumerate().map(row))
}

/// `summary.json`.
pub(super) fn summary(summary: &Summary) -> Vec<u8> {
    serde_json::to_vec_pretty(summary).expect("a summary is plain data")
}
