//! The events of a run as JSON.

use lerac::curriculum::Layer;
use lerac::error::Result;
use lerac::nn::objective::Scores;
use lerac::train::{EpochRecord, IntervalRecord, Observer, SessionPlan};
use serde::Serialize;

/// Loss and first measure over some examples.
#[derive(Debug, Serialize)]
struct Part {
    loss: f64,
    score: f64,
}

impl From<&Scores> for Part {
    fn from(scores: &Scores) -> Self {
        Self { loss: scores.loss, score: scores.value() }
    }
}

/// An event of a run.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Event<'e> {
    Note {
        text: &'e str,
    },
    Begin {
        steps: u64,
        bytes: u64,
        layers: Vec<&'e str>,
    },
    Interval {
        step: u64,
        epoch: f64,
        #[serde(flatten)]
        training: Part,
        examples_per_second: f64,
        rates: &'e [f64],
        /// |update| / |weight| of each layer.
        changes: Vec<f64>,
    },
    Reading {
        part: &'e str,
        done: usize,
        examples: usize,
    },
    Epoch {
        epoch: u64,
        step: u64,
        #[serde(flatten)]
        training: Part,
        validation: Option<Part>,
    },
}

/// An observer that passes each event to a function, as JSON.
pub struct Report<F>(pub F);

impl<F: FnMut(String)> Report<F> {
    fn send(&mut self, event: &Event<'_>) {
        (self.0)(serde_json::to_string(event).expect("an event is plain data"));
    }
}

impl<F: FnMut(String)> Observer for Report<F> {
    fn note(&mut self, text: &str) {
        self.send(&Event::Note { text });
    }

    fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        let layers = layers.iter().map(|layer| &layer.name[..]).collect();
        self.send(&Event::Begin { steps, bytes: plan.total(), layers });
        Ok(())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.send(&Event::Interval {
            step: record.step,
            epoch: record.epoch,
            training: (&record.training).into(),
            examples_per_second: record.examples_per_second,
            rates: &record.rates,
            changes: record.norms.iter().map(|norms| norms.effective_rate()).collect(),
        });
        Ok(())
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        self.send(&Event::Reading { part, done, examples });
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let validation = record.validation.as_ref().map(Part::from);
        self.send(&Event::Epoch {
            epoch: record.epoch,
            step: record.step,
            training: (&record.training).into(),
            validation,
        });
        Ok(())
    }
}
