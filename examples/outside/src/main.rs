//! Trains this crate's model on its data, with and without its curriculum, and writes a report.
//!
//!     cargo run --release -- OUT            trains both runs; writes OUT/report.html
//!     cargo run --release -- OUT --check    also compares the operation with its reference
//!
//! A run that ended early continues to the same bytes when the command is run again.

mod model;
mod objective;
mod softsign;
mod walks;

use lerac::Trainer;
use lerac::checks::{self, Row};
use lerac::curriculum::{Curriculum, Layer, Time};
use lerac::error::Result;
use lerac::gpu::{AdapterChoice, Gpu, GpuOptions};
use lerac::optim::Rule;
use lerac::records::{Finished, Saving};
use lerac::study::{Setting, write_report};
use lerac::tape::Operand;
use lerac::trainer::Start;
use model::WalkNet;
use objective::BothLosses;
use std::path::{Path, PathBuf};
use walks::Walks;

/// The two output layers have a tenth of the learning rate in the first two epochs.
struct LateOutputs {
    layers: usize,
}

impl Curriculum for LateOutputs {
    fn factor(&self, time: Time, layer: usize) -> f64 {
        if layer + 2 >= self.layers && time.epochs() < 2.0 { 0.1 } else { 1.0 }
    }
}

/// The training settings, with the curriculum if `late`.
fn trainer<'t>(gpu: &Gpu, late: bool) -> Trainer<'t> {
    let trainer = Trainer::new(gpu, WalkNet { hidden: 32 }, Walks::splits())
        .model_name("walk net")
        .objective(BothLosses { weight: 0.5 })
        .optimizer(Rule::adam())
        .learning_rate(0.01)
        .epochs(8)
        .batch_size(20)
        .validation(100);
    match late {
        true => trainer.title("late outputs").curriculum(|layers: &[Layer]| LateOutputs { layers: layers.len() }),
        false => trainer.title("plain"),
    }
}

/// Trains or resumes the run in a directory of `out`, and loads its results.
fn train(gpu: &Gpu, out: &Path, late: bool) -> Result<Finished> {
    let trainer = trainer(gpu, late);
    let task = trainer.task()?;
    let name = if late { "late outputs" } else { "plain" };
    let dir: PathBuf = out.join(name.replace(' ', "-"));
    if let Some(finished) = Finished::load(&dir, name, &task.config, None)? {
        return Ok(finished);
    }
    let saving = Saving { every: 10, ..Saving::default() };
    let trainer = trainer.kept(&dir, saving, Start::Continue).observe(|event| eprintln!("{name}: {event}"));
    let outcome = trainer.run()?;
    println!("{name}: {}", outcome.summary.in_words());
    Ok(Finished::load(&dir, name, &task.config, None)?.expect("the run has finished"))
}

/// Compares the kernels with the reference, and the reference with finite differences.
fn check(gpu: &Gpu) {
    let (n, l, count) = (5, 7, 4);
    let row = Row::new("softsign [5,7]", [[n, l].into()], [])
        .record(move |tape, name, x, _| {
            let counts = tape.buffer(&format!("{name}.counts"), 4 * n as u64);
            softsign::softsign(tape, name, x[0], Operand::from(counts))
        })
        .buffer("op.counts", vec![count as u32; n])
        .reference(
            move |v| softsign::reference::forward(&v[0], l, count),
            move |v, dy| vec![softsign::reference::backward(&v[0], dy, l, count)],
        );
    checks::derivatives(&row);
    checks::kernels(gpu, &row);
    println!("softsign agrees with its reference, forward and backward");
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(out) = arguments.first().map(Path::new) else {
        eprintln!("usage: outside OUT [--check]");
        std::process::exit(2);
    };
    let gpu = Gpu::open(&GpuOptions { adapter: AdapterChoice::from_option(None), ..GpuOptions::default() })?;
    if arguments.iter().any(|argument| argument == "--check") {
        check(&gpu);
    }
    let finished = [train(&gpu, out, false)?, train(&gpu, out, true)?];
    let setting = Setting {
        config: &trainer(&gpu, false).task()?.config,
        baseline: "plain",
        file: String::new(),
        command: "cargo run --release -- OUT".to_owned(),
        adapter: Some(gpu.info()),
        failures: &[],
        missing: &[],
        data: &Walks::splits(),
    };
    write_report(&setting, &finished, out)?;
    println!("{}", out.join("report.html").display());
    Ok(())
}
