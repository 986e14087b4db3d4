//! Times the operations at batch size 64 with all their kernels, forward and backward: medians of
//! seven runs. `cargo bench --bench op_table [PART OF A NAME]`.

#[allow(dead_code)]
#[path = "../tests/common/rows.rs"]
mod rows;

use lerac::checks::Row;
use lerac::error::Result;
use lerac::gpu::{Call, Gpu, GpuOptions};
use lerac::tape::{Program, Storage, Tape};
use std::time::Instant;

/// Submits the calls and waits for them, and returns the median time in seconds.
fn median(gpu: &Gpu, calls: &[Call]) -> Result<f64> {
    let mut seconds = vec![];
    // The first run compiles, and is not counted.
    for _ in 0..8 {
        let start = Instant::now();
        gpu.run(calls)?;
        gpu.wait()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    let mut seconds = seconds.split_off(1);
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

fn time(gpu: &Gpu, row: &Row, (tape, variant): (Tape, String)) -> Result<()> {
    let (tape, ..) = row.on(tape);
    let storage = Storage::new(gpu, &tape)?;
    let program = Program::new(gpu, tape, &storage)?;
    let (forward, backward) = (median(gpu, program.forward())?, median(gpu, program.backward())?);
    let rate = |multiply_adds: u64, seconds: f64| match multiply_adds {
        0 => String::new(),
        n => format!("{:.1} GFLOP/s", 2e-9 * n as f64 / seconds),
    };
    println!(
        "{:<80} {:>8.2} ms {:>14} {:>8.2} ms {:>14}",
        row.name.clone() + &variant,
        1e3 * forward,
        rate(row.multiply_adds, forward),
        1e3 * backward,
        rate(2 * row.multiply_adds, backward)
    );
    Ok(())
}

fn main() -> Result<()> {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let gpu = Gpu::open(&GpuOptions::default())?;
    println!("{}\n{:<80} {:>26} {:>26}", gpu.info().name, "row", "forward", "backward");
    let rows = rows::large_rows();
    let tapes = rows.iter().flat_map(|row| row.tapes().into_iter().map(move |tape| (row, tape)));
    let mut selected = tapes.filter(|(row, (_, variant))| (row.name.clone() + variant).contains(&filter));
    selected.try_for_each(|(row, tape)| time(&gpu, row, tape))
}
