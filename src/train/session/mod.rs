//! A model on a device, ready for training and evaluation.

mod blocking;
mod diagnose;
mod evaluate;
mod totals;
mod weights;

pub use weights::Snapshot;

use crate::curriculum::{self, Curriculum, Layer, PlateauState, Schedule, Time};
use crate::data::{Batch, Form, mixing_part};
use crate::error::Result;
use crate::gpu::{BufferRange, Call, Gpu};
use crate::nn::objective::{Measure, Scores, scores};
use crate::nn::{self, Model, NetOptions, Objective, Recorded};
use crate::ops::sums::{SUMS, Totals};
use crate::optim::{Optimizer, Settings, Update};
use crate::tape::{
    CONTROLS, Controls, Dispatch, Keep, KernelChoices, Mode, Operand, Plan, Program, Storage, Tape, Target, Var,
};
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
}

impl SessionPlan {
    /// The total, in bytes.
    pub fn total(&self) -> u64 {
        self.training.total() + self.evaluation + self.moments
    }
}

/// A recorded model bound to the device, with the destination of each column of a batch.
struct Bound {
    program: Program,
    columns: Vec<Option<Operand>>,
}

/// A model being trained.
pub struct Session {
    gpu: Gpu,
    storage: Storage,
    train: Bound,
    eval: Bound,
    eval_outputs: Vec<Var>,
    inputs: Vec<(String, Var)>,
    objective: Arc<dyn Objective>,
    measures: Arc<[Measure]>,
    sums: usize,
    optimizer: Optimizer,
    layers: Vec<Layer>,
    /// The factor of each layer's learning rate.
    scales: Vec<f64>,
    schedule: Schedule,
    curriculum: Box<dyn Curriculum>,
    time: Time,
    seed: u64,
    plan: SessionPlan,
    batch_size: usize,
    mixup: Option<f64>,
}

/// Advice for a run that diverges.
pub(super) const STABILITY_HINT: &str =
    "a lower `eta`, `range` or `weight_decay`, `clip_norm` 1, or a longer `warmup_epochs`";

/// Makes the curriculum of a model from its layers.
pub type MakeCurriculum<'a> = dyn Fn(&[Layer]) -> Result<Box<dyn Curriculum>> + 'a;

/// Options of [`Session::new`].
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
    fn passes(&self) -> usize {
        let divides = self.micro_batch_size > 0 && self.batch_size.is_multiple_of(self.micro_batch_size);
        assert!(divides, "a batch of {} cannot be divided into passes of {}", self.batch_size, self.micro_batch_size);
        let passes = self.batch_size / self.micro_batch_size;
        let pairs = self.mixup.is_none() || passes == 1 || self.micro_batch_size.is_multiple_of(2);
        assert!(pairs, "mixup needs an even number of examples per pass, found {}", self.micro_batch_size);
        passes
    }

    fn record(&self, gpu: &Gpu, mode: Mode) -> Recorded {
        let tape = Tape::new(mode).with_target(Target::of(gpu.info())).with_passes(self.passes());
        let tape = tape.with_choices(self.kernels.clone());
        nn::record(self.model, self.form, &*self.objective, self.micro_batch_size, tape, self.net)
    }
}

/// The operands whose memory must not be reused within a step: those that the host writes or reads,
/// and those that last from step to step.
fn persistent_operands(recorded: &Recorded) -> Vec<Operand> {
    let named = |name| recorded.tape.buffer_named(name).map(Operand::Buffer);
    let inputs = recorded.inputs.iter().map(|(_, var)| Operand::Value(*var));
    let outputs = recorded.outputs.iter().copied().map(Operand::Value);
    let columns = recorded.columns.iter().flatten().copied();
    [named(CONTROLS), named(SUMS)].into_iter().flatten().chain(inputs).chain(columns).chain(outputs).collect()
}

