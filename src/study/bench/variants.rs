//! Times of the kernel variants of a model's convolutions and matrix products.

use super::{Cell, Peaks, Report};
use crate::clock::Instant;
use crate::data::Form;
use crate::error::Result;
use crate::gpu::{Call, Gpu};
use crate::nn::{self, Model, NetOptions, Objective};
use crate::tape::{Keep, KernelChoices, Mode, Program, Storage, Tape, Target, TunableOpId, Variant};
use crate::train::Config;
use std::sync::Arc;
use std::time::Duration;

/// Runs of each variant of an operation, alternately; the fastest counts.
const RUNS: usize = 5;

/// A variant that takes this many times as long as the best one is not run again.
const GIVE_UP_RATIO: f64 = 2.0;

/// The fraction of time that a variant must save to replace the default one. Less is noise.
const NOISE_MARGIN: f64 = 0.03;

/// An operation of a model, and the times of its kernel variants.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantTimes {
    /// The operation and its shapes.
    pub task: String,
    /// How often the model has it.
    pub count: usize,
    /// Multiply-adds of one such operation.
    pub multiply_adds: u64,
    /// The default variant on this device.
    pub usual: Variant,
    /// Seconds of each variant that was timed, the default one first. Empty if the time limit was
    /// reached before.
    pub seconds: Vec<(Variant, f64)>,
}

impl VariantTimes {
    /// Seconds of a variant; `None` if it was not timed.
    pub fn of(&self, variant: Variant) -> Option<f64> {
        self.seconds.iter().find(|(timed, _)| *timed == variant).map(|(_, seconds)| *seconds)
    }

    /// The fastest variant, or the default one if it is equally fast up to noise; `None` if nothing
    /// was timed.
    pub fn winner(&self) -> Option<Variant> {
        let usual = self.of(self.usual)?;
        let (best, seconds) = self.seconds.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(if *seconds < (1.0 - NOISE_MARGIN) * usual { *best } else { self.usual })
    }
}

/// The model whose kernel variants are timed.
pub struct TuningModel {
    /// The network.
    pub model: Arc<dyn Model>,
    /// The columns of its data.
    pub form: Form,
    /// The objective: loss and measures.
    pub objective: Arc<dyn Objective>,
    /// Examples per pass.
    pub batch_size: usize,
}

/// The variants to time, and the time limit.
#[derive(Clone, Copy, Debug)]
pub struct TuningOptions {
    /// Also time variants that cannot be the best on this kind of device.
    pub all: bool,
    /// Time limit, compilation included. After it only the first operation is still timed.
    pub time: Duration,
}

impl TuningModel {
    /// The model and the objective of `config`, for data with these columns.
    ///
    /// # Errors
    /// [`crate::error::Error::Setting`] for an unknown model, or one that does not accept the data.
    pub fn of(config: &Config, form: Form) -> Result<Self> {
        let model = Arc::new(config.model.model()?);
        model.accepts(&form)?;
        let objective = config.objective(&form)?;
        Ok(Self { model, form, objective, batch_size: config.training.micro_batch_size() })
    }

    /// Records the model with these kernels.
    pub fn tape(&self, gpu: &Gpu, choices: KernelChoices) -> Tape {
        let tape = Tape::new(Mode::Train).with_target(Target::of(gpu.info())).with_choices(choices);
        nn::record(&*self.model, &self.form, &*self.objective, self.batch_size, tape, NetOptions::default()).tape
    }

