//! Floor 1: work on all of the processor's cores.

use std::num::NonZero;
use std::sync::Mutex;
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

/// Does `work` for each of `items` on all cores. Of several faults it returns that of the first item, whichever was done first.
///
/// # Errors
/// Those of `work`.
pub fn in_parallel<T: Send, E: Send>(
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let most = items.size_hint().1.unwrap_or(usize::MAX);
    let items = Mutex::new(items.enumerate());
    let fault = Mutex::new(None);
    let take = || items.lock().expect("taking an item does not panic").next();
    let share = || {
        while let Some((i, item)) = take() {
            let Err(error) = work(item) else { continue };
            let mut first = fault.lock().expect("keeping a fault does not panic");
            if first.as_ref().is_none_or(|(earlier, _)| i < *earlier) {
                *first = Some((i, error));
            }
        }
    };
    on_cores(most, share, share);
    match fault.into_inner().expect("keeping a fault does not panic") {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{in_parallel, on_cores};
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

    #[test]
    fn the_first_fault_counts_and_the_rest_is_done() {
        let done = AtomicUsize::new(0);
        let work = |i| {
            done.fetch_add(1, Relaxed);
            if i % 300 == 299 { Err(i) } else { Ok(()) }
        };
        assert_eq!(in_parallel(0..1000, work), Err(299));
        assert_eq!(done.into_inner(), 1000);
        assert_eq!(in_parallel(std::iter::empty(), |()| Err(())), Ok(()));
    }
}
