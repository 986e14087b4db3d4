//! Checkpoints, and what an interrupt does.

use super::say;
use crate::cores::spawn;
use crate::error::{Error, Result};
use crate::records::Saving;
use crate::train::whole_number;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The exit code after an interrupt, as a shell gives it.
pub(super) const INTERRUPTED: u8 = 130;

/// Signals within this time are one: who passes an interrupt on to a process and to its group sends
/// two.
const ONE_INTERRUPT: Duration = Duration::from_millis(500);

/// Time between two looks at whether a signal came. Waiting for signals themselves is possible on
/// Unix only.
const POLL: Duration = Duration::from_millis(50);

/// What ends a run: Ctrl-C, and a request to terminate; on Windows also Ctrl-Break.
#[cfg(not(windows))]
const SIGNALS: [i32; 2] = [SIGINT, SIGTERM];
#[cfg(windows)]
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGBREAK];

/// Ctrl-Break, as the C runtime of Windows numbers it.
#[cfg(windows)]
const SIGBREAK: i32 = 21;

/// Options of checkpoints.
#[derive(Debug, Args)]
pub(super) struct SavingArgs {
    /// Steps between checkpoints, from which an ended run goes on; another is taken behind the last
    /// step, before the test set is read. 0 for none but that of an interrupted run
    #[arg(long, default_value_t = 1000, value_parser = whole_number::<u64>, help_heading = "Checkpoints")]
    checkpoint_every: u64,
    /// Checkpoints that are kept
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Checkpoints")]
    keep_checkpoints: u32,
}

impl SavingArgs {
    /// The settings. A first interrupt, or a request to terminate, ends the run; a second one ends
    /// the program. A hang-up does what the system, or nohup, says.
    ///
    /// # Errors
    /// [`Error::Option`] where the system refuses to handle a signal; [`Error::Failed`] where it
    /// grants no thread that waits for one.
    pub(super) fn start(&self) -> Result<Saving> {
        let [signalled, stop, armed] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let bind = |&signal: &i32| {
            // Ends the program even if nothing can be said any more.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), armed.clone())?;
            flag::register(signal, signalled.clone())
        };
        let refused = |fault| Error::option("signals", format!("cannot be handled: {fault}"));
        SIGNALS.iter().try_for_each(|signal| bind(signal).map(drop)).map_err(refused)?;
        let heard = stop.clone();
        let wait = move || {
            while !signalled.load(Ordering::Relaxed) {
                thread::sleep(POLL);
            }
            // On a thread of its own, since standard error may block; where there is none, nothing
            // is said.
            drop(spawn("interrupt's note", || {
                say(
                    "note: interrupted; the current step or the end of the run is finished and saved. A second interrupt ends at once",
                )
            }));
            heard.store(true, Ordering::Relaxed);
            thread::sleep(ONE_INTERRUPT);
            armed.store(true, Ordering::Relaxed);
        };
        spawn("interrupts", wait)?;
        Ok(Saving { every: self.checkpoint_every, keep: self.keep_checkpoints as usize, stop })
    }
}
