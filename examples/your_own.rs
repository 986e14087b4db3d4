//! Your own model and your own curriculum: a two-layer network whose last layer wakes up halfway.
//! Run it with `cargo run --release --example your_own`.

use lerac::curriculum::{Curriculum, Layer, Time};
use lerac::data::{Augmentation, Loader, shapes};
use lerac::error::Result;
use lerac::gpu::{Gpu, GpuOptions};
use lerac::nn::{Conv, Model, Task};
use lerac::ops::max_pool::Window;
use lerac::train::{Config, Parts, Session};
use std::sync::Arc;

/// The deepest layer learns at a tenth of the common rate in the first epoch.
struct LateClassifier {
    last: usize,
}

impl Curriculum for LateClassifier {
    fn factor(&self, time: Time, layer: usize) -> f64 {
        if layer == self.last && time.epochs() < 1.0 { 0.1 } else { 1.0 }
    }
}

fn main() -> Result<()> {
    let gpu = Gpu::open(&GpuOptions::default())?;
    let model: Model = Box::new(|net, x, classes| {
        let x = net.conv2d("conv", x, Conv::same3x3(12, 2));
        let x = net.batch_norm_relu("bn", x);
        let x = net.max_pool("pool", x, Window::square(4));
        let x = net.flatten(x);
        net.linear("linear", x, classes)
    });
    let task = Task::new([3, 32, 32], 10);
    let late = |layers: &[Layer]| Ok(Box::new(LateClassifier { last: layers.len() - 1 }) as Box<dyn Curriculum>);
    let config = Config::default().with(|c| {
        c.optimizer.name = "adam".into();
        c.optimizer.eta = 0.003;
    });
    let parts = Parts {
        model: &model,
        task: &task,
        batch_size: 50,
        micro_batch: 50,
        net_options: config.net_options(),
        settings: config.optimizer.settings()?,
        schedule: config.common_rate()?,
        curriculum: &late,
        steps_per_epoch: 40,
        seed: 0,
        mixup: None,
        kernels: &config.kernels,
    };
    let mut session = Session::new(&gpu, &parts)?;
    let (train, indices) = (Arc::new(shapes(2000, 1, 0).train), (0..2000).collect());
    for batch in Loader::training(train, indices, 50, Augmentation::default(), 0, 0).take(120) {
        session.step(&batch?)?;
        if session.time().step % 40 == 0 {
            let sums = session.training_metrics()?;
            let accuracy = f64::from(sums.top1) / f64::from(sums.images);
            println!("epoch {}: accuracy {accuracy:.3}", session.time().epochs());
        }
    }
    Ok(())
}
