//! A model on a device, ready to be trained and evaluated.

use super::Tensor;
use crate::curriculum::{self, Curriculum, Layer, PlateauState, Schedule, Time};
use crate::data::{HostBatch, IGNORED_LABEL, mixing_part};
use crate::error::{Error, Result};
use crate::gpu::{BufferRange, Call, Gpu};
use crate::nn::{self, Goal, Model, NetOptions, Task};
use crate::ops::metrics::{METRICS, Metrics};
use crate::optim::{LayerNorms, Optimizer, Settings, Update};
use crate::tape::{
    BufferId, CONTROLS, Choices, Controls, Declared, Dispatch, Keep, Mode, Operand, Plan, Program, Storage, Tape,
    Target, Var,
};
use crate::tensor::{Arena, Shape, Span};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The bytes that a session takes on the device, but for the tables and sums of its update, which are about a fifteenth of the parameters.
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

/// A model being trained.
pub struct Session<'g> {
    gpu: &'g Gpu,
    storage: Storage,
    train: Program,
    eval: Program,
    batches: [BufferId; 2],
    eval_logits: Var,
    optimizer: Optimizer,
    layers: Vec<Layer>,
    schedule: Schedule,
    curriculum: Box<dyn Curriculum>,
    time: Time,
    seed: u64,
    plan: SessionPlan,
    batch_size: usize,
    image_bytes: usize,
    mixup: Option<f64>,
    goal: Goal,
}

/// Weights and running statistics as they stood after a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// In the order of [`Storage::tensors`].
    pub tensors: Vec<Vec<f32>>,
    /// Steps done.
    pub step: u64,
}

/// What helps where numbers leave all bounds.
pub(super) const CALMER: &str = "a lower --eta, --range or --weight-decay, --clip-norm 1, or a longer --warmup-epochs";

/// Prefixes of the moments' names in [`Session::state`].
const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];

/// What a model makes of an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prediction {
    /// The class with the largest logit, the first of equals.
    Class(u32),
    /// A number, in the labels' unit.
    Number(f32),
}

/// The position of the largest logit, of the first where several are equal.
fn first_of_the_largest(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = i;
        }
    }
    best as u32
}

/// Makes the curriculum of a model from its layers, which are known once it is recorded.
pub type MakeCurriculum<'a> = dyn Fn(&[Layer]) -> Result<Box<dyn Curriculum>> + 'a;

/// What a session is made of.
pub struct Parts<'a> {
    /// The network.
    pub model: &'a Model,
    /// What it reads and predicts.
    pub task: &'a Task,
    /// Images per step.
    pub batch_size: usize,
    /// Images per pass, of which a step has as many as it takes; divides the batch size. Batch norm sees the images of a pass alone, and
    /// its running statistics take each pass for a batch.
    pub micro_batch: usize,
    /// What the method asks of the network.
    pub net_options: NetOptions,
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
    pub kernels: &'a Choices,
}

