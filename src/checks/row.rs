//! An operation at one shape.

use crate::gpu::Dialect;
use crate::ops::add::add;
use crate::tape::{Controls, Declared, Group, Init, KernelChoices, Mode, ParamId, Tape, Target, Var, Variant};
use crate::tensor::Shape;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What kernels find in the controls while they are checked.
pub const CONTROLS: Controls =
    Controls { step: 3, seed: 7, sigma: 0.8, pass: 0, mix: 0.75, filled: 0, examples: 0, reserved: 0 };

/// Appends the operation to a tape.
type Record = Box<dyn Fn(&mut Tape, &str, &[Var], &[ParamId]) -> Var + Send + Sync>;

/// y of the operands.
type Forward = Box<dyn Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync>;

/// The gradient of each operand, from dy.
type Backward = Box<dyn Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>> + Send + Sync>;

/// An operation at one shape.
pub struct Row {
    /// Operation and shape.
    pub name: String,
    /// Shapes of the activations that it reads.
    pub inputs: Vec<Shape>,
    /// Shapes of the parameters that it reads.
    pub params: Vec<Shape>,
    /// Appends it to a tape.
    pub record: Record,
    /// y of inputs and parameters, in this order, in f64.
    pub forward: Forward,
    /// The gradient of each of them, from dy, in f64.
    pub backward: Backward,
    /// Words of buffers that the host writes, by the names that they have on the tape where the operation is called `op`.
    pub buffers: Vec<(String, Vec<u32>)>,
    /// Whether y is linear in the first input.
    pub linear: bool,
    /// Whether a NaN could be lost in it, as in a comparison or a maximum: then [`super::nan_passes`] is checked, which needs an element
    /// of y between 0 and 6.
    pub activates: bool,
    /// Multiply-adds of the forward pass, for timings; 0 where bytes count.
    pub multiply_adds: u64,
    /// The values lie evenly between -1.53 and 1.47 times this.
    pub gain: f64,
    /// How far from 0 the first input's values lie.
    pub offset: f64,
}

impl Row {
    /// An operation on activations and parameters of these shapes. [`Row::record`] and [`Row::reference`] must follow.
    pub fn new(
        name: impl Into<String>,
        inputs: impl IntoIterator<Item = Shape>,
        params: impl IntoIterator<Item = Shape>,
    ) -> Self {
        Self {
            name: name.into(),
            inputs: inputs.into_iter().collect(),
            params: params.into_iter().collect(),
            record: Box::new(|_, name, _, _| panic!("{name}: the row does not say how it is recorded")),
            forward: Box::new(|_| panic!("the row has no reference")),
            backward: Box::new(|_, _| panic!("the row has no reference")),
            buffers: vec![],
            linear: false,
            activates: false,
            multiply_adds: 0,
            gain: 1.0,
            offset: 0.0,
        }
    }

    /// How it is appended to a tape.
    pub fn record(self, record: impl Fn(&mut Tape, &str, &[Var], &[ParamId]) -> Var + Send + Sync + 'static) -> Self {
        Self { record: Box::new(record), ..self }
    }

    /// A buffer that the host writes, by its name on the tape where the operation is called `op`.
    pub fn buffer(mut self, name: &str, words: Vec<u32>) -> Self {
        self.buffers.push((name.to_owned(), words));
        self
    }

    /// Its reference: y of the operands, and the gradient of each of them from dy.
    pub fn reference(
        self,
        forward: impl Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync + 'static,
        backward: impl Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>> + Send + Sync + 'static,
    ) -> Self {
        Self { forward: Box::new(forward), backward: Box::new(backward), ..self }
    }

