//! An operation at one shape.

use crate::gpu::Dialect;
use crate::ops::add::add;
use crate::tape::{Controls, Declared, Group, Init, KernelChoices, Mode, ParamId, Tape, Target, Var, Variant};
use crate::tensor::Shape;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The controls during the checks.
pub const CONTROLS: Controls =
    Controls { step: 3, seed: 7, sigma: 0.8, pass: 0, mix: 0.75, filled: 0, examples: 0, reserved: 0 };

/// A function that appends the operation to a tape.
type Record = Box<dyn Fn(&mut Tape, &str, &[Var], &[ParamId]) -> Var + Send + Sync>;

/// A function that computes y from the operands.
type Forward = Box<dyn Fn(&[Vec<f64>]) -> Vec<f64> + Send + Sync>;

/// A function that computes the gradient of each operand, from the operands and dy.
type Backward = Box<dyn Fn(&[Vec<f64>], &[f64]) -> Vec<Vec<f64>> + Send + Sync>;

/// An operation at one shape.
pub struct Row {
    /// Operation and shape.
    pub name: String,
    /// Shapes of the input activations.
    pub inputs: Vec<Shape>,
    /// Shapes of the parameters.
    pub params: Vec<Shape>,
    /// Appends the operation to a tape.
    pub record: Record,
    /// Computes y from the inputs and the parameters, in this order, in f64.
    pub forward: Forward,
    /// Computes the gradients of the inputs and the parameters from dy, in f64.
    pub backward: Backward,
    /// Names and words of buffers that the host writes. The names are those on the tape when the
    /// operation is called `op`.
    pub buffers: Vec<(String, Vec<u32>)>,
    /// Whether y is linear in the first input.
    pub linear: bool,
    /// Whether the operation has a comparison or a maximum, in which a NaN could be lost. Then
    /// [`super::nan_passes`] is checked, which needs an element of y between 0 and 6.
    pub activates: bool,
    /// Multiply-adds of the forward pass, for timings, or 0 if memory bandwidth is the limit.
    pub multiply_adds: u64,
    /// Factor of the values of all operands, which are between -1.53 and 1.47 without it.
    pub gain: f64,
    /// Offset of the values of the first input.
    pub offset: f64,
}

impl Row {
    /// A row for an operation on activations and parameters of these shapes. Call [`Row::record`]
    /// and [`Row::reference`] to complete it.
    pub fn new(
        name: impl Into<String>,
        inputs: impl IntoIterator<Item = Shape>,
        params: impl IntoIterator<Item = Shape>,
    ) -> Self {
        Self {
            name: name.into(),
            inputs: inputs.into_iter().collect(),
            params: params.into_iter().collect(),
            record: Box::new(|_, name, _, _| panic!("{name}: call `Row::record` first")),
            forward: Box::new(|_| panic!("call `Row::reference` first")),
            backward: Box::new(|_, _| panic!("call `Row::reference` first")),
            buffers: vec![],
            linear: false,
            activates: false,
            multiply_adds: 0,
            gain: 1.0,
            offset: 0.0,
        }
    }

    /// Sets the function that appends the operation to a tape.
    pub fn record(self, record: impl Fn(&mut Tape, &str, &[Var], &[ParamId]) -> Var + Send + Sync + 'static) -> Self {
        Self { record: Box::new(record), ..self }
    }

    /// Adds a buffer that the host writes. `name` is its name on the tape when the operation is
    /// called `op`.
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

    /// Fixed values for inputs and parameters. They are distinct and evenly spaced, so that no
    /// maximum is ambiguous and no value is near 0. Values with an offset are multiples of 1/64, so
    /// that f32 represents them, and their mean over a power of two, exactly.
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

    /// Records the operation on an empty tape, with y's gradient seeded. Returns the tape, the
    /// inputs and y.
    pub fn on(&self, tape: Tape) -> (Tape, Vec<Var>, Var) {
        self.used(tape, 1)
    }

    /// Records the sum of `uses` uses of the operation on the same operands, on an empty tape, with
    /// the gradient of the sum seeded. The uses are called `op`, `op1`, `op2` and so on. Returns
    /// the tape, the inputs and the sum.
    pub fn used(&self, mut tape: Tape, uses: usize) -> (Tape, Vec<Var>, Var) {
        let leaf = |(i, shape): (usize, &Shape)| tape.leaf(&format!("x{i}"), shape.clone(), true);
        let inputs: Vec<_> = self.inputs.iter().enumerate().map(leaf).collect();
        let params = declare(&mut tape, &self.params);
        let mut y = (self.record)(&mut tape, "op", &inputs, &params);
        for i in 1..uses {
            let other = (self.record)(&mut tape, &format!("op{i}"), &inputs, &params);
            y = add(&mut tape, &format!("sum{i}"), y, other);
        }
        tape.seed_gradient(y);
        (tape, inputs, y)
    }

    /// Empty tapes that together choose all kernels of the row, each with a suffix for a test's
    /// name. There is one tape per variant of the tunable operations, or one per target if their
    /// kernels differ.
    pub fn tapes(&self) -> Vec<(Tape, String)> {
        let [gpu, processor] = Target::ALL.map(|target| Tape::new(Mode::Train).with_target(target));
        let recorded = self.on(gpu.clone()).0;
        let with_variant = |variant: Variant| {
            let ops = recorded.tunable_ops().map(|(_, op)| op).filter(|op| op.variants.contains(&variant));
            let choices = KernelChoices(ops.map(|op| (op.name.clone(), variant)).collect());
            (!choices.is_empty()).then(|| (gpu.clone().with_choices(choices), format!(", {variant}")))
        };
        let tapes: Vec<_> = Variant::ALL.into_iter().filter_map(with_variant).collect();
        if !tapes.is_empty() {
            return tapes;
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

    /// Fixed weights for y, used as dy: the loss is their dot product with y.
    pub fn weights(&self, count: usize) -> Vec<f64> {
        test_values(count, 100)
    }
}

/// `count` distinct values between -1.53 and 1.47, without 0, representable as f32, in random
/// order.
pub fn test_values(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values: Vec<f64> =
        (0..count).map(|i| f64::from(((i as f64 + 0.5) / count as f64 * 3.0 - 1.53) as f32)).collect();
    for i in (1..count).rev() {
        values.swap(i, rng.random_range(0..=i));
    }
    values
}

/// Converts values to f32.
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