    /// Times the variants of all operations, those with most work first, and returns them in the
    /// order of recording. `observe` is called for each operation with the number done, the total,
    /// and its name.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] if the device does not have enough memory;
    /// [`crate::error::Error::Device`] if it fails.
    pub fn measure(
        &self,
        gpu: &Gpu,
        effort: TuningOptions,
        mut observe: impl FnMut(usize, usize, &str),
    ) -> Result<Vec<VariantTimes>> {
        let start = Instant::now();
        let tape = self.tape(gpu, KernelChoices::default());
        tape.check(&gpu.limits(), self.batch_size)?;
        let storage = Storage::new(gpu, &tape)?;
        let mut found: Vec<(TunableOpId, VariantTimes)> = vec![];
        for (id, task) in tape.tunable_ops() {
            match found.iter_mut().find(|(_, measured)| measured.task == task.name) {
                Some((_, measured)) => measured.count += 1,
                None => {
                    let (multiply_adds, usual) = (tape.multiply_adds(id), task.usual());
                    let measured =
                        VariantTimes { task: task.name.clone(), count: 1, multiply_adds, usual, seconds: vec![] };
                    found.push((id, measured));
                }
            }
        }
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(found[i].1.multiply_adds * found[i].1.count as u64));
        let (all, mut pool) = (order.len(), vec![]);
        for (done, i) in order.into_iter().enumerate() {
            let (id, measured) = &mut found[i];
            observe(done, all, &measured.task);
            if done > 0 && start.elapsed() >= effort.time {
                break;
            }
            let variants = tape.tunable_ops().find(|(other, _)| other == id).map(|(_, task)| task.variants.clone());
            let mut variants = variants.expect("an id of this tape");
            variants.retain(|v| effort.all || v.suits(tape.target()));
            let mut programs = vec![];
            for variant in variants {
                let only = self.tape(gpu, KernelChoices([(measured.task.clone(), variant)].into())).only(*id);
                let program = Program::keeping(gpu, only, &storage, Keep::Only(&[]), &mut pool)?;
                programs.push((variant, program));
            }
            measured.seconds = fastest(gpu, &programs)?;
        }
        observe(all, all, "");
        Ok(found.into_iter().map(|(_, measured)| measured).collect())
    }
}

/// The fastest of several runs of each program. Programs run alternately, after one run of each to
/// warm up.
fn fastest(gpu: &Gpu, programs: &[(Variant, Program)]) -> Result<Vec<(Variant, f64)>> {
    let mut best: Vec<(Variant, f64)> = programs.iter().map(|(variant, _)| (*variant, f64::INFINITY)).collect();
    let mut least = f64::INFINITY;
    for run in 0..=RUNS {
        for ((_, program), (_, seconds)) in programs.iter().zip(&mut best) {
            if run > 1 && *seconds > GIVE_UP_RATIO * least {
                continue;
            }
            let calls: Vec<&Call> = program.forward().iter().collect();
            let start = Instant::now();
            let timed = match gpu.run_timed(&calls)? {
                Some(each) => each.iter().sum(),
                None => {
                    gpu.wait()?;
                    start.elapsed().as_secs_f64()
                }
            };
            if run > 0 {
                *seconds = seconds.min(timed);
                least = least.min(timed);
            }
        }
    }
    Ok(best)
}

/// A row per operation: the default variant, the fastest one, and their ratio.
pub fn winners(measured: &[VariantTimes]) -> Report {
    let mut report = Report::new(&["task", "count", "usual", "ms", "winner", "ms", "ratio"]);
    for m in measured {
        let usual = m.of(m.usual);
        let won = m.winner().and_then(|winner| m.of(winner));
        report.push(vec![
            m.task.as_str().into(),
            m.count.into(),
            Cell::Text(m.usual.to_string()),
            Cell::number(usual.map(|s| 1e3 * s), 3),
            Cell::Text(m.winner().map_or("no time left".into(), |winner| winner.to_string())),
            Cell::number(won.map(|s| 1e3 * s), 3),
            Cell::number(usual.zip(won).map(|(usual, won)| usual / won), 2),
        ]);
    }
    report
}

/// A row per operation and variant, the default one first.
pub fn variants(measured: &[VariantTimes], peaks: &Peaks) -> Report {
    let mut report = Report::new(&["task", "variant", "ms", "GFLOP/s", "% of FMA peak"]);
    for m in measured {
        for &(variant, seconds) in &m.seconds {
            let gflops = 2e-9 * m.multiply_adds as f64 / seconds;
            report.push(vec![
                m.task.as_str().into(),
                Cell::Text(variant.to_string()),
                Cell::Number(1e3 * seconds, 3),
                Cell::Number(gflops, 1),
                Cell::Number(100.0 * gflops / peaks.gflops, 0),
            ]);
        }
    }
    report
}