impl<'g> Session<'g> {
    /// Records the model for training and evaluation, checks that it fits the device, compiles it and draws its weights.
    ///
    /// # Errors
    /// [`Error::Capacity`] where it does not fit, [`Error::Option`] for a curriculum, or a kernel, that cannot be.
    ///
    /// # Panics
    /// If the images of a pass do not divide the batch.
    pub fn new(gpu: &'g Gpu, parts: &Parts<'_>) -> Result<Self> {
        let divides = parts.micro_batch > 0 && parts.batch_size.is_multiple_of(parts.micro_batch);
        assert!(divides, "a batch of {} is not cut in passes of {}", parts.batch_size, parts.micro_batch);
        let passes = parts.batch_size / parts.micro_batch;
        let tape = |mode| {
            let tape = Tape::new(mode).with_target(Target::of(gpu.info())).with_passes(passes);
            tape.with_choices(parts.kernels.clone())
        };
        let record = |mode| nn::record(parts.model, parts.task, parts.micro_batch, tape(mode), parts.net_options);
        let train = record(Mode::Train);
        let curriculum = (parts.curriculum)(&train.layers)?;
        train.tape.check_choices()?;
        train.tape.check(&gpu.limits(), parts.micro_batch)?;
        let eval = record(Mode::Eval);
        // What the host writes, what it reads, and what lasts from step to step.
        let kept = |recorded: &nn::Recorded| {
            let named = |name| recorded.tape.buffer_named(name).map(Operand::Buffer);
            let images = recorded.tape.named("images").map(Operand::Value);
            let of_steps = [named(CONTROLS), named(METRICS), images].into_iter().flatten();
            of_steps.chain([recorded.batch.into(), recorded.logits.into()]).collect::<Vec<Operand>>()
        };
        let (train_kept, eval_kept) = (kept(&train), kept(&eval));
        let (train_keep, eval_keep) = (Keep::Only(&train_kept), Keep::Only(&eval_kept));
        let training = train.tape.plan(train_keep, &[]);
        let plan = SessionPlan {
            training,
            evaluation: eval.tape.plan(eval_keep, &train.tape.shared_sizes(train_keep)).working,
            moments: parts.settings.rule.moments() as u64 * training.parameters,
        };
        let storage = Storage::new(gpu, &train.tape)?;
        let batches = [train.batch, eval.batch];
        let eval_logits = eval.logits;
        let update = Update::new(train.tape.parameters(), &storage.layout, train.layers.len(), parts.settings);
        // All kernels at once, so that no core is idle while the last kernel of one program is
        // compiled.
        let dispatches = [train.tape.dispatches(), eval.tape.dispatches()].concat();
        gpu.compile(dispatches.iter().map(Dispatch::pipeline).chain(update.launches().map(Dispatch::pipeline)))?;
        // Training and evaluation never run at the same time.
        let mut pool = vec![];
        let layers = train.layers;
        let train = Program::keeping(gpu, train.tape, &storage, train_keep, &mut pool)?;
        let eval = Program::keeping(gpu, eval.tape, &storage, eval_keep, &mut pool)?;
        let metrics = train.buffer_named(METRICS).expect("every loss leaves its metrics");
        let optimizer = Optimizer::new(gpu, &storage, &metrics, update)?;
        nn::initialise(gpu, &storage, parts.seed);
        let session = Self {
            gpu,
            batches,
            eval_logits,
            optimizer,
            layers,
            schedule: parts.schedule.clone(),
            curriculum,
            time: Time { step: 0, steps_per_epoch: parts.steps_per_epoch },
            seed: parts.seed,
            batch_size: parts.batch_size,
            mixup: parts.mixup,
            goal: parts.task.goal,
            image_bytes: parts.task.image.iter().product(),
            plan,
            storage,
            train,
            eval,
        };
        for program in [&session.train, &session.eval] {
            session.clear_metrics(program);
        }
        Ok(session)
    }

    /// What the model predicts.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// The bytes that it takes.
    pub fn plan(&self) -> SessionPlan {
        self.plan
    }

    /// The model's layers.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The program of a training step, without the update.
    pub fn program(&self) -> &Program {
        &self.train
    }

    /// Parameters, gradients and running statistics.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The optimiser.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// Where training stands.
    pub fn time(&self) -> Time {
        self.time
    }

    /// The learning rate of each layer for the next step.
    pub fn rates(&self) -> impl ExactSizeIterator<Item = f64> {
        curriculum::rates(self.curriculum.as_ref(), &self.schedule, self.time, self.layers.len())
    }

    /// An epoch has ended with this merit on the validation images, on which the rates of a plateau depend.
    pub fn hear(&mut self, merit: f64) {
        self.schedule.hear(merit);
    }

    /// What a plateau has seen so far.
    pub fn plateau(&self) -> Option<PlateauState> {
        self.schedule.plateau()
    }

    /// Goes on from what a plateau had seen.
    pub fn set_plateau(&mut self, state: PlateauState) {
        self.schedule.set_plateau(state);
    }

    /// Standard deviation of the blur of the next step, pixels, where the method blurs.
    pub fn sigma(&self) -> Option<f64> {
        self.curriculum.sigma(self.time)
    }

    /// An image's own part in what mixup makes of it, of the next step, where images are mixed.
    pub fn mixing_part(&self) -> Option<f64> {
        self.mix(self.time.step)
    }

    fn mix(&self, step: u64) -> Option<f64> {
        self.mixup.map(|alpha| mixing_part(alpha, self.seed, step))
    }