impl Session {
    /// Records the model for training and evaluation, checks that it fits the device, compiles the
    /// kernels and initialises the weights.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] if it does not fit the device;
    /// [`crate::error::Error::Setting`] for an invalid model, curriculum or kernel choice.
    ///
    /// # Panics
    /// If the micro-batch size does not divide the batch size, or is odd under mixup with several
    /// passes.
    pub fn new(gpu: &Gpu, options: &SessionOptions<'_>) -> Result<Self> {
        options.model.accepts(options.form)?;
        let train = options.record(gpu, Mode::Train);
        let curriculum = (options.curriculum)(&train.layers)?;
        let scales = options.scales.of(&train.layers)?;
        train.tape.check_choices()?;
        train.tape.check(&gpu.limits(), options.micro_batch_size)?;
        let eval = options.record(gpu, Mode::Eval);
        let (train_kept, eval_kept) = (persistent_operands(&train), persistent_operands(&eval));
        let (train_keep, eval_keep) = (Keep::Only(&train_kept), Keep::Only(&eval_kept));
        let training = train.tape.plan(train_keep, &[]);
        let plan = SessionPlan {
            training,
            evaluation: eval.tape.plan(eval_keep, &train.tape.shared_sizes(train_keep)).working,
            moments: options.settings.rule.moments() as u64 * training.parameters,
        };
        let storage = Storage::new(gpu, &train.tape)?;
        let update = Update::new(train.tape.parameters(), &storage.layout, train.layers.len(), options.settings);
        // All kernels are compiled together, so that no core is idle during the last ones of a
        // program.
        let dispatches = [train.tape.dispatches(), eval.tape.dispatches()].concat();
        gpu.compile(dispatches.iter().map(Dispatch::pipeline).chain(update.launches().map(Dispatch::pipeline)))?;
        // Training and evaluation never run at the same time, so they share their working memory.
        let mut pool = vec![];
        let (layers, sums, inputs) = (train.layers, train.sums, train.inputs);
        let program = Program::keeping(gpu, train.tape, &storage, train_keep, &mut pool)?;
        let train = Bound { program, columns: train.columns };
        let program = Program::keeping(gpu, eval.tape, &storage, eval_keep, &mut pool)?;
        let losses = train.program.buffer_named(SUMS).expect("every objective leaves sums");
        let mut optimizer = Optimizer::new(gpu, &storage, &losses, update)?;
        let factors: Vec<f64> = optimizer.rows().iter().map(|row| scales[row.layer]).collect();
        factors.into_iter().enumerate().for_each(|(row, factor)| optimizer.set_scale(gpu, row, factor));
        nn::initialise(gpu, &storage, options.seed);
        let session = Self {
            gpu: gpu.clone(),
            train,
            eval: Bound { program, columns: eval.columns },
            eval_outputs: eval.outputs,
            inputs,
            measures: options.objective.measures().into(),
            objective: options.objective.clone(),
            sums,
            optimizer,
            layers,
            scales,
            schedule: options.schedule.clone(),
            curriculum,
            time: Time { step: 0, steps_per_epoch: options.steps_per_epoch },
            seed: options.seed,
            batch_size: options.batch_size,
            mixup: options.mixup,
            plan,
            storage,
        };
        session.write_totals(&session.train, &Totals::zero(sums));
        session.write_totals(&session.eval, &Totals::zero(sums));
        Ok(session)
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The objective.
    pub fn objective(&self) -> &Arc<dyn Objective> {
        &self.objective
    }

    /// The scores computed from sums.
    pub fn scores(&self, totals: &Totals) -> Scores {
        self.scores_of(totals.examples.into(), &totals.values())
    }

    /// The scores computed from sums over `examples` examples.
    pub(in crate::train) fn scores_of(&self, examples: f64, sums: &[f64]) -> Scores {
        scores(&*self.objective, &self.measures, examples, sums)
    }

    /// The device memory that the session takes.
    pub fn plan(&self) -> SessionPlan {
        self.plan
    }

    /// The model's layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The inputs of a training step as the model receives them, by the names of their columns.
    pub fn inputs(&self) -> &[(String, Var)] {
        &self.inputs
    }

    /// The program of a training step, without the update.
    pub fn program(&self) -> &Program {
        &self.train.program
    }

    /// Parameters, gradients and running statistics.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The optimiser.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Steps done, and steps per epoch.
    pub fn time(&self) -> Time {
        self.time
    }

    /// Sets the time, which determines the blur in evaluation.
    pub(in crate::train) fn set_time(&mut self, time: Time) {
        self.time = time;
    }

    /// The learning rate of each layer for the next step.
    pub fn rates(&self) -> impl ExactSizeIterator<Item = f64> {
        let rates = curriculum::rates(self.curriculum.as_ref(), &self.schedule, self.time, self.layers.len());
        rates.zip(&self.scales).map(|(rate, scale)| rate * scale)
    }

    /// Passes a validation score to the plateau schedule at the end of an epoch.
    pub(in crate::train) fn observe_epoch(&mut self, score: f64) {
        self.schedule.observe_epoch(self.time, self.curriculum.grows_until(), score);
    }

    /// The state of the plateau schedule.
    pub(in crate::train) fn plateau(&self) -> Option<PlateauState> {
        self.schedule.plateau()
    }

    /// Restores the state of the plateau schedule.
    pub(in crate::train) fn set_plateau(&mut self, state: PlateauState) {
        self.schedule.set_plateau(state);
    }

    /// Standard deviation of the blur in the next step, in pixels; `None` if the method does not
    /// blur.
    pub fn sigma(&self) -> Option<f64> {
        self.curriculum.sigma(self.time)
    }

    /// The weight of each example in its mixture with another one, in the next step; `None` without
    /// mixup.
    pub fn mixing_part(&self) -> Option<f64> {
        self.mixing_part_of(self.time.step)
    }

    fn mixing_part_of(&self, step: u64) -> Option<f64> {
        self.mixup.map(|alpha| mixing_part(alpha, self.seed, step))
    }

    /// One training step: one submission per pass. Does not wait for the device.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] if the device fails.
    pub fn step(&mut self, batch: &Batch) -> Result<()> {
        let rate = curriculum::rate_of(self.curriculum.as_ref(), &self.schedule, self.time);
        self.optimizer.prepare(&self.gpu, |row| rate(row.layer));
        self.differentiate(batch, self.optimizer.calls())?;
        self.time.step += 1;
        Ok(())
    }

    fn passes(&self) -> usize {
        self.train.program.tape().passes()
    }

    /// Computes the gradients of `batch`, and runs the calls `then` after the last pass.
    fn differentiate<'c>(&'c self, batch: &Batch, then: impl IntoIterator<Item = &'c Call>) -> Result<()> {
        let passes = self.passes();
        let mut then = Some(then);
        for pass in 0..passes {
            self.write_inputs(&self.train, batch, self.time, pass, self.mixup.is_some());
            let then = if pass + 1 == passes { then.take() } else { None };
            self.gpu.run(self.train.program.pass(pass).chain(then.into_iter().flatten()))?;
        }
        Ok(())
    }

