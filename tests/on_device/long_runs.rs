//! A run of many steps uses no more memory than one of few. `LERAC_STEPS=20000` makes it long. Its
//! speed is printed, not asserted.

use crate::common::{Test, test};
use lerac::data::shapes;
use lerac::gpu::Gpu;
use lerac::train::{Config, Observer, Task, run};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

/// From this step on, memory must not grow.
const WARM: u64 = 100;

/// The system's allocator, which counts the bytes in use and their number of blocks. It does not
/// see the driver's allocations; the process's size sees those, but freed memory hides leaks from
/// it for a long time. So both are measured.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
static IN_USE: AtomicI64 = AtomicI64::new(0);
static PIECES: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call is passed on to the system's allocator.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        PIECES.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        PIECES.fetch_sub(1, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The memory in use by this process, in bytes. On a software adapter it includes the device's
/// memory.
fn resident() -> Option<f64> {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096.0)
}

#[derive(Default)]
struct Watch {
    /// (step, seconds, bytes of the process if known, bytes allocated by this program, number of
    /// blocks).
    seen: Vec<(u64, f64, Option<f64>, i64, i64)>,
    start: Option<Instant>,
}

impl Observer for Watch {
    fn step(&mut self, step: u64) {
        let seconds = self.start.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        if step.is_multiple_of(10) {
            let [bytes, pieces] = [&IN_USE, &PIECES].map(|counter| counter.load(Ordering::Relaxed));
            self.seen.push((step, seconds, resident(), bytes, pieces));
        }
    }
}

fn memory_stays_flat(gpu: &Gpu) {
    let steps: u64 = std::env::var("LERAC_STEPS").map_or(600, |steps| steps.parse().expect("LERAC_STEPS is a number"));
    let epochs = steps.div_ceil(100);
    let config = Config::default().with(|c| {
        c.model.name = "lenet".into();
        c.training.batch_size = 4;
        c.training.epochs = epochs;
        c.optimizer.eta = 1e-3;
        c.data.validation = 16;
    });
    let mut watch = Watch { seen: Vec::with_capacity(steps as usize / 10 + 1), start: None };
    let task = Task::of(&config, &shapes(416, 16, 0).into()).unwrap();
    run(gpu, &task, &mut watch).unwrap();
    let &(last, end, bytes, ..) = watch.seen.last().unwrap();
    let at = |wanted: u64| *watch.seen.iter().find(|(step, ..)| *step >= wanted).unwrap();
    let warm = at(WARM).2;
    // Batches in flight are counted at times. They do not affect the minimum over many steps.
    let least = |steps: std::ops::Range<u64>| {
        let seen = || watch.seen.iter().filter(|(step, ..)| steps.contains(step));
        [seen().map(|seen| seen.3).min().unwrap(), seen().map(|seen| seen.4).min().unwrap()]
    };
    // Both halves start after the first evaluation.
    let middle = (2 * WARM + last) / 2;
    let (before, after) = (least(2 * WARM..middle), least(middle..last + 1));
    let [grown, pieces] = [0, 1].map(|which| after[which] - before[which]);
    let part = ((last - WARM) / 4).min(1000);
    let first = at(WARM + part).1 - at(WARM).1;
    let speed = (end - at(last - part).1) / first;
    println!(
        "{last} steps: {grown:+} bytes, {pieces:+} pieces allocated; the last {part} took {speed:.3} times as long as the first"
    );
    if let (Some(warm), Some(bytes)) = (warm, bytes) {
        let (kib, each) = ((bytes - warm) / 1024.0, (bytes - warm) / (last - WARM) as f64);
        println!("{kib:+.1} KiB of memory after step {WARM}, {each:+.2} bytes a step");
        assert!(bytes - warm <= f64::from(4 << 20), "{warm} bytes after {WARM} steps, {bytes} after {last}");
    } else {
        eprintln!("the memory of the process is not known on this system");
    }
    // The tolerance: two batches, and a block every third step.
    assert!(grown <= 32 << 10, "{grown} bytes more are allocated than before step {middle}");
    assert!(pieces <= 64, "{pieces} pieces more are allocated than before step {middle}");
}

pub fn tests() -> Vec<Test> {
    vec![test("long runs: memory stays flat", memory_stays_flat)]
}
