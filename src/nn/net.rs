//! Records layers, names their parameters and counts their depth.

use super::inputs::{Columns, Ids};
use crate::curriculum::Layer;
use crate::data::Form;
use crate::ops::batch_norm::{Activation, After, EPSILON, MOMENTUM, Norm};
use crate::ops::{self, conv2d, max_pool::Window};
use crate::tape::{Declared, Group, Init, Mode, ParamId, StateId, Tape, Var};
use crate::tensor::Shape;

/// The input column with the flip and shift of each image, which the device applies.
const MOVEMENT: &str = "movement";

/// Changes that the training method makes to every model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetOptions {
    /// Curriculum by Smoothing: a Gaussian blur after each convolution larger than 1x1, as in the
    /// original code.
    pub blur: bool,
    /// Mixup: in training the inputs and targets of a pass are mixed in pairs.
    pub mixup: bool,
}

/// Settings of [`Net::conv2d`].
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    /// Output channels, O.
    pub channels: usize,
    /// Kernel height and width, KH and KW.
    pub kernel: [usize; 2],
    /// Stride, padding, groups.
    pub options: conv2d::Conv2dOptions,
    /// Whether a bias is added.
    pub bias: bool,
}

impl Conv {
    /// A 3x3 convolution with padding 1 and no bias.
    pub fn same3x3(channels: usize, stride: usize) -> Self {
        Self { channels, kernel: [3, 3], options: conv2d::Conv2dOptions::square(stride, 1), bias: false }
    }

    /// A 1x1 convolution without bias.
    pub fn pointwise(channels: usize, stride: usize) -> Self {
        Self { channels, kernel: [1, 1], options: conv2d::Conv2dOptions::square(stride, 0), bias: false }
    }
}

/// Builds a model on a tape: reads inputs, records operations, and declares layers and parameters.
///
/// Parameters are named as in a PyTorch state dict, such as `layer1.0.conv1.weight`.
#[derive(Debug)]
pub struct Net<'t> {
    tape: &'t mut Tape,
    columns: &'t mut Columns,
    inputs: Vec<(String, Var)>,
    pub(super) options: NetOptions,
    scopes: Vec<String>,
    layers: Vec<Layer>,
    depth: usize,
    block: usize,
    in_block: bool,
    shortcut_depth: Option<usize>,
    dropouts: u32,
}

impl<'t> Net<'t> {
    /// A net that records on `tape` and reads `columns`.
    pub(super) fn new(tape: &'t mut Tape, columns: &'t mut Columns, options: NetOptions) -> Self {
        Self {
            tape,
            columns,
            inputs: vec![],
            options,
            scopes: vec![],
            layers: vec![],
            depth: 0,
            block: 0,
            in_block: false,
            shortcut_depth: None,
            dropouts: 0,
        }
    }

    /// The layers declared, and the inputs read.
    pub(super) fn into_parts(self) -> (Vec<Layer>, Vec<(String, Var)>) {
        (self.layers, self.inputs)
    }

    /// The columns of the data.
    pub fn form(&self) -> &Form {
        self.columns.form()
    }

    /// The tape, for your own operations. [`Net::full_name`] gives their names.
    pub fn tape(&mut self) -> &mut Tape {
        self.tape
    }

    /// The images of the batch, `[N,C,H,W]`: normalised, flipped and shifted, and with mixup mixed
    /// in pairs.
    ///
    /// # Panics
    /// If the data have no column of pixels, or several.
    pub fn pixels(&mut self) -> Var {
        let form = self.columns.form().clone();
        let pixels = form.pixels().expect("the data have one column of pixels");
        let name = form.inputs[pixels.place].name.clone();
        let bytes = self.columns.input(self.tape, pixels.place);
        let movements = self.columns.optional_input(self.tape, MOVEMENT);
        let source = ops::pixels::PixelSource { bytes, movements, mean: pixels.mean, std: pixels.std };
        let [c, h, w] = pixels.image;
        let x = ops::pixels::pixels(self.tape, &name, source, [self.columns.examples(), c, h, w]);
        self.input(name, x)
    }

