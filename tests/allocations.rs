//! After the first steps, a training step allocates no memory in this crate. It allocates exactly
//! as often as the same writes and the same submission without a session, also after a thousand
//! steps.

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

/// The system's allocator, which counts the allocations of each thread.
struct Counting;

// SAFETY: every call is passed on to the system's allocator; the counter does not allocate.
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

/// The maximum number of allocations of wgpu per dispatch, including its encoder and its
/// submission. wgpu 30 needs 2.4.
const PER_DISPATCH: usize = 3;

/// The number of allocations in `work`, as the minimum and the median of eleven runs. The device
/// finishes between runs. Single runs allocate more when one of wgpu's tables grows.
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
    // The same bytes to the same buffers, and the same calls.
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
