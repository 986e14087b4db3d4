//! Times the recording and the planning of long tapes: `cargo bench --bench plan`.

use lerac::ops::{add::add, relu::relu};
use lerac::tape::{Keep, Mode, Tape};
use std::time::Instant;

/// Records a residual network with `records` records: x + relu(a view of x), repeated.
fn record(records: usize) -> Tape {
    let mut tape = Tape::new(Mode::Train);
    let mut x = tape.leaf("x", [64, 64], true);
    for i in 0..records / 2 {
        let view = tape.view(x, [4096]);
        let y = relu(&mut tape, &format!("relu{i}"), view);
        let y = tape.view(y, [64, 64]);
        x = add(&mut tape, &format!("add{i}"), x, y);
    }
    tape.seed_gradient(x);
    tape
}

fn main() {
    println!("{:>8} {:>12} {:>12} {:>12}", "records", "record, ms", "plan, ms", "MiB");
    for records in [500, 5_000, 50_000] {
        let start = Instant::now();
        let tape = record(records);
        let recorded = start.elapsed();
        let start = Instant::now();
        let plan = tape.plan(Keep::Only(&[]), &[]);
        let planned = start.elapsed();
        let milliseconds = |time: std::time::Duration| 1e3 * time.as_secs_f64();
        let mebibytes = plan.total() as f64 / (1 << 20) as f64;
        println!("{records:>8} {:>12.2} {:>12.2} {mebibytes:>12.1}", milliseconds(recorded), milliseconds(planned));
    }
}
