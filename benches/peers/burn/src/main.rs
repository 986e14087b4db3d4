//! The rows of benches/README.md in burn, on wgpu's default adapter.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, GradientsParams, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor};
use std::time::Instant;

const RUNS: usize = 7;
const BATCH: usize = 64;

/// The median of [`RUNS`] runs, after one warm-up run.
fn milliseconds(device: &Device, mut work: impl FnMut()) -> f64 {
    let mut once = || {
        let start = Instant::now();
        work();
        device.sync().expect("the device works");
        1e3 * start.elapsed().as_secs_f64()
    };
    once();
    let mut times: Vec<f64> = (0..RUNS).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}

fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

#[derive(Module, Debug)]
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new([inputs, channels]: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Self {
        let pad = kernel / 2;
        let conv = Conv2dConfig::new([inputs, channels], [kernel, kernel])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .with_bias(false);
        Self { conv: conv.init(device), norm: BatchNormConfig::new(channels).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x))
    }
}

/// Global average pooling and the classifier.
fn head(linear: &Linear, x: Tensor<4>) -> Tensor<2> {
    let [n, c, _, _] = x.dims();
    linear.forward(x.mean_dim(3).mean_dim(2).reshape([n, c]))
}

trait Net: Module {
    fn forward(&self, x: Tensor<4>) -> Tensor<2>;
}

/// 24,346 parameters and 224 running statistics, which burn counts as parameters.
#[derive(Module, Debug)]
struct Cnn {
    convs: Vec<ConvNorm>,
    pool: MaxPool2d,
    linear: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Self {
        let convs = [[3, 16], [16, 32], [32, 64]].map(|channels| ConvNorm::new(channels, 3, 1, device));
        let pool = MaxPool2dConfig::new([2, 2]).init();
        Self { convs: convs.into(), pool, linear: LinearConfig::new(64, 10).init(device) }
    }
}

impl Net for Cnn {
    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        for (i, conv) in self.convs.iter().enumerate() {
            x = relu(conv.forward(x));
            if i < 2 {
                x = self.pool.forward(x);
            }
        }
        head(&self.linear, x)
    }
}

#[derive(Module, Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

impl Block {
    fn new([inputs, channels]: [usize; 2], stride: usize, device: &Device) -> Self {
        let projects = stride > 1 || inputs != channels;
        Self {
            first: ConvNorm::new([inputs, channels], 3, stride, device),
            second: ConvNorm::new([channels, channels], 3, 1, device),
            shortcut: projects.then(|| ConvNorm::new([inputs, channels], 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.second.forward(relu(self.first.forward(x.clone())));
        let x = self.shortcut.as_ref().map_or(x.clone(), |shortcut| shortcut.forward(x));
        relu(y + x)
    }
}

/// 272,474 parameters with projection shortcuts, and 1,568 running statistics.
#[derive(Module, Debug)]
struct Resnet20 {
    stem: ConvNorm,
    blocks: Vec<Block>,
    linear: Linear,
}

impl Resnet20 {
    fn new(device: &Device) -> Self {
        let (mut blocks, mut inputs) = (vec![], 16);
        for channels in [16, 32, 64] {
            for i in 0..3 {
                let stride = if i == 0 && channels > 16 { 2 } else { 1 };
                blocks.push(Block::new([inputs, channels], stride, device));
                inputs = channels;
            }
        }
        Self { stem: ConvNorm::new([3, 16], 3, 1, device), blocks, linear: LinearConfig::new(64, 10).init(device) }
    }
}

impl Net for Resnet20 {
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.stem.forward(x));
        head(&self.linear, self.blocks.iter().fold(x, |x, block| block.forward(x)))
    }
}

/// Times a training step of SGD with momentum, on fixed images.
fn step<M: Net>(device: &Device, make: fn(&Device) -> M, parameters: usize) -> f64 {
    let device = device.clone().autodiff();
    let mut model = Some(make(&device));
    assert_eq!(model.as_ref().map(M::num_params), Some(parameters));
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
    let mut optimizer = SgdConfig::new().with_momentum(Some(momentum)).init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let x = normal([BATCH, 3, 32, 32], &device);
    let labels: Vec<i32> = (0..BATCH as i32).map(|i| i % 10).collect();
    let labels = Tensor::<1, Int>::from_ints(labels.as_slice(), &device);
    milliseconds(&device, || {
        let before = model.take().expect("restored after each step");
        let gradients = loss.forward(before.forward(x.clone()), labels.clone()).backward();
        let gradients = GradientsParams::from_grads(gradients, &before);
        model = Some(optimizer.step(0.1, before, gradients));
    })
}

fn matmul(device: &Device) -> f64 {
    let (a, b) = (normal([512, 512], device), normal([512, 512], device));
    milliseconds(device, || drop(a.clone().matmul(b.clone())))
}

fn convolution(device: &Device, gradients: bool) -> f64 {
    let device = if gradients { device.clone().autodiff() } else { device.clone() };
    let tensor = |shape| {
        let tensor = normal::<4>(shape, &device);
        if gradients { tensor.require_grad() } else { tensor }
    };
    let (x, w) = (tensor([BATCH, 16, 32, 32]), tensor([32, 16, 3, 3]));
    let dy = normal::<4>([BATCH, 32, 32, 32], &device);
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    milliseconds(&device, || {
        let y = conv2d(x.clone(), w.clone(), None, options.clone());
        if gradients {
            // The gradient of this sum with respect to y is dy.
            let gradients = (y * dy.clone()).sum().backward();
            drop((x.grad(&gradients), w.grad(&gradients)));
        }
    })
}

#[derive(Module, Debug)]
struct Tensors {
    all: Vec<Param<Tensor<1>>>,
}

/// Times an Adam step. burn's optimiser launches separate kernels for each tensor.
fn adam(device: &Device, tensors: usize, floats: usize) -> f64 {
    let training = device.clone().autodiff();
    let all = (0..tensors).map(|_| Param::from_tensor(Tensor::zeros([floats], &training)));
    let mut module = Some(Tensors { all: all.collect() });
    let gradients: Vec<Tensor<1>> = (0..tensors).map(|_| normal([floats], device)).collect();
    let mut optimizer = AdamConfig::new().init();
    milliseconds(device, || {
        let before = module.take().expect("restored after each step");
        let mut given = GradientsParams::new();
        before.all.iter().zip(&gradients).for_each(|(param, gradient)| given.register(param.id, gradient.clone()));
        module = Some(optimizer.step(1e-3, before, given));
    })
}

fn main() {
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    let selected = std::env::args().nth(1).unwrap_or_default();
    let rows: [(&str, &dyn Fn() -> f64); 7] = [
        ("matmul 512^3", &|| matmul(&device)),
        ("conv 3x3 16->32, forward", &|| convolution(&device, false)),
        ("conv 3x3 16->32, forward and both gradients", &|| convolution(&device, true)),
        ("step of cnn", &|| step(&device, Cnn::new, 24_346 + 224)),
        ("step of resnet20", &|| step(&device, Resnet20::new, 272_474 + 1_568)),
        ("Adam, 65 tensors of 4,096", &|| adam(&device, 65, 4096)),
        ("Adam, 62 tensors of 180,224", &|| adam(&device, 62, 180_224)),
    ];
    println!("| work, burn 0.22.1 | ms, median of {RUNS} |\n|---|---|");
    for (name, time) in rows.iter().filter(|(name, _)| name.contains(&selected)) {
        println!("| {name} | {:.2} |", time());
    }
}
