//! Progress bars.

use super::{say, wording::with_options};
use crate::clock::Instant;
use crate::curriculum::Layer;
use crate::data::{News, PictureSplits, Source, Splits};
use crate::error::Result;
use crate::train::{EpochRecord, IntervalRecord, Observer, SessionPlan};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// As long as a log stays without a line.
const SILENCE: Duration = Duration::from_secs(60);

/// Shows a run while it trains; its bar goes when it is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    /// When the latest line was said.
    said: Instant,
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
    open_pictures(source, quiet).map(Splits::from)
}

/// Opens a data set as pictures, likewise.
pub(super) fn open_pictures(source: &Source<'_>, quiet: bool) -> Result<PictureSplits> {
    let bar = bar(&MultiProgress::new(), quiet, 0, "decoding {bar:30} {pos}/{len} images ETA {eta}");
    let opened = source.open_pictures(&mut |news| match news {
        News::Note(note) => bar.suspend(|| say(&format!("note: {note}"))),
        News::Decoded { done, all } => {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    });
    bar.finish_and_clear();
    opened
}

/// A bar that counts the examples of a set as they are read.
pub(super) struct Reading(ProgressBar);

impl Reading {
    /// The bar, which goes when it is dropped.
    pub(super) fn new() -> Self {
        Self(counter("reading", false))
    }
}

impl Observer for Reading {
    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        self.0.set_length(examples as u64);
        self.0.set_position(done as u64);
        self.0.set_message(format!("{part} examples"));
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
        Self { bar, quiet, said: Instant::now() }
    }

    /// A bar that counts runs, where there is more than one.
    pub(super) fn overall(bars: &MultiProgress, quiet: bool, runs: u64) -> ProgressBar {
        let bar = bar(bars, quiet || runs < 2, runs, "all runs {bar:30} {pos}/{len} ETA {eta}");
        bar.tick();
        bar
    }

    /// A line of what happens.
    fn say(&self, line: &str) {
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

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Progress {
    fn note(&mut self, text: &str) {
        say(&format!("note: {}", with_options(text)));
    }

    fn begin(&mut self, plan: &SessionPlan, _layers: &[Layer], steps: u64) -> Result<()> {
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
        Ok(())
    }

    fn step(&mut self, step: u64) {
        self.bar.set_position(step);
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        let state = format!(
            "loss {:.3} {} {} {:.0} examples/s",
            record.training.loss,
            record.training.measure().name,
            record.training,
            record.examples_per_second
        );
        let steps = self.bar.length().unwrap_or_default();
        self.say_now_and_then(&format!("step {} of {steps}: {state}", record.step));
        self.bar.set_message(state);
        Ok(())
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        let state = format!("{part} examples {done}/{examples}");
        self.say_now_and_then(&state);
        self.bar.set_message(state);
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let held_out = record.validation.as_ref().map_or(String::new(), |scores| format!(", validation {scores}"));
        self.say(&format!(
            "{} epoch {}: loss {:.4}, training {}{held_out}",
            self.bar.prefix(),
            record.epoch,
            record.training.loss,
            record.training
        ));
        self.said = Instant::now();
        Ok(())
    }
}
