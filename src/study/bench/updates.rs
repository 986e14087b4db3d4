//! The fused update, compared with the update strategies of other frameworks for a learning rate
//! per layer, and with a copy.

use super::peaks::CopyBenchmark;
use super::{Cell, Report, Seconds};
use crate::clock::Instant;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::optim::{self, Optimizer, Rule, Settings};
use crate::tape::{Declared, Group, Init, Mode, Storage, Tape};
use crate::tensor::Layout;

/// Number of tensors, and floats in each. The first two sizes are those of resnet20 and resnet18.
const SIZES: [(usize, usize); 5] = [(65, 4_096), (62, 180_224), (10_000, 256), (1_000, 4_096), (100, 300_032)];

/// The largest number of tensors for which separate buffers are timed: creating 10,000 of them
/// takes longer than the whole benchmark.
const MAX_SEPARATE_BUFFERS: usize = 1_000;

/// The number of groups of tensors in the strategy with a dispatch per group.
const GROUPS: usize = 10;

const COLUMNS: [&str; 12] = [
    "optimizer",
    "tensors",
    "parameters",
    "fused ms",
    "GB/s",
    "% of copy",
    "per tensor ms",
    "per tensor / fused",
    "own uniforms ms",
    "own uniforms / fused",
    "per group ms",
    "per group / fused",
];

/// A tape of `tensors` tensors of `floats` floats. `layer_of` returns the layer of a tensor.
pub(super) fn tape(tensors: usize, floats: usize, layer_of: impl Fn(usize) -> usize) -> Tape {
    let mut tape = Tape::new(Mode::Train);
    for i in 0..tensors {
        let (name, shape, layer) = (format!("p{i}"), [floats].into(), layer_of(i));
        tape.parameter(Declared { name, shape, init: Init::Zeros, layer, group: Group::Weight });
    }
    tape
}

/// An optimiser that can be run repeatedly.
pub(super) struct TimedUpdate {
    optimizer: Optimizer,
    rates: Vec<f64>,
}

impl TimedUpdate {
    pub(super) fn new(gpu: &Gpu, storage: &Storage, settings: Settings) -> Result<Self> {
        let losses = gpu.buffer("losses", 16)?;
        let layers = 1 + storage.parameters().iter().map(|p| p.layer).max().unwrap_or(0);
        let update = optim::Update::new(storage.parameters(), &storage.layout, layers, settings);
        let optimizer = Optimizer::new(gpu, storage, &losses.whole(), update)?;
        let rates = (0..layers).map(|layer| 1e-3 / (1 + layer) as f64).collect();
        Ok(Self { optimizer, rates })
    }

    fn prepare(&mut self, gpu: &Gpu) {
        self.optimizer.prepare(gpu, |row| self.rates[row.layer]);
    }

    /// Writes the layer table, runs the update, and waits.
    pub(super) fn seconds(&mut self, gpu: &Gpu) -> Result<f64> {
        seconds(gpu, std::slice::from_mut(self))
    }
}

