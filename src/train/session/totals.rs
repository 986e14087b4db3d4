//! The sums of loss and measures, which stay on the device between two readings.

use super::{Bound, Session};
use crate::error::Result;
use crate::gpu::BufferRange;
use crate::ops::sums::{SUMS, Totals};

impl Session {
    fn totals_range(&self, of: &Bound) -> BufferRange {
        of.program.buffer_named(SUMS).expect("every objective leaves sums")
    }

    pub(super) fn write_totals(&self, to: &Bound, totals: &Totals) {
        self.gpu.write(self.totals_range(to), 0, &totals.words());
    }

    /// Writes back sums that were read, so that the next reading includes them.
    pub(in crate::train) fn write_training_totals(&self, totals: &Totals) {
        self.write_totals(&self.train, totals);
    }

    async fn read_totals(&self, of: &Bound) -> Result<Totals> {
        let words: Vec<u32> = self.gpu.read_async(&self.totals_range(of)).await?;
        Ok(Totals::of_words(&words, self.sums))
    }

    pub(super) async fn take_totals(&self, of: &Bound) -> Result<Totals> {
        let totals = self.read_totals(of).await?;
        self.write_totals(of, &Totals::zero(self.sums));
        Ok(totals)
    }

    /// Reads the training sums without clearing them.
    pub(in crate::train) async fn read_training_totals(&self) -> Result<Totals> {
        self.read_totals(&self.train).await
    }

    /// Reads and clears the sums over the steps since the last call. If `halted` is not 0, no
    /// parameter has changed since that step.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn training_totals_async(&mut self) -> Result<Totals> {
        self.take_totals(&self.train).await
    }
}
