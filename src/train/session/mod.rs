//! A model on a device, ready to be trained and evaluated.

#[cfg(not(target_arch = "wasm32"))]
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
use std::sync::Arc;

/// The bytes that a session takes on the device, but for the tables and sums of its update, which
/// are about a fifteenth of the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SessionPlan {
    /// Training, parameters and gradients counted in.
    pub training: Plan,
    /// What evaluation adds.
    pub evaluation: u64,
    /// The optimiser's moments.
    pub moments: u64,
}

impl SessionPlan {
    /// All of it, bytes.
    pub fn total(&self) -> u64 {
        self.training.total() + self.evaluation + self.moments
    }
}

/// A recorded model bound to the device, and where the columns of a batch are written.
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
    schedule: Schedule,
    curriculum: Box<dyn Curriculum>,
    time: Time,
    seed: u64,
    plan: SessionPlan,
    batch_size: usize,
    mixup: Option<f64>,
}

/// What helps where numbers leave all bounds.
pub(super) const STABILITY_HINT: &str =
    "a lower `eta`, `range` or `weight_decay`, `clip_norm` 1, or a longer `warmup_epochs`";

/// Makes the curriculum of a model from its layers, which are known once it is recorded.
pub type MakeCurriculum<'a> = dyn Fn(&[Layer]) -> Result<Box<dyn Curriculum>> + 'a;

/// What a session is made of.
pub struct SessionOptions<'a> {
    /// The network.
    pub model: &'a dyn Model,
    /// The columns of its data.
    pub form: &'a Form,
    /// What it is trained for.
    pub objective: Arc<dyn Objective>,
    /// Examples per step.
    pub batch_size: usize,
    /// Examples per pass, of which a step has as many as it takes; divides the batch size. Batch
    /// norm sees the examples of a pass alone, and its running statistics take each pass for a
    /// batch.
    pub micro_batch_size: usize,
    /// What the method asks of the network.
    pub net: NetOptions,
    /// The optimiser.
    pub settings: Settings,
    /// The common rate.
    pub schedule: Schedule,
    /// Makes the layers' factors.
    pub curriculum: &'a MakeCurriculum<'a>,
    /// Steps in an epoch.
    pub steps_per_epoch: u64,
    /// Seed of initial weights, dropout and mixup.
    pub seed: u64,
    /// alpha of mixup, where the net mixes.
    pub mixup: Option<f64>,
    /// Kernels other than the usual ones.
    pub kernels: &'a KernelChoices,
}

impl SessionOptions<'_> {
    fn passes(&self) -> usize {
        let divides = self.micro_batch_size > 0 && self.batch_size.is_multiple_of(self.micro_batch_size);
        assert!(divides, "a batch of {} is not cut in passes of {}", self.batch_size, self.micro_batch_size);
        let passes = self.batch_size / self.micro_batch_size;
        let pairs = self.mixup.is_none() || passes == 1 || self.micro_batch_size.is_multiple_of(2);
        assert!(pairs, "mixup pairs examples, and passes of {} hold no whole pairs", self.micro_batch_size);
        passes
    }

    fn record(&self, gpu: &Gpu, mode: Mode) -> Recorded {
        let tape = Tape::new(mode).with_target(Target::of(gpu.info())).with_passes(self.passes());
        let tape = tape.with_choices(self.kernels.clone());
        nn::record(self.model, self.form, &*self.objective, self.micro_batch_size, tape, self.net)
    }
}

/// What the host writes, what it reads, and what lasts from step to step.
fn kept(recorded: &Recorded) -> Vec<Operand> {
    let named = |name| recorded.tape.buffer_named(name).map(Operand::Buffer);
    let inputs = recorded.inputs.iter().map(|(_, var)| Operand::Value(*var));
    let outputs = recorded.outputs.iter().copied().map(Operand::Value);
    let columns = recorded.columns.iter().flatten().copied();
    [named(CONTROLS), named(SUMS)].into_iter().flatten().chain(inputs).chain(columns).chain(outputs).collect()
}

