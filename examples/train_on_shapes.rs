//! Trains a CNN with LeRaC on generated images of shapes. Takes seconds.
//! Run it with `cargo run --release --example train_on_shapes`.

use lerac::Trainer;
use lerac::curriculum::Range;
use lerac::data::shapes;
use lerac::error::Result;
use lerac::gpu::{Gpu, GpuOptions};
use lerac::nn::named;
use lerac::trainer::Event;

fn main() -> Result<()> {
    let gpu = Gpu::open(&GpuOptions::default())?;
    let outcome = Trainer::new(&gpu, named("cnn")?, shapes(2000, 500, 0))
        .learning_rate(0.05)
        .lerac(Range { first: 5e-2, last: 5e-5 }, 2.0)
        .epochs(5)
        .batch_size(32)
        .observe(|event| {
            if let Event::Epoch(_) = event {
                println!("{event}");
            }
        })
        .run()?;
    println!("{} on {}", outcome.summary.in_words(), outcome.summary.adapter);
    Ok(())
}
