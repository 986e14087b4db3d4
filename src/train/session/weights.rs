//! Reading, naming and restoring the weights of a session.

use super::Session;
use crate::error::Result;
use crate::tape::Declared;
use crate::tensor::{Arena, Shape, Span};
use crate::train::Tensor;

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

impl Session {
    /// Reads parameters and running statistics back, with the number of steps done.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn snapshot_async(&self) -> Result<Snapshot> {
        let mut tensors = self.storage.params.read_all_async(&self.gpu, &self.storage.layout).await?;
        tensors.extend(self.storage.state.read_all_async(&self.gpu, &self.storage.state_layout).await?);
        Ok(Snapshot { tensors, step: self.time.step })
    }

    /// Every tensor that the next step depends on: the tensors of [`crate::tape::Storage::tensors`]
    /// under their own names, and the optimiser's moments as `first_moment.NAME` and
    /// `second_moment.NAME`.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub async fn state_async(&self) -> Result<Vec<Tensor>> {
        let mut tensors = self.named(&self.snapshot_async().await?, "");
        for (moment, arena) in MOMENTS.iter().zip(self.optimizer.moments()) {
            let values = arena.read_all_async(&self.gpu, &self.storage.layout).await?;
            for (declared, values) in self.storage.parameters().iter().zip(values) {
                let name = format!("{moment}.{}", declared.name);
                tensors.push(Tensor { name, shape: declared.shape.dims().to_vec(), values });
            }
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
        self.optimizer.set_steps(step);
        self.time.step = step;
        Ok(())
    }

    /// Overwrites weights and running statistics with the tensors of the same names. Returns the
    /// names of the tensors that were not overwritten. Unless `partial` is true, all tensors must
    /// be given, and no others.
    ///
    /// # Errors
    /// A message about the first tensor that is missing, unknown or of another shape.
    pub fn load(&mut self, tensors: &[Tensor], partial: bool) -> std::result::Result<Vec<String>, String> {
        let mut kept = vec![];
        let declared: Vec<_> =
            self.storage.tensors().map(|(declared, arena, span)| (declared.clone(), arena, *span)).collect();
        let known = |tensor: &&Tensor| declared.iter().any(|(declared, ..)| declared.name == tensor.name);
        if let (false, Some(tensor)) = (partial, tensors.iter().find(|tensor| !known(tensor))) {
            return Err(format!("{} is in the file, but not in the model", tensor.name));
        }
        for (declared, arena, span) in &declared {
            match tensors.iter().find(|tensor| tensor.name == declared.name) {
                Some(tensor) if tensor.shape == declared.shape.dims() => arena.write(&self.gpu, span, &tensor.values),
                _ if partial => kept.push(declared.name.clone()),
                Some(tensor) => {
                    let found = Shape::from(tensor.shape.clone());
                    return Err(format!("{} is {found} in the file, {} in the model", declared.name, declared.shape));
                }
                None => return Err(format!("the file has no {}", declared.name)),
            }
        }
        match kept.len() == declared.len() {
            true => Err("no tensor of the file fits the model".to_owned()),
            false => Ok(kept),
        }
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

    /// Restores the weights of a snapshot, for evaluation. The optimiser's moments do not change.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        for ((_, arena, span), values) in self.storage.tensors().zip(&snapshot.tensors) {
            arena.write(&self.gpu, span, values);
        }
        self.time.step = snapshot.step;
    }
}
