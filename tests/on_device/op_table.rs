//! Every kernel against its f64 reference, forward and backward, at every row of the op table, with
//! WebGPU's default limits and new buffers filled with NaN.

use crate::common::rows::rows;
use crate::common::{Test, in_every_dialect, in_two_dialects};
use lerac::checks::{Row, kernels_on, nan_passes};
use lerac::gpu::Gpu;
use lerac::tape::Tape;
use std::sync::Arc;

/// Whether some kernel of this row's tape shares loads within subgroups.
fn shares_loads(row: &Row, tape: &Tape) -> bool {
    let tape = row.on(tape.clone()).0;
    let dispatches = tape.forward().into_iter().chain(tape.backward());
    dispatches.into_iter().any(|(_, dispatch)| dispatch.kernel.shader.shares_loads())
}

/// A test per row, target and dialect; one for all dialects if loads are shared within subgroups.
pub fn tests() -> Vec<Test> {
    let mut tests = vec![];
    for row in rows() {
        let row = Arc::new(row);
        for (tape, which) in row.tapes() {
            let name = format!("op_table {}{which}", row.name);
            let shares = shares_loads(&row, &tape);
            if row.activates {
                let name = format!("op_table NaN passes {}{which}", row.name);
                let (row, tape) = (row.clone(), tape.clone());
                tests.extend(in_two_dialects(name, move |gpu| nan_passes(gpu, &row, &tape)));
            }
            let row = row.clone();
            let run = move |gpu: &Gpu| {
                kernels_on(gpu, &row, tape.clone(), 1);
                kernels_on(gpu, &row, tape.clone(), 2);
            };
            match shares {
                true => tests.push(in_every_dialect(name, run)),
                false => tests.extend(in_two_dialects(name, run)),
            }
        }
    }
    tests
}
