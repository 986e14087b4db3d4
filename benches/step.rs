//! Times whole training steps and the update alone on this machine's adapter: the medians of nine. `cargo bench --bench step`.

use lerac::data::{Augmentation, HostBatch, shapes};
use lerac::error::Result;
use lerac::gpu::{Gpu, Options};
use lerac::nn::{self, Task};
use lerac::train::{Config, Method, Parts, Session};
use std::time::Instant;

const BATCH: usize = 64;

fn median(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut milliseconds = vec![];
    for _ in 0..9 {
        let start = Instant::now();
        work()?;
        milliseconds.push(1e3 * start.elapsed().as_secs_f64());
    }
    milliseconds.sort_by(f64::total_cmp);
    Ok(milliseconds[4])
}

fn time(gpu: &Gpu, model: &str, method: Method) -> Result<()> {
    let config = Config { model: model.into(), method, ..Config::default() };
    let task = Task { image: [3, 32, 32], classes: 10, mean: vec![0.5; 3], std: vec![0.5; 3], label_smoothing: 0.0 };
    let start = Instant::now();
    let parts = Parts {
        model: &nn::named(model)?,
        task: &task,
        batch_size: BATCH,
        net_options: config.net_options(),
        settings: config.settings()?,
        schedule: config.common_rate()?,
        curriculum: &|layers| config.curriculum(layers),
        steps_per_epoch: 10,
        seed: 0,
    };
    let mut session = Session::new(gpu, &parts)?;
    let indices: Vec<u32> = (0..BATCH as u32).collect();
    let batch = HostBatch::gather(&shapes(BATCH, 1, 0).train, &indices, BATCH, || Augmentation::IDENTITY);
    session.step(&batch)?;
    gpu.wait()?;
    let first = start.elapsed().as_secs_f64();
    let step = median(|| {
        session.step(&batch)?;
        gpu.wait()
    })?;
    let update = median(|| {
        gpu.run(session.optimizer().calls())?;
        gpu.wait()
    })?;
    println!(
        "{model:<10} {method:<14} first step {first:>6.2} s   step {step:>8.1} ms   {:>6.0} images/s   update {update:>6.2} ms",
        1e3 * BATCH as f64 / step
    );
    Ok(())
}

fn main() -> Result<()> {
    let gpu = Gpu::open(&Options::default())?;
    println!("{}, batch {BATCH} of 3x32x32", gpu.info().name);
    for model in nn::NAMES {
        for method in [Method::Conventional, Method::Lerac, Method::Cbs] {
            time(&gpu, model, method)?;
        }
    }
    Ok(())
}
