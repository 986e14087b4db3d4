//! A progress bar that hears a run.

use crate::curriculum::Layer;
use crate::error::Result;
use crate::study::RunDir;
use crate::train::{EpochRecord, IntervalRecord, Observer, SessionPlan};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows a run and passes what it hears on to the run's directory.
pub(super) struct Progress<'d> {
    bar: ProgressBar,
    quiet: bool,
    dir: &'d mut RunDir,
    /// (epoch, loss) and (epoch, accuracy) of each interval.
    pub(super) curves: [Vec<(f64, f64)>; 2],
}

impl<'d> Progress<'d> {
    /// A bar titled `title`; with `quiet` nothing is shown, and without a terminal only the epochs.
    pub(super) fn new(title: &str, quiet: bool, dir: &'d mut RunDir) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let template = "{prefix} {bar:30} {pos}/{len} {msg} ETA {eta}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
        bar.set_prefix(title.to_owned());
        Self { bar, quiet, dir, curves: [vec![], vec![]] }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) -> [Vec<(f64, f64)>; 2] {
        self.bar.finish_and_clear();
        self.curves
    }

    fn say(&self, line: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() { eprintln!("{line}") } else { self.bar.println(line) }
    }
}

impl Observer for Progress<'_> {
    fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        self.bar.set_length(steps);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        self.say(&format!(
            "{}: {steps} steps; {:.1} MiB on the device (parameters and gradients {:.1}, activations and their gradients {:.1}, \
             scratch {:.1}, evaluation {:.1}, moments {:.1})",
            self.bar.prefix(),
            mib(plan.total()),
            mib(plan.training.parameters + plan.training.parameter_gradients + plan.training.state),
            mib(plan.training.activations + plan.training.activation_gradients),
            mib(plan.training.buffers),
            mib(plan.evaluation),
            mib(plan.moments),
        ));
        self.dir.begin(plan, layers, steps)
    }

    fn step(&mut self, step: u64) {
        self.bar.set_position(step);
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.bar.set_message(format!(
            "loss {:.3} accuracy {:.1} % {:.0} images/s",
            record.train_loss,
            100.0 * record.train_accuracy,
            record.images_per_second
        ));
        self.curves[0].push((record.epoch, record.train_loss));
        self.curves[1].push((record.epoch, record.train_accuracy));
        self.dir.interval(record)
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let held_out = record.validation_accuracy.map_or(String::new(), |a| format!(", validation {:.2} %", 100.0 * a));
        self.say(&format!(
            "{} epoch {}: loss {:.4}, training {:.2} %{held_out}",
            self.bar.prefix(),
            record.epoch,
            record.train_loss,
            100.0 * record.train_accuracy
        ));
        self.dir.epoch(record)
    }
}
