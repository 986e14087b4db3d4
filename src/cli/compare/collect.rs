//! Tables and report of the tasks that are finished.

use super::{Folds, Plan};
use crate::cli::{print, print_stderr};
use crate::error::{Error, Result};
use crate::files::{Claim, Replace};
use crate::gpu::AdapterInfo;
use crate::records::{Finished, RunDir};
use crate::study::{Comparison, Setting, adapters, write_report};
use std::ffi::OsString;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The claim of the process that writes the report.
const REPORT: &str = "report";

/// How often, and after how long, the claim is tried again.
const TRIES: usize = 120;
const PAUSE: Duration = Duration::from_millis(500);

/// Writes and prints the report of the finished tasks. `adapter` is the device of this process, and
/// `failures` are the runs that failed in it.
///
/// # Errors
/// [`Error::Failed`] if there are failures; [`Error::Option`] if no task is finished.
pub(super) fn collect(plan: &Plan, folds: &Folds, adapter: Option<&AdapterInfo>, failures: &[String]) -> Result<()> {
    let loaded = plan.load_all(folds)?;
    let mut missing = vec![];
    for (run, finished) in plan.runs.iter().zip(&loaded) {
        match finished {
            // Its checkpoints are left if its process was killed after it had finished.
            Some(_) if Claim::holder(&plan.claims, &run.name())?.is_none() => RunDir::tidy(&run.dir, false)?,
            None if !failures.contains(&run.title()) => missing.push(format!("{} ({})", run.title(), plan.state(run)?)),
            _ => {}
        }
    }
    let mut finished: Vec<Finished> = loaded.into_iter().flatten().collect();
    // Sort by method in the grid's order, even if some runs failed.
    finished.sort_by_key(|run| plan.runs.iter().position(|of_grid| of_grid.arm == run.arm));
    if !finished.is_empty() {
        let setting = Setting {
            config: &plan.config,
            baseline: &plan.runs[0].arm,
            file: plan.file.clone(),
            command: command_line(),
            adapter,
            failures,
            missing: &missing,
            data: &folds[&finished[0].fold].0,
        };
        show(plan, &setting, &finished)?;
    } else if failures.is_empty() {
        let message = format!("no task is finished in {}; --list shows their states", plan.out.display());
        return Err(Error::option("--out", message));
    }
    let (all, left) = (plan.runs.len(), missing.len());
    if failures.is_empty() {
        if left > 0 {
            print_stderr(&format!(
                "note: {left} of {all} tasks are not finished and no part of the report: {}; --collect makes it again",
                missing.join(", ")
            ));
        }
        return Ok(());
    }
    let others =
        if left > 0 { format!("; {left} more are not finished: {}", missing.join(", ")) } else { String::new() };
    Err(Error::Failed(format!("{} of {all} runs failed: {}{others}", failures.len(), failures.join(", "))))
}

/// Claims the files of the report. Waits for a process that writes them, for a minute.
fn claim_report(plan: &Plan) -> Result<Claim> {
    let mut tries = 0;
    loop {
        match Claim::take(&plan.claims, REPORT, Replace::Ended)? {
            Ok(claim) => return Ok(claim),
            Err(_) if tries < TRIES => thread::sleep(PAUSE),
            Err(held) => {
                let claim = plan.claims.join(REPORT).with_extension("*");
                let message = format!(
                    "the report is being written by {held}; give --collect when it is done, or if that process has \
                     ended, remove {} first",
                    claim.display()
                );
                return Err(Error::option(plan.out.display().to_string(), message));
            }
        }
        tries += 1;
    }
}

/// Writes the report of the finished runs, and prints table and summary.
fn show(plan: &Plan, setting: &Setting<'_>, finished: &[Finished]) -> Result<()> {
    let out = &plan.out;
    let claim = claim_report(plan)?;
    let comparison = write_report(setting, finished, out)?;
    drop(claim);
    print(&table(&comparison));
    comparison.in_words().iter().for_each(|sentence| print(sentence));
    let (config, summary) = (setting.config, &finished[0].summary);
    print(&format!(
        "{} on {}, {} epoch(s) of {} examples, batch size {}, {} test examples, {}; relative time is the median over pairs of \
         intervals, and other load on the machine affects it; report.html and other files are in {}",
        config.model.name,
        config.data.name,
        config.training.epochs,
        summary.examples_per_epoch,
        config.training.batch_size,
        summary.test_examples,
        adapters(finished).join(", "),
        out.display()
    ));
    Ok(())
}

/// The command line, quoted for a shell where needed.
fn command_line() -> String {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map_or("lerac".into(), |name| name.to_string_lossy().into_owned());
    std::iter::once(name).chain(arguments.map(|argument| quoted(&argument))).collect::<Vec<_>>().join(" ")
}

/// An argument, quoted for a shell where needed.
pub(super) fn quoted(argument: &OsString) -> String {
    let argument = argument.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.into_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

fn table(comparison: &Comparison) -> String {
    let measure = &comparison.measure;
    let test = format!("test {}", measure.name);
    let mut table = crate::cli::table(["method", &test, "seeds", "ms per step", "time per step, relative"]);
    for result in &comparison.arms {
        let deviation = result.test_score_sd.map_or(String::new(), |sd| format!(" ± {:.2}", measure.shown(sd)));
        table.add_row([
            result.arm.clone(),
            format!("{:.2}{deviation} {}", measure.shown(result.test_score), measure.unit),
            result.seeds.len().to_string(),
            format!("{:.1}", result.milliseconds_per_step),
            result.relative_time.map_or(String::new(), |ratio| format!("{ratio:.3}")),
        ]);
    }
    table.to_string()
}
