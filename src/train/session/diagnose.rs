//! Diagnosis of gradients: their signal-to-noise ratio, and the origin of a loss that is not
//! finite.

use super::{STABILITY_HINT, Session};
use crate::curriculum::Layer;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::ops::sums::Totals;
use crate::optim::LayerNorms;

impl Session {
    /// Norms of each layer's gradient, update and weights at the latest step.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub async fn layer_norms_async(&self) -> Result<Vec<LayerNorms>> {
        self.optimizer.layer_norms_async(&self.gpu).await
    }

    /// Each layer's gradient signal-to-noise ratio, over all parameters of the layer: |mean|^2 /
    /// variance over the gradients of `batches` (at least two) at the current weights.
    /// Weights and running statistics do not change; the sums of the interval are cleared. All
    /// batches use the dropout masks of the next step, so the noise comes only from the examples.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails; [`Error::NonFinite`] if a gradient is not finite.
    pub async fn signal_to_noise_async(&mut self, batches: impl Iterator<Item = Result<Batch>>) -> Result<Vec<f64>> {
        let (storage, gpu) = (&self.storage, &self.gpu);
        let kept = storage.state.read_all_async(gpu, &storage.state_layout).await?;
        let mut sums: Vec<Vec<f64>> = storage.layout.spans().iter().map(|span| vec![0.0; span.count]).collect();
        let mut squares = vec![0.0; self.layers.len()];
        let mut count = 0.0;
        for batch in batches {
            self.differentiate(&batch?, [])?;
            let gradients = storage.grads.read_all_async(gpu, &storage.layout).await?;
            for ((sum, gradient), declared) in sums.iter_mut().zip(&gradients).zip(storage.parameters()) {
                for (sum, &g) in sum.iter_mut().zip(gradient) {
                    *sum += f64::from(g);
                    squares[declared.layer] += f64::from(g) * f64::from(g);
                }
            }
            count += 1.0;
        }
        for (span, values) in storage.state_layout.spans().iter().zip(&kept) {
            storage.state.write(gpu, span, values);
        }
        self.write_training_totals(&Totals::zero(self.sums));
        let mut signals = vec![0.0; self.layers.len()];
        for (sum, declared) in sums.iter().zip(storage.parameters()) {
            signals[declared.layer] += sum.iter().map(|sum| (sum / count).powi(2)).sum::<f64>();
        }
        // The unbiased variance (n - 1), summed over the parameters.
        let ratio = |((signal, squares), layer): ((&f64, &f64), &Layer)| {
            let variance = (squares - count * signal) / (count - 1.0);
            match variance.is_finite() {
                true if variance > 0.0 => Ok(signal / variance),
                true => Ok(0.0),
                false => Err(Error::NonFinite(format!(
                    "{}: a gradient after step {} is not finite, so it has no signal-to-noise ratio. Try {STABILITY_HINT}",
                    layer.name, self.time.step
                ))),
            }
        };
        signals.iter().zip(&squares).zip(&self.layers).map(ratio).collect()
    }

    /// Explains a loss that was not finite. Replays step `step` on `batch`; no parameter has
    /// changed since that step.
    ///
    /// # Errors
    /// [`Error::Device`] if the device fails.
    pub async fn explain_async(&mut self, step: u64, batch: &Batch) -> Result<Error> {
        self.time.step = step;
        self.differentiate(batch, [])?;
        let gradients = self.storage.grads.read_all_async(&self.gpu, &self.storage.layout).await?;
        let rates: Vec<f64> = self.rates().collect();
        let broken = self.storage.parameters().iter().zip(&gradients).find(|(_, g)| g.iter().any(|v| !v.is_finite()));
        let place = match broken {
            Some((declared, _)) => {
                let layer = &self.layers[declared.layer];
                format!(
                    "the first gradient that is not finite is that of {} (layer {}, learning rate {:e})",
                    declared.name, layer.name, rates[declared.layer]
                )
            }
            None => "all gradients are finite, so only the loss overflows".to_owned(),
        };
        Ok(Error::NonFinite(format!(
            "the loss is not finite at step {step}: {place}. Training has stopped before this step's update; \
             try {STABILITY_HINT}"
        )))
    }
}
