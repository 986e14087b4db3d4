//! The loss of a detector on the device against its f64 reference.

use crate::common::{Test, in_two_dialects};
use crate::operations::program;
use lerac::checks::{narrow, test_values};
use lerac::gpu::Gpu;
use lerac::ops::detection::{self, COLUMNS, Head, LEVELS, OBJECT, reference};
use lerac::ops::sums::{SUMS, Sums, Totals};
use lerac::tape::{CONTROLS, Controls, Mode, Program, Tape, Var};

/// Objects `[images,most,6]` that no rounding moves to another cell: image `i` has `counts[i]`.
fn objects(counts: &[usize], head: &Head) -> Vec<f32> {
    let mut rows = vec![];
    for (i, &count) in counts.iter().enumerate() {
        for j in 0..head.most {
            let part = |by: usize, of: usize| ((i * 7 + j * by) % of) as f32 / of as f32;
            let class = if j < count { ((i + j) % head.classes) as f32 } else { -1.0 };
            let (x, y) = (0.03 + 0.94 * part(5, 23), 0.02 + 0.95 * part(11, 29));
            let (w, h) = (0.06 + 0.7 * part(3, 13), 0.09 + 0.6 * part(4, 11));
            // The last object of an image is difficult.
            let difficult = f32::from(u8::from(count > 2 && j + 1 == count));
            rows.extend([class, x, y, w, h, difficult]);
        }
    }
    rows
}

/// The loss of these logits, recorded for training.
struct Recorded {
    program: Program,
    levels: [Var; LEVELS],
}

fn recorded(gpu: &Gpu, head: &Head, images: usize) -> Recorded {
    let mut tape = Tape::new(Mode::Train);
    let leaf = |tape: &mut Tape, level: usize| {
        let cells = head.cells(level);
        tape.leaf(&format!("z{level}"), [images, 3 * head.fields(), cells, cells], true)
    };
    let levels = [0, 1, 2].map(|level| leaf(&mut tape, level));
    let column = tape.buffer("objects", (4 * images * head.most * OBJECT) as u64);
    let mut sums = Sums::new(&mut tape, COLUMNS);
    detection::detection(&mut tape, "loss", levels, column.into(), &mut sums, head);
    Recorded { program: program(gpu, &tape), levels }
}

/// Losses and gradients of `filled` of the images, on the device and by the reference.
fn compare(gpu: &Gpu, head: &Head, counts: &[usize], filled: usize) {
    let images = counts.len();
    let Recorded { program, levels } = recorded(gpu, head, images);
    let objects = objects(counts, head);
    let z: Vec<Vec<f64>> = (0..LEVELS).map(|level| test_values(images * head.width(level), level as u64)).collect();
    for (&level, z) in levels.iter().zip(&z) {
        gpu.write(program.value(level), 0, &narrow(z));
    }
    gpu.write(program.buffer_named("objects").unwrap(), 0, &objects);
    let controls = Controls { filled: filled as u32, examples: filled as u32, ..Controls::default() };
    gpu.write(program.buffer_named(CONTROLS).unwrap(), 0, &[controls]);
    gpu.write(program.buffer_named(SUMS).unwrap(), 0, &Totals::zero(COLUMNS).words());
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();

    let wide: Vec<f64> = objects[..filled * head.most * OBJECT].iter().map(|&v| v.into()).collect();
    let mut expected = [0.0; COLUMNS];
    for level in 0..LEVELS {
        let of_filled = &z[level][..filled * head.width(level)];
        let detached = reference::Detached::of(of_filled, &wide, head, level);
        for of_image in reference::losses(of_filled, &detached, head, level) {
            (0..3).for_each(|i| expected[1 + i] += of_image[i]);
        }
        let gradient = reference::backward(of_filled, &detached, head, level);
        let found: Vec<f32> = gpu.read(&program.gradient(levels[level]).part(0, 4 * z[level].len() as u64)).unwrap();
        let largest = gradient.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        assert!(largest > 0.0);
        for (i, &found) in found.iter().enumerate() {
            let expected = gradient.get(i).copied().unwrap_or(0.0);
            let difference = (f64::from(found) - expected).abs();
            assert!(difference <= 1e-5 * largest, "level {level}, dz[{i}]: {found} for {expected}, largest {largest}");
        }
    }
    expected[0] = expected[1..].iter().sum();
    let words: Vec<u32> = gpu.read(&program.buffer_named(SUMS).unwrap()).unwrap();
    let totals = Totals::of_words(&words, COLUMNS);
    assert_eq!((totals.examples as usize, totals.halted), (filled, 0));
    for (found, expected) in totals.values().into_iter().zip(expected) {
        assert!((found - expected).abs() <= 3e-6 * expected + 1e-7, "{found} for {expected}");
    }
}

fn losses(gpu: &Gpu) {
    for (side, classes, counts, filled) in [
        (64, 3, &[4usize, 0, 7][..], 3),
        (96, 20, &[9, 2], 2),
        (64, 1, &[3, 5], 2),
        (32, 2, &[6, 4, 2], 2),
        (64, 5, &[0], 1),
    ] {
        compare(gpu, &Head::yolov5(side, classes, 10), counts, filled);
    }
}

pub fn tests() -> [Test; 2] {
    in_two_dialects("loss of detections", losses)
}
