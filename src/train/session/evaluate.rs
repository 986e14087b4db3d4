//! Evaluation and prediction: with running statistics and without dropout.

use super::Session;
use crate::curriculum::Time;
use crate::data::Batch;
use crate::error::Result;
use crate::ops::sums::Totals;
use crate::tape::Var;

/// Batches that are submitted before waiting; each takes memory.
const MAX_BATCHES_IN_FLIGHT: usize = 8;

impl Session {
    /// Sums over all of `batches`. A blur is that of the last training step.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails; the errors of `batches`.
    pub async fn evaluate_async(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Totals> {
        let (time, eval) = (self.time_of_weights(), &self.eval);
        self.write_totals(eval, &Totals::zero(self.sums));
        for (i, batch) in batches.enumerate() {
            let batch = batch?;
            for (pass, _) in self.filled_passes(&batch) {
                self.write_inputs(eval, &batch, time, pass, false);
                self.gpu.run(eval.program.forward())?;
            }
            if i % MAX_BATCHES_IN_FLIGHT == MAX_BATCHES_IN_FLIGHT - 1 {
                self.gpu.wait_async().await?;
            }
        }
        self.take_totals(eval).await
    }

    /// Sums over all of `batches`. Calls `on_example` for each example with its batch, its index in
    /// the batch, and the values of each output.
    ///
    /// # Errors
    /// The errors of [`Session::evaluate_async`].
    pub async fn predict_async(
        &self,
        batches: impl Iterator<Item = Result<Batch>>,
        mut on_example: impl FnMut(&Batch, usize, &[&[f32]]),
    ) -> Result<Totals> {
        let (time, eval) = (self.time_of_weights(), &self.eval);
        self.write_totals(eval, &Totals::zero(self.sums));
        for batch in batches {
            let batch = batch?;
            for (pass, filled) in self.filled_passes(&batch) {
                self.write_inputs(eval, &batch, time, pass, false);
                self.gpu.run(eval.program.forward())?;
                let mut outputs = vec![];
                for &output in &self.eval_outputs {
                    outputs.push(self.read_output(output).await?);
                }
                let first = pass * (self.batch_size / self.passes());
                for i in 0..filled {
                    let of_example: Vec<&[f32]> =
                        outputs.iter().map(|(width, values)| &values[i * width..(i + 1) * width]).collect();
                    on_example(&batch, first + i, &of_example);
                }
            }
        }
        self.take_totals(eval).await
    }

    /// The time of the step that made the current weights. It determines the blur.
    fn time_of_weights(&self) -> Time {
        Time { step: self.time.step.saturating_sub(1), ..self.time }
    }

    /// Standard deviation of the blur with which the current weights are evaluated, in pixels;
    /// `None` if the method does not blur.
    pub fn sigma_of_weights(&self) -> Option<f64> {
        self.curriculum.sigma(self.time_of_weights())
    }

    /// The passes of a batch that contain examples, and the number of examples in each.
    fn filled_passes(&self, batch: &Batch) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (count, pass_size) = (batch.count, self.batch_size / self.passes());
        (0..count.div_ceil(pass_size)).map(move |pass| (pass, (count - pass * pass_size).min(pass_size)))
    }

    /// The width and the values of an output of the latest pass.
    async fn read_output(&self, output: Var) -> Result<(usize, Vec<f32>)> {
        let [n, width] = self.eval.program.tape().shape(output).flat();
        let range = self.eval.program.value(output).part(0, 4 * (n * width) as u64);
        Ok((width, self.gpu.read_async(&range).await?))
    }
}
