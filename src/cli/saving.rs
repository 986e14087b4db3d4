//! Checkpoints, and what an interrupt does.

use super::say;
use crate::error::{Error, Result};
use crate::study::Saving;
use crate::train::whole;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The exit code after an interrupt, as a shell gives it.
pub(super) const INTERRUPTED: u8 = 130;

/// Signals within this time are one: who passes an interrupt on to a process and to its group sends two.
const ONE_INTERRUPT: Duration = Duration::from_millis(500);

/// Options of checkpoints.
#[derive(Debug, Args)]
pub(super) struct SavingArgs {
    /// Steps between checkpoints, from which an ended run goes on; another is taken behind the last step, before the test set is read.
    /// 0 for none but that of an interrupted run
    #[arg(long, default_value_t = 1000, value_parser = whole::<u64>, help_heading = "Checkpoints")]
    checkpoint_every: u64,
    /// Checkpoints that are kept
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Checkpoints")]
    keep_checkpoints: u32,
}

impl SavingArgs {
    /// The settings, with a first interrupt (or a request to terminate) bound to the run's end, and a second one to the program's. A
    /// hang-up stays as the system, or nohup, has it.
    ///
    /// # Errors
    /// [`Error::Option`] where the system has no such thing.
    pub(super) fn start(&self) -> Result<Saving> {
        let (stop, armed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let handled = [SIGINT, SIGTERM];
        let bind = || {
            for signal in handled {
                // Ends the program even if nothing can be said any more.
                flag::register_conditional_shutdown(signal, INTERRUPTED.into(), armed.clone())?;
                flag::register(signal, stop.clone())?;
            }
            Signals::new(handled)
        };
        let refused = |fault| Error::option("signals", format!("cannot be handled: {fault}"));
        let mut signals = bind().map_err(refused)?;
        let wait = move || {
            if signals.forever().next().is_some() {
                let note = || {
                    say(
                        "note: interrupted; what is under way, a step or the end of a run, is finished and saved. A second interrupt \
                         ends at once",
                    );
                };
                // On a thread of its own, since standard error may be stuck; where there is none, it ends without a word.
                drop(thread::Builder::new().spawn(note));
                thread::sleep(ONE_INTERRUPT);
                armed.store(true, Ordering::Relaxed);
            }
        };
        thread::Builder::new().spawn(wait).map_err(refused)?;
        Ok(Saving { every: self.checkpoint_every, keep: self.keep_checkpoints as usize, stop })
    }
}