    /// One training step: one submission for each pass, not waited for.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn step(&mut self, batch: &HostBatch) -> Result<()> {
        let rate = curriculum::rate_of(self.curriculum.as_ref(), &self.schedule, self.time);
        self.optimizer.prepare(self.gpu, |row| rate(row.layer));
        self.differentiate(batch, self.optimizer.calls())?;
        self.time.step += 1;
        Ok(())
    }

    /// The gradients of `batch`, and behind the last pass `then`.
    fn differentiate<'c>(&'c self, batch: &HostBatch, then: impl IntoIterator<Item = &'c Call>) -> Result<()> {
        let passes = self.train.tape().passes();
        let mut then = Some(then);
        for pass in 0..passes {
            self.write_inputs(&self.train, self.batches[0], &self.part(batch, pass), self.time, pass);
            let then = if pass + 1 == passes { then.take() } else { None };
            self.gpu.run(self.train.pass(pass).chain(then.into_iter().flatten()))?;
        }
        Ok(())
    }

    /// The part of a batch that a pass takes.
    fn part<'b>(&self, batch: &'b HostBatch, pass: usize) -> Cow<'b, HostBatch> {
        match self.train.tape().passes() {
            1 => Cow::Borrowed(batch),
            passes => Cow::Owned(batch.part(pass, self.batch_size / passes, self.batch_size, self.image_bytes)),
        }
    }

    fn write_inputs(&self, program: &Program, id: BufferId, batch: &HostBatch, time: Time, pass: usize) {
        let buffer = program.buffer(id);
        assert!(
            buffer.bytes().abs_diff(4 * batch.words.len() as u64) < 16,
            "a batch of {} words for a buffer of {} bytes: it was gathered for another batch size",
            batch.words.len(),
            buffer.bytes()
        );
        self.gpu.write(buffer, 0, &batch.words);
        let controls = Controls {
            step: time.step as u32,
            seed: self.seed as u32 ^ (self.seed >> 32) as u32,
            sigma: self.curriculum.sigma(time).unwrap_or(1.0) as f32,
            pass: pass as u32,
            mix: self.mix(time.step).unwrap_or(1.0) as f32,
            reserved: [0; 3],
        };
        self.gpu.write(program.buffer_named(CONTROLS).expect("the loss reads the controls"), 0, &[controls]);
    }

    fn metrics_buffer(&self, program: &Program) -> BufferRange {
        program.buffer_named(METRICS).expect("every loss leaves its metrics")
    }

    fn clear_metrics(&self, program: &Program) {
        self.gpu.write(self.metrics_buffer(program), 0, &[Metrics::default()]);
    }

    /// Puts sums back that were read, so that the next reading counts them too.
    pub(super) fn put_metrics(&self, metrics: Metrics) {
        self.gpu.write(self.metrics_buffer(&self.train), 0, &[metrics]);
    }

    /// The sums since they were last taken, which stay.
    pub(super) fn peek_metrics(&self) -> Result<Metrics> {
        let metrics: Vec<Metrics> = self.gpu.read(&self.metrics_buffer(&self.train))?;
        Ok(metrics[0])
    }

    fn take_metrics(&self, program: &Program) -> Result<Metrics> {
        let metrics: Vec<Metrics> = self.gpu.read(&self.metrics_buffer(program))?;
        self.clear_metrics(program);
        Ok(metrics[0])
    }

    /// What the latest step did to each layer.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn layer_norms(&self) -> Result<Vec<LayerNorms>> {
        self.optimizer.layer_norms(self.gpu)
    }

    /// Each layer's gradient signal-to-noise ratio: |mean|^2 / variance over the gradients of `batches`, two at least, at the weights of
    /// now, with the layer's parameters taken together. Neither weights nor running statistics nor sums change. All batches have the
    /// dropout masks of the next step: the noise is that of the images alone.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails; [`Error::NonFinite`] where a gradient is not finite.
    pub fn signal_to_noise(&mut self, batches: impl Iterator<Item = Result<HostBatch>>) -> Result<Vec<f64>> {
        let (storage, gpu) = (&self.storage, self.gpu);
        let kept = storage.state.read_all(gpu, &storage.state_layout)?;
        let mut sums: Vec<Vec<f64>> = storage.layout.spans().iter().map(|span| vec![0.0; span.count]).collect();
        let mut squares = vec![0.0; self.layers.len()];
        let mut count = 0.0;
        for batch in batches {
            self.differentiate(&batch?, [])?;
            let gradients = storage.grads.read_all(gpu, &storage.layout)?;
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
        self.clear_metrics(&self.train);
        let mut signals = vec![0.0; self.layers.len()];
        for (sum, declared) in sums.iter().zip(storage.parameters()) {
            signals[declared.layer] += sum.iter().map(|sum| (sum / count).powi(2)).sum::<f64>();
        }
        // The variance with n - 1, summed over the parameters.
        let ratio = |((signal, squares), layer): ((&f64, &f64), &Layer)| {
            let variance = (squares - count * signal) / (count - 1.0);
            match variance.is_finite() {
                true if variance > 0.0 => Ok(signal / variance),
                true => Ok(0.0),
                false => Err(Error::NonFinite(format!(
                    "{}: a gradient behind step {} is not finite, and so has no signal-to-noise ratio. Try {CALMER}",
                    layer.name, self.time.step
                ))),
            }
        };
        signals.iter().zip(&squares).zip(&self.layers).map(ratio).collect()
    }

    /// Sums over the steps since the last call. Where `halted` is not 0, no parameter has changed since that step.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn training_metrics(&mut self) -> Result<Metrics> {
        self.take_metrics(&self.train)
    }

    /// Explains a loss that was not finite: goes back to the step and replays it on `batch` with the parameters that stood still.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn explain(&mut self, step: u64, batch: &HostBatch) -> Result<Error> {
        self.time.step = step;
        self.differentiate(batch, [])?;
        let gradients = self.storage.grads.read_all(self.gpu, &self.storage.layout)?;
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
            None => "all gradients are finite, so the logits overflow in the loss alone".to_owned(),
        };
        Ok(Error::NonFinite(format!(
            "the loss is not finite at step {step}: {place}. Training has stopped before this step's update; \
             try {CALMER}"
        )))
    }

    /// Sums over all of `batches`, with running statistics and without dropout, and under the blur of the last step done: the one
    /// that the weights are from.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails; those of `batches`.
    pub fn evaluate(&self, batches: impl Iterator<Item = Result<HostBatch>>) -> Result<Metrics> {
        self.evaluate_each(batches, |_| Ok(()))
    }

    /// The same, and what each image is predicted to be.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn predict(&self, batches: impl Iterator<Item = Result<HostBatch>>) -> Result<(Metrics, Vec<Prediction>)> {
        let mut predictions = vec![];
        let metrics = self.evaluate_logits(batches, |outputs| predictions.push(self.prediction(outputs)))?;
        Ok((metrics, predictions))
    }

    /// What the outputs of the model for an image stand for.
    pub fn prediction(&self, outputs: &[f32]) -> Prediction {
        match self.goal {
            Goal::Class { .. } => Prediction::Class(first_of_the_largest(outputs)),
            Goal::Number(regression) => Prediction::Number(regression.number(outputs[0])),
        }
    }

    /// The outputs of the model for each image: the logits `[K]`, or `[1]`.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn logits(&self, batches: impl Iterator<Item = Result<HostBatch>>) -> Result<Vec<Vec<f32>>> {
        let mut all = vec![];
        self.evaluate_logits(batches, |logits| all.push(logits.to_vec()))?;
        Ok(all)
    }

    /// Evaluates, and shows `see` the logits of each image.
    fn evaluate_logits(
        &self,
        batches: impl Iterator<Item = Result<HostBatch>>,
        mut see: impl FnMut(&[f32]),
    ) -> Result<Metrics> {
        let [n, classes] = self.eval.tape().shape(self.eval_logits).rows();
        let range = self.eval.value(self.eval_logits).part(0, 4 * (n * classes) as u64);
        self.evaluate_each(batches, |batch| {
            let logits: Vec<f32> = self.gpu.read(&range)?;
            let filled = batch.words[..n].iter().filter(|&&label| label != IGNORED_LABEL).count();
            logits.chunks_exact(classes).take(filled).for_each(&mut see);
            Ok(())
        })
    }

    /// Evaluates, and calls `after` behind each pass with what it evaluated.
    fn evaluate_each(
        &self,
        batches: impl Iterator<Item = Result<HostBatch>>,
        mut after: impl FnMut(&HostBatch) -> Result<()>,
    ) -> Result<Metrics> {
        self.clear_metrics(&self.eval);
        let time = Time { step: self.time.step.saturating_sub(1), ..self.time };
        for (i, batch) in batches.enumerate() {
            let batch = batch?;
            for pass in 0..self.train.tape().passes() {
                let part = self.part(&batch, pass);
                self.write_inputs(&self.eval, self.batches[1], &part, time, pass);
                self.gpu.run(self.eval.forward())?;
                after(&part)?;
            }
            // Batches on their way take memory: no more than a few.
            if i % 8 == 7 {
                self.gpu.wait()?;
            }
        }
        self.take_metrics(&self.eval)
    }

    /// Every trained and kept tensor, read back, with the steps done.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut tensors = self.storage.params.read_all(self.gpu, &self.storage.layout)?;
        tensors.extend(self.storage.state.read_all(self.gpu, &self.storage.state_layout)?);
        Ok(Snapshot { tensors, step: self.time.step })
    }

    /// Everything that the next step depends on, by name: the tensors of [`Storage::tensors`] as they are called, and the optimiser's
    /// moments with `first_moment.` or `second_moment.` before the parameter's name.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub fn state(&self) -> Result<Vec<Tensor>> {
        let mut tensors = self.named(&self.snapshot()?, "");
        for (moment, arena) in MOMENTS.iter().zip(self.optimizer.moments()) {
            let values = arena.read_all(self.gpu, &self.storage.layout)?;
            for (declared, values) in self.storage.parameters().iter().zip(values) {
                let name = format!("{moment}.{}", declared.name);
                tensors.push(Tensor { name, shape: declared.shape.dims().to_vec(), values });
            }
        }
        Ok(tensors)
    }

    /// A snapshot's tensors with `prefix` before their names.
    pub fn named(&self, snapshot: &Snapshot, prefix: &str) -> Vec<Tensor> {
        let tensor = |((declared, _, _), values): ((&Declared, &Arena, &Span), &Vec<f32>)| Tensor {
            name: format!("{prefix}{}", declared.name),
            shape: declared.shape.dims().to_vec(),
            values: values.clone(),
        };
        self.storage.tensors().zip(&snapshot.tensors).map(tensor).collect()
    }

    /// Puts back what [`Session::state`] returned behind step `step`; `tensor` finds a tensor by its name and number of elements.
    ///
    /// # Errors
    /// Those of `tensor`.
    pub fn set_state(&mut self, step: u64, tensor: impl Fn(&str, usize) -> Result<Vec<f32>>) -> Result<()> {
        for (declared, arena, span) in self.storage.tensors() {
            arena.write(self.gpu, span, &tensor(&declared.name, span.count)?);
        }
        for (moment, arena) in MOMENTS.iter().zip(self.optimizer.moments()) {
            for (declared, span) in self.storage.parameters().iter().zip(self.storage.layout.spans()) {
                arena.write(self.gpu, span, &tensor(&format!("{moment}.{}", declared.name), span.count)?);
            }
        }
        self.optimizer.set_steps(step);
        self.time.step = step;
        Ok(())
    }

    /// Overwrites weights and running statistics by the tensors of their names and returns the names of those that stay as they were.
    /// Unless `partial`, all must be there, and no other.
    ///
    /// # Errors
    /// The first tensor that is missing, of another shape, or too many.
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
                Some(tensor) if tensor.shape == declared.shape.dims() => arena.write(self.gpu, span, &tensor.values),
                _ if partial => kept.push(declared.name.clone()),
                Some(tensor) => {
                    let found = Shape::from(tensor.shape.clone());
                    return Err(format!("{} is {found} in the file, {} in the model", declared.name, declared.shape));
                }
                None => return Err(format!("the file has no {}", declared.name)),
            }
        }
        match kept.len() == declared.len() {
            true => Err("nothing in the file fits".to_owned()),
            false => Ok(kept),
        }
    }

    /// Says when evaluation is: a blur depends on it.
    pub fn set_time(&mut self, time: Time) {
        self.time = time;
    }

    /// A snapshot as it stood behind step `step`, its tensors found as in [`Session::set_state`].
    ///
    /// # Errors
    /// Those of `tensor`.
    pub fn snapshot_of(&self, step: u64, tensor: impl Fn(&str, usize) -> Result<Vec<f32>>) -> Result<Snapshot> {
        let tensors = self.storage.tensors().map(|(declared, _, span)| tensor(&declared.name, span.count));
        Ok(Snapshot { tensors: tensors.collect::<Result<_>>()?, step })
    }

    /// Puts a snapshot back, for evaluation; the optimiser's moments stay as they are.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        for ((_, arena, span), values) in self.storage.tensors().zip(&snapshot.tensors) {
            arena.write(self.gpu, span, values);
        }
        self.time.step = snapshot.step;
    }
}
