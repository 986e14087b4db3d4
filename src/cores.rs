//! Floor 1: the processor's cores.

use std::num::NonZero;
use std::thread::{self, Builder};

/// Does `own` on this thread and `further` on further ones at the same time, as many as there are further cores, `most` threads in all.
/// Where the system grants fewer threads, those that there are do the work.
pub fn on_cores(most: usize, own: impl FnOnce(), further: impl Fn() + Sync) {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        // The first that is refused ends the asking.
        let _ = (1..cores.min(most)).try_for_each(|_| Builder::new().spawn_scoped(scope, &further).map(drop));
        own();
    });
}

#[cfg(test)]
mod tests {
    use super::on_cores;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn all_is_done_on_any_number_of_threads() {
        for most in [0, 1, 2, 100] {
            let (next, own, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            let work = || {
                while next.fetch_add(1, Relaxed) < 1000 {
                    done.fetch_add(1, Relaxed);
                }
            };
            let once = || {
                own.fetch_add(1, Relaxed);
                work();
            };
            on_cores(most, once, work);
            assert_eq!((own.into_inner(), done.into_inner()), (1, 1000), "{most} threads at most");
        }
    }
}
