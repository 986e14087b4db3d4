//! Learning rates as a table: a row per layer and point in time.

use crate::curriculum::Layer;
use std::io::Write;

/// The rate of one layer at one step, as a row `step,epoch,depth,layer,learning_rate`.
pub struct RateRow<'a> {
    /// Steps done before the step that uses the rate.
    pub step: u64,
    /// The same in fractional epochs.
    pub epoch: f64,
    /// Which layer.
    pub layer: &'a Layer,
    /// Its learning rate.
    pub rate: f64,
}

#[derive(serde::Serialize)]
struct Columns<'a> {
    step: u64,
    epoch: f64,
    depth: usize,
    layer: &'a str,
    learning_rate: f64,
}

impl RateRow<'_> {
    /// Appends the row; the first row of a writer brings the header.
    ///
    /// # Errors
    /// Where the writer fails.
    pub fn write(&self, writer: &mut csv::Writer<impl Write>) -> csv::Result<()> {
        writer.serialize(Columns {
            step: self.step,
            epoch: self.epoch,
            depth: self.layer.depth,
            layer: &self.layer.name,
            learning_rate: self.rate,
        })
    }
}