    /// Writes the inputs of one pass of a batch.
    /// Mixup pairs the example at index i with the one at index i from the end, and this holds for
    /// a pass too. With `paired` a pass therefore takes half of its examples from each end of the
    /// batch.
    fn write_inputs(&self, to: &Bound, batch: &Batch, time: Time, pass: usize, paired: bool) {
        assert!(
            batch.capacity == self.batch_size && batch.columns.len() == to.columns.len(),
            "a batch with room for {} examples and {} columns, in a session of {} and {}",
            batch.capacity,
            batch.columns.len(),
            self.batch_size,
            to.columns.len()
        );
        let pass_size = self.batch_size / self.passes();
        for (column, operand) in to.columns.iter().enumerate() {
            let Some(operand) = *operand else { continue };
            let range = to.range(operand);
            match paired && self.passes() > 1 {
                false => self.gpu.write(&range, 0, batch.places(column, pass * pass_size, pass_size)),
                true => {
                    let half = pass_size / 2;
                    let first = batch.places(column, pass * half, half);
                    self.gpu.write(&range, 0, first);
                    let last = batch.places(column, self.batch_size - (pass + 1) * half, half);
                    self.gpu.write(&range, size_of_val(first) as u64, last);
                }
            }
        }
        let controls = Controls {
            step: time.step as u32,
            seed: self.seed as u32 ^ (self.seed >> 32) as u32,
            sigma: self.curriculum.sigma(time).unwrap_or(1.0) as f32,
            pass: pass as u32,
            mix: self.mixing_part_of(time.step).unwrap_or(1.0) as f32,
            filled: batch.count.saturating_sub(pass * pass_size).min(pass_size) as u32,
            examples: batch.count as u32,
            reserved: 0,
        };
        self.gpu.write(to.program.buffer_named(CONTROLS).expect("the sums read the controls"), 0, &[controls]);
    }
}

impl Bound {
    fn range(&self, operand: Operand) -> BufferRange {
        match operand {
            Operand::Value(var) => self.program.value(var),
            Operand::Buffer(buffer) => self.program.buffer(buffer),
            other => unreachable!("{other:?} is not a column"),
        }
    }
}
