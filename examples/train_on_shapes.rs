//! A whole run from the library: shapes, drawn on the spot, under LeRaC, in seconds.
//! Run it with `cargo run --release --example train_on_shapes`.

use lerac::data::shapes;
use lerac::error::Result;
use lerac::gpu::{Gpu, GpuOptions};
use lerac::train::{Config, EpochRecord, Method, Observer, run};

struct Printer;

impl Observer for Printer {
    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        println!("epoch {}: loss {:.3}, training accuracy {}", record.epoch, record.train_loss, record.train_score);
        Ok(())
    }
}

fn main() -> Result<()> {
    let gpu = Gpu::open(&GpuOptions::default())?;
    let config =
        Config { method: Method::Lerac, epochs: 5, batch_size: 32, eta: 0.05, validation: 0, ..Config::default() };
    let outcome = run(&gpu, &config, &shapes(2000, 500, 0), &mut Printer)?;
    println!("{} on {}", outcome.summary.result, outcome.summary.adapter);
    Ok(())
}
