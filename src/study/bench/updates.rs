//! The fused update against what other frameworks do where each layer has a rate of its own, and against a copy.

use super::peaks::Copying;
use super::{Cell, Report, Seconds};
use crate::clock::Instant;
use crate::error::Result;
use crate::gpu::Gpu;
use crate::optim::{self, Optimizer, Rule, Settings};
use crate::tape::{Declared, Group, Init, Mode, Storage, Tape};
use crate::tensor::Layout;

/// Tensors x floats in each: the first two as many as resnet20 and resnet18 have.
const SIZES: [(usize, usize); 5] = [(65, 4_096), (62, 180_224), (10_000, 256), (1_000, 4_096), (100, 300_032)];

/// Tensors at most that are given buffers of their own: to make those of 10,000 takes longer than all that is measured.
const MOST_ALONE: usize = 1_000;

/// Groups of layers that share a dispatch, at most.
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

/// A tape of `tensors` tensors of `floats` floats, each in the layer that `layer_of` says.
pub(super) fn tape(tensors: usize, floats: usize, layer_of: impl Fn(usize) -> usize) -> Tape {
    let mut tape = Tape::new(Mode::Train);
    for i in 0..tensors {
        let (name, shape, layer) = (format!("p{i}"), [floats].into(), layer_of(i));
        tape.parameter(Declared { name, shape, init: Init::Zeros, layer, group: Group::Weight });
    }
    tape
}

/// An optimiser ready to be run again and again.
pub(super) struct Update {
    optimizer: Optimizer,
    rates: Vec<f64>,
}

impl Update {
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

    /// Writes the layer table, runs, and waits.
    pub(super) fn seconds(&mut self, gpu: &Gpu) -> Result<f64> {
        seconds(gpu, std::slice::from_mut(self))
    }
}

/// Writes the table of each, runs all of them in one submission, and waits.
fn seconds(gpu: &Gpu, updates: &mut [Update]) -> Result<f64> {
    let start = Instant::now();
    updates.iter_mut().for_each(|update| update.prepare(gpu));
    gpu.run(updates.iter().flat_map(|update| update.optimizer.calls()))?;
    gpu.wait()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The seconds of the second of two runs: the first one warms up, and brings as much of its data into the caches as they hold.
fn second(mut run: impl FnMut() -> Result<f64>) -> Result<f64> {
    run()?;
    run()
}

/// The same update in several ways.
struct Ways {
    /// One dispatch for all tensors.
    fused: Storage,
    /// A dispatch per tensor, all reading one table.
    per_tensor: Storage,
    /// A dispatch per tensor, each with small buffers of its own for its rate, rewritten every step; none for too many tensors.
    alone: Vec<Storage>,
    /// A dispatch for each of a few groups of tensors.
    per_group: Storage,
}

impl Ways {
    fn new(gpu: &Gpu, tensors: usize, floats: usize) -> Result<Self> {
        let all = tape(tensors, floats, |i| i);
        let one = Layout::new(all.parameters().iter().map(|p| &p.shape).take(1), u64::MAX).bytes();
        let group = one * tensors.div_ceil(GROUPS) as u64;
        let alone = tape(1, floats, |_| 0);
        let copies = if tensors > MOST_ALONE { 0 } else { tensors };
        Ok(Self {
            fused: Storage::new(gpu, &all)?,
            per_tensor: Storage::with_windows(gpu, &all, one)?,
            alone: (0..copies).map(|_| Storage::new(gpu, &alone)).collect::<Result<_>>()?,
            per_group: Storage::with_windows(gpu, &all, group.min(gpu.limits().binding_bytes))?,
        })
    }

    /// The median seconds of each way, and of a copy, run in turn: what disturbs one then disturbs all.
    fn time(&self, gpu: &Gpu, settings: Settings, runs: usize, copy: &Copying) -> Result<([Option<f64>; 4], f64)> {
        let update = |storage: &Storage| Update::new(gpu, storage, settings);
        let alone = self.alone.iter().map(update).collect::<Result<Vec<_>>>()?;
        let each = |storage| Ok(vec![update(storage)?]);
        let mut ways = [each(&self.fused)?, each(&self.per_tensor)?, alone, each(&self.per_group)?];
        let (mut samples, mut copies) = ([const { vec![] }; 4], vec![]);
        for _ in 0..runs.max(1) {
            copies.push(second(|| copy.seconds(gpu))?);
            for (way, sample) in ways.iter_mut().zip(&mut samples) {
                let seconds = second(|| seconds(gpu, way))?;
                if !way.is_empty() {
                    sample.push(seconds);
                }
            }
        }
        let median = |sample: Vec<f64>| (!sample.is_empty()).then(|| Seconds::of_sample(sample).median);
        Ok((samples.map(median), Seconds::of_sample(copies).median))
    }
}

/// The median seconds of the fused way alone, and of a copy.
fn time(gpu: &Gpu, storage: &Storage, settings: Settings, runs: usize, copy: &Copying) -> Result<(f64, f64)> {
    let mut update = Update::new(gpu, storage, settings)?;
    let both = (0..runs.max(1)).map(|_| Ok((second(|| update.seconds(gpu))?, second(|| copy.seconds(gpu))?)));
    let (seconds, copies): (Vec<f64>, Vec<f64>) = both.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    Ok((Seconds::of_sample(seconds).median, Seconds::of_sample(copies).median))
}

/// A row per optimiser and size: one dispatch for all tensors, beside one for each of them in the same submission, one for each with
/// uniform buffers of its own, and one for each of ten groups of layers; and beside a copy that is timed between its runs.
///
/// # Errors
/// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or fails.
pub fn updates(gpu: &Gpu, runs: usize) -> Result<Report> {
    let copy = Copying::new(gpu)?;
    let mut report = Report::new(&COLUMNS);
    for (tensors, floats) in SIZES {
        let ways = Ways::new(gpu, tensors, floats)?;
        for name in Rule::NAMES {
            for (extra, clip_norm, layer_norms) in
                [("", None, false), (", clipped", Some(1.0), false), (", with norms", None, true)]
            {
                let rule = Rule::named(name)?;
                let spare_norm_and_bias = false;
                let settings = Settings { rule, weight_decay: 1e-4, spare_norm_and_bias, clip_norm, layer_norms };
                // What clipping and norms add is no part of a dispatch per tensor elsewhere: not a fair peer.
                let (seconds, others, copied) = match extra {
                    "" => {
                        let ([fused, others @ ..], copied) = ways.time(gpu, settings, runs, &copy)?;
                        (fused.expect("it is timed at every size"), others, copied)
                    }
                    _ => {
                        let (seconds, copied) = time(gpu, &ways.fused, settings, runs, &copy)?;
                        (seconds, [None; 3], copied)
                    }
                };
                // Parameter, gradient and moments are read, all but the gradient written; clipping reads the gradient once more.
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
