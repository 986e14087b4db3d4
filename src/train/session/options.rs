//! The options of a session, and the device memory that it takes.

use crate::curriculum::{Curriculum, Layer, Schedule};
use crate::data::Form;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::nn::{self, Model, NetOptions, Objective, Recorded};
use crate::optim::{Averaging, Settings};
use crate::tape::{KernelChoices, Mode, Plan, Tape, Target};
use crate::train::LayerScales;
use std::sync::Arc;

/// The device memory of a session, in bytes. The tables and sums of the optimiser are not included;
/// they take about a fifteenth of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SessionPlan {
    /// Memory of training, with parameters and gradients.
    pub training: Plan,
    /// Additional memory of evaluation.
    pub evaluation: u64,
    /// Memory of the optimiser's moments.
    pub moments: u64,
    /// Memory of the averages of the weights; 0 without averaging.
    pub averages: u64,
}

impl SessionPlan {
    /// The total, in bytes.
    pub fn total(&self) -> u64 {
        self.training.total() + self.evaluation + self.moments + self.averages
    }
}

/// Makes the curriculum of a model from its layers.
pub type MakeCurriculum<'a> = dyn Fn(&[Layer]) -> Result<Box<dyn Curriculum>> + 'a;

/// Options of [`super::Session::new`].
pub struct SessionOptions<'a> {
    /// The network.
    pub model: &'a dyn Model,
    /// The columns of the data.
    pub form: &'a Form,
    /// The objective: loss and measures.
    pub objective: Arc<dyn Objective>,
    /// Examples per step.
    pub batch_size: usize,
    /// Examples per pass; must divide the batch size. Batch norm normalises over one pass, and
    /// updates its running statistics once per pass.
    pub micro_batch_size: usize,
    /// Changes to the network that the training method requires.
    pub net: NetOptions,
    /// The optimiser.
    pub settings: Settings,
    /// The moving average of the weights with which the model is evaluated and saved; `None` for
    /// the weights themselves.
    pub averaging: Option<Averaging>,
    /// Factors of the learning rates of layers.
    pub scales: LayerScales,
    /// The schedule of the common learning rate.
    pub schedule: Schedule,
    /// Makes the curriculum.
    pub curriculum: &'a MakeCurriculum<'a>,
    /// Steps per epoch.
    pub steps_per_epoch: u64,
    /// Seed of initial weights, dropout and mixup.
    pub seed: u64,
    /// alpha of mixup; `None` without mixup.
    pub mixup: Option<f64>,
    /// Kernels to use instead of the default ones.
    pub kernels: &'a KernelChoices,
}

impl SessionOptions<'_> {
    pub(super) fn passes(&self) -> usize {
        let divides = self.micro_batch_size > 0 && self.batch_size.is_multiple_of(self.micro_batch_size);
        assert!(divides, "a batch of {} cannot be divided into passes of {}", self.batch_size, self.micro_batch_size);
        let passes = self.batch_size / self.micro_batch_size;
        let pairs = self.mixup.is_none() || passes == 1 || self.micro_batch_size.is_multiple_of(2);
        assert!(pairs, "mixup needs an even number of examples per pass, found {}", self.micro_batch_size);
        passes
    }

    pub(super) fn record(&self, gpu: &Gpu, mode: Mode) -> Recorded {
        let tape = Tape::new(mode).with_target(Target::of(gpu.info())).with_passes(self.passes());
        let tape = tape.with_choices(self.kernels.clone());
        nn::record(self.model, self.form, &*self.objective, self.micro_batch_size, tape, self.net)
    }
}
