//! The kernels that a model's convolutions and linear layers can choose from, against each other.

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

/// Runs of each variant of a task, taken in turn, of which the fastest counts.
const RUNS: usize = 5;

/// A variant that takes so many times the time of the best one is not run again.
const HOPELESS: f64 = 2.0;

/// What another variant must save before it is preferred to the usual one: less is noise.
const MARGIN: f64 = 0.03;

/// A task of a model and how long its variants take.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Its name.
    pub task: String,
    /// How many of this name the model has.
    pub count: usize,
    /// Multiply-adds of one.
    pub multiply_adds: u64,
    /// What the device usually takes.
    pub usual: Variant,
    /// Seconds of each variant that was timed, the usual one first; none where time was over before.
    pub seconds: Vec<(Variant, f64)>,
}

impl Measured {
    /// Seconds of a variant that was timed.
    pub fn of(&self, variant: Variant) -> Option<f64> {
        self.seconds.iter().find(|(timed, _)| *timed == variant).map(|(_, seconds)| *seconds)
    }

    /// The fastest variant, or the usual one where that is as fast but for noise; `None` where nothing was timed.
    pub fn winner(&self) -> Option<Variant> {
        let usual = self.of(self.usual)?;
        let (best, seconds) = self.seconds.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(if *seconds < (1.0 - MARGIN) * usual { *best } else { self.usual })
    }
}

/// What is timed: a model as it trains.
pub struct Subject {
    /// The network.
    pub model: Arc<dyn Model>,
    /// The columns of its data.
    pub form: Form,
    /// What it is trained for.
    pub objective: Arc<dyn Objective>,
    /// Examples per pass.
    pub batch_size: usize,
}

/// Which variants are timed, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Those too that cannot be the best on this kind of device.
    pub all: bool,
    /// No task but the first is begun after this time. Compilation counts.
    pub time: Duration,
}

impl Subject {
    /// What `config` trains on data of a form.
    ///
    /// # Errors
    /// [`crate::error::Error::Setting`] for a model that is not known, or that does not take such data.
    pub fn of(config: &Config, form: Form) -> Result<Self> {
        let model = Arc::new(nn::named(&config.model.name)?);
        model.accepts(&form)?;
        let objective = config.objective(&form)?;
        Ok(Self { model, form, objective, batch_size: config.training.micro_batch_size() })
    }

    /// The model on a tape with these kernels.
    pub fn tape(&self, gpu: &Gpu, choices: KernelChoices) -> Tape {
        let tape = Tape::new(Mode::Train).with_target(Target::of(gpu.info())).with_choices(choices);
        nn::record(&*self.model, &self.form, &*self.objective, self.batch_size, tape, NetOptions::default()).tape
    }

    /// Times the variants of all tasks, those with most work first, and reports in order of recording. `observe` is told of each task
    /// how many are done, how many there are, and its name.
    ///
    /// # Errors
    /// [`crate::error::Error::Capacity`] or [`crate::error::Error::Device`] where the device has no room or fails.
    pub fn measure(
        &self,
        gpu: &Gpu,
        effort: Effort,
        mut observe: impl FnMut(usize, usize, &str),
    ) -> Result<Vec<Measured>> {
        let start = Instant::now();
        let tape = self.tape(gpu, KernelChoices::default());
        tape.check(&gpu.limits(), self.batch_size)?;
        let storage = Storage::new(gpu, &tape)?;
        let mut found: Vec<(TunableOpId, Measured)> = vec![];
        for (id, task) in tape.tunable_ops() {
            match found.iter_mut().find(|(_, measured)| measured.task == task.name) {
                Some((_, measured)) => measured.count += 1,
                None => {
                    let (multiply_adds, usual) = (tape.multiply_adds(id), task.usual());
                    let measured =
                        Measured { task: task.name.clone(), count: 1, multiply_adds, usual, seconds: vec![] };
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

/// The fastest of several runs of each program, in turn, after one of each to warm up.
fn fastest(gpu: &Gpu, programs: &[(Variant, Program)]) -> Result<Vec<(Variant, f64)>> {
    let mut best: Vec<(Variant, f64)> = programs.iter().map(|(variant, _)| (*variant, f64::INFINITY)).collect();
    let mut least = f64::INFINITY;
    for run in 0..=RUNS {
        for ((_, program), (_, seconds)) in programs.iter().zip(&mut best) {
            if run > 1 && *seconds > HOPELESS * least {
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

/// A row per task: what is usual, what won, and how many times as fast that is.
pub fn winners(measured: &[Measured]) -> Report {
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

/// A row per task and variant, the usual one first.
pub fn variants(measured: &[Measured], peaks: &Peaks) -> Report {
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
