//! Batch normalisation of each channel of x `[N,C,H,W]` (Ioffe & Szegedy 2015), with PyTorch's conventions: epsilon 1e-5, running
//! statistics with momentum 0.1, the biased variance to normalise and the unbiased one to keep.
//!
//! Training: mean and variance of the batch; y = gamma (x - mean) / sqrt(var + epsilon) + beta.
//! In the same pass a residual may be added and an activation applied. x may have more channels than gamma: then the first ones are
//! normalised, which is how the layers of a dense block read what those before them have added to one tensor.
//! Evaluation: the same with the running mean and variance. A batch with one element per channel keeps variance 0.

use super::{Kernels, LANES, shader};
use crate::gpu::Shader;
use crate::tape::{Mode, Operand, ParamId, Record, StateId, Tape, Target, Var, linear_grid};
use crate::tensor::Shape;

/// `shaders/batch_norm.wgsl`.
pub static SHADER: Shader = shader!("batch_norm");

/// Added to the variance.
pub const EPSILON: f32 = 1e-5;

/// The usual weight of a batch in the running statistics.
pub const MOMENTUM: f32 = 0.1;

/// Workgroups that the sums over a batch are spread over, if there are images enough: fills a GPU.
const SUM_WORKGROUPS: usize = 512;

/// The same in invocations, for processors: keeps a few cores equally busy.
const SUM_INVOCATIONS: usize = 1024;

/// Invocations of a workgroup of `partial_alone` and the like: a processor's driver gives each workgroup to one core.
const PROCESSOR_LANES: usize = 16;

/// vec4 of an invocation of the elementwise kernels.
const QUADS: usize = 4;

/// What the operation trains and keeps, each `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Scale.
    pub gamma: ParamId,
    /// Shift.
    pub beta: ParamId,
    /// Kept mean.
    pub running_mean: StateId,
    /// Kept variance.
    pub running_var: StateId,
    /// Weight of a batch in both; PyTorch's default is [`MOMENTUM`].
    pub momentum: f32,
}

/// A function of each element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// The element.
    #[default]
    Identity,
    /// max(0, element).
    Relu,
    /// min(6, max(0, element)) (Howard et al. 2017); no slope at 0 and 6, as in PyTorch.
    Relu6,
}

/// What follows the normalisation in the same pass over memory: y = activation(normalised x + residual).
#[derive(Clone, Copy, Debug, Default)]
pub struct After {
    /// Added, of the shape of y.
    pub residual: Option<Var>,
    /// Applied last.
    pub activation: Activation,
}

