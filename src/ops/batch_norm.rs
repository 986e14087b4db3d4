//! Batch normalisation of each channel of x `[N,C,H,W]` (Ioffe & Szegedy 2015).
//!
//! y = gamma (x - mean) / sqrt(var + epsilon) + beta. Training uses the mean and variance of the
//! batch, evaluation the running ones. The conventions are PyTorch's: epsilon is 1e-5, the momentum
//! of the running statistics 0.1, and the biased variance normalises, while the running variance is
//! of the unbiased one. A batch with one element per channel has variance 0.
//!
//! The same kernel can add a residual and apply an activation. x may have more channels than gamma:
//! then only the first ones are normalised. The layers of a dense block read the outputs of earlier
//! layers from one shared tensor in this way.

use super::{Kernels, LANES, PROCESSOR_LANES, shader};
use crate::error::{Error, Result};
use crate::gpu::Shader;
use crate::tape::{Mode, Operand, ParamId, Record, StateId, Tape, Target, Var, linear_grid};
use crate::tensor::Shape;

/// `shaders/batch_norm.wgsl`.
pub static SHADER: Shader = shader!("batch_norm");

/// The default constant added to the variance.
pub const EPSILON: f32 = 1e-5;

/// The default weight of a batch in the running statistics.
pub const MOMENTUM: f32 = 0.1;

/// On GPUs, the sums over a batch use up to this many workgroups, enough to fill a GPU.
const SUM_WORKGROUPS: usize = 512;

/// On processors, the sums over a batch use up to this many invocations, enough to balance the load
/// of a few cores.
const SUM_INVOCATIONS: usize = 1024;

/// vec4 per invocation of the elementwise kernels.
const QUADS: usize = 4;

/// The parameters and running statistics, each `[C]`.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Scale.
    pub gamma: ParamId,
    /// Shift.
    pub beta: ParamId,
    /// Running mean.
    pub running_mean: StateId,
    /// Running variance.
    pub running_var: StateId,
    /// Weight of a batch in the running statistics. PyTorch's default is [`MOMENTUM`].
    pub momentum: f32,
    /// The constant added to the variance. PyTorch's default is [`EPSILON`].
    pub epsilon: f32,
}

/// An elementwise activation function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// f(v) = v.
    #[default]
    Identity,
    /// f(v) = max(0, v).
    Relu,
    /// f(v) = min(6, max(0, v)) (Howard et al. 2017). Its gradient is 0 at 0 and 6, as in PyTorch.
    Relu6,
    /// f(v) = v sigma(v), with sigma(v) = 1 / (1 + exp(-v)) (Elfwing, Uchibe & Doya 2018).
    Silu,
}

/// What the kernel does after the normalisation: y = activation(normalised x + residual).
#[derive(Clone, Copy, Debug, Default)]
pub struct After {
    /// The residual to add, of the shape of y.
    pub residual: Option<Var>,
    /// The activation to apply.
    pub activation: Activation,
}

/// Appends the normalisation of x `[N,XC,H,W]`, followed by `after`. gamma and beta are `[C]` with
/// C <= XC, y is `[N,C,H,W]`.
///
/// # Panics
/// If gamma and beta differ in shape or have more elements than x has channels, if the residual and
/// x differ in shape, or if there is a residual before [`Activation::Silu`].
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
    // Without a residual, x is bound in its place and not read.
    let residual = after.residual.unwrap_or(x);
    let fits = after.residual.is_none() || (tape.shape(residual) == &shape && c == x_channels);
    assert!(fits, "{name}: x is {x_shape} but the residual is {}", tape.shape(residual));
    // Its gradient needs the input of the activation, which cannot be computed from y.
    let computable = after.residual.is_none() || after.activation != Activation::Silu;
    assert!(computable, "{name}: silu of a sum with a residual is not supported");
    let plane = h * w;
    let (workgroups, entries) = match tape.target() {
        Target::Gpu => (SUM_WORKGROUPS, ["partial", "backward_partial"]),
        Target::Processor => (SUM_INVOCATIONS, ["partial_serial", "backward_partial_serial"]),
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
        ("EPSILON", norm.epsilon.into()),
        ("MOMENTUM", norm.momentum.into()),
        ("RESIDUAL", after.residual.is_some().into()),
        ("RELU", matches!(after.activation, Activation::Relu | Activation::Relu6).into()),
        ("RELU6", (after.activation == Activation::Relu6).into()),
        ("SILU", (after.activation == Activation::Silu).into()),
    ];
    let kernels = Kernels { shader: &SHADER, constants };
    let elementwise = |shape: &Shape| linear_grid(shape.count().div_ceil(4).div_ceil(QUADS), LANES);
    let [x_grid, y_grid] = [elementwise(&x_shape), elementwise(&shape)];
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
    let apply = kernels.dispatch("forward", bindings, y_grid);
    if tape.mode() == Mode::Eval {
        let bindings = vec![x_in, x_in, gamma, beta, mean, var, channels.write()];
        let forward = vec![kernels.dispatch("prepare", bindings, per_channel), apply];
        tape.record(Record { name: name.into(), op: "batch_norm", result: Some(y), forward, backward: vec![] });
        let read = [x.into(), norm.gamma.into(), norm.beta.into(), norm.running_mean.into(), norm.running_var.into()];
        let inputs: Vec<Operand> = read.into_iter().chain(after.residual.map(Operand::from)).collect();
        tape.node(&inputs, &[("channels", &[c]), ("activation", &[after.activation as usize])]);
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
        backward.push(kernels.dispatch("backward", bindings, x_grid));
    }
    if let Some(residual) = after.residual.filter(|&residual| tape.needs_gradient(residual)) {
        let bindings = vec![y_in, dy, Operand::Gradient(residual).write()];
        backward.push(kernels.dispatch("backward_residual", bindings, y_grid));
    }
    tape.record(Record { name: name.into(), op: "batch_norm", result: Some(y), forward, backward });
    y
}