impl Session {
    /// Records the model for training and evaluation, checks that it fits the device, compiles it
    /// and draws its weights.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] where it does not fit, [`crate::error::Error::Setting`]
    /// for a model, a curriculum, or a kernel that cannot be.
    ///
    /// # Panics
    /// If the examples of a pass do not divide the batch, or under mixup are no whole pairs.
    pub fn new(gpu: &Gpu, options: &SessionOptions<'_>) -> Result<Self> {
        options.model.accepts(options.form)?;
        let train = options.record(gpu, Mode::Train);
        let curriculum = (options.curriculum)(&train.layers)?;
        train.tape.check_choices()?;
        train.tape.check(&gpu.limits(), options.micro_batch_size)?;
        let eval = options.record(gpu, Mode::Eval);
        let (train_kept, eval_kept) = (kept(&train), kept(&eval));
        let (train_keep, eval_keep) = (Keep::Only(&train_kept), Keep::Only(&eval_kept));
        let training = train.tape.plan(train_keep, &[]);
        let plan = SessionPlan {
            training,
            evaluation: eval.tape.plan(eval_keep, &train.tape.shared_sizes(train_keep)).working,
            moments: options.settings.rule.moments() as u64 * training.parameters,
        };
        let storage = Storage::new(gpu, &train.tape)?;
        let update = Update::new(train.tape.parameters(), &storage.layout, train.layers.len(), options.settings);
        // All kernels at once, so that no core is idle while the last kernel of one program is
        // compiled.
        let dispatches = [train.tape.dispatches(), eval.tape.dispatches()].concat();
        gpu.compile(dispatches.iter().map(Dispatch::pipeline).chain(update.launches().map(Dispatch::pipeline)))?;
        // Training and evaluation never run at the same time.
        let mut pool = vec![];
        let (layers, sums, inputs) = (train.layers, train.sums, train.inputs);
        let program = Program::keeping(gpu, train.tape, &storage, train_keep, &mut pool)?;
        let train = Bound { program, columns: train.columns };
        let program = Program::keeping(gpu, eval.tape, &storage, eval_keep, &mut pool)?;
        let losses = train.program.buffer_named(SUMS).expect("every objective leaves sums");
        let optimizer = Optimizer::new(gpu, &storage, &losses, update)?;
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
            schedule: options.schedule.clone(),
            curriculum,
            time: Time { step: 0, steps_per_epoch: options.steps_per_epoch },
            seed: options.seed,
            batch_size: options.batch_size,
            mixup: options.mixup,
            plan,
            storage,
        };
        session.put_totals(&session.train, &Totals::zero(sums));
        session.put_totals(&session.eval, &Totals::zero(sums));
        Ok(session)
    }

    /// The device.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What the model is trained for.
    pub fn objective(&self) -> &Arc<dyn Objective> {
        &self.objective
    }

    /// The scores that sums come to.
    pub fn scores(&self, totals: &Totals) -> Scores {
        self.scores_of(totals.examples.into(), &totals.values())
    }

    /// The scores that sums over so many examples come to.
    pub(in crate::train) fn scores_of(&self, examples: f64, sums: &[f64]) -> Scores {
        scores(&*self.objective, &self.measures, examples, sums)
    }

    /// The bytes that it takes.
    pub fn plan(&self) -> SessionPlan {
        self.plan
    }

    /// The model's layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The inputs of a training step as the model sees them, by the names of their columns.
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

    /// The steps done.
    pub fn time(&self) -> Time {
        self.time
    }

    /// Says when evaluation is: a blur depends on it.
    pub(in crate::train) fn set_time(&mut self, time: Time) {
        self.time = time;
    }

    /// The learning rate of each layer for the next step.
    pub fn rates(&self) -> impl ExactSizeIterator<Item = f64> {
        curriculum::rates(self.curriculum.as_ref(), &self.schedule, self.time, self.layers.len())
    }

    /// An epoch has ended with this score on the validation examples, on which the rates of a
    /// plateau depend.
    pub(in crate::train) fn observe_epoch(&mut self, score: f64) {
        self.schedule.observe_epoch(self.time, self.curriculum.grows_until(), score);
    }

    /// What a plateau has seen so far.
    pub(in crate::train) fn plateau(&self) -> Option<PlateauState> {
        self.schedule.plateau()
    }

    /// Continues from what a plateau had seen.
    pub(in crate::train) fn set_plateau(&mut self, state: PlateauState) {
        self.schedule.set_plateau(state);
    }

    /// Standard deviation of the blur of the next step, pixels, where the method blurs.
    pub fn sigma(&self) -> Option<f64> {
        self.curriculum.sigma(self.time)
    }

    /// An example's own part in what mixup makes of it, of the next step, where examples are mixed.
    pub fn mixing_part(&self) -> Option<f64> {
        self.mixing_part_of(self.time.step)
    }

    fn mixing_part_of(&self, step: u64) -> Option<f64> {
        self.mixup.map(|alpha| mixing_part(alpha, self.seed, step))
    }

    /// One training step: one submission for each pass, not waited for.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device fails.
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

    /// The gradients of `batch`, and after the last pass `then`.
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

    /// Writes a pass of a batch. Examples that are mixed lie as far from the batch's ends as each
    /// other, and so do those of a pass: where they are `paired`, a pass takes half of its examples
    /// from either end.
    fn write_inputs(&self, to: &Bound, batch: &Batch, time: Time, pass: usize, paired: bool) {
        assert!(
            batch.capacity == self.batch_size && batch.columns.len() == to.columns.len(),
            "a batch of {} places and {} columns for a session of {} and {}",
            batch.capacity,
            batch.columns.len(),
            self.batch_size,
            to.columns.len()
        );
        let places = self.batch_size / self.passes();
        for (column, operand) in to.columns.iter().enumerate() {
            let Some(operand) = *operand else { continue };
            let range = to.range(operand);
            match paired && self.passes() > 1 {
                false => self.gpu.write(&range, 0, batch.places(column, pass * places, places)),
                true => {
                    let half = places / 2;
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
            filled: batch.count.saturating_sub(pass * places).min(places) as u32,
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
            other => unreachable!("{other:?} is no column"),
        }
    }
}
