//! Floor 1: threads. All threads of the crate are started here. If the system refuses further
//! threads, the work is done on fewer.

use crate::error::{Error, Result};
use rayon::iter::{ParallelBridge, ParallelIterator};
use rayon::{ThreadBuilder, ThreadPool, ThreadPoolBuilder};
use std::io;
use std::num::NonZero;
use std::sync::{LazyLock, Mutex};
use std::thread::{self, Builder, JoinHandle, ScopedJoinHandle};

/// Whether there can be more threads than one. In a browser there cannot.
pub const SEVERAL: bool = !cfg!(target_family = "wasm");

/// Runs `work` on a new thread with the name `name`.
///
/// # Errors
/// [`Error::Failed`] if the system refuses to start a thread.
pub fn spawn<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(work).map_err(|fault| {
        Error::Failed(format!("cannot start the thread of the {name}: {fault}; raise the limit of `ulimit -u`"))
    })
}

/// Runs `here` on this thread, and `elsewhere` on other threads with the name `name` at the same
/// time.
///
/// All threads together are as many as the cores, but at most `most`. If the system refuses further
/// threads, fewer run.
pub fn on_cores(name: &str, most: usize, here: impl FnOnce(), elsewhere: impl Fn() + Sync) {
    thread::scope(|scope| {
        let start = |_| Builder::new().name(name.to_owned()).spawn_scoped(scope, &elsewhere).map(drop);
        // Stops at the first thread that is refused.
        let _ = (1..cores().min(most)).try_for_each(start);
        here();
    });
}

/// Calls `work` for each of `items` on all cores. If the system refuses threads, fewer cores are
/// used.
///
/// # Errors
/// The error of the first of `items` for which `work` fails. All other items are processed, too.
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

/// A pool with a thread for each core.
///
/// If the system allows fewer threads than twice the cores, the pool has half of those that it
/// allows: the others are left to the loader and the driver. `None` for a pool of one thread, since
/// the caller's thread does as well.
fn workers() -> Option<ThreadPool> {
    let count = available_threads(2 * cores()) / 2;
    let start = |worker: ThreadBuilder| spawn("worker", || worker.run()).map(drop).map_err(io::Error::other);
    let pool = (count > 1).then(|| ThreadPoolBuilder::new().num_threads(count).spawn_handler(start).build());
    pool?.ok()
}

/// How many threads the system allows at the same time, at most `most`.
fn available_threads(most: usize) -> usize {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        // Each thread waits until all have been started.
        let closed = gate.lock();
        let start = |_| Builder::new().spawn_scoped(scope, || drop(gate.lock())).ok();
        let threads: Vec<_> = (0..most).map_while(start).collect();
        drop(closed);
        // The end of the scope does not wait for the stacks to be freed; `join` does.
        threads.into_iter().map(ScopedJoinHandle::join).count()
    })
}

#[cfg(test)]
mod tests {
    use super::{available_threads, in_parallel, in_parallel_on, on_cores, spawn};
    use rayon::ThreadPoolBuilder;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

    #[test]
    fn all_work_is_done_on_any_number_of_threads() {
        for most in [0, 1, 2, 100] {
            let (next, calls, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            let work = || {
                while next.fetch_add(1, Relaxed) < 1000 {
                    done.fetch_add(1, Relaxed);
                }
            };
            let once = || {
                calls.fetch_add(1, Relaxed);
                work();
            };
            on_cores("test", most, once, work);
            assert_eq!((calls.into_inner(), done.into_inner()), (1, 1000), "{most} threads at most");
        }
    }

    #[test]
    fn the_error_of_the_first_item_is_returned_and_all_items_are_processed() {
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
        let started = AtomicUsize::new(0);
        let wait_for_the_other = |_| {
            started.fetch_add(1, Relaxed);
            for _ in 0..60_000 {
                if started.load(Relaxed) == 2 {
                    break;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            if started.load(Relaxed) < 2 { Err("the other item did not start within a minute") } else { Ok(()) }
        };
        assert_eq!(in_parallel_on(pool.as_ref(), 0..2, wait_for_the_other), Ok(()));
    }

    /// [`with_little_memory_a_thread_is_left`] runs this test with memory for only a few stacks.
    #[test]
    fn all_work_is_done_and_a_thread_is_left() {
        let before = available_threads(1);
        let done = AtomicUsize::new(0);
        let work = |_| {
            done.fetch_add(1, Relaxed);
            Ok::<(), ()>(())
        };
        assert_eq!(in_parallel(0..100, work), Ok(()));
        assert_eq!((done.into_inner(), available_threads(1)), (100, before));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn with_little_memory_a_thread_is_left() {
        for mebibytes in [450, 600, 750, 1000] {
            let limit = mebibytes << 10;
            let script = format!("ulimit -v {limit} && exec \"$0\" --test-threads 1 and_a_thread_is_left");
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &script]).arg(std::env::current_exe().unwrap());
            let stack = (128 << 20).to_string();
            shell.envs([("RUST_MIN_STACK", stack.as_str()), ("MALLOC_ARENA_MAX", "1"), ("RUST_BACKTRACE", "0")]);
            let output = shell.output().unwrap();
            let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(stdout.contains("1 passed"), "{mebibytes} MiB: {stdout}{stderr}");
        }
    }

    #[test]
    fn a_thread_has_its_name() {
        let thread = spawn("loader", || std::thread::current().name().map(str::to_owned)).unwrap();
        assert_eq!(thread.join().unwrap().as_deref(), Some("loader"));
    }
}
