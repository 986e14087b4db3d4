//! After the first steps a step takes no memory of ours: it allocates exactly as often as the same
//! writes and the same submission do without a session, and no more often after a thousand steps.

mod common;

use common::{Test, test};
use lerac::gpu::{Call, Gpu};
use lerac::study::bench;
use lerac::tape::CONTROLS;
use lerac::train::{Config, Method};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts how often each thread asks it for memory.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the counter needs no memory.
#[allow(unsafe_code, reason = "an allocator cannot be had without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often wgpu may ask for memory in a step, per dispatch, its encoder and its submission
/// counted in; with wgpu 30 it is 2.4 times.
const PER_DISPATCH: usize = 3;

/// How often `work` asks for memory, the device's part of it done in between: the smallest and the
/// middle of eleven times. Tables of wgpu's that grow make single times larger.
fn counts(gpu: &Gpu, mut work: impl FnMut()) -> [usize; 2] {
    let mut counts = [0; 11].map(|_| {
        let before = COUNT.get();
        work();
        let count = COUNT.get() - before;
        gpu.wait().unwrap();
        count
    });
    counts.sort_unstable();
    [counts[0], counts[5]]
}

fn steps_take_no_memory(gpu: &Gpu) {
    let config = Config::default().with(|c| {
        c.model.name = "lenet".into();
        c.curriculum.method = Method::Lerac;
        c.training.batch_size = 1;
    });
    let (mut session, batch) = bench::session(gpu, &config).unwrap();
    counts(gpu, || session.step(&batch).unwrap());
    let early = counts(gpu, || session.step(&batch).unwrap());
    // The same bytes to the same places, and the same calls.
    let program = session.program();
    let [controls, images, movements, labels] =
        [CONTROLS, "input.image", "input.movement", "target.label"].map(|name| program.buffer_named(name).unwrap());
    let table = vec![0u8; 256 + 12 * session.optimizer().rows().len()];
    let table_buffer = gpu.buffer("table", table.len() as u64).unwrap();
    let calls: Vec<&Call> =
        program.forward().iter().chain(program.backward()).chain(session.optimizer().calls()).collect();
    let bare_counts = || {
        counts(gpu, || {
            for (range, words) in [&images, &movements, &labels].into_iter().zip(&batch.columns) {
                gpu.write(range, 0, words);
            }
            gpu.write(&controls, 0, &[0u32; 8]);
            gpu.write(&table_buffer, 0, &table);
            gpu.run(calls.iter().copied()).unwrap();
        })
    };
    bare_counts();
    let bare = bare_counts();
    let most = PER_DISPATCH * calls.len();
    println!("{early:?} in a step, {bare:?} in its writes and submission of {} dispatches", calls.len());
    assert_eq!(early, bare, "a step asks for memory of its own");
    assert!(early[1] <= most, "{early:?} allocations in a step of {} dispatches, at most {most}", calls.len());
    for _ in 0..1_000 {
        session.step(&batch).unwrap();
        gpu.wait().unwrap();
    }
    assert_eq!(early, counts(gpu, || session.step(&batch).unwrap()), "after a thousand steps");
}

fn main() {
    let tests: Vec<Test> = vec![test("allocations: steps take no memory", steps_take_no_memory)];
    common::run_on_device(tests)
}