/// Writes the table of each update, runs all of them in one submission, and waits.
fn seconds(gpu: &Gpu, updates: &mut [TimedUpdate]) -> Result<f64> {
    let start = Instant::now();
    updates.iter_mut().for_each(|update| update.prepare(gpu));
    gpu.run(updates.iter().flat_map(|update| update.optimizer.calls()))?;
    gpu.wait()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The time of the second of two runs. The first one warms up the caches.
fn warm_seconds(mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    run()?;
    run()
}

/// The storage of one update under several strategies.
struct Strategies {
    /// One dispatch for all tensors.
    fused: Storage,
    /// A dispatch per tensor, all reading one table.
    per_tensor: Storage,
    /// A dispatch per tensor, each with its own small buffer for its rate, which is rewritten every
    /// step. Empty for too many tensors.
    separate_buffers: Vec<Storage>,
    /// A dispatch for each of ten groups of tensors.
    per_group: Storage,
}

impl Strategies {
    fn new(gpu: &Gpu, tensors: usize, floats: usize) -> Result<Self> {
        let all = tape(tensors, floats, |i| i);
        let one = Layout::new(all.parameters().iter().map(|p| &p.shape).take(1), u64::MAX).bytes();
        let group = one * tensors.div_ceil(GROUPS) as u64;
        let separate_buffers = tape(1, floats, |_| 0);
        let copies = if tensors > MAX_SEPARATE_BUFFERS { 0 } else { tensors };
        Ok(Self {
            fused: Storage::new(gpu, &all)?,
            per_tensor: Storage::with_windows(gpu, &all, one)?,
            separate_buffers: (0..copies).map(|_| Storage::new(gpu, &separate_buffers)).collect::<Result<_>>()?,
            per_group: Storage::with_windows(gpu, &all, group.min(gpu.limits().binding_bytes))?,
        })
    }

    /// The median seconds of each strategy and of a copy. They run alternately, so that other load
    /// on the machine affects all of them.
    fn time(
        &self,
        gpu: &Gpu,
        settings: Settings,
        runs: usize,
        copy: &CopyBenchmark,
    ) -> Result<([Option<f64>; 4], f64)> {
        let update = |storage: &Storage| TimedUpdate::new(gpu, storage, settings);
        let separate_buffers = self.separate_buffers.iter().map(update).collect::<Result<Vec<_>>>()?;
        let each = |storage| Ok(vec![update(storage)?]);
        let mut strategies = [each(&self.fused)?, each(&self.per_tensor)?, separate_buffers, each(&self.per_group)?];
        let (mut samples, mut copies) = ([const { vec![] }; 4], vec![]);
        for _ in 0..runs.max(1) {
            copies.push(warm_seconds(|| copy.seconds(gpu))?);
            for (updates, sample) in strategies.iter_mut().zip(&mut samples) {
                let seconds = warm_seconds(|| seconds(gpu, updates))?;
                if !updates.is_empty() {
                    sample.push(seconds);
                }
            }
        }
        let median = |sample: Vec<f64>| (!sample.is_empty()).then(|| Seconds::of_sample(sample).median);
        Ok((samples.map(median), Seconds::of_sample(copies).median))
    }
}

/// The median seconds of the fused update and of a copy, run alternately.
fn time(gpu: &Gpu, storage: &Storage, settings: Settings, runs: usize, copy: &CopyBenchmark) -> Result<(f64, f64)> {
    let mut update = TimedUpdate::new(gpu, storage, settings)?;
    let both =
        (0..runs.max(1)).map(|_| Ok((warm_seconds(|| update.seconds(gpu))?, warm_seconds(|| copy.seconds(gpu))?)));
    let (seconds, copies): (Vec<f64>, Vec<f64>) = both.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok((Seconds::of_sample(seconds).median, Seconds::of_sample(copies).median))
}

/// A row per optimiser and size: one dispatch for all tensors, compared with a dispatch per tensor,
/// a dispatch per tensor with separate uniform buffers, a dispatch per group of tensors, and a copy
/// of memory.
///
/// # Errors
/// [`crate::error::Error::Capacity`] if the device does not have enough memory;
/// [`crate::error::Error::Device`] if it fails.
pub fn updates(gpu: &Gpu, runs: usize) -> Result<Report> {
    let copy = CopyBenchmark::new(gpu)?;
    let mut report = Report::new(&COLUMNS);
    for (tensors, floats) in SIZES {
        let strategies = Strategies::new(gpu, tensors, floats)?;
        for name in Rule::NAMES {
            for (extra, clip_norm, layer_norms) in
                [("", None, false), (", clipped", Some(1.0), false), (", with norms", None, true)]
            {
                let rule = Rule::named(name)?;
                let spare_norm_and_bias = false;
                let settings = Settings { rule, weight_decay: 1e-4, spare_norm_and_bias, clip_norm, layer_norms };
                // The other strategies have no clipping and no norms, so they are not compared with
                // updates that do.
                let (seconds, others, copied) = match extra {
                    "" => {
                        let ([fused, others @ ..], copied) = strategies.time(gpu, settings, runs, &copy)?;
                        (fused.expect("the fused update is timed at every size"), others, copied)
                    }
                    _ => {
                        let (seconds, copied) = time(gpu, &strategies.fused, settings, runs, &copy)?;
                        (seconds, [None; 3], copied)
                    }
                };
                // Parameter, gradient and moments are read, and all but the gradient are written.
                // Clipping reads the gradient once more.
                let words = 3 + 2 * rule.moments() + usize::from(clip_norm.is_some());
                let gbytes = 4e-9 * (words * tensors * floats) as f64 / seconds;
                let mut row = vec![
                    Cell::Text(format!("{name}{extra}")),
                    tensors.into(),
                    (tensors * floats).into(),
                    Cell::Number(1e3 * seconds, 3),
                    Cell::Number(gbytes, 2),
                    Cell::Number(100.0 * gbytes / copy.gbytes(copied), 0),
                ];
                for other in others {
                    row.extend([Cell::number(other.map(|s| 1e3 * s), 3), Cell::number(other.map(|s| s / seconds), 2)]);
                }
                report.push(row);
            }
        }
    }
    Ok(report)
}
