//! The sums of losses: several losses on one tape, many passes, saturation.

use crate::common::{Test, in_two_dialects};
use crate::recorded::totals;
use lerac::checks::{assert_close, narrow, test_values};
use lerac::gpu::Gpu;
use lerac::ops::cross_entropy::{self, Targets, cross_entropy};
use lerac::ops::regression::{self, Loss, Regression, regression};
use lerac::ops::sums::{SUMS, Sums, Totals};
use lerac::tape::{CONTROLS, Controls, Mode, Program, Storage, Tape, Var};
use lerac::train::EpochTotals;

const REGRESSION: Regression = Regression { loss: Loss::L1, mean: 0.0, std: 1.0 };

/// The first loss, and the number of sums of both.
#[derive(Clone, Copy, PartialEq)]
enum First {
    CrossEntropy,
    Regression,
}

const BOTH: usize = cross_entropy::COLUMNS + regression::COLUMNS;

/// A cross-entropy of weight 0.5 and an L1 loss of weight 3 on one tape.
struct Two {
    program: Program,
    logits: Var,
    numbers: Var,
}

/// Rows of each loss, number of classes, and rows per example.
const SHAPE: [usize; 3] = [6, 4, 2];

impl Two {
    fn new(gpu: &Gpu, first: First) -> Self {
        let [n, k, per_example] = SHAPE;
        let mut tape = Tape::new(Mode::Train);
        let (logits, numbers) = (tape.leaf("logits", [n, k], true), tape.leaf("numbers", [n, 1], true));
        let (labels, targets) = (tape.buffer("labels", 4 * n as u64), tape.buffer("targets", 4 * n as u64));
        let mut sums = Sums::new(&mut tape, BOTH);
        let classes = |tape: &mut Tape, sums: &mut Sums| {
            let targets = Targets { weight: 0.5, per_example, ..Targets::default() };
            cross_entropy(tape, "classes", logits, labels.into(), sums, targets);
        };
        if first == First::CrossEntropy {
            classes(&mut tape, &mut sums);
        }
        regression(&mut tape, "number", numbers, targets.into(), &mut sums, REGRESSION, (3.0, per_example));
        if first == First::Regression {
            classes(&mut tape, &mut sums);
        }
        assert_eq!(sums.taken(), BOTH);
        let storage = Storage::new(gpu, &tape).unwrap();
        let program = Program::new(gpu, tape, &storage).unwrap();
        gpu.write(program.buffer(labels), 0, &self::labels());
        gpu.write(program.buffer(targets), 0, &[0f32; SHAPE[0]]);
        gpu.write(program.buffer_named(SUMS).unwrap(), 0, &Totals::zero(BOTH).words());
        Self { program, logits, numbers }
    }

    /// A pass at `step` over two of the three examples, in a step of this many examples.
    fn pass(&self, gpu: &Gpu, step: u32, examples: u32, logits: &[f32], numbers: &[f32]) {
        gpu.write(self.program.value(self.logits), 0, logits);
        gpu.write(self.program.value(self.numbers), 0, numbers);
        let controls = Controls { step, filled: 2, examples, ..Controls::default() };
        gpu.write(self.program.buffer_named(CONTROLS).unwrap(), 0, &[controls]);
        gpu.run(self.program.forward().iter().chain(self.program.backward())).unwrap();
    }

    fn totals(&self, gpu: &Gpu) -> Totals {
        totals(gpu, &self.program, BOTH)
    }
}

fn labels() -> Vec<u32> {
    (0..SHAPE[0] as u32).map(|i| i % SHAPE[1] as u32).collect()
}

/// Each loss has its sums, in the order of recording, and its gradient is multiplied by its weight.
/// Examples are counted once.
fn two_losses_share_a_tape(gpu: &Gpu) {
    let [n, k, per_example] = SHAPE;
    let (logits, numbers) = (test_values(n * k, 1), test_values(n, 2));
    // Two of three examples count, with two rows each.
    let rows = 2 * per_example;
    let (z, x, labels) = (&logits[..rows * k], &numbers[..rows], &labels()[..rows]);
    let of_classes = [
        cross_entropy::reference::losses(z, labels, 0.0, &[]).iter().sum(),
        f64::from(cross_entropy::reference::hits(z, labels, 1)),
        f64::from(cross_entropy::reference::hits(z, labels, 5)),
    ];
    let distance: f64 = regression::reference::losses(x, &[0.0; 4], &REGRESSION).iter().sum();
    let of_numbers = [distance; 2];
    for (first, expected) in [
        (First::CrossEntropy, [&of_classes[..], &of_numbers].concat()),
        (First::Regression, [&of_numbers[..], &of_classes].concat()),
    ] {
        let two = Two::new(gpu, first);
        // A step of five examples, two of them in this pass.
        two.pass(gpu, 0, 5, &narrow(&logits), &narrow(&numbers));
        let found = two.totals(gpu);
        assert_eq!((found.examples, found.halted), (2, 0));
        assert_close("sums", &narrow(&found.values()), &expected, 1e-6);
        // The references average over their rows, the kernels over those of the step.
        let gradient = |means: Vec<f64>, weight: f64, count: usize| -> Vec<f64> {
            let scale = weight * rows as f64 / (5 * per_example) as f64;
            let mut values: Vec<f64> = means.iter().map(|v| v * scale).collect();
            values.resize(count, 0.0);
            values
        };
        let read = |var: Var, count: usize| -> Vec<f32> {
            gpu.read(&two.program.gradient(var).part(0, 4 * count as u64)).unwrap()
        };
        let expected = gradient(cross_entropy::reference::backward(z, labels, 0.0, &[]), 0.5, n * k);
        assert_close("d logits", &read(two.logits, n * k), &expected, 1e-6);
        let expected = gradient(regression::reference::backward(x, &[0.0; 4], &REGRESSION), 3.0, n);
        assert_close("d numbers", &read(two.numbers, n), &expected, 1e-6);
    }
}

