//! Every kernel against its f64 reference, forward and backward, at every row of the op table, on a device with exactly WebGPU's
//! default limits whose fresh buffers hold NaN.

use crate::common::compare::assert_close;
use crate::common::rows::{CONTROLS, Row, declare, rows};
use crate::common::{Test, in_every_dialect, in_two_dialects};
use lerac::gpu::Gpu;
use lerac::tape::{Program, Storage, Tape};
use std::sync::Arc;

/// f32 rounding over sums of a few thousand terms.
const TOLERANCE: f64 = 2e-6;

/// Runs, on the empty `tape` that chooses the kernels, `uses` uses of the row's operation on the same operands, added up, and compares
/// y and all gradients with `uses` times the reference: once stores every gradient, twice also adds to it.
fn check(gpu: &Gpu, row: &Row, mut tape: Tape, uses: usize) {
    let values = row.values();
    let inputs: Vec<_> =
        row.inputs.iter().enumerate().map(|(i, shape)| tape.leaf(&format!("x{i}"), shape.clone(), true)).collect();
    let params = declare(&mut tape, &row.params);
    let mut y = (row.record)(&mut tape, "op", &inputs, &params);
    for again in 1..uses {
        let other = (row.record)(&mut tape, &format!("op{again}"), &inputs, &params);
        y = lerac::ops::add::add(&mut tape, &format!("sum{again}"), y, other);
    }
    tape.seed_gradient(y);
    let count = tape.shape(y).count();

    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    let narrow = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    for (&var, value) in inputs.iter().zip(&values) {
        gpu.write(program.value(var), 0, &narrow(value));
    }
    for (span, value) in storage.layout.spans().iter().zip(&values[inputs.len()..]) {
        storage.params.write(gpu, span, &narrow(value));
    }
    if let Some(controls) = program.buffer_named(lerac::tape::CONTROLS) {
        gpu.write(controls, 0, &[CONTROLS]);
    }
    // Gradients of parameters lie in an arena, which starts at 0: NaN shows where one is added to instead of stored.
    for span in storage.layout.spans() {
        storage.grads.write(gpu, span, &vec![f32::NAN; span.count]);
    }
    let dy = row.weights(count);
    gpu.write(program.gradient(y), 0, &narrow(&dy));
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();

    let scale = uses as f64;
    let times = |values: Vec<f64>| values.into_iter().map(|v| v * scale).collect::<Vec<f64>>();
    let found: Vec<f32> = gpu.read(&program.value(y).part(0, 4 * count as u64)).unwrap();
    assert_close("y", &found, &times((row.forward)(&values)), TOLERANCE);
    let expected = (row.backward)(&values, &dy);
    for (i, (&var, expected)) in inputs.iter().zip(&expected).enumerate() {
        let found: Vec<f32> = gpu.read(&program.gradient(var).part(0, 4 * expected.len() as u64)).unwrap();
        assert_close(&format!("dx{i}"), &found, &times(expected.clone()), TOLERANCE);
    }
    for (i, (span, expected)) in storage.layout.spans().iter().zip(&expected[inputs.len()..]).enumerate() {
        let found = storage.grads.read(gpu, span).unwrap();
        assert_close(&format!("dp{i}"), &found, &times(expected.clone()), TOLERANCE);
    }
}

/// Whether neighbours share what they load in some kernel of a tape with this row.
fn shares_loads(row: &Row, tape: &Tape) -> bool {
    let tape = row.on(tape.clone()).0;
    let dispatches = tape.forward().into_iter().chain(tape.backward());
    dispatches.into_iter().any(|(_, dispatch)| dispatch.kernel.shader.shares_loads())
}

/// A test per row, way to compute it, and dialect; one for all dialects where neighbours share what they load.
pub fn tests() -> Vec<Test> {
    let mut tests = vec![];
    for row in rows() {
        let row = Arc::new(row);
        for (tape, which) in row.ways() {
            let name = format!("op_table {}{which}", row.name);
            let shares = shares_loads(&row, &tape);
            let row = row.clone();
            let run = move |gpu: &Gpu| {
                check(gpu, &row, tape.clone(), 1);
                check(gpu, &row, tape.clone(), 2);
            };
            match shares {
                true => tests.push(in_every_dialect(name, run)),
                false => tests.extend(in_two_dialects(name, run)),
            }
        }
    }
    tests
}
