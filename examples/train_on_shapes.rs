//! A whole run from the library: shapes, drawn on the spot, under LeRaC, in seconds.
//! Run it with `cargo run --release --example train_on_shapes`.

use lerac::data::shapes;
use lerac::error::Result;
use lerac::gpu::{Gpu, Options};
use lerac::train::{Config, EpochRecord, Method, Observer, run};

struct Printer;

impl Observer for Printer {
    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        println!("epoch {}: loss {:.3}, training accuracy {}", record.epoch, record.train_loss, record.train_score);
        Ok(())
    }
}

fn main() -> Result<()> {
    let gpu = Gpu::open(&Options::default())?;
    let config = Config::default().with(|c| {
        c.curriculum.method = Method::Lerac;
        c.training.epochs = 5;
        c.training.batch_size = 32;
        c.optimizer.eta = 0.05;
        c.data.validation = 0;
    });
    let outcome = run(&gpu, &config, &shapes(2000, 500, 0), &mut Printer)?;
    println!("{} on {}", outcome.summary.result, outcome.summary.adapter);
    Ok(())
}
