//! A model on a device, ready for training and evaluation.

mod blocking;
mod diagnose;
mod evaluate;
mod options;
mod totals;
mod weights;

pub use options::{MakeCurriculum, SessionOptions, SessionPlan};
pub use weights::Snapshot;

use crate::curriculum::{self, Curriculum, Layer, PlateauState, Schedule, Time};
use crate::data::{Batch, mixing_part};
use crate::error::Result;
use crate::gpu::{BufferRange, Call, Gpu};
use crate::nn::objective::{Measure, Scores, scores};
use crate::nn::{self, Objective, Recorded};
use crate::ops::sums::{SUMS, Totals};
use crate::optim::{Averages, Optimizer, Update, average_dispatches};
use crate::tape::{CONTROLS, Controls, Dispatch, Keep, Mode, Operand, Program, Storage, Var};
use std::sync::Arc;

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
    /// Averages of the weights, with which the model is evaluated.
    averages: Option<Averages>,
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
            averages: options.averaging.map_or(0, |_| training.parameters + training.state),
        };
        let storage = Storage::new(gpu, &train.tape)?;
        let update = Update::new(train.tape.parameters(), &storage.layout, train.layers.len(), options.settings);
        // All kernels are compiled together, so that no core is idle during the last ones of a
        // program.
        let dispatches = [train.tape.dispatches(), eval.tape.dispatches()].concat();
        let averaging = options.averaging.map(|_| average_dispatches(&storage.layout, &storage.state_layout));
        let averaging = averaging.iter().flatten().map(Dispatch::pipeline);
        let updates = update.launches().map(Dispatch::pipeline).chain(averaging);
        gpu.compile(dispatches.iter().map(Dispatch::pipeline).chain(updates))?;
        // Training and evaluation never run at the same time, so they share their working memory.
        let mut pool = vec![];
        let (layers, sums, inputs) = (train.layers, train.sums, train.inputs);
        let program = Program::keeping(gpu, train.tape, &storage, train_keep, &mut pool)?;
        let train = Bound { program, columns: train.columns };
        let losses = train.program.buffer_named(SUMS).expect("every objective leaves sums");
        let averages =
            options.averaging.map(|averaging| Averages::new(gpu, &storage, &losses, averaging)).transpose()?;
        let evaluated = averages.as_ref().map_or(&storage, Averages::storage);
        let program = Program::keeping(gpu, eval.tape, evaluated, eval_keep, &mut pool)?;
        let mut optimizer = Optimizer::new(gpu, &storage, &losses, update)?;
        let factors: Vec<f64> = optimizer.rows().iter().map(|row| scales[row.layer]).collect();
        factors.into_iter().enumerate().for_each(|(row, factor)| optimizer.set_scale(gpu, row, factor));
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
            averages,
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
        session.storages().for_each(|storage| nn::initialise(gpu, storage, options.seed));
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

    /// The averages of the weights, if they are averaged.
    pub fn averages(&self) -> Option<&Averages> {
        self.averages.as_ref()
    }

    /// The weights and running statistics with which the model is evaluated.
    fn evaluated(&self) -> &Storage {
        self.averages.as_ref().map_or(&self.storage, Averages::storage)
    }

    /// The weights and, if they are averaged, the averages.
    fn storages(&self) -> impl Iterator<Item = &Storage> {
        std::iter::once(&self.storage).chain(self.averages.as_ref().map(Averages::storage))
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

    /// The learning rate of each layer's biases for the next step; `None` if biases have no warm-up
    /// of their own, so that it is that of the layer.
    pub fn bias_rates(&self) -> Option<Vec<f64>> {
        self.schedule.warmup.bias_rate?;
        let rate = curriculum::bias_rate_of(self.curriculum.as_ref(), &self.schedule, self.time);
        Some(self.scales.iter().enumerate().map(|(layer, scale)| rate(layer) * scale).collect())
    }

    /// The momentum of the next step; `None` if the warm-up does not change it.
    pub fn momentum(&self) -> Option<f64> {
        self.schedule.momentum(self.time, self.curriculum.grows_until())
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
        let (curriculum, schedule) = (self.curriculum.as_ref(), &self.schedule);
        let rate = curriculum::rate_of(curriculum, schedule, self.time);
        let bias_rate = curriculum::bias_rate_of(curriculum, schedule, self.time);
        if let Some(momentum) = schedule.momentum(self.time, curriculum.grows_until()) {
            self.optimizer.set_momentum(momentum);
        }
        self.optimizer.prepare(&self.gpu, |row| match row.group.is_bias() {
            true => bias_rate(row.layer),
            false => rate(row.layer),
        });
        if let Some(averages) = &self.averages {
            averages.prepare(&self.gpu, self.time.step + 1);
        }
        let averaging = self.averages.iter().flat_map(Averages::calls);
        self.differentiate(batch, self.optimizer.calls().iter().chain(averaging))?;
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
