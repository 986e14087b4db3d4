//! The files of a run in memory, for programs without a file system, such as a page in a browser.

use super::tables::{LayerRow, MetricsRow, SpeedRow, csv_with_header, to_csv};
use super::{contents, run_dir};
use crate::curriculum::Layer;
use crate::data::Examples;
use crate::error::Result;
use crate::train::{EpochRecord, IntervalRecord, Observer, Outcome, SessionPlan};

/// Observes a run, and returns the files that [`super::RunDir`] would write: their names and
/// contents. There are no checkpoints and no pictures, and signal-to-noise ratios are not kept.
#[derive(Debug, Default)]
pub struct RunFiles {
    layers: Vec<Layer>,
    /// The names of the columns of `metrics`; empty before the first row.
    header: Vec<String>,
    metrics: Vec<MetricsRow>,
    layer_rows: Vec<LayerRow>,
    speed: Vec<SpeedRow>,
}

impl RunFiles {
    /// The tables of the run so far.
    pub fn tables(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            (run_dir::METRICS, self.metrics()),
            (run_dir::LAYERS, to_csv(&self.layer_rows)),
            (run_dir::SPEED, to_csv(&self.speed)),
        ]
    }

    /// `metrics.csv`; empty before the first row, which tells the measures.
    fn metrics(&self) -> Vec<u8> {
        if self.metrics.is_empty() { vec![] } else { csv_with_header(&self.header, &self.metrics) }
    }

    /// The weights, predictions and summary of the finished run; `test` are its test examples.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the weights cannot be read from the device.
    pub async fn results_async(outcome: &Outcome, test: &dyn Examples) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let snapshot = outcome.session.snapshot_async().await?;
        Ok(vec![
            (run_dir::MODEL, contents::weights(outcome, &snapshot)),
            (run_dir::PREDICTIONS, contents::predictions(outcome, test)),
            (run_dir::SUMMARY, contents::summary(&outcome.summary)),
        ])
    }
}

impl Observer for RunFiles {
    fn begin(&mut self, _plan: &SessionPlan, layers: &[Layer], _steps: u64) -> Result<()> {
        self.layers = layers.to_vec();
        Ok(())
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.header = MetricsRow::header(&record.training.measures);
        self.metrics.push(contents::interval_row(record));
        self.layer_rows.extend(contents::layer_rows(&self.layers, record));
        self.speed.push(contents::speed_row(record));
        Ok(())
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        self.metrics.push(contents::epoch_row(record));
        Ok(())
    }
}
