//! A model and a curriculum of your own: a two-layer network whose last layer has a tenth of the
//! learning rate in the first epoch.
//! Run it with `cargo run --release --example your_own`.

use lerac::Trainer;
use lerac::curriculum::{Curriculum, Layer, Time};
use lerac::data::shapes;
use lerac::error::Result;
use lerac::gpu::{Gpu, GpuOptions};
use lerac::nn::{Conv, Net};
use lerac::ops::max_pool::Window;
use lerac::optim::Rule;
use lerac::tape::Var;
use lerac::trainer::Event;

/// The last layer has a tenth of the common learning rate in the first epoch.
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
    let model = |net: &mut Net, x: Var, classes: usize| {
        let x = net.conv2d("conv", x, Conv::same3x3(12, 2));
        let x = net.batch_norm_relu("bn", x);
        let x = net.max_pool("pool", x, Window::square(4));
        let x = net.flatten(x);
        net.linear("linear", x, classes)
    };
    let outcome = Trainer::new(&gpu, model, shapes(2000, 500, 0))
        .optimizer(Rule::adam())
        .learning_rate(0.003)
        .curriculum(|layers: &[Layer]| LateClassifier { last: layers.len() - 1 })
        .epochs(3)
        .batch_size(50)
        .observe(|event| {
            if let Event::Epoch(_) = event {
                println!("{event}");
            }
        })
        .run()?;
    println!("{}", outcome.summary.in_words());
    Ok(())
}
