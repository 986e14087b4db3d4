//! Runs the tasks of a comparison side by side, a process each, with one display of progress.

use super::{CompareArgs, Folds, Plan, collect, note_finished};
use crate::cli::progress::{Progress, bar_of_run, state_of};
use crate::cli::{print, print_stderr};
use crate::cores::spawn;
use crate::curriculum::Layer;
use crate::error::{Error, Result};
use crate::files::{Claim, Life};
use crate::train::{IntervalRecord, Observer, SessionPlan};
use indicatif::{MultiProgress, ProgressBar};
use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Interval for polling the interrupt flag.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Options that a process of a single task does not get, and whether they have a value.
const OWN_OPTIONS: [(&str, bool); 4] =
    [("--jobs", true), ("--adapters", true), ("--take-over", false), ("--collect", false)];

/// Reports the progress of a task on standard output, for the process that started this one.
pub(super) struct Reported(pub(super) bool);

impl Reported {
    fn say(&self, text: &str) {
        if self.0 {
            print(text);
        }
    }
}

impl Observer for Reported {
    fn begin(&mut self, _plan: &SessionPlan, _layers: &[Layer], steps: u64) -> Result<()> {
        self.say(&format!("steps {steps}"));
        Ok(())
    }

    fn step(&mut self, step: u64) {
        self.say(&format!("step {step}"));
    }

    fn interval(&mut self, record: &IntervalRecord) -> Result<()> {
        self.say(&format!("state {}", state_of(record)));
        Ok(())
    }

    fn reading(&mut self, part: &str, done: usize, examples: usize) {
        self.say(&format!("state {part} examples {done}/{examples}"));
    }
}

/// What a process of a task has written.
enum Event {
    Output(usize, String),
    Error(usize, String),
    /// One of its two streams has ended.
    End(usize),
}

/// A process that runs a task.
struct Job {
    task: usize,
    adapter: usize,
    child: Child,
    open_streams: u8,
    bar: ProgressBar,
    elsewhere: bool,
}

/// All processes, and what is left to do.
struct Jobs<'p> {
    args: &'p CompareArgs,
    plan: &'p Plan,
    line: Vec<OsString>,
    waiting: VecDeque<usize>,
    running: Vec<Job>,
    /// Places in `adapters` that no process uses.
    free: Vec<usize>,
    /// The adapter of each process; `None` for the default one.
    adapters: Vec<Option<String>>,
    failures: Vec<String>,
    /// Notes that were printed: every process has the same.
    notes: HashSet<String>,
    bars: MultiProgress,
    overall: ProgressBar,
    events: (Sender<Event>, Receiver<Event>),
}

/// Runs the tasks that are not finished, and makes the report.
pub(super) fn run(args: &CompareArgs, plan: &Plan, folds: &Folds, line: &[OsString]) -> Result<()> {
    let finished = plan.load_all(folds)?;
    let stop = args.saving.start(plan.overwrite.clone())?.stop;
    let waiting: VecDeque<usize> = (0..plan.runs.len()).filter(|&task| finished[task].is_none()).collect();
    let lock = plan.open()?;
    note_finished(plan, waiting.len());
    let bars = MultiProgress::new();
    let named: Vec<Option<String>> = args.tasks.adapters.iter().cloned().map(Some).collect();
    let count = args.tasks.jobs.map_or(named.len(), |jobs| jobs as usize);
    let adapters: Vec<_> = (0..count).map(|job| named.get(job % named.len().max(1)).cloned().flatten()).collect();
    let mut jobs = Jobs {
        args,
        plan,
        line: without(line, &OWN_OPTIONS),
        overall: Progress::overall(&bars, args.quiet, waiting.len() as u64),
        waiting,
        running: vec![],
        free: (0..count).rev().collect(),
        adapters,
        failures: vec![],
        notes: HashSet::new(),
        bars,
        events: channel(),
    };
    let mut stopping = false;
    while !jobs.waiting.is_empty() || !jobs.running.is_empty() {
        if stop.load(Ordering::Relaxed) && !stopping {
            stopping = true;
            jobs.stop();
        }
        jobs.start()?;
        match jobs.events.1.recv_timeout(POLL_INTERVAL) {
            Ok(event) => jobs.see(event)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("this thread has a sender"),
        }
    }
    jobs.overall.finish_and_clear();
    if stopping {
        return Err(Error::Interrupted("interrupted; the same command continues the comparison".to_owned()));
    }
    lock.check()?;
    collect::collect(plan, folds, None, &jobs.failures)
}

/// These arguments without some options and their values.
pub(super) fn without(line: &[OsString], options: &[(&str, bool)]) -> Vec<OsString> {
    let mut kept = vec![];
    let mut arguments = line.iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        let (name, value) = text.split_once('=').map_or((&*text, None), |(name, value)| (name, Some(value)));
        match options.iter().find(|(option, _)| *option == name) {
            Some((_, has_value)) if *has_value && value.is_none() => drop(arguments.next()),
            Some(_) => {}
            None => kept.push(argument.clone()),
        }
    }
    kept
}

