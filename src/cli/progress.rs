//! Progress bars.

use super::{print_stderr, wording::with_options};
use crate::clock::Instant;
use crate::curriculum::Layer;
use crate::data::{OpenEvent, PictureSplits, Source, Splits};
use crate::error::Result;
use crate::train::{EpochRecord, IntervalRecord, Observer, SessionPlan};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// The time after which a log without progress bars gets another line.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The progress of a run. The bar is removed when this is dropped.
pub(super) struct Progress {
    bar: ProgressBar,
    quiet: bool,
    /// Tokens of an example of texts, padding included.
    tokens: Option<usize>,
    /// When the latest line was printed.
    last_line: Instant,
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

/// A progress bar of the steps of a run.
pub(super) fn bar_of_run(title: &str, quiet: bool, bars: &MultiProgress) -> ProgressBar {
    let bar = bar(bars, quiet, 0, "{prefix} {bar:30} {pos}/{len} {msg} ETA {eta}");
    bar.set_prefix(title.to_owned());
    bar
}

/// Loss, score and speed of an interval.
pub(super) fn state_of(record: &IntervalRecord) -> String {
    let (training, speed) = (&record.training, record.examples_per_second);
    format!("loss {:.3} {} {speed:.0} examples/s", training.loss, training.in_words())
}

/// Opens a data set. Prints notes, and shows a progress bar while images are decoded.
pub(super) fn open_data(source: &Source<'_>, quiet: bool) -> Result<Splits> {
    opening(quiet, |report| source.open(report))
}

/// Opens a data set of images. Prints notes, and shows a progress bar while images are decoded.
pub(super) fn open_pictures(source: &Source<'_>, quiet: bool) -> Result<PictureSplits> {
    opening(quiet, |report| source.open_pictures(report))
}

/// Shows the notes and the progress of opening a data set.
pub(super) fn opening<T>(quiet: bool, open: impl FnOnce(&mut dyn FnMut(OpenEvent<'_>)) -> Result<T>) -> Result<T> {
    let bar = bar(&MultiProgress::new(), quiet, 0, "decoding {bar:30} {pos}/{len} files ETA {eta}");
    let opened = open(&mut |event| match event {
        OpenEvent::Note(note) => bar.suspend(|| print_stderr(&format!("note: {}", with_options(note)))),
        OpenEvent::Decoded { done, all } => {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    });
    bar.finish_and_clear();
    opened
}

/// A progress bar of the examples that are evaluated.
pub(super) struct EvaluationProgress(ProgressBar);

impl EvaluationProgress {
    /// Shows the bar. It is removed when this is dropped.
    pub(super) fn new() -> Self {
        Self(counter("evaluating", false))
    }
}

impl Observer for EvaluationProgress {
    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        self.0.set_length(examples as u64);
        self.0.set_position(done as u64);
        self.0.set_message(format!("{part} examples"));
    }
}

impl Drop for EvaluationProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A progress bar with the title `title`.
pub(super) fn counter(title: &str, quiet: bool) -> ProgressBar {
    let bar = bar(&MultiProgress::new(), quiet, 0, "{prefix} {bar:30} {pos}/{len} {msg}");
    bar.set_prefix(title.to_owned());
    bar
}

impl Progress {
    /// A progress bar with the title `title` for training on `data`. With `quiet` nothing is shown;
    /// without a terminal, a line per epoch.
    pub(super) fn new(title: &str, data: &Splits, quiet: bool, bars: &MultiProgress) -> Self {
        let bar = bar_of_run(title, quiet, bars);
        let tokens = data.train.form().tokens().map(|tokens| tokens.length);
        Self { bar, quiet, tokens, last_line: Instant::now() }
    }

    /// A progress bar of the runs, if there is more than one.
    pub(super) fn overall(bars: &MultiProgress, quiet: bool, runs: u64) -> ProgressBar {
        let bar = bar(bars, quiet || runs < 2, runs, "all runs {bar:30} {pos}/{len} ETA {eta}");
        bar.tick();
        bar
    }

    /// Prints a line above the bar.
    fn print_line(&self, line: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() { print_stderr(line) } else { self.bar.println(line) }
    }

    /// Prints the state if there is no bar and the latest line is more than [`LOG_INTERVAL`] old.
    fn log_periodically(&mut self, state: &str) {
        if self.bar.is_hidden() && self.last_line.elapsed() >= LOG_INTERVAL {
            self.print_line(&format!("{} {state}", self.bar.prefix()));
            self.last_line = Instant::now();
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
        print_stderr(&format!("note: {}", with_options(text)));
    }

    fn begin(&mut self, plan: &SessionPlan, _layers: &[Layer], steps: u64) -> Result<()> {
        self.bar.set_length(steps);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        self.print_line(&format!(
            "{}: {steps} steps; {:.1} MiB on the device (parameters and gradients {:.1}, activations, their \
             gradients and scratch {:.1}, evaluation {:.1}, moments {:.1}{})",
            self.bar.prefix(),
            mib(plan.total()),
            mib(plan.training.parameters + plan.training.parameter_gradients + plan.training.state),
            mib(plan.training.working),
            mib(plan.evaluation),
            mib(plan.moments),
            if plan.averages > 0 { format!(", averages {:.1}", mib(plan.averages)) } else { String::new() },
        ));
        Ok(())
    }

    fn step(&mut self, step: u64) {
        self.bar.set_position(step);
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        let speed = |tokens: usize| format!(" {:.0} tokens/s", tokens as f64 * record.examples_per_second);
        let state = state_of(record) + &self.tokens.map_or(String::new(), speed);
        let steps = self.bar.length().unwrap_or_default();
        self.log_periodically(&format!("step {} of {steps}: {state}", record.step));
        self.bar.set_message(state);
        Ok(())
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        let state = format!("{part} examples {done}/{examples}");
        self.log_periodically(&state);
        self.bar.set_message(state);
    }

    fn epoch(&mut self, record: &EpochRecord) -> Result<()> {
        let known = !record.training.value().is_nan();
        let training = if known { format!(", training {}", record.training) } else { String::new() };
        let held_out = record.validation.as_ref().map_or(String::new(), |scores| format!(", validation {scores}"));
        let (run, epoch, loss) = (self.bar.prefix(), record.epoch, record.training.loss);
        self.print_line(&format!("{run} epoch {epoch}: loss {loss:.4}{training}{held_out}"));
        self.last_line = Instant::now();
        Ok(())
    }
}
