//! Reading, naming and restoring the weights of a session.

use super::Session;
use crate::error::Result;
use crate::tape::{Declared, Storage};
use crate::tensor::{Arena, Span};
use crate::train::Tensor;
use crate::train::fit::Fit;
use crate::train::names::adopt_names;

/// Weights and running statistics after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The values of each tensor, in the order of [`crate::tape::Storage::tensors`].
    pub tensors: Vec<Vec<f32>>,
    /// Steps done.
    pub step: u64,
}

/// Prefixes of the moments' names in [`Session::state_async`].
const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];

/// Prefix of the averages' names in [`Session::state_async`].
const AVERAGE: &str = "average.";

impl Session {
    /// Reads the parameters and running statistics with which the model is evaluated, and the
    /// number of steps done. They are the averages if the weights are averaged.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn snapshot_async(&self) -> Result<Snapshot> {
        self.read_async(self.evaluated()).await
    }

    /// Like [`Session::snapshot_async`], of the weights that are trained, never of averages.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn trained_snapshot_async(&self) -> Result<Snapshot> {
        self.read_async(&self.storage).await
    }

    async fn read_async(&self, storage: &Storage) -> Result<Snapshot> {
        let mut tensors = storage.params.read_all_async(&self.gpu, &storage.layout).await?;
        tensors.extend(storage.state.read_all_async(&self.gpu, &storage.state_layout).await?);
        Ok(Snapshot { tensors, step: self.time.step })
    }

    /// Every tensor that the next step depends on: the tensors of [`crate::tape::Storage::tensors`]
    /// under their own names, the optimiser's moments as `first_moment.NAME` and
    /// `second_moment.NAME`, and averages as `average.NAME`.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn state_async(&self) -> Result<Vec<Tensor>> {
        let mut tensors = self.named(&self.trained_snapshot_async().await?, "");
        for (moment, arena) in MOMENTS.iter().zip(self.optimizer.moments()) {
            let values = arena.read_all_async(&self.gpu, &self.storage.layout).await?;
            for (declared, values) in self.storage.parameters().iter().zip(values) {
                let name = format!("{moment}.{}", declared.name);
                tensors.push(Tensor { name, shape: declared.shape.dims().to_vec(), values });
            }
        }
        if let Some(averages) = &self.averages {
            tensors.extend(self.named(&self.read_async(averages.storage()).await?, AVERAGE));
        }
        Ok(tensors)
    }

    /// A snapshot's tensors, with `prefix` in front of their names.
    pub fn named(&self, snapshot: &Snapshot, prefix: &str) -> Vec<Tensor> {
        let tensor = |((declared, _, _), values): ((&Declared, &Arena, &Span), &Vec<f32>)| Tensor {
            name: format!("{prefix}{}", declared.name),
            shape: declared.shape.dims().to_vec(),
            values: values.clone(),
        };
        self.storage.tensors().zip(&snapshot.tensors).map(tensor).collect()
    }

    /// Restores the tensors that [`Session::state_async`] returned after step `step`. `tensor`
    /// returns the values of a tensor, given its name and number of elements.
    ///
    /// # Errors
    /// The errors of `tensor`.
    pub fn set_state(&mut self, step: u64, tensor: impl Fn(&str, usize) -> Result<Vec<f32>>) -> Result<()> {
        for (declared, arena, span) in self.storage.tensors() {
            arena.write(&self.gpu, span, &tensor(&declared.name, span.count)?);
        }
        for (moment, arena) in MOMENTS.iter().zip(self.optimizer.moments()) {
            for (declared, span) in self.storage.parameters().iter().zip(self.storage.layout.spans()) {
                arena.write(&self.gpu, span, &tensor(&format!("{moment}.{}", declared.name), span.count)?);
            }
        }
        for (declared, arena, span) in self.averages.iter().flat_map(|averages| averages.storage().tensors()) {
            arena.write(&self.gpu, span, &tensor(&format!("{AVERAGE}{}", declared.name), span.count)?);
        }
        self.optimizer.set_steps(step);
        self.time.step = step;
        Ok(())
    }

    /// Changes the names of tensors that other programs wrote to those of the model. Returns what
    /// was changed.
    pub(in crate::train) fn adopt_names(&self, tensors: &mut Vec<Tensor>) -> Vec<String> {
        adopt_names(tensors, &self.storage.tensors().map(|(declared, ..)| declared.name.as_str()).collect())
    }

    /// Which tensors fit the model.
    pub(in crate::train) fn fit(&self, tensors: &[Tensor]) -> Fit {
        Fit::of(tensors, self.storage.tensors().map(|(declared, ..)| (declared.name.as_str(), &declared.shape)))
    }

    /// Overwrites weights and running statistics, and their averages, with the tensors of the same
    /// names and shapes.
    /// Unless `partial` is true, all tensors must be given, and no others.
    ///
    /// # Errors
    /// The tensors that do not fit. Nothing is overwritten then.
    pub fn load(&mut self, tensors: &[Tensor], partial: bool) -> std::result::Result<Fit, Box<Fit>> {
        let fit = self.fit(tensors);
        let fits = if partial { !fit.taken.is_empty() } else { fit.is_complete() && fit.beyond.is_empty() };
        if !fits {
            return Err(Box::new(fit));
        }
        for (declared, arena, span) in self.storages().flat_map(Storage::tensors) {
            let same = |tensor: &&Tensor| tensor.name == declared.name && tensor.shape == declared.shape.dims();
            if let Some(tensor) = tensors.iter().find(same) {
                arena.write(&self.gpu, span, &tensor.values);
            }
        }
        Ok(fit)
    }

    /// A snapshot of step `step`. `tensor` returns the values of a tensor, given its name and
    /// number of elements.
    ///
    /// # Errors
    /// The errors of `tensor`.
    pub(in crate::train) fn snapshot_of(
        &self,
        step: u64,
        tensor: impl Fn(&str, usize) -> Result<Vec<f32>>,
    ) -> Result<Snapshot> {
        let tensors = self.storage.tensors().map(|(declared, _, span)| tensor(&declared.name, span.count));
        Ok(Snapshot { tensors: tensors.collect::<Result<_>>()?, step })
    }

    /// Restores the weights of a snapshot, for evaluation. The optimiser's moments do not change,
    /// and neither do the trained weights if the weights are averaged.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        for ((_, arena, span), values) in self.evaluated().tensors().zip(&snapshot.tensors) {
            arena.write(&self.gpu, span, values);
        }
        self.time.step = snapshot.step;
    }
}
