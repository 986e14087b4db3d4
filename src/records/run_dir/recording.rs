//! Writes the rows and checkpoints of a run in progress.

use super::{CONFIG, LAST, NOISE, RunDir, SUMMARY, remove_if_exists};
use crate::curriculum::Layer;
use crate::error::Result;
use crate::files::write_whole;
use crate::records::table::Table;
use crate::records::tables::{MetricsRow, NoiseRow};
use crate::records::{checkpoints, contents};
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
        write_whole(&self.dir.join(CONFIG), self.config.to_toml().as_bytes())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.lock.check()?;
        self.layer_rows.append(contents::layer_rows(&self.layers, record))?;
        self.speed.append([contents::speed_row(record)])?;
        let header = MetricsRow::header(&record.training.measures);
        self.metrics.append_with_header(&header, [contents::interval_row(record)])
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
        let header = MetricsRow::header(&record.training.measures);
        self.metrics.append_with_header(&header, [contents::epoch_row(record)])
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