/// Appends the normalisation of x `[N,XC,H,W]` and what comes after it; y `[N,C,H,W]`, C <= XC, with C elements in gamma and beta.
///
/// # Panics
/// If gamma and beta differ, or have more elements than x has channels, or the residual has another shape than x.
pub fn batch_norm(tape: &mut Tape, name: &str, x: Var, norm: Norm, after: After) -> Var {
    let x_shape = tape.shape(x).clone();
    let [n, x_channels, h, w] = x_shape.nchw(name);
    let c = tape.declared(norm.gamma).shape.count();
    for param in [norm.gamma, norm.beta] {
        let declared = tape.declared(param);
        let fits = declared.shape.dims() == [c] && c <= x_channels;
        assert!(fits, "{name}: C is {x_channels} in x {x_shape} but {} is {}", declared.name, declared.shape);
    }
    let shape = Shape::from([n, c, h, w]);
    // Where there is no residual, x stands at its binding unread.
    let residual = after.residual.unwrap_or(x);
    let fits = after.residual.is_none() || (tape.shape(residual) == &shape && c == x_channels);
    assert!(fits, "{name}: x is {x_shape} but the residual is {}", tape.shape(residual));
    let plane = h * w;
    let (workgroups, entries) = match tape.target() {
        Target::Gpu => (SUM_WORKGROUPS, ["partial", "backward_partial"]),
        Target::Processor => (SUM_INVOCATIONS, ["partial_alone", "backward_partial_alone"]),
    };
    let images_per_chunk = n.div_ceil((workgroups / c).clamp(1, n));
    let chunks = n.div_ceil(images_per_chunk);
    let constants = vec![
        ("N", n.into()),
        ("C", c.into()),
        ("XC", x_channels.into()),
        ("PLANE", plane.into()),
        ("CHUNKS", chunks.into()),
        ("IMAGES_PER_CHUNK", images_per_chunk.into()),
        ("QUADS", QUADS.into()),
        ("EPSILON", EPSILON.into()),
        ("MOMENTUM", norm.momentum.into()),
        ("RESIDUAL", after.residual.is_some().into()),
        ("RELU", (after.activation != Activation::Identity).into()),
        ("RELU6", (after.activation == Activation::Relu6).into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let elementwise = |shape: &Shape| linear_grid(shape.count().div_ceil(4).div_ceil(QUADS), LANES);
    let [of_x, of_y] = [elementwise(&x_shape), elementwise(&shape)];
    let per_channel = [c.div_ceil(LANES) as u32, 1, 1];
    let per_chunk = match tape.target() {
        Target::Gpu => [c as u32, chunks as u32, 1],
        Target::Processor => [(c * chunks).div_ceil(PROCESSOR_LANES) as u32, 1, 1],
    };

    let y = tape.result(name, shape, &[x, residual], true);
    let channels = Operand::from(tape.buffer(&format!("{name}.channels"), 16 * c as u64));
    let (x_in, y_in, residual_in) = (Operand::from(x).read(), Operand::from(y).read(), Operand::from(residual).read());
    let (gamma, beta) = (Operand::from(norm.gamma).read(), Operand::from(norm.beta).read());
    let (mean, var) = (Operand::from(norm.running_mean).write(), Operand::from(norm.running_var).write());
    let bindings = vec![x_in, channels.read(), residual_in, Operand::from(y).write()];
    let apply = kernels.dispatch("forward", bindings, of_y);
    if tape.mode() == Mode::Eval {
        let bindings = vec![x_in, x_in, gamma, beta, mean, var, channels.write()];
        let forward = vec![kernels.dispatch("prepare", bindings, per_channel), apply];
        tape.record(Record { name: name.into(), op: "batch_norm", result: Some(y), forward, backward: vec![] });
        return y;
    }

    let partials = Operand::from(tape.buffer(&format!("{name}.partials"), 8 * (c * chunks) as u64));
    let slopes = Operand::from(tape.buffer(&format!("{name}.slopes"), 16 * c as u64));
    let forward = vec![
        kernels.dispatch(entries[0], vec![x_in, partials.write()], per_chunk),
        kernels.dispatch("finish", vec![x_in, partials.read(), gamma, beta, mean, var, channels.write()], per_channel),
        apply,
    ];
    let dy = Operand::Gradient(y).read();
    let (dgamma, dbeta) = (Operand::ParameterGradient(norm.gamma), Operand::ParameterGradient(norm.beta));
    let sums = vec![x_in, channels.read(), dy, y_in, partials.write()];
    let finish = vec![partials.read(), channels.read(), dgamma.write(), dbeta.write(), slopes.write()];
    let mut backward =
        vec![kernels.dispatch(entries[1], sums, per_chunk), kernels.dispatch("backward_finish", finish, per_channel)];
    if tape.needs_gradient(x) {
        let bindings = vec![x_in, channels.read(), dy, y_in, slopes.read(), Operand::Gradient(x).write()];
        backward.push(kernels.dispatch("backward", bindings, of_x));
    }
    if let Some(residual) = after.residual.filter(|&residual| tape.needs_gradient(residual)) {
        let bindings = vec![y_in, dy, Operand::Gradient(residual).write()];
        backward.push(kernels.dispatch("backward_residual", bindings, of_y));
    }
    tape.record(Record { name: name.into(), op: "batch_norm", result: Some(y), forward, backward });
    y
}

/// The same in f64.
pub mod reference {
    use super::Activation;

    /// Every element through `activation`; NaN stays NaN.
    pub fn activate(x: &[f64], activation: Activation) -> Vec<f64> {
        let of = |v: f64| match activation {
            Activation::Identity => v,
            Activation::Relu if v <= 0.0 => 0.0,
            Activation::Relu6 if v <= 0.0 => 0.0,
            Activation::Relu6 if v >= 6.0 => 6.0,
            Activation::Relu | Activation::Relu6 => v,
        };
        x.iter().map(|&v| of(v)).collect()
    }

    /// dx of `x` before the activation.
    pub fn activate_backward(x: &[f64], dy: &[f64], activation: Activation) -> Vec<f64> {
        let slope = |v: f64| match activation {
            Activation::Identity => 1.0,
            Activation::Relu if v <= 0.0 => 0.0,
            Activation::Relu6 if v <= 0.0 || v >= 6.0 => 0.0,
            Activation::Relu | Activation::Relu6 => 1.0,
        };
        x.iter().zip(dy).map(|(&v, &g)| slope(v) * g).collect()
    }

    /// Result of a forward pass in training.
    pub struct Forward {
        /// `[N,C,H,W]`.
        pub y: Vec<f64>,
        /// Mean of each channel.
        pub mean: Vec<f64>,
        /// Biased variance of each channel.
        pub var: Vec<f64>,
    }

    /// The elements of channel `c` of `[n,c,plane]`.
    fn channel([n, channels, plane]: [usize; 3], c: usize) -> impl Iterator<Item = usize> + Clone {
        (0..n).flat_map(move |image| (0..plane).map(move |i| (image * channels + c) * plane + i))
    }

    /// y with given statistics, as in evaluation.
    pub fn normalise(
        x: &[f64],
        gamma: &[f64],
        beta: &[f64],
        mean: &[f64],
        var: &[f64],
        extent: [usize; 3],
        epsilon: f64,
    ) -> Vec<f64> {
        let mut y = vec![0.0; x.len()];
        for c in 0..extent[1] {
            let scale = gamma[c] / (var[c] + epsilon).sqrt();
            channel(extent, c).for_each(|i| y[i] = (x[i] - mean[c]) * scale + beta[c]);
        }
        y
    }

    /// Forward over x `[n,c,plane]` with the batch's own statistics.
    pub fn forward(x: &[f64], gamma: &[f64], beta: &[f64], extent: [usize; 3], epsilon: f64) -> Forward {
        let count = (extent[0] * extent[2]) as f64;
        let mean: Vec<_> = (0..extent[1]).map(|c| channel(extent, c).map(|i| x[i]).sum::<f64>() / count).collect();
        let squares = |c: usize| channel(extent, c).map(|i| (x[i] - mean[c]).powi(2)).sum::<f64>();
        let var: Vec<_> = (0..extent[1]).map(|c| squares(c) / count).collect();
        Forward { y: normalise(x, gamma, beta, &mean, &var, extent, epsilon), mean, var }
    }

    /// (dx, dgamma, dbeta).
    pub fn backward(
        x: &[f64],
        gamma: &[f64],
        dy: &[f64],
        extent: [usize; 3],
        epsilon: f64,
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let channels = extent[1];
        let statistics = forward(x, gamma, &vec![0.0; channels], extent, epsilon);
        let count = (extent[0] * extent[2]) as f64;
        let (mut dx, mut dgamma, mut dbeta) = (vec![0.0; x.len()], vec![0.0; channels], vec![0.0; channels]);
        for c in 0..channels {
            let inverse = 1.0 / (statistics.var[c] + epsilon).sqrt();
            let xhat = |i: usize| (x[i] - statistics.mean[c]) * inverse;
            dbeta[c] = channel(extent, c).map(|i| dy[i]).sum();
            dgamma[c] = channel(extent, c).map(|i| dy[i] * xhat(i)).sum();
            for i in channel(extent, c) {
                dx[i] = gamma[c] * inverse * (dy[i] - dbeta[c] / count - xhat(i) * dgamma[c] / count);
            }
        }
        (dx, dgamma, dbeta)
    }
}
