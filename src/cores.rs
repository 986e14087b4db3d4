//! Floor 1: threads. All threads of the crate start here. Where the system grants none, the work is done all the same.

use crate::error::{Error, Result};
use rayon::iter::{ParallelBridge, ParallelIterator};
use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};
use std::io;
use std::num::NonZero;
use std::sync::{LazyLock, Mutex};
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
        // Stops at the first thread that is refused.
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
    static WORKERS: LazyLock<Option<ThreadPool>> = LazyLock::new(workers);
    let several = items.size_hint().1 != Some(1);
    in_parallel_on(several.then(|| WORKERS.as_ref()).flatten(), items, work)
}

fn in_parallel_on<T: Send, E: Send>(
    workers: Option<&ThreadPool>,
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> Result<(), E> + Sync + Send,
) -> Result<(), E> {
    let items = items.enumerate();
    let fault = |(i, item)| Some((i, work(item).err()?));
    let first = match workers {
        Some(pool) => pool.install(|| items.par_bridge().filter_map(fault).min_by_key(|(i, _)| *i)),
        None => items.filter_map(fault).min_by_key(|(i, _)| *i),
    };
    first.map_or(Ok(()), |(_, error)| Err(error))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Threads that wait for work, as many as there are cores. Where the system grants less than twice as many, half of what it grants: the
/// rest is left to whatever else needs threads, such as the loader and the driver. None where there would be only one: the caller's own
/// does as well.
fn workers() -> Option<ThreadPool> {
    let count = granted(2 * cores()) / 2;
    let start = |worker: ThreadBuilder| spawn("worker", || worker.run()).map(drop).map_err(io::Error::other);
    let pool = (count > 1).then(|| ThreadPoolBuilder::new().num_threads(count).spawn_handler(start).build());
    pool?.ok()
}

/// How many threads the system grants at once, `most` at most.
fn granted(most: usize) -> usize {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        // Each waits until all have been asked for.
        let _closed = gate.lock();
        (0..most).map_while(|_| Builder::new().spawn_scoped(scope, || drop(gate.lock())).ok()).count()
    })
}

#[cfg(test)]
mod tests {
    use super::{granted, in_parallel, in_parallel_on, on_cores, spawn};
    use rayon::ThreadPoolBuilder;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

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
        let pool = ThreadPoolBuilder::new().num_threads(4).build().ok();
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
        let pool = ThreadPoolBuilder::new().num_threads(2).build().ok();
        let here = AtomicUsize::new(0);
        let meet = |_| {
            here.fetch_add(1, Relaxed);
            for _ in 0..60_000 {
                if here.load(Relaxed) == 2 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if here.load(Relaxed) < 2 { Err("alone for a minute") } else { Ok(()) }
        };
        assert_eq!(in_parallel_on(pool.as_ref(), 0..2, meet), Ok(()));
    }

    /// [`where_few_threads_are_granted_one_is_left`] runs it where memory has room for a few stacks.
    #[test]
    fn control_work_is_done_and_a_thread_is_left() {
        let before = granted(1);
        let done = AtomicUsize::new(0);
        let work = |_| {
            done.fetch_add(1, Relaxed);
            Ok::<(), ()>(())
        };
        assert_eq!(in_parallel(0..100, work), Ok(()));
        assert_eq!((done.into_inner(), granted(1)), (100, before));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn where_few_threads_are_granted_one_is_left() {
        for mebibytes in [450, 600, 750, 1000] {
            let limit = mebibytes << 10;
            let script = format!("ulimit -v {limit} && exec \"$0\" --test-threads 1 control_work");
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &script]).arg(std::env::current_exe().unwrap());
            let stack = (128 << 20).to_string();
            shell.envs([("RUST_MIN_STACK", stack.as_str()), ("MALLOC_ARENA_MAX", "1"), ("RUST_BACKTRACE", "0")]);
            let output = shell.output().unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(told.contains("1 passed"), "{mebibytes} MiB: {told}{}", String::from_utf8_lossy(&output.stderr));
        }
    }

    #[test]
    fn a_thread_has_its_name() {
        let thread = spawn("loader", || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(thread.join().unwrap().as_deref(), Some("loader"));
    }
}
