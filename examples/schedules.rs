//! Learning rates are pure functions of time: the paper's curriculum for four layers over five
//! epochs. Needs no device.
//! Run it with `cargo run --release --example schedules`.

use lerac::curriculum::{DuringCurriculum, Pace, Paper, Range, Schedule, ScheduleShape, Time, Warmup, rates};
use lerac::error::Result;

fn main() -> Result<()> {
    let range = Range { first: 1e-1, last: 1e-4 };
    let curriculum = Paper::new(0.1, range, 3.0, &[1, 2, 3, 4], Pace::Step)?;
    let shape = ScheduleShape::Step { milestones: vec![4.0], gamma: 0.1 };
    let (warmup, during_curriculum) = (Warmup::default(), DuringCurriculum::Off);
    let schedule = Schedule { eta: 0.1, shape, warmup, during_curriculum };
    println!("epoch  layer 1   layer 2   layer 3   layer 4");
    for step in 0..=10 {
        let time = Time { step, steps_per_epoch: 2 };
        let row: Vec<_> = rates(&curriculum, &schedule, time, 4).map(|rate| format!("{rate:.2e}")).collect();
        println!("{:5}  {}", time.epochs(), row.join("   "));
    }
    Ok(())
}