    /// Fixed values for inputs and parameters: distinct and evenly spaced, so that no maximum is close and nothing lies near 0. Those
    /// with an offset are multiples of 1/64, so that f32 holds them, and the mean of a power of two of them, exactly.
    pub fn values(&self) -> Vec<Vec<f64>> {
        let shapes = self.inputs.iter().chain(&self.params);
        let value = |i: usize, v: f64| match self.offset {
            offset if i == 0 && offset != 0.0 => offset + (v * self.gain * 64.0).round() / 64.0,
            _ => f64::from((v * self.gain) as f32),
        };
        let values = |(i, shape): (usize, &Shape)| {
            test_values(shape.count(), i as u64).into_iter().map(|v| value(i, v)).collect::<Vec<f64>>()
        };
        shapes.enumerate().map(values).collect()
    }

    /// The operation alone on `tape`, which is empty, its gradient seeded; x, and y.
    pub fn on(&self, tape: Tape) -> (Tape, Vec<Var>, Var) {
        self.used(tape, 1)
    }

    /// The sum of `uses` uses of the operation on the same operands, likewise. The first is called `op`, further ones `op1` and so on.
    pub fn used(&self, mut tape: Tape, uses: usize) -> (Tape, Vec<Var>, Var) {
        let leaf = |(i, shape): (usize, &Shape)| tape.leaf(&format!("x{i}"), shape.clone(), true);
        let inputs: Vec<_> = self.inputs.iter().enumerate().map(leaf).collect();
        let params = declare(&mut tape, &self.params);
        let mut y = (self.record)(&mut tape, "op", &inputs, &params);
        for again in 1..uses {
            let other = (self.record)(&mut tape, &format!("op{again}"), &inputs, &params);
            y = add(&mut tape, &format!("sum{again}"), y, other);
        }
        tape.seed_gradient(y);
        (tape, inputs, y)
    }

    /// An empty tape for each way to compute the row, with what a test's name says of it: one per variant of its tasks, or per target
    /// where that has kernels of its own.
    pub fn ways(&self) -> Vec<(Tape, String)> {
        let [gpu, processor] = Target::ALL.map(|target| Tape::new(Mode::Train).with_target(target));
        let usual = self.on(gpu.clone()).0;
        let of_variant = |variant: Variant| {
            let tasks = usual.tunable_ops().map(|(_, task)| task).filter(|task| task.variants.contains(&variant));
            let choices = KernelChoices(tasks.map(|task| (task.name.clone(), variant)).collect());
            (!choices.is_empty()).then(|| (gpu.clone().with_choices(choices), format!(", {variant}")))
        };
        let ways: Vec<_> = Variant::ALL.into_iter().filter_map(of_variant).collect();
        if !ways.is_empty() {
            return ways;
        }
        let kernels = |tape: &Tape| {
            let tape = self.on(tape.clone()).0;
            let dispatches = tape.forward().into_iter().chain(tape.backward());
            dispatches
                .map(|(_, dispatch)| dispatch.kernel.wgsl(Dialect::PLAIN) + dispatch.kernel.entry)
                .collect::<Vec<_>>()
        };
        match kernels(&gpu) == kernels(&processor) {
            true => vec![(gpu, String::new())],
            false => vec![(gpu, String::new()), (processor, ", for processors".into())],
        }
    }

    /// Fixed weights for y: the loss is the sum of their products with it.
    pub fn weights(&self, count: usize) -> Vec<f64> {
        test_values(count, 100)
    }
}

/// `count` distinct values in -1.53..1.47, none 0, exactly representable as f32, in random order.
pub fn test_values(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values: Vec<f64> =
        (0..count).map(|i| f64::from(((i as f64 + 0.5) / count as f64 * 3.0 - 1.53) as f32)).collect();
    for i in (1..count).rev() {
        values.swap(i, rng.random_range(0..=i));
    }
    values
}

/// The values as a device holds them.
pub fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

/// Declares `shapes` as parameters of one layer.
pub fn declare(tape: &mut Tape, shapes: &[Shape]) -> Vec<ParamId> {
    let declare = |(i, shape): (usize, &Shape)| {
        let name = format!("p{i}");
        tape.parameter(Declared { name, shape: shape.clone(), init: Init::Zeros, layer: 0, group: Group::Weight })
    };
    shapes.iter().enumerate().map(declare).collect()
}
