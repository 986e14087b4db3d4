//! Writes the rows and checkpoints of a run in progress.

use super::{CONFIG, LAST, NOISE, RunDir, SUMMARY, remove_if_exists};
use crate::curriculum::Layer;
use crate::error::Result;
use crate::files::write_whole;
use crate::records::checkpoints;
use crate::records::table::Table;
use crate::records::tables::{LayerRow, MetricsRow, NoiseRow, SpeedRow};
use crate::train::{Checkpoint, EpochRecord, IntervalRecord, NoiseRecord, Observer, SessionPlan};
use std::sync::atomic::Ordering;

impl Observer for RunDir {
    fn begin(&mut self, _plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        self.lock.check()?;
        self.layers = layers.to_vec();
        self.steps = steps;
        // Written here and not earlier: by now the data are known to match the checkpoint.
        if let Some(checkpoint) = self.extends.take() {
            checkpoints::save(&self.dir, &checkpoint, self.saving.keep.max(1))?;
            remove_if_exists(&self.dir.join(SUMMARY))?;
            remove_if_exists(&self.dir.join(LAST))?;
        }
        let text = toml::to_string(&self.config).expect("every option has a TOML form");
        write_whole(&self.dir.join(CONFIG), text.as_bytes())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.lock.check()?;
        // The rates are those of the interval's last step, which began one step before the end of
        // the interval.
        let step = record.step - 1;
        let epoch = record.epoch * step as f64 / record.step as f64;
        let layers = self.layers.iter().zip(&record.rates).zip(&record.norms).enumerate();
        self.layer_rows.append(layers.map(|(i, ((layer, &learning_rate), norms))| LayerRow {
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
        }))?;
        self.speed.append([SpeedRow { step: record.step, examples_per_second: record.examples_per_second }])?;
        let row = MetricsRow {
            kind: "interval".into(),
            step: record.step,
            epoch: record.epoch,
            training: (&record.training).into(),
            validation: None,
        };
        self.metrics.append_with_header(&MetricsRow::header(&record.training.measures), [row])
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        let table = match &mut self.noise {
            Some(table) => table,
            none => none.insert(Table::create(self.dir.join(NOISE))?),
        };
        let layers = self.layers.iter().zip(&record.signal_to_noise);
        table.append(layers.map(|(layer, &signal_to_noise)| NoiseRow {
            step: record.step,
            epoch: record.epoch,
            depth: layer.depth,
            layer: layer.name.clone(),
            signal_to_noise,
        }))
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let row = MetricsRow {
            kind: "epoch".into(),
            step: record.step,
            epoch: record.epoch as f64,
            training: (&record.training).into(),
            validation: record.validation.as_ref().map(Into::into),
        };
        self.metrics.append_with_header(&MetricsRow::header(&record.training.measures), [row])
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        // A checkpoint after the last step, since the evaluation of the test set may take long.
        self.saving.every > 0 && (step.is_multiple_of(self.saving.every) || step == self.steps)
    }

    fn checkpoint(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        self.lock.check()?;
        for (name, table) in self.tables() {
            checkpoint.state.tables.insert(name.to_owned(), table.sync()?);
        }
        checkpoints::save(&self.dir, checkpoint, self.saving.keep.max(1))
    }

    fn wants_to_stop(&self) -> bool {
        self.saving.stop.load(Ordering::Relaxed)
    }
}
