//! Options of checkpoints, and the handling of interrupts.

use super::print_stderr;
use crate::cores::spawn;
use crate::error::{Error, Result};
use crate::records::{Overwrite, Saving};
use crate::train::whole_number;
use clap::Args;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The exit code after an interrupt, as in shells.
pub(super) const INTERRUPTED: u8 = 130;

/// Signals within this time count as one: a terminal or a shell may send an interrupt to the
/// process and to its group.
const ONE_INTERRUPT: Duration = Duration::from_millis(500);

/// Interval for polling the interrupt flag. Waiting for a signal is possible on Unix only.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Options of checkpoints.
#[derive(Debug, Args)]
pub(super) struct SavingArgs {
    /// Steps between checkpoints. Another is taken after the last step, before the test set is
    /// evaluated. 0: only when the run is interrupted
    #[arg(long, default_value_t = 1000, value_parser = whole_number::<u64>, help_heading = "Checkpoints")]
    checkpoint_every: u64,
    /// Number of checkpoints to keep
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Checkpoints")]
    keep_checkpoints: u32,
}

impl SavingArgs {
    /// Installs the handlers of interrupts: SIGINT and SIGTERM, on Windows Ctrl-C and Ctrl-Break.
    /// The first interrupt ends the run, the second one ends the program. SIGHUP is not handled,
    /// so that nohup works.
    ///
    /// # Errors
    /// [`Error::Option`] if interrupts cannot be handled; [`Error::Failed`] if no thread can be
    /// started.
    pub(super) fn start(&self, overwrite: Overwrite) -> Result<Saving> {
        let [signalled, stop, second_exits] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
        let refused = |fault| Error::option("interrupts", format!("cannot be handled: {fault}"));
        on_interrupt(&signalled, &second_exits).map_err(refused)?;
        let stop_flag = stop.clone();
        let wait = move || {
            while !signalled.load(Ordering::Relaxed) {
                thread::sleep(POLL_INTERVAL);
            }
            // On a separate thread, since standard error may block. If no thread can be started,
            // nothing is printed.
            drop(spawn("interrupt's note", || {
                print_stderr(
                    "note: interrupted; the current step or the end of the run is completed and saved. A second interrupt ends at once",
                )
            }));
            stop_flag.store(true, Ordering::Relaxed);
            thread::sleep(ONE_INTERRUPT);
            second_exits.store(true, Ordering::Relaxed);
        };
        spawn("interrupts", wait)?;
        Ok(Saving {
            every: self.checkpoint_every,
            keep: self.keep_checkpoints as usize,
            stop,
            overwrite,
            keep_last: true,
        })
    }
}

/// Installs a handler that ends the program if `second_exits` is set, and else sets `signalled`.
/// It ends the program even if standard error blocks.
#[cfg(unix)]
fn on_interrupt(signalled: &Arc<AtomicBool>, second_exits: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), second_exits.clone())?;
        flag::register(signal, signalled.clone())?;
    }
    Ok(())
}

/// The same for the events of a console. Windows also sends one when the console's window is
/// closed, but then ends the program without waiting.
#[cfg(windows)]
fn on_interrupt(signalled: &Arc<AtomicBool>, second_exits: &Arc<AtomicBool>) -> io::Result<()> {
    let (signalled, second_exits) = (signalled.clone(), second_exits.clone());
    let handler = move || match second_exits.load(Ordering::Relaxed) {
        true => std::process::exit(INTERRUPTED.into()),
        false => signalled.store(true, Ordering::Relaxed),
    };
    ctrlc::set_handler(handler).map_err(io::Error::other)
}
