//! Helpers for tests of recorded models: a batch on a program, its sums, and models over numbers.

use lerac::data::{Batch, Column, Element, Form, Meaning, plain_form};
use lerac::gpu::{BufferRange, Gpu};
use lerac::nn::{Model, Net, Output, Recorded};
use lerac::ops::sums::{SUMS, Totals};
use lerac::tape::{CONTROLS, Controls, Operand, Program, Var};

/// The columns of images of ten classes.
pub fn ten_classes(image: [usize; 3]) -> Form {
    plain_form(image, &Meaning::Classes(names(10)))
}

/// Names for `count` classes.
pub fn names(count: usize) -> std::sync::Arc<[String]> {
    (0..count).map(|i| format!("class {i}")).collect()
}

/// A form of one input of numbers, `x`, and a class.
pub fn of_numbers(shape: &[usize], classes: usize) -> Form {
    Form {
        inputs: vec![Column::plain("x", Element::F32, shape)],
        targets: vec![Column::class("label", names(classes))],
    }
}

/// A model of the numbers `x`, from a function that makes its output.
pub struct OfNumbers<F>(pub F);

impl<F: Fn(&mut Net, Var, usize) -> Var + Send + Sync> Model for OfNumbers<F> {
    fn record(&self, net: &mut Net, wanted: &[Output]) -> Vec<Var> {
        let x = net.values("x");
        vec![(self.0)(net, x, wanted[0].width)]
    }
}

/// The buffer range of a column.
pub fn range(program: &Program, operand: Operand) -> BufferRange {
    match operand {
        Operand::Value(var) => program.value(var),
        Operand::Buffer(buffer) => program.buffer(buffer),
        other => panic!("{other:?} is no column"),
    }
}

/// Writes all inputs of a pass over a whole batch, and zeroes the sums.
pub fn prepare(gpu: &Gpu, program: &Program, recorded: &Recorded, batch: &Batch, controls: Controls) {
    for (words, operand) in batch.columns.iter().zip(&recorded.columns) {
        if let Some(operand) = operand {
            gpu.write(range(program, *operand), 0, words);
        }
    }
    let (filled, examples) = (batch.count as u32, batch.count as u32);
    gpu.write(program.buffer_named(CONTROLS).unwrap(), 0, &[Controls { filled, examples, ..controls }]);
    gpu.write(program.buffer_named(SUMS).unwrap(), 0, &Totals::zero(recorded.sums).words());
}

/// The current sums.
pub fn totals(gpu: &Gpu, program: &Program, count: usize) -> Totals {
    Totals::of_words(&gpu.read(&program.buffer_named(SUMS).unwrap()).unwrap(), count)
}