/// Checks that each batch norm of a tape for training has more than one value per channel. The
/// output of another would be beta for every input; PyTorch refuses it too.
///
/// # Errors
/// [`Error::Setting`] that names the first layer with one value per channel.
pub fn check_values_per_channel(tape: &Tape) -> Result<()> {
    if tape.mode() == Mode::Eval {
        return Ok(());
    }
    let norms = tape.records().iter().filter(|record| record.op == "batch_norm");
    let mut shapes = norms.filter_map(|record| Some((&record.name, tape.shape(record.result?))));
    let is_single = |(name, shape): &(&String, &Shape)| {
        let [n, _, h, w] = shape.nchw(name);
        n * h * w == 1
    };
    let Some((name, shape)) = shapes.find(is_single) else { return Ok(()) };
    let field = if tape.passes() > 1 { "micro_batch" } else { "batch_size" };
    let message = format!(
        "{name} of {shape}: batch norm needs more than one value per channel in training, found 1; use 2 or more, or larger images"
    );
    Err(Error::setting(field, message))
}

/// Reference implementation in f64.
pub mod reference {
    use super::Activation;

    fn sigmoid(v: f64) -> f64 {
        1.0 / (1.0 + (-v).exp())
    }

    /// Applies `activation` to every element. NaN stays NaN.
    pub fn activate(x: &[f64], activation: Activation) -> Vec<f64> {
        let apply = |v: f64| match activation {
            Activation::Identity => v,
            Activation::Relu if v <= 0.0 => 0.0,
            Activation::Relu6 if v <= 0.0 => 0.0,
            Activation::Relu6 if v >= 6.0 => 6.0,
            Activation::Relu | Activation::Relu6 => v,
            Activation::Silu => v * sigmoid(v),
        };
        x.iter().map(|&v| apply(v)).collect()
    }

    /// The gradient with respect to `x`, the input of the activation.
    pub fn activate_backward(x: &[f64], dy: &[f64], activation: Activation) -> Vec<f64> {
        let slope = |v: f64| match activation {
            Activation::Identity => 1.0,
            Activation::Relu if v <= 0.0 => 0.0,
            Activation::Relu6 if v <= 0.0 || v >= 6.0 => 0.0,
            Activation::Relu | Activation::Relu6 => 1.0,
            Activation::Silu => sigmoid(v) * (1.0 + v * sigmoid(-v)),
        };
        x.iter().zip(dy).map(|(&v, &g)| slope(v) * g).collect()
    }

    /// The result of a forward pass in training.
    pub struct Forward {
        /// `[N,C,H,W]`.
        pub y: Vec<f64>,
        /// Mean of each channel.
        pub mean: Vec<f64>,
        /// Biased variance of each channel.
        pub var: Vec<f64>,
    }

    /// Indices of the elements of channel `c` in `[n,c,plane]`.
    fn channel([n, channels, plane]: [usize; 3], c: usize) -> impl Iterator<Item = usize> + Clone {
        (0..n).flat_map(move |image| (0..plane).map(move |i| (image * channels + c) * plane + i))
    }

    /// y with the given statistics, as in evaluation.
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

    /// Forward of x `[n,c,plane]` with the statistics of the batch.
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
