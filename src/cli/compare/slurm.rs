//! The tasks of a comparison as jobs of Slurm: an array of tasks, and a job that makes the report.

use super::collect::quoted;
use super::jobs::without;
use super::{CompareArgs, Plan};
use crate::cli::{check_files, create_dir, print};
use crate::error::{Error, Result};
use crate::files::{Overwrite, write_whole};
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// Options of Slurm.
#[derive(Debug, Args)]
pub(super) struct SlurmArgs {
    /// Write a shell script that submits the tasks to Slurm as an array, and a job that makes the
    /// report after them; run none. `sh FILE` submits them
    #[arg(long, value_name = "FILE", group = "mode", help_heading = "Slurm")]
    pub(super) slurm: Option<PathBuf>,
    /// Time limit of a task, such as 4:00:00. A task that needs longer is saved and requeued
    #[arg(long, value_name = "TIME", requires = "slurm", help_heading = "Slurm")]
    slurm_time: Option<String>,
    /// GPUs of a task
    #[arg(long, value_name = "N", requires = "slurm", help_heading = "Slurm")]
    slurm_gpus: Option<u32>,
    /// Partition
    #[arg(long, value_name = "NAME", requires = "slurm", help_heading = "Slurm")]
    slurm_partition: Option<String>,
    /// Any other option of sbatch for the tasks, such as --mem=8G; may be given several times
    #[arg(long, value_name = "OPTION", requires = "slurm", allow_hyphen_values = true, help_heading = "Slurm")]
    slurm_option: Vec<String>,
    /// Seconds before the time limit at which a task is saved
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=65535), requires = "slurm", help_heading = "Slurm")]
    slurm_grace: u32,
}

/// Options that are not those of a task, and whether they have a value.
const OWN_OPTIONS: [(&str, bool); 8] = [
    ("--slurm", true),
    ("--slurm-time", true),
    ("--slurm-gpus", true),
    ("--slurm-partition", true),
    ("--slurm-option", true),
    ("--slurm-grace", true),
    ("--quiet", false),
    ("--overwrite", false),
];

/// Writes the script.
pub(super) fn write(args: &CompareArgs, plan: &Plan, line: &[OsString]) -> Result<()> {
    let slurm = &args.slurm;
    let Some(file) = &slurm.slurm else { return Ok(()) };
    slurm.check()?;
    let overwrite = Overwrite { allowed: args.overwrite.overwrite, inputs: vec![] }.reading(args.config.file());
    check_files(&overwrite, &[("slurm", &slurm.slurm)])?;
    let here =
        std::env::current_dir().map_err(|fault| Error::Failed(format!("cannot find this directory: {fault}")))?;
    let program =
        std::env::current_exe().map_err(|fault| Error::Failed(format!("cannot find this program: {fault}")))?;
    let logs = here.join(&plan.out).join("slurm");
    create_dir(&logs)?;
    let arguments: Vec<_> = without(line, &OWN_OPTIONS).iter().map(quoted).collect();
    let script = Script {
        here: quoted(&here.into_os_string()),
        command: format!("{} compare {} --quiet", quoted(&program.into_os_string()), arguments.join(" ")),
        // Slurm replaces % in the names of logs.
        logs: logs.display().to_string().replace('%', "%%"),
        last: plan.runs.len() - 1,
    };
    write_whole(file, script.text(slurm).as_bytes())?;
    print(&format!("{} submits {} tasks and their report: sh {0}", file.display(), plan.runs.len()));
    Ok(())
}

/// The parts of a script that depend on the comparison.
struct Script {
    here: String,
    command: String,
    logs: String,
    last: usize,
}

impl SlurmArgs {
    fn check(&self) -> Result<()> {
        let texts = [("--slurm-time", &self.slurm_time), ("--slurm-partition", &self.slurm_partition)];
        let texts = texts.into_iter().filter_map(|(option, text)| Some((option, text.as_ref()?)));
        for (option, text) in texts.chain(self.slurm_option.iter().map(|text| ("--slurm-option", text))) {
            if text.is_empty() || text.contains(char::is_control) {
                return Err(Error::option(option, format!("expected a text of one line, found {text:?}")));
            }
        }
        match self.slurm_option.iter().find(|option| !option.starts_with('-')) {
            Some(other) => Err(Error::option(
                "--slurm-option",
                format!("expected an option of sbatch, such as --mem=8G, found {other}"),
            )),
            None => Ok(()),
        }
    }

    /// The options of the tasks, a line each.
    fn of_tasks(&self) -> String {
        let of = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}"));
        let gpus = self.slurm_gpus.map(|gpus| format!("--gpus={gpus}"));
        let named = [of("time", &self.slurm_time), gpus, of("partition", &self.slurm_partition)];
        let all = named.into_iter().flatten().chain(self.slurm_option.iter().cloned());
        all.map(|option| format!("#SBATCH {option}\n")).collect()
    }
}

impl Script {
    fn text(&self, slurm: &SlurmArgs) -> String {
        let Self { here, command, logs, last } = self;
        let (options, grace) = (slurm.of_tasks(), slurm.slurm_grace);
        let partition =
            slurm.slurm_partition.as_ref().map_or(String::new(), |name| format!("#SBATCH --partition={name}\n"));
        format!(
            r#"#!/bin/sh
# Submits the tasks of a comparison to Slurm, and a job that makes the report after them. It can be
# submitted again: finished tasks end at once, the others are continued. Arguments are given to every
# task, such as --take-over after a host has failed.
set -eu
cd {here}
export LERAC_TASK_OPTIONS="$*"

tasks=$(sbatch --parsable <<'TASK'
#!/bin/bash
#SBATCH --job-name=lerac
#SBATCH --array=0-{last}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output="{logs}/task-%a.log"
#SBATCH --signal=B:USR1@{grace}
{options}
# USR1 comes before the time limit: the task is saved and queued again. TERM comes with scancel: it is
# saved. Both end the program by TERM, after a checkpoint.
at_limit=
trap 'at_limit=yes; kill -TERM "$task"' USR1
trap 'kill -TERM "$task"' TERM

# Slurm queues a task again after its process has ended.
take_over=
if [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ]; then take_over=--take-over; fi

{command} --task="$SLURM_ARRAY_TASK_ID" $take_over $LERAC_TASK_OPTIONS &
task=$!
# A signal ends the wait, not the program.
while
    wait "$task"
    code=$?
    kill -0 "$task" 2>/dev/null
do :; done
if [ -n "$at_limit" ] && [ "$code" -eq 130 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
TASK
)
report=$(sbatch --parsable --dependency="afterany:$tasks" <<'REPORT'
#!/bin/bash
#SBATCH --job-name=lerac-report
#SBATCH --open-mode=append
#SBATCH --output="{logs}/report.log"
{partition}{command} --collect
REPORT
)
echo "tasks: job $tasks, report: job $report; logs in {logs}"
"#
        )
    }
}
