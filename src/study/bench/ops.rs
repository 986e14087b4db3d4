//! Times of the kernels of a model's training step.

use super::{Cell, Peaks, Report, Seconds};
use crate::error::{Error, Result};
use crate::gpu::{Call, Gpu};
use crate::tape::{Program, Work};

/// Time, multiply-adds and bytes of the launches of a recorded operation in one direction.
struct Direction {
    record: usize,
    backward: bool,
    kernels: Vec<&'static str>,
    seconds: f64,
    work: Work,
}

/// Times every launch of a step `runs` times, and adds up the medians by operation and direction.
/// On adapters without timestamps each launch is submitted and waited for separately, which adds
/// the time of a submission.
fn directions(gpu: &Gpu, program: &Program, runs: usize) -> Result<Vec<Direction>> {
    let mut launches: Vec<(_, f64)> = program.launches().iter().zip(std::iter::repeat(0.0)).collect();
    let samples = (0..runs.max(1)).map(|_| program.time(gpu)).collect::<Result<Option<Vec<_>>>>()?;
    match samples {
        Some(samples) => launches.iter_mut().enumerate().for_each(|(i, (_, seconds))| {
            *seconds = Seconds::of_sample(samples.iter().map(|sample| sample[i]).collect()).median;
        }),
        None => {
            let calls = program.forward().iter().chain(program.backward());
            for ((_, seconds), call) in launches.iter_mut().zip(calls) {
                *seconds = Seconds::of_calls(gpu, runs, &[call])?.median;
            }
        }
    }
    let mut found: Vec<Direction> = vec![];
    for (launch, seconds) in launches {
        match found.iter_mut().find(|d| (d.record, d.backward) == (launch.record, launch.backward)) {
            Some(direction) => {
                direction.kernels.push(launch.entry);
                direction.seconds += seconds;
                direction.work += launch.work;
            }
            None => found.push(Direction {
                record: launch.record,
                backward: launch.backward,
                kernels: vec![launch.entry],
                seconds,
                work: launch.work,
            }),
        }
    }
    Ok(found)
}

const COLUMNS: [&str; 9] =
    ["record", "op", "direction", "kernels", "ms", "GFLOP/s", "GB/s", "% of FMA peak", "% of copy"];

/// A row per operation and direction of a recorded step, in the order of execution, and a row for
/// the whole step. Bytes are those of the operands, each counted once.
///
/// # Errors
/// [`crate::error::Error::Device`] if the device fails.
pub fn ops(gpu: &Gpu, program: &Program, runs: usize, peaks: &Peaks) -> Result<Report> {
    let mut report = Report::new(&COLUMNS);
    let row = |name: &str, op: &str, direction: &str, kernels: String, seconds: f64, work: Work| {
        let gflops = (work.multiply_adds > 0).then(|| 2e-9 * work.multiply_adds as f64 / seconds);
        let gbytes = 1e-9 * work.bytes as f64 / seconds;
        vec![
            name.into(),
            op.into(),
            direction.into(),
            Cell::Text(kernels),
            Cell::Number(1e3 * seconds, 3),
            Cell::number(gflops, 1),
            Cell::Number(gbytes, 2),
            Cell::number(gflops.map(|g| 100.0 * g / peaks.gflops), 0),
            Cell::Number(100.0 * gbytes / peaks.gbytes, 0),
        ]
    };
    let directions = directions(gpu, program, runs)?;
    let (mut seconds, mut work) = (0.0, Work::default());
    for d in &directions {
        let record = &program.tape().records()[d.record];
        let direction = if d.backward { "backward" } else { "forward" };
        report.push(row(&record.name, record.op, direction, d.kernels.join(" "), d.seconds, d.work));
        seconds += d.seconds;
        work += d.work;
    }
    report.push(row("all", "", "", String::new(), seconds, work));
    Ok(report)
}

/// Checks that the adapter can time kernels within a step, as [`profile`] does.
///
/// # Errors
/// [`Error::Setting`] with an alternative, if it cannot.
pub fn can_profile(gpu: &Gpu) -> Result<()> {
    let message = || format!("{} has no timestamps; `lerac bench ops` times each kernel separately", gpu.info().name);
    gpu.info().timestamps.then_some(()).ok_or_else(|| Error::setting("profile", message()))
}

/// Milliseconds of a step for each operation, forward and backward, and for the update, with their
/// shares of the total, the largest first. These are medians of `runs` steps by the device's clock,
/// over all passes of a step. The update changes the weights.
///
/// # Errors
/// The error of [`can_profile`]; [`Error::Device`] if the device fails.
pub fn profile(gpu: &Gpu, program: &Program, update: &[Call], runs: usize) -> Result<Report> {
    can_profile(gpu)?;
    let mut directions = directions(gpu, program, runs)?;
    directions.iter_mut().for_each(|direction| direction.seconds *= program.tape().passes() as f64);
    let samples = (0..runs.max(1)).map(|_| gpu.run_timed(&update.iter().collect::<Vec<_>>()));
    let samples = samples.collect::<Result<Option<Vec<_>>>>()?.unwrap_or_default();
    let update = Seconds::of_sample(samples.iter().map(|launches| launches.iter().sum()).collect()).median;
    let all: f64 = update + directions.iter().map(|d| d.seconds).sum::<f64>();
    let mut rows = vec![(update, vec!["all parameters".into(), "update".into(), Cell::Nothing, Cell::Nothing])];
    for (i, record) in program.tape().records().iter().enumerate() {
        let of = |backward: bool| {
            let mut found = directions.iter().filter(|d| d.record == i && d.backward == backward);
            found.next().map(|d| d.seconds)
        };
        let (forward, backward) = (of(false), of(true));
        let cell = |seconds: Option<f64>| Cell::number(seconds.map(|s| 1e3 * s), 3);
        let both = forward.unwrap_or(0.0) + backward.unwrap_or(0.0);
        rows.push((both, vec![record.name.as_str().into(), record.op.into(), cell(forward), cell(backward)]));
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut report = Report::new(&["record", "op", "forward ms", "backward ms", "ms", "% of the step"]);
    for (seconds, mut row) in rows {
        row.extend([Cell::Number(1e3 * seconds, 3), Cell::Number(100.0 * seconds / all, 1)]);
        report.push(row);
    }
    Ok(report)
}
