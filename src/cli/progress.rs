//! A progress bar that hears a run.

use super::say;
use crate::clock::Instant;
use crate::curriculum::Layer;
use crate::data::{News, Source, Splits};
use crate::error::Result;
use crate::study::RunDir;
use crate::train::{Checkpoint, EpochRecord, IntervalRecord, NoiseRecord, Observer, SessionPlan};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// As long as a log stays without a line.
const SILENCE: Duration = Duration::from_secs(60);

/// A run's bar, before it has a directory.
pub(super) struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

/// Shows a run and passes what it hears on to the run's directory.
pub(super) struct Heard<'d> {
    bar: ProgressBar,
    quiet: bool,
    /// When the latest line was said.
    said: Instant,
    dir: &'d mut RunDir,
}

fn bar(bars: &MultiProgress, quiet: bool, length: u64, template: &str) -> ProgressBar {
    let bar = if quiet {
        ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::hidden())
    } else {
        bars.add(ProgressBar::new(length))
    };
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
    bar
}

/// Opens a data set; notes are said, and a bar shows the images that are decoded, where there is a terminal.
pub(super) fn open_data(source: &Source<'_>, quiet: bool) -> Result<Splits> {
    let bar = bar(&MultiProgress::new(), quiet, 0, "decoding {bar:30} {pos}/{len} images ETA {eta}");
    let opened = source.open(&mut |news| match news {
        News::Note(note) => bar.suspend(|| say(&format!("note: {note}"))),
        News::Decoded { done, all } => {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    });
    bar.finish_and_clear();
    opened
}

/// A bar that counts the images of a set as they are read.
pub(super) struct Reading(ProgressBar);

impl Reading {
    /// The bar, which goes when it is dropped.
    pub(super) fn new() -> Self {
        Self(counter("reading", false))
    }
}

impl Observer for Reading {
    fn reading(&mut self, part: &str, done: usize, images: usize) {
        self.0.set_length(images as u64);
        self.0.set_position(done as u64);
        self.0.set_message(format!("{part} images"));
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar titled `title` that counts what is done of how much.
pub(super) fn counter(title: &str, quiet: bool) -> ProgressBar {
    let bar = bar(&MultiProgress::new(), quiet, 0, "{prefix} {bar:30} {pos}/{len} {msg}");
    bar.set_prefix(title.to_owned());
    bar
}

impl Progress {
    /// A bar titled `title`; with `quiet` nothing is shown, and without a terminal only the epochs.
    pub(super) fn new(title: &str, quiet: bool, bars: &MultiProgress) -> Self {
        let bar = bar(bars, quiet, 0, "{prefix} {bar:30} {pos}/{len} {msg} ETA {eta}");
        bar.set_prefix(title.to_owned());
        Self { bar, quiet }
    }

    /// A bar that counts runs, where there is more than one.
    pub(super) fn overall(bars: &MultiProgress, quiet: bool, runs: u64) -> ProgressBar {
        let bar = bar(bars, quiet || runs < 2, runs, "all runs {bar:30} {pos}/{len} ETA {eta}");
        bar.tick();
        bar
    }

    /// The bar with the directory that hears the same.
    pub(super) fn beside(self, dir: &mut RunDir) -> Heard<'_> {
        Heard { bar: self.bar, quiet: self.quiet, said: Instant::now(), dir }
    }
}

impl Heard<'_> {
    /// Takes the bar away.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }

    /// A line of what happens.
    pub(super) fn say(&self, line: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() { say(line) } else { self.bar.println(line) }
    }

    /// Where there is no bar, a line that the work goes on, unless another was said lately.
    fn say_now_and_then(&mut self, state: &str) {
        if self.bar.is_hidden() && self.said.elapsed() >= SILENCE {
            self.say(&format!("{} {state}", self.bar.prefix()));
            self.said = Instant::now();
        }
    }
}

impl Observer for Heard<'_> {
    fn begin(&mut self, plan: &SessionPlan, layers: &[Layer], steps: u64) -> Result<()> {
        self.bar.set_length(steps);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        self.say(&format!(
            "{}: {steps} steps; {:.1} MiB on the device (parameters and gradients {:.1}, activations, their \
             gradients and scratch {:.1}, evaluation {:.1}, moments {:.1})",
            self.bar.prefix(),
            mib(plan.total()),
            mib(plan.training.parameters + plan.training.parameter_gradients + plan.training.state),
            mib(plan.training.working),
            mib(plan.evaluation),
            mib(plan.moments),
        ));
        self.dir.begin(plan, layers, steps)
    }

    fn skipped(&mut self, names: &[String]) {
        say(&format!("note: not in the file of --init, and so at random values: {}", names.join(", ")));
    }

    fn step(&mut self, step: u64) {
        self.bar.set_position(step);
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        let state = format!(
            "loss {:.3} {} {} {:.0} images/s",
            record.train_loss,
            record.train_score.measure.name(),
            record.train_score,
            record.images_per_second
        );
        let steps = self.bar.length().unwrap_or_default();
        self.say_now_and_then(&format!("step {} of {steps}: {state}", record.step));
        self.bar.set_message(state);
        self.dir.interval(record)
    }

    fn reading(&mut self, part: &str, done: usize, images: usize) {
        let state = format!("{part} images {done}/{images}");
        self.say_now_and_then(&state);
        self.bar.set_message(state);
    }

    fn noise(&mut self, record: &NoiseRecord) -> Result<()> {
        self.dir.noise(record)
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let held_out = record.validation_score.map_or(String::new(), |score| format!(", validation {score}"));
        self.say(&format!(
            "{} epoch {}: loss {:.4}, training {}{held_out}",
            self.bar.prefix(),
            record.epoch,
            record.train_loss,
            record.train_score
        ));
        self.said = Instant::now();
        self.dir.epoch(record)
    }

    fn wants_checkpoint(&self, step: u64) -> bool {
        self.dir.wants_checkpoint(step)
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<()> {
        self.dir.checkpoint(checkpoint)
    }

    fn wants_to_stop(&self) -> bool {
        self.dir.wants_to_stop()
    }
}