/// Sends the lines of a stream of a process.
fn read_lines(
    stream: impl Read + Send + 'static,
    task: usize,
    events: Sender<Event>,
    event: fn(usize, String) -> Event,
) -> Result<()> {
    spawn("output of a task", move || {
        // A line that is not text ends the stream; the process itself is not harmed.
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let _ = events.send(event(task, line));
        }
        let _ = events.send(Event::End(task));
    })
    .map(drop)
}

impl Jobs<'_> {
    /// Starts processes while adapters and tasks are left.
    fn start(&mut self) -> Result<()> {
        while let (Some(&adapter), Some(&task)) = (self.free.last(), self.waiting.front()) {
            self.waiting.pop_front();
            let run = &self.plan.runs[task];
            let held = Claim::holder(&self.plan.claims, &run.name())?;
            let takes_over = match held.as_ref().map(|held| held.life) {
                None => false,
                Some(Life::Ended) => true,
                Some(Life::Unknown) if self.args.tasks.take_over => true,
                // The report names its owner.
                Some(_) => {
                    self.overall.inc(1);
                    continue;
                }
            };
            let child = self.spawn(task, self.adapters[adapter].as_deref(), takes_over)?;
            self.free.pop();
            let bar = bar_of_run(&run.title(), self.args.quiet, &self.bars);
            self.running.push(Job { task, adapter, child, open_streams: 2, bar, elsewhere: false });
        }
        Ok(())
    }

    fn spawn(&self, task: usize, adapter: Option<&str>, takes_over: bool) -> Result<Child> {
        let program =
            std::env::current_exe().map_err(|fault| Error::Failed(format!("cannot find this program: {fault}")))?;
        let mut command = Command::new(&program);
        command.arg("compare").args(&self.line).arg("--worker").arg(format!("--task={task}"));
        command.args(adapter.map(|adapter| format!("--adapter={adapter}")));
        command.args(takes_over.then_some("--take-over"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(Error::io(&program, "start"))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let events = &self.events.0;
        read_lines(stdout.expect("it is piped"), task, events.clone(), Event::Output)?;
        read_lines(stderr.expect("it is piped"), task, events.clone(), Event::Error)?;
        Ok(child)
    }

    /// Starts no more tasks, and lets the running ones save their state.
    fn stop(&mut self) {
        self.waiting.clear();
        self.running.iter_mut().for_each(|job| drop(job.child.stdin.take()));
    }

    fn see(&mut self, event: Event) -> Result<()> {
        let (Event::Output(task, _) | Event::Error(task, _) | Event::End(task)) = event;
        let place = self.running.iter().position(|job| job.task == task).expect("it ends after its streams");
        match event {
            Event::Output(_, line) => self.running[place].show(&line),
            Event::Error(_, line) => self.print(place, &line),
            Event::End(_) => {
                self.running[place].open_streams -= 1;
                if self.running[place].open_streams == 0 {
                    return self.end(place);
                }
            }
        }
        Ok(())
    }

    /// Prints a line of a process above the bars; a note only once.
    fn print(&mut self, place: usize, line: &str) {
        let is_note = line.starts_with("note: ");
        if is_note && !self.notes.insert(line.to_owned()) {
            return;
        }
        let title = self.plan.runs[self.running[place].task].title();
        let line = if is_note || line.contains(&title) { line.to_owned() } else { format!("{title}: {line}") };
        if self.overall.is_hidden() { print_stderr(&line) } else { self.bars.suspend(|| print_stderr(&line)) }
    }

    fn end(&mut self, place: usize) -> Result<()> {
        let mut job = self.running.remove(place);
        let title = self.plan.runs[job.task].title();
        let status =
            job.child.wait().map_err(|fault| Error::Failed(format!("{title}: cannot wait for it: {fault}")))?;
        job.bar.finish_and_clear();
        self.overall.inc(1);
        self.free.push(job.adapter);
        let interrupted = status.code() == Some(crate::cli::saving::INTERRUPTED.into());
        if !status.success() && !interrupted && !job.elsewhere {
            if status.code().is_none() {
                print_stderr(&format!("error: {title}: its process ended with {status}"));
            }
            self.failures.push(title);
        }
        Ok(())
    }
}

impl Job {
    /// Shows a report of its progress.
    fn show(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, rest.parse()) {
            ("steps", Ok(steps)) => self.bar.set_length(steps),
            ("step", Ok(step)) => self.bar.set_position(step),
            ("state", _) => self.bar.set_message(rest.to_owned()),
            ("elsewhere", _) => self.elsewhere = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OWN_OPTIONS, without};
    use std::ffi::OsString;

    #[test]
    fn options_are_left_out_with_their_values() {
        let line = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        let kept = |text: &str| without(&line(text), &OWN_OPTIONS);
        assert_eq!(kept("--jobs 2 --data shapes --take-over --adapters=0,1 --out x"), line("--data shapes --out x"));
        assert_eq!(kept("--out --jobs=3 --adapters 0 --k 1"), line("--out --k 1"));
    }
}
