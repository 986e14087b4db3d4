//! Times the op table on this machine's adapter: rows of shapes at batch 64, in every way to compute them, forward and
//! backward, the medians of seven runs. `cargo bench --bench op_table [PART OF A NAME]`.

#[allow(dead_code)]
#[path = "../tests/common/rows.rs"]
mod rows;

use lerac::checks::Row;
use lerac::error::Result;
use lerac::gpu::{Call, Gpu, GpuOptions};
use lerac::tape::{Program, Storage, Tape};
use std::time::Instant;

/// The median seconds of a submission that is waited for.
fn median(gpu: &Gpu, calls: &[Call]) -> Result<f64> {
    let mut seconds = vec![];
    // The first compiles.
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

fn time(gpu: &Gpu, row: &Row, (tape, which): (Tape, String)) -> Result<()> {
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
        row.name.clone() + &which,
        1e3 * forward,
        rate(row.multiply_adds, forward),
        1e3 * backward,
        rate(2 * row.multiply_adds, backward)
    );
    Ok(())
}

fn main() -> Result<()> {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let gpu = Gpu::open(&GpuOptions::default())?;
    println!("{}\n{:<80} {:>26} {:>26}", gpu.info().name, "row", "forward", "backward");
    let rows = rows::large_rows();
    let ways = rows.iter().flat_map(|row| row.ways().into_iter().map(move |way| (row, way)));
    let wanted = ways.filter(|(row, (_, which))| (row.name.clone() + which).contains(&wanted));
    wanted.into_iter().try_for_each(|(row, way)| time(&gpu, row, way))
}