    /// The f32 input column `name`: `[N,...]`.
    ///
    /// # Panics
    /// If the data have no f32 input of this name.
    pub fn values(&mut self, name: &str) -> Var {
        let x = self.columns.values(self.tape, name);
        self.input(name.to_owned(), x)
    }

    /// The u32 input column `name`.
    ///
    /// # Panics
    /// If the data have no u32 input of this name.
    pub fn ids(&mut self, name: &str) -> Ids {
        self.columns.ids(self.tape, name)
    }

    /// Adds an input to [`super::Recorded::inputs`]. With mixup, mixes it in pairs.
    fn input(&mut self, name: String, x: Var) -> Var {
        if self.inputs.iter().all(|(known, _)| *known != name) {
            self.inputs.push((name.clone(), x));
        }
        match self.options.mixup && self.tape.mode() == Mode::Train {
            true => ops::mixup::mixup(self.tape, &format!("{name}.mixed"), x),
            false => x,
        }
    }

    /// The shape of an activation.
    pub fn shape(&self, x: Var) -> &Shape {
        self.tape.shape(x)
    }

    /// Records a residual, dense or transformer block in the scope `name`. Its layers share one
    /// block depth.
    pub fn block<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        self.block += 1;
        self.in_block = true;
        let result = self.scope(name, record);
        self.in_block = false;
        result
    }

    /// Records the module `index`, from 0, of a model that is a list of modules, in the scope
    /// `name`. Its layers share one block depth, and one depth, which is that of the module in the
    /// list.
    pub fn module<T>(&mut self, name: &str, index: usize, record: impl FnOnce(&mut Self) -> T) -> T {
        self.depth = index + 1;
        self.shortcut_depth = Some(self.depth);
        let result = self.block(name, record);
        self.shortcut_depth = None;
        result
    }

    /// Adds the prefix `name.` to every name in `record`.
    pub fn scope<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        self.scopes.push(name.to_owned());
        let result = record(self);
        self.scopes.pop();
        result
    }

    /// Records a shortcut in the scope `name`. Its layers have the depth of the block's first
    /// layer, since they are as near to the input.
    pub fn shortcut<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        let first = self.layers.iter().find(|layer| layer.block == self.block).map_or(self.depth, |layer| layer.depth);
        self.shortcut_depth = Some(first);
        let result = self.scope(name, record);
        self.shortcut_depth = None;
        result
    }

    /// `name` with the prefixes of the current scopes, such as `layer1.0.conv1`.
    pub fn full_name(&self, name: &str) -> String {
        self.scopes.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".")
    }

    /// Begins a layer for your own operations. The parameters declared in `record`, and after it
    /// until the next layer begins, belong to this layer.
    pub fn layer<T>(&mut self, name: &str, record: impl FnOnce(&mut Self) -> T) -> T {
        self.begin_layer(name);
        record(self)
    }

    /// Begins a layer. Parameters declared after this belong to it.
    fn begin_layer(&mut self, name: &str) {
        if !self.in_block {
            self.block += 1;
        }
        let depth = self.shortcut_depth.unwrap_or_else(|| {
            self.depth += 1;
            self.depth
        });
        let name = self.full_name(name);
        self.layers.push(Layer { name, depth, block: self.block });
    }

    fn declared(&self, name: String, shape: Shape, init: Init, group: Group) -> Declared {
        Declared { name, shape, init, layer: self.layers.len() - 1, group }
    }

    /// Declares a trained tensor of the current layer, for your own operations.
    ///
    /// Parameters of one layer and group share a learning rate and a weight decay.
    ///
    /// # Panics
    /// If no layer has begun: [`Net::layer`], a convolution or a linear layer begins one.
    pub fn parameter(&mut self, name: &str, shape: impl Into<Shape>, init: Init, group: Group) -> ParamId {
        assert!(!self.layers.is_empty(), "{name}: declared before the first layer");
        let declared = self.declared(self.full_name(name), shape.into(), init, group);
        self.tape.parameter(declared)
    }

    /// Declares a tensor of the current layer that is kept between steps and not trained, such as a
    /// running mean.
    ///
    /// # Panics
    /// If no layer has begun.
    pub fn state(&mut self, name: &str, shape: impl Into<Shape>, init: Init) -> StateId {
        let declared = self.declared(self.full_name(name), shape.into(), init, Group::Norm);
        self.tape.state(declared)
    }

    /// A convolution. Begins a layer. With [`NetOptions::blur`] the result is blurred, unless the
    /// kernel is 1x1.
    ///
    /// Initial weights: Kaiming normal with fan-out (He et al. 2015), standard deviation
    /// sqrt(2 / (O KH KW / groups)). Initial bias: 0.
    pub fn conv2d(&mut self, name: &str, x: Var, conv: Conv) -> Var {
        self.begin_layer(name);
        self.convolution(name, x, conv)
    }

    /// conv(relu(batch_norm(x))), as in pre-activation blocks: one layer with the name of the
    /// convolution.
    pub fn norm_relu_conv(&mut self, norm: &str, name: &str, x: Var, conv: Conv) -> Var {
        let [_, channels, _, _] = self.tape.shape(x).nchw(name);
        self.norm_relu_conv_of_first(channels, norm, name, x, conv)
    }

    /// conv(relu(batch_norm(the first `channels` channels of x))), as in dense blocks: one layer
    /// with the name of the convolution.
    pub fn norm_relu_conv_of_first(&mut self, channels: usize, norm: &str, name: &str, x: Var, conv: Conv) -> Var {
        self.begin_layer(name);
        let declared = self.norm(norm, channels);
        let x = self.normalise(norm, x, declared, After { activation: Activation::Relu, residual: None });
        self.convolution(name, x, conv)
    }

    fn convolution(&mut self, name: &str, x: Var, conv: Conv) -> Var {
        let Conv { channels, kernel: [kh, kw], options, bias } = conv;
        let [_, c, _, _] = self.tape.shape(x).nchw(name);
        let fan_out = (channels * kh * kw / options.groups) as f64;
        let shape = [channels, c / options.groups, kh, kw];
        let w = self.parameter(&format!("{name}.weight"), shape, Init::Normal((2.0 / fan_out).sqrt()), Group::Weight);
        let bias = bias.then(|| self.parameter(&format!("{name}.bias"), [channels], Init::Zeros, Group::Bias));
        let full = self.full_name(name);
        let y = conv2d::conv2d(self.tape, &full, x, w, bias, options);
        if [kh, kw] != [1, 1] { self.blur(&format!("{name}.blur"), y) } else { y }
    }

    /// Batch normalisation. Its parameters belong to the current layer; initially gamma is 1, beta
    /// 0.
    pub fn batch_norm(&mut self, name: &str, x: Var) -> Var {
        self.batch_norm_then(name, x, After::default())
    }

    /// relu(batch_norm(x)), in one pass over memory.
    pub fn batch_norm_relu(&mut self, name: &str, x: Var) -> Var {
        self.batch_norm_then(name, x, After { activation: Activation::Relu, residual: None })
    }

    /// Batch normalisation of x, then the residual and activation of `after`, in one pass over
    /// memory. Its parameters belong to the current layer.
    pub fn batch_norm_then(&mut self, name: &str, x: Var, after: After) -> Var {
        let [_, channels, _, _] = self.tape.shape(x).nchw(name);
        let norm = self.norm(name, channels);
        self.normalise(name, x, norm, after)
    }

    /// Declares the parameters and running statistics of a batch normalisation of `channels`
    /// channels in the current layer. [`Net::normalise`] uses them.
    pub fn norm(&mut self, name: &str, channels: usize) -> Norm {
        Norm {
            gamma: self.parameter(&format!("{name}.weight"), [channels], Init::Ones, Group::Norm),
            beta: self.parameter(&format!("{name}.bias"), [channels], Init::Zeros, Group::NormBias),
            running_mean: self.state(&format!("{name}.running_mean"), [channels], Init::Zeros),
            running_var: self.state(&format!("{name}.running_var"), [channels], Init::Ones),
            momentum: MOMENTUM,
            epsilon: EPSILON,
        }
    }

    /// Batch normalisation of the first channels of x with the parameters `norm`, then the residual
    /// and activation of `after`.
    pub fn normalise(&mut self, name: &str, x: Var, norm: Norm, after: After) -> Var {
        let full = self.full_name(name);
        ops::batch_norm::batch_norm(self.tape, &full, x, norm, after)
    }

    /// A linear layer with bias over the last axis of x: `[...,C]` becomes `[...,outputs]`. Begins
    /// a layer.
    ///
    /// Initial weights and bias: uniform in ±1 / sqrt(C), as in PyTorch's `nn.Linear`.
    pub fn linear(&mut self, name: &str, x: Var, outputs: usize) -> Var {
        self.begin_layer(name);
        let [_, c] = self.tape.shape(x).last_axis();
        let init = Init::Uniform(1.0 / (c as f64).sqrt());
        let w = self.parameter(&format!("{name}.weight"), [outputs, c], init, Group::Weight);
        let bias = self.parameter(&format!("{name}.bias"), [outputs], init, Group::Bias);
        let full = self.full_name(name);
        ops::linear::linear(self.tape, &full, x, w, bias)
    }

    /// A view of x `[N,...]` as `[N,D]`, where D is the number of elements of an example.
    pub fn flatten(&mut self, x: Var) -> Var {
        let flat = self.tape.shape(x).flat();
        self.tape.view(x, flat)
    }

    /// Rectified linear unit.
    pub fn relu(&mut self, name: &str, x: Var) -> Var {
        let full = self.full_name(name);
        ops::relu::relu(self.tape, &full, x)
    }

    /// Gaussian error linear unit, exact: x Phi(x).
    pub fn gelu(&mut self, name: &str, x: Var) -> Var {
        let full = self.full_name(name);
        ops::gelu::gelu(self.tape, &full, x)
    }

    /// Sum of two activations of one shape.
    pub fn add(&mut self, name: &str, a: Var, b: Var) -> Var {
        let full = self.full_name(name);
        ops::add::add(self.tape, &full, a, b)
    }

    /// A tensor `[N,C,H,W]` whose channels [`Net::write_channels`] writes.
    pub fn allocate(&mut self, name: &str, shape: [usize; 4]) -> Var {
        let full = self.full_name(name);
        ops::concat::allocate(self.tape, &full, shape)
    }

    /// Copies `part` to the channels of `whole` that start at `first`.
    pub fn write_channels(&mut self, name: &str, whole: Var, first: usize, part: Var) {
        let full = self.full_name(name);
        ops::concat::write_channels(self.tape, &full, whole, first, part);
    }

    /// Maximum over windows.
    pub fn max_pool(&mut self, name: &str, x: Var, window: Window) -> Var {
        let full = self.full_name(name);
        ops::max_pool::max_pool(self.tape, &full, x, window)
    }

    /// Mean over windows of `kernel` x `kernel`, `stride` apart.
    pub fn mean_pool(&mut self, name: &str, x: Var, kernel: usize, stride: usize) -> Var {
        let full = self.full_name(name);
        ops::mean_pool::mean_pool(self.tape, &full, x, kernel, stride)
    }

    /// Mean over each plane of x `[N,C,H,W]`: `[N,C]`.
    pub fn global_mean_pool(&mut self, name: &str, x: Var) -> Var {
        let full = self.full_name(name);
        ops::mean_pool::global_mean_pool(self.tape, &full, x)
    }

    /// Dropout with drop probability `p`; each dropout of a net draws its own masks.
    pub fn dropout(&mut self, name: &str, x: Var, p: f64) -> Var {
        let (full, salt) = (self.full_name(name), self.next_salt());
        ops::dropout::dropout(self.tape, &full, x, p, salt)
    }

    /// What tells the masks of the next dropout from those of others.
    pub(super) fn next_salt(&mut self) -> u32 {
        self.dropouts += 1;
        self.dropouts
    }
}
