//! `lerac trace`.

use super::progress::open_data;
use super::{ConfigArgs, DeviceArgs, OverwriteArgs, print, print_note};
use crate::error::Result;
use crate::records;
use crate::train::{Task, whole_number};
use clap::{ArgMatches, Args};
use std::path::PathBuf;

/// Options of `lerac trace`.
#[derive(Debug, Args)]
pub(super) struct TraceArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    device: DeviceArgs,
    /// Steps to write
    #[arg(long, default_value_t = 3, value_parser = whole_number::<u64>)]
    steps: u64,
    /// Output directory for the tensors and trace.json
    #[arg(long, default_value = "out/trace")]
    out: PathBuf,
    #[command(flatten)]
    overwrite: OverwriteArgs,
}

/// Writes the steps.
pub(super) fn run(args: &TraceArgs, matches: &ArgMatches) -> Result<()> {
    let config = args.config.resolve(matches)?;
    config.check()?;
    let overwrite = args.overwrite.reading(args.config.file());
    records::check_trace(&args.out, &config, args.steps, &overwrite)?;
    let splits = open_data(&config.data.source(), false)?;
    let gpu = args.device.open()?;
    let task = Task::of(&config, &splits)?;
    records::trace(&gpu, &task, args.steps, &args.out, (&overwrite, &mut print_note))?;
    let out = args.out.display();
    print(&format!(
        "{} steps of {} in {out}; check them: python3 examples/check_with_torch.py {out}",
        args.steps, config.model.name
    ));
    Ok(())
}