/// Either loss halts at its step. The other one is still added, and later steps do not change it.
fn either_loss_halts(gpu: &Gpu) {
    let [n, k, _] = SHAPE;
    let (logits, numbers) = (narrow(&test_values(n * k, 1)), narrow(&test_values(n, 2)));
    let broken = |values: &[f32], at: usize| -> Vec<f32> {
        let mut values = values.to_vec();
        values[at] = f32::NAN;
        values
    };
    for first in [First::CrossEntropy, First::Regression] {
        let classes = if first == First::CrossEntropy { 0..3 } else { 2..5 };
        for breaks_classes in [true, false] {
            let two = Two::new(gpu, first);
            two.pass(gpu, 3, 2, &logits, &numbers);
            let before = two.totals(gpu).values();
            match breaks_classes {
                true => two.pass(gpu, 7, 2, &broken(&logits, 1), &numbers),
                false => two.pass(gpu, 7, 2, &logits, &broken(&numbers, 1)),
            }
            let after = two.totals(gpu);
            assert_eq!((after.examples, after.halted), (4, 8));
            for (i, (before, after)) in before.iter().zip(after.values()).enumerate() {
                let halted = classes.contains(&i) == breaks_classes;
                let expected = if halted { *before } else { 2.0 * before };
                approx::assert_relative_eq!(after, expected, max_relative = 1e-9);
            }
            two.pass(gpu, 9, 2, &broken(&logits, 1), &broken(&numbers, 1));
            assert_eq!(two.totals(gpu).halted, 8, "the first step counts");
        }
        // A value that is not finite in an empty row has no effect.
        let two = Two::new(gpu, first);
        two.pass(gpu, 3, 2, &broken(&logits, n * k - 1), &broken(&numbers, n - 1));
        assert_eq!(two.totals(gpu).halted, 0);
    }
}

/// The L1 loss of one number with target 0.
fn distances(gpu: &Gpu, before: &Totals, numbers: &[f32]) -> Totals {
    let mut tape = Tape::new(Mode::Train);
    let (z, targets) = (tape.leaf("z", [1, 1], true), tape.buffer("targets", 4));
    let mut sums = Sums::new(&mut tape, regression::COLUMNS);
    regression(&mut tape, "loss", z, targets.into(), &mut sums, REGRESSION, (1.0, 1));
    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    let controls = Controls { filled: 1, examples: 1, ..Controls::default() };
    gpu.write(program.buffer(targets), 0, &[0f32]);
    gpu.write(program.buffer_named(CONTROLS).unwrap(), 0, &[controls]);
    gpu.write(program.buffer_named(SUMS).unwrap(), 0, &before.words());
    for &number in numbers {
        gpu.write(program.value(z), 0, &[number]);
        gpu.run(program.forward()).unwrap();
    }
    totals(gpu, &program, regression::COLUMNS)
}

/// Sums are exact to the last bit, and saturate.
fn sums_at_their_end(gpu: &Gpu) {
    let half = 1 << 31;
    for (whole, fraction, expected) in [
        (7, half, [0, 16]),
        (u32::MAX - 9, half - 1, [u32::MAX, u32::MAX - 1]),
        (u32::MAX - 9, half, [0, u32::MAX]),
        (u32::MAX - 8, half, [0, u32::MAX]),
        (u32::MAX, half - 1, [u32::MAX, u32::MAX]),
    ] {
        let before = Totals { parts: vec![[fraction, whole]; 2], ..Totals::default() };
        let sums = distances(gpu, &before, &[8.5]);
        assert_eq!(sums.parts, [expected; 2], "{whole} {fraction}");
        // A sum is saturated slightly below 2^32, at the largest f32 below it.
        assert_eq!(sums.is_full(), whole != 7, "{whole} {fraction}");
    }
}

/// Fractions are carried from pass to pass without loss.
fn parts_carry(gpu: &Gpu) {
    // Exact in f32, and their sums in f64: 300 passes carry about 100 times.
    let numbers: Vec<f32> = (0..300u16).map(|i| f32::from(i * 37 % 1024) / 1024.0 * 0.625 + 2f32.powi(-22)).collect();
    let exact: f64 = numbers.iter().map(|&v| f64::from(v)).sum();
    let found = distances(gpu, &Totals::zero(regression::COLUMNS), &numbers);
    assert_eq!((found.examples, found.values()), (300, vec![exact; 2]));
    assert!(exact > 50.0 && exact.fract() != 0.0, "{exact}");
    assert_eq!(Totals::of_words(&found.words(), 2), found);

    // An epoch's total may exceed the maximum of one reading.
    let mut epoch = EpochTotals::default();
    let reading = Totals { examples: u32::MAX, halted: 0, parts: vec![[1 << 30, 3_000_000_000], [0, 1]] };
    (0..2).for_each(|_| epoch.add(&reading));
    assert_eq!((epoch.examples, epoch.sums), (2 * u64::from(u32::MAX), vec![6_000_000_000.5, 2.0]));
}

pub fn tests() -> Vec<Test> {
    let tests = [
        in_two_dialects("sums: two losses share a tape", two_losses_share_a_tape),
        in_two_dialects("sums: either loss halts", either_loss_halts),
        in_two_dialects("sums: at their end", sums_at_their_end),
        in_two_dialects("sums: parts carry", parts_carry),
    ];
    tests.into_iter().flatten().collect()
}
