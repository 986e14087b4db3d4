//! Views on the device: they share memory with their base, in values, gradients and placement.

use crate::common::{Test, test};
use lerac::checks::test_values;
use lerac::gpu::Gpu;
use lerac::ops::{add::add, mean_pool::mean_pool, relu::relu};
use lerac::tape::{Keep, Mode, Operand, Program, Storage, Tape, Var};

/// x `[2,6]`, y = relu(x) + x through a view of it, and the mean over pairs in a row of a view of a
/// view: `[1,3,4]` through `[3,4]`. The gradient is seeded through a view.
fn record() -> (Tape, [Var; 4]) {
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [2, 6], true);
    let view = tape.view(x, [12]);
    let positive = relu(&mut tape, "relu", view);
    let positive = tape.view(positive, [2, 6]);
    let y = add(&mut tape, "sum", positive, x);
    let of_view = tape.view(y, [3, 4]);
    let image = tape.view(of_view, [1, 3, 2, 2]);
    let z = mean_pool(&mut tape, "mean", image, 2, 2);
    let row = tape.view(z, [3]);
    tape.seed_gradient(row);
    (tape, [x, y, of_view, row])
}

fn check(gpu: &Gpu, keeping: bool) {
    let (tape, [x, y, view, row]) = record();
    let storage = Storage::new(gpu, &tape).unwrap();
    // Kept tensors are given by a view if there is one.
    let kept =
        [x.into(), view.into(), row.into(), Operand::Gradient(x), Operand::Gradient(view), Operand::Gradient(row)];
    let keep = if keeping { Keep::Only(&kept) } else { Keep::Everything };
    let program = Program::keeping(gpu, tape, &storage, keep, &mut vec![]).unwrap();
    let values: Vec<f32> = test_values(12, 1).into_iter().map(|v| v as f32).collect();
    let seeds = [2.0f32, -4.0, 8.0];
    gpu.write(program.value(x), 0, &values);
    gpu.write(program.gradient(row), 0, &seeds);
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let read =
        |range: lerac::gpu::BufferRange, count: usize| gpu.read::<f32>(&range.part(0, 4 * count as u64)).unwrap();

    let sums: Vec<f32> = values.iter().map(|v| v.max(0.0) + v).collect();
    assert_eq!(read(program.value(view), 12), sums);
    assert_eq!(read(program.value(y), 12), sums);
    let means: Vec<f32> = sums.chunks(4).map(|four| four.iter().sum::<f32>() / 4.0).collect();
    for (found, expected) in read(program.value(row), 3).into_iter().zip(means) {
        approx::assert_relative_eq!(found, expected, max_relative = 1e-6, epsilon = 1e-6);
    }
    let dy: Vec<f32> = seeds.iter().flat_map(|seed| [seed / 4.0; 4]).collect();
    assert_eq!(read(program.gradient(view), 12), dy);
    // The gradients of both paths from y to x are added.
    let dx: Vec<f32> = dy.iter().zip(&values).map(|(g, v)| if *v > 0.0 { 2.0 * g } else { *g }).collect();
    assert_eq!(read(program.gradient(x), 12), dx);
}

pub fn tests() -> Vec<Test> {
    let named = [("of everything that is kept", false), ("in shared buffers", true)];
    named.map(|(name, keeping)| test(format!("views {name}"), move |gpu| check(gpu, keeping))).into()
}
