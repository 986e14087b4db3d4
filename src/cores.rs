//! Floor 1: threads. This is the only place that makes any, and the only one that has to do without them where there are none.

use crate::error::{Error, Result};
use rayon::iter::{ParallelBridge, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::io;
use std::num::NonZero;
use std::sync::LazyLock;
use std::thread::{self, Builder, JoinHandle};

/// Does `work` on a thread of its own, which is called `name`.
///
/// # Errors
/// [`Error::Failed`] where the system grants no thread.
pub fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|refusal| {
        Error::Failed(format!("the system grants no thread for the {name}: {refusal}; does `ulimit -u` allow more?"))
    })
}

/// Does `own` on this thread and `further` on further ones at the same time, as many as there are further cores, `most` threads in all.
/// The further ones are called `name`. Where the system grants fewer threads, those that there are do the work.
pub fn on_cores(name: &str, most: usize, own: impl FnOnce(), further: impl Fn() + Sync) {
    thread::scope(|scope| {
        let start = |_| Builder::new().name(name.to_owned()).spawn_scoped(scope, &further).map(drop);
        // The first that is refused ends the asking.
        let _ = (1..cores().min(most)).try_for_each(start);
        own();
    });
}

/// Does `work` for each of `items` on all cores. Of several faults it returns that of the first item, whichever was done first.
/// Where the system grants fewer threads, those that there are do the work.
///
/// # Errors
/// Those of `work`.
pub fn in_parallel<T: Send, E: Send>(
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<(), E> + Sync + Send,
) -> Result<(), E> {
    static WORKERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| workers(cores(), &|work| spawn("worker", work)));
    in_parallel_on(WORKERS.as_ref(), items, work)
}

fn in_parallel_on<T: Send, E: Send>(
    workers: Option<&ThreadPool>,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<(), E> + Sync + Send,
) -> Result<(), E> {
    let several = items.size_hint().1 != Some(1);
    let items = items.enumerate();
    let fault = |(i, item)| Some((i, work(item).err()?));
    let first = match workers.filter(|_| several) {
        Some(pool) => pool.install(|| items.par_bridge().filter_map(fault).min_by_key(|(i, _)| *i)),
        None => items.filter_map(fault).min_by_key(|(i, _)| *i),
    };
    first.map_or(Ok(()), |(_, error)| Err(error))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// What a thread is to do.
type Work = Box<dyn FnOnce() + Send>;

/// `count` threads that wait for work. Where the system grants no more than those, half of what it grants: the rest is left to
/// whatever else needs threads, such as the loader and the driver. None where there would be only one: the caller's own does as well.
fn workers(count: usize, start: &dyn Fn(Work) -> Result<JoinHandle<()>>) -> Option<ThreadPool> {
    if count < 2 {
        return None;
    }
    let mut granted = vec![];
    let mut begin = |work| start(work).map(|thread| granted.push(thread)).map_err(io::Error::other);
    let builder = ThreadPoolBuilder::new().num_threads(count);
    let pool = builder.spawn_handler(|worker| begin(Box::new(|| worker.run()))).build().ok();
    let grants_one_more = |_: &ThreadPool| begin(Box::new(|| ())).is_ok();
    pool.filter(grants_one_more).or_else(|| {
        let half = granted.len() / 2;
        granted.into_iter().for_each(|thread| thread.join().expect("a worker that has no work does not panic"));
        workers(half, start)
    })
}

#[cfg(test)]
mod tests {
    use super::{in_parallel, in_parallel_on, on_cores, spawn, workers};
    use crate::error::Error;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::{Duration, Instant};

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
            on_cores("test", most, once, work);
            assert_eq!((own.into_inner(), done.into_inner()), (1, 1000), "{most} threads at most");
        }
    }

    #[test]
    fn the_first_fault_counts_and_the_rest_is_done() {
        let pool = workers(4, &|work| spawn("worker", work));
        assert_eq!(pool.as_ref().map(|pool| pool.current_num_threads()), Some(4));
        for pool in [None, pool.as_ref()] {
            let done = AtomicUsize::new(0);
            let work = |i| {
                done.fetch_add(1, Relaxed);
                if i % 300 == 299 { Err(i) } else { Ok(()) }
            };
            assert_eq!(in_parallel_on(pool, 0..1000, work), Err(299));
            assert_eq!(done.into_inner(), 1000);
            assert_eq!(in_parallel_on(pool, std::iter::empty(), |()| Err(())), Ok(()));
            assert_eq!(in_parallel_on(pool, std::iter::once(5), Err::<(), _>), Err(5));
        }
        assert_eq!(in_parallel(0..1000, |i| if i < 7 { Ok(()) } else { Err(i) }), Err(7));
    }

    #[test]
    fn work_is_done_on_several_threads_at_once() {
        let pool = workers(2, &|work| spawn("worker", work));
        let (here, until) = (AtomicUsize::new(0), Instant::now() + Duration::from_secs(60));
        let meet = |_| {
            here.fetch_add(1, Relaxed);
            while here.load(Relaxed) < 2 && Instant::now() < until {
                std::thread::yield_now();
            }
            if here.load(Relaxed) < 2 { Err("alone for a minute") } else { Ok(()) }
        };
        assert_eq!(in_parallel_on(pool.as_ref(), 0..2, meet), Ok(()));
    }

    #[test]
    fn where_fewer_threads_are_granted_half_of_them_work() {
        for (granted, expected) in [(0, None), (3, None), (4, Some(2)), (7, Some(3)), (8, Some(4)), (9, Some(8))] {
            let running = Arc::new(AtomicUsize::new(0));
            let pool = workers(8, &|work| {
                if running.load(Relaxed) == granted {
                    return Err(Error::Failed("no more".into()));
                }
                running.fetch_add(1, Relaxed);
                let running = running.clone();
                spawn("worker", move || {
                    work();
                    running.fetch_sub(1, Relaxed);
                })
            });
            assert_eq!(pool.as_ref().map(|pool| pool.current_num_threads()), expected, "{granted} granted");
            let until = Instant::now() + Duration::from_secs(60);
            while running.load(Relaxed) > expected.unwrap_or(0) {
                assert!(Instant::now() < until, "{} threads are left of {granted}", running.load(Relaxed));
                std::thread::yield_now();
            }
            let done = AtomicUsize::new(0);
            let work = |_| {
                done.fetch_add(1, Relaxed);
                Ok::<(), ()>(())
            };
            assert_eq!(in_parallel_on(pool.as_ref(), 0..100, work), Ok(()));
            assert_eq!(done.into_inner(), 100, "{granted} granted");
        }
    }

    #[test]
    fn a_thread_has_its_name() {
        let thread = spawn("loader", || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(thread.join().unwrap().as_deref(), Some("loader"));
    }
}
