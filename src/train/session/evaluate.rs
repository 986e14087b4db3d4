//! What the model makes of examples, with running statistics and without dropout.

use super::Session;
use crate::curriculum::Time;
use crate::data::Batch;
use crate::error::Result;
use crate::ops::sums::Totals;
use crate::tape::Var;

/// Batches under way at most: each takes memory.
const AHEAD: usize = 8;

impl Session {
    /// Sums over all of `batches`, under the blur of the last step done: the one that the weights are from.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device fails; those of `batches`.
    pub async fn evaluate_async(&self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Totals> {
        let (time, eval) = (self.before_now(), &self.eval);
        self.put_totals(eval, &Totals::zero(self.sums));
        for (i, batch) in batches.enumerate() {
            let batch = batch?;
            for (pass, _) in self.filled_passes(&batch) {
                self.write_inputs(eval, &batch, time, pass, false);
                self.gpu.run(eval.program.forward())?;
            }
            if i % AHEAD == AHEAD - 1 {
                self.gpu.wait_async().await?;
            }
        }
        self.take_totals(eval).await
    }

    /// Sums over all of `batches`, and `see` is shown each example: the batch, its place there, and what each output says of it.
    ///
    /// # Errors
    /// As [`Session::evaluate_async`].
    pub async fn predict_async(
        &self,
        batches: impl Iterator<Item = Result<Batch>>,
        mut see: impl FnMut(&Batch, usize, &[&[f32]]),
    ) -> Result<Totals> {
        let (time, eval) = (self.before_now(), &self.eval);
        self.put_totals(eval, &Totals::zero(self.sums));
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
                    see(&batch, first + i, &of_example);
                }
            }
        }
        self.take_totals(eval).await
    }

    /// The blur is that of the step that the weights are from.
    fn before_now(&self) -> Time {
        Time { step: self.time.step.saturating_sub(1), ..self.time }
    }

    /// The passes of a batch that hold examples, and how many.
    fn filled_passes(&self, batch: &Batch) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (count, places) = (batch.count, self.batch_size / self.passes());
        (0..count.div_ceil(places)).map(move |pass| (pass, (count - pass * places).min(places)))
    }

    /// An output of the latest pass: its width, and its values.
    async fn read_output(&self, output: Var) -> Result<(usize, Vec<f32>)> {
        let [n, width] = self.eval.program.tape().shape(output).flat();
        let range = self.eval.program.value(output).part(0, 4 * (n * width) as u64);
        Ok((width, self.gpu.read_async(&range).await?))
    }
}
