//! Tests of operations that are not a row of the op table: loading, losses, evaluation, NaN.

use crate::common::{Test, in_two_dialects, test};
use crate::recorded::{OfNumbers, of_numbers, prepare, ten_classes, totals};
use lerac::checks::{assert_close, narrow, test_values};
use lerac::data::{Augmentation, Batch, Form, Meaning};
use lerac::gpu::{Access, Dialect, Gpu, Kernel, PackedLoad, Shader, SubgroupShare};
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, Net, NetOptions, Recorded};
use lerac::ops::batch_norm::{self, After, Norm};
use lerac::ops::cross_entropy::{self, Targets};
use lerac::ops::pixels::{self, PixelSource};
use lerac::ops::regression::{self, Loss, Regression};
use lerac::ops::sums::{SUMS, Sums, Totals};
use lerac::ops::{dropout, max_pool, relu};
use lerac::tape::{Controls, Declared, Group, Init, Mode, Operand, Program, Storage, Tape, Target, Var};

pub fn program(gpu: &Gpu, tape: &Tape) -> Program {
    let storage = Storage::new(gpu, tape).unwrap();
    Program::new(gpu, tape.clone(), &storage).unwrap()
}

fn value(gpu: &Gpu, program: &Program, var: Var) -> Vec<f32> {
    gpu.read(&program.value(var).part(0, program.tape().shape(var).bytes())).unwrap()
}

static QUADS: Shader = Shader::new(
    "quads",
    "@group(0) @binding(0) var<storage, read> x: array<Quad>;
        @group(0) @binding(1) var<storage, read_write> y: array<Quad>;
        @group(0) @binding(2) var<storage, read_write> z: array<f32>;
        @compute @workgroup_size(1) fn quads(@builtin(global_invocation_id) id: vec3<u32>) {
            y[id.x] = quad_of(floats(x[id.x]));
            for (var i = 4u * id.x; i < 4u * id.x + 4u; i++) { z[i] = float_in(x[i / 4u][i % 4u / FLOATS_PER_WORD], i); }
        }",
);

/// Values that are only copied keep their bits: NaN with payloads of either sign, zeros,
/// subnormals, infinities, and numbers.
fn quads_pass_bit_for_bit(gpu: &Gpu) {
    let bits: Vec<u32> = (0..4096u32)
        .map(|i| match i {
            0..8 => [0, 1 << 31, 1, 0x8000_0001, 0x7f80_0000, 0xff80_0000, 0x7fc0_dead, 0xffc0_beef][i as usize],
            _ => i.wrapping_mul(0x9e37_79b9),
        })
        .collect();
    let [x, y, z] = ["x", "y", "z"].map(|name| gpu.buffer(name, 4 * 4096).unwrap());
    gpu.write(&x, 0, &bits);
    let kernel = Kernel { shader: &QUADS, entry: "quads", constants: vec![] };
    let ranges = [(x.whole(), Access::Read), (y.whole(), Access::Write), (z.whole(), Access::Write)];
    gpu.run([&gpu.call(&kernel, &ranges, [1024, 1, 1]).unwrap()]).unwrap();
    assert!(gpu.read::<u32>(&y.whole()).unwrap() == bits, "whole quads");
    assert!(gpu.read::<u32>(&z.whole()).unwrap() == bits, "floats by themselves");
}

/// Mesa's llvmpipe, the adapter of CI, must support the dialect of processors. Otherwise its
/// kernels would not be tested.
fn llvmpipe_supports_its_dialect(gpu: &Gpu) {
    if gpu.info().name.contains("llvmpipe") {
        let Dialect { packed_load, subgroup_share } = gpu.dialect();
        assert!(
            packed_load == PackedLoad::U64x2 && subgroup_share != SubgroupShare::None,
            "{packed_load:?}, {subgroup_share:?}"
        );
    }
}

/// Bytes as words of a column of images, each padded to whole words.
fn words_of(images: &[u8], bytes_per_image: usize) -> Vec<u32> {
    let mut words = vec![];
    for image in images.chunks_exact(bytes_per_image) {
        let word = |four: &[u8]| four.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        words.extend(image.chunks(4).map(word));
    }
    words
}

fn pixels_are_loaded(gpu: &Gpu) {
    // Images of 105, 1, 48 and 144 bytes, and one whose last word is half full.
    for images in [[3, 3, 5, 7], [1, 1, 1, 1], [4, 2, 6, 4], [4, 3, 4, 12], [3, 1, 5, 2]] {
        let [n, c, h, w] = images;
        let (mean, std) = (&[0.5, 0.4, 0.3][..c], &[0.5, 0.25, 0.2][..c]);
        let bytes: Vec<u8> = (0..n * c * h * w).map(|i| (i * 37 % 256) as u8).collect();
        let words = words_of(&bytes, c * h * w);
        let draws = [Augmentation::IDENTITY, 0x80_8001, 0x81_7e01, 0x7d_8400];
        for moved in [true, false] {
            let mut tape = Tape::new(Mode::Train);
            let column = tape.buffer("bytes", 4 * words.len() as u64);
            let movements = tape.buffer("movements", 4 * n as u64);
            let source = PixelSource { bytes: column.into(), movements: moved.then(|| movements.into()), mean, std };
            let x = pixels::pixels(&mut tape, "x", source, images);
            let program = program(gpu, &tape);
            gpu.write(program.buffer(column), 0, &words);
            gpu.write(program.buffer(movements), 0, &draws[..n]);
            gpu.run(program.forward()).unwrap();
            let image = |(i, image)| {
                let movement = if moved { draws[i] } else { Augmentation::IDENTITY };
                pixels::reference::forward(image, [c, h, w], movement, mean, std)
            };
            let expected: Vec<f64> = bytes.chunks_exact(c * h * w).enumerate().flat_map(image).collect();
            assert_close(&format!("{images:?}, moved: {moved}"), &value(gpu, &program, x), &expected, 1e-6);
        }
    }
}

/// The controls of a pass with this number of valid examples.
fn counting(examples: usize) -> Controls {
    Controls { filled: examples as u32, examples: examples as u32, ..Controls::default() }
}

/// The softmax cross-entropy of logits [n,k].
fn loss(gpu: &Gpu, z: &[f64], labels: &[u32], smoothing: f64, controls: Controls) -> (Totals, [Vec<f32>; 2]) {
    loss_against(gpu, z, labels, Targets { smoothing, ..Targets::default() }, controls)
}

fn loss_against(gpu: &Gpu, z: &[f64], labels: &[u32], targets: Targets, controls: Controls) -> (Totals, [Vec<f32>; 2]) {
    recorded_loss(gpu, z, labels, controls, cross_entropy::COLUMNS, |tape, z, labels, sums| {
        cross_entropy::cross_entropy(tape, "loss", z, labels, sums, targets);
    })
}

/// Runs forward and backward of the loss that `record` appends, over z [n,k] on `targets`. Returns
/// its sums, dz, and its output for each row.
fn recorded_loss(
    gpu: &Gpu,
    z: &[f64],
    targets: &[u32],
    controls: Controls,
    count: usize,
    record: impl FnOnce(&mut Tape, Var, Operand, &mut Sums),
) -> (Totals, [Vec<f32>; 2]) {
    let (n, k) = (targets.len(), z.len() / targets.len());
    let mut tape = Tape::new(Mode::Train);
    let outputs = tape.leaf("z", [n, k], true);
    let column = tape.buffer("targets", 4 * n as u64);
    let mut sums = Sums::new(&mut tape, count);
    record(&mut tape, outputs, column.into(), &mut sums);
    assert_eq!(sums.taken(), count);
    let program = program(gpu, &tape);
    gpu.write(program.value(outputs), 0, &narrow(z));
    gpu.write(program.buffer(column), 0, targets);
    gpu.write(program.buffer_named(lerac::tape::CONTROLS).unwrap(), 0, &[controls]);
    gpu.write(program.buffer_named(SUMS).unwrap(), 0, &Totals::zero(count).words());
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let dz = gpu.read(&program.gradient(outputs).part(0, 4 * (n * k) as u64)).unwrap();
    let rows = gpu.read(&program.buffer_named("loss.rows").unwrap().part(0, 4 * (n * count) as u64)).unwrap();
    (totals(gpu, &program, count), [dz, rows])
}

/// `values`, padded with 0 to `count` rows.
fn padded(mut values: Vec<f64>, count: usize) -> Vec<f64> {
    values.resize(count, 0.0);
    values
}

fn cross_entropy_rows(gpu: &Gpu) {
    for (n, k, smoothing) in [(1, 2, 0.0), (7, 5, 0.1), (64, 10, 0.0), (65, 101, 0.2), (3, 1, 0.0)] {
        let z: Vec<f64> = test_values(n * k, 3).into_iter().map(|v| f64::from(v as f32 * 4.0)).collect();
        let mut labels: Vec<u32> = (0..n).map(|i| (i * 7 % k) as u32).collect();
        // The content of empty rows has no effect.
        let filled = if n > 5 { n - 2 } else { n };
        labels[filled..].fill(u32::MAX);
        let (found, [dz, _]) = loss(gpu, &z, &labels, smoothing, counting(filled));
        let (z, labels) = (&z[..filled * k], &labels[..filled]);
        let losses = cross_entropy::reference::losses(z, labels, smoothing, &[]);
        // 1 + the other classes' share is rounded to f32, so every row may be off by half a unit in
        // the last place.
        let (expected, rounding) = (losses.iter().sum::<f64>(), 6e-8 * n as f64);
        let [sum, top1, top5] = found.values()[..] else { panic!("three sums") };
        assert!((sum - expected).abs() <= 1e-6 * expected + rounding, "{sum} for {expected}");
        assert_close("dz", &dz, &padded(cross_entropy::reference::backward(z, labels, smoothing, &[]), n * k), 2e-5);
        let hits = |top| f64::from(cross_entropy::reference::hits(z, labels, top));
        assert_eq!([top1, top5], [hits(1), hits(5)]);
        assert_eq!((found.examples as usize, found.halted), (filled, 0));
    }
}

fn cross_entropy_of_mixed_labels(gpu: &Gpu) {
    for (n, k, smoothing, mix, weighted) in
        [(6, 5, 0.0, 0.7f32, false), (7, 4, 0.1, 0.5, false), (1, 3, 0.2, 0.6, false), (7, 3, 0.1, 0.3, true)]
    {
        let z: Vec<f64> = test_values(n * k, 4).into_iter().map(|v| f64::from(v as f32 * 4.0)).collect();
        let labels: Vec<u32> = (0..n).map(|i| (i % k) as u32).collect();
        let others: Vec<u32> = labels.iter().rev().copied().collect();
        let class_weights = if weighted { class_weights(k) } else { vec![] };
        let weights = wide(&class_weights);
        let targets = Targets { smoothing, mixed: true, class_weights, ..Targets::default() };
        let (found, [dz, _]) = loss_against(gpu, &z, &labels, targets, Controls { mix, ..counting(n) });
        let part = f64::from(mix);
        let of = |one: &[f64], other: &[f64]| -> Vec<f64> {
            one.iter().zip(other).map(|(a, b)| part * a + (1.0 - part) * b).collect()
        };
        let losses = |labels: &[u32]| cross_entropy::reference::losses(&z, labels, smoothing, &weights);
        let expected = of(&losses(&labels), &losses(&others)).iter().sum::<f64>();
        approx::assert_relative_eq!(found.values()[0], expected, max_relative = 1e-6);
        let gradient = |labels: &[u32]| cross_entropy::reference::backward(&z, labels, smoothing, &weights);
        assert_close("dz", &dz, &of(&gradient(&labels), &gradient(&others)), 2e-5);
        assert_eq!(found.values()[1], f64::from(cross_entropy::reference::hits(&z, &labels, 1)));
    }
}

/// Weights of k classes, one of them 0.
fn class_weights(k: usize) -> Vec<f32> {
    (0..k).map(|class| 0.75 * class as f32).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn cross_entropy_of_weighted_classes(gpu: &Gpu) {
    for (n, k, smoothing) in [(1, 2, 0.0), (7, 5, 0.1), (65, 101, 0.2), (64, 3, 0.0)] {
        let z: Vec<f64> = test_values(n * k, 5).into_iter().map(|v| f64::from(v as f32 * 4.0)).collect();
        let labels: Vec<u32> = (0..n).map(|i| ((i * 7 + 1) % k) as u32).collect();
        let targets = Targets { smoothing, class_weights: class_weights(k), ..Targets::default() };
        let (found, [dz, rows]) = loss_against(gpu, &z, &labels, targets, counting(n));
        let weights = wide(&class_weights(k));
        let losses = cross_entropy::reference::losses(&z, &labels, smoothing, &weights);
        let of_rows: Vec<f32> = rows.chunks_exact(cross_entropy::COLUMNS).map(|row| row[0]).collect();
        assert_close("losses", &of_rows, &losses, 1e-5);
        let expected = cross_entropy::reference::backward(&z, &labels, smoothing, &weights);
        assert_close("dz", &dz, &expected, 2e-5);
        assert_eq!(found.values()[1], f64::from(cross_entropy::reference::hits(&z, &labels, 1)));
    }
}

fn cross_entropy_extremes(gpu: &Gpu) {
    // Equal logits are ranked in class order: label 0 is first, label 5 sixth.
    let (ties, _) = loss(gpu, &[0.5; 12], &[0, 5], 0.0, counting(2));
    assert_eq!(ties.values()[1..], [1.0, 1.0]);
    // Logits far apart neither overflow nor underflow.
    let (far, _) = loss(gpu, &[1e4, -1e4, -1e4, 1e4], &[1, 1], 0.0, counting(2));
    assert_close("loss", &[far.values()[0] as f32], &[2e4], 1e-6);
    // NaN halts training at its step, and nothing is added to the sums.
    let at = |step| Controls { step, ..counting(2) };
    let (nan, [_, rows]) = loss(gpu, &[f64::NAN, 0.0, 1.0, 0.0], &[1, 0], 0.0, at(41));
    assert_eq!((nan.halted, nan.examples, nan.values()), (42, 2, vec![0.0; 3]));
    // It is not a hit for any label.
    assert_eq!([rows[1], rows[4]], [0.0, 1.0]);
    let (_, [_, own]) = loss(gpu, &[f64::NAN, 0.0], &[0], 0.0, at(41));
    assert_eq!(own[1..], [0.0, 0.0]);
    // In an empty row it has no effect.
    let (empty, [dz, _]) = loss(gpu, &[1.0, 0.0, f64::NAN, 0.0], &[0, 1], 0.0, counting(1));
    assert_eq!((empty.halted, empty.examples, &empty.values()[1..]), (0, 1, &[1.0, 1.0][..]));
    assert!(dz[0] < 0.0 && dz[1] > 0.0 && dz[2..] == [0.0; 2], "{dz:?}");
}

/// The regression loss of z [n,1] at step 41, with `count` valid rows: its sums, and dz.
fn distance(gpu: &Gpu, z: &[f64], targets: &[f64], count: usize, regression: Regression) -> (Totals, Vec<f32>) {
    let controls = Controls { step: 41, ..counting(count) };
    let words: Vec<u32> = targets.iter().map(|&target| (target as f32).to_bits()).collect();
    let (totals, [dz, _]) = recorded_loss(gpu, z, &words, controls, regression::COLUMNS, |tape, z, targets, sums| {
        regression::regression(tape, "loss", z, targets, sums, regression, (1.0, 1));
    });
    (totals, dz)
}

fn regression_rows(gpu: &Gpu) {
    use regression::reference;
    for loss in [Loss::L1, Loss::Mse] {
        for (n, mean, std) in [(1, 0.0, 1.0), (7, 33.0, 20.0), (64, -2.5, 0.5), (65, 40.0, 3.0), (200, 33.0, 20.0)] {
            let regression = Regression { loss, mean, std };
            let z = test_values(n, 5);
            // Targets may be fractions or negative.
            let mut targets: Vec<f64> = (0..n).map(|i| (i * 29 % 117) as f64 - 0.25 * (i % 3) as f64).collect();
            let filled = if n > 5 { n - 3 } else { n };
            targets[filled..].fill(f64::NAN);
            let (found, dz) = distance(gpu, &z, &targets, filled, regression);
            let (z, targets) = (&z[..filled], &targets[..filled]);
            let sum = |values: Vec<f64>| values.iter().sum::<f64>();
            let (losses, errors) =
                (reference::losses(z, targets, &regression), reference::errors(z, targets, &regression));
            approx::assert_relative_eq!(found.values()[0], sum(losses), max_relative = 2e-6);
            approx::assert_relative_eq!(found.values()[1], sum(errors), max_relative = 2e-6);
            assert_close("dz", &dz, &padded(reference::backward(z, targets, &regression), n), 2e-6);
            assert_eq!((found.examples as usize, found.halted), (filled, 0));
        }
    }
}

fn regression_at_its_extremes(gpu: &Gpu) {
    let of = |loss| Regression { loss, mean: 33.0, std: 20.0 };
    // As in PyTorch, the sign of 0 is 0. The other row is 1 above its target.
    let (found, slope) = distance(gpu, &[0.5, 1.5], &[43.0, 43.0], 2, of(Loss::L1));
    assert_eq!((found.values(), slope.as_slice()), (vec![1.0, 20.0], [0.0, 0.5].as_slice()));
    let (found, slope) = distance(gpu, &[0.5, 1.5], &[43.0, 43.0], 2, of(Loss::Mse));
    assert_eq!((found.values(), slope.as_slice()), (vec![1.0, 20.0], [0.0, 1.0].as_slice()));
    // A value that is not finite halts training at its step and does not change the sums. Its
    // gradient is not finite.
    for loss in [Loss::L1, Loss::Mse] {
        for broken in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let (halted, slope) = distance(gpu, &[0.0, broken], &[33.0, 33.0], 2, of(loss));
            assert_eq!((halted.halted, halted.values()), (42, vec![0.0, 0.0]), "{loss:?} of {broken}");
            assert!(slope[0].is_finite() && !slope[1].is_finite(), "{loss:?} of {broken}: {slope:?}");
        }
    }
    // A finite loss with an infinite error, and an infinite loss with a finite error.
    assert_eq!(distance(gpu, &[1e38], &[33.0], 1, of(Loss::L1)).0.halted, 42);
    assert_eq!(distance(gpu, &[1e30], &[33.0], 1, of(Loss::Mse)).0.halted, 42);
}

fn nan_passes(gpu: &Gpu) {
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [1, 1, 2, 2], true);
    let y = relu::relu(&mut tape, "relu", x);
    let pooled = max_pool::max_pool(&mut tape, "pool", y, max_pool::Window::square(2));
    tape.seed_gradient(pooled);
    let program = program(gpu, &tape);
    gpu.write(program.value(x), 0, &[1.0f32, f32::NAN, 2.0, -1.0]);
    gpu.run(program.forward()).unwrap();
    assert!(value(gpu, &program, pooled)[0].is_nan(), "max pooling hides NaN");
    assert!(value(gpu, &program, y)[1].is_nan(), "relu hides NaN");
}

fn the_first_of_equals_wins(gpu: &Gpu) {
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [1, 1, 2, 2], true);
    let y = max_pool::max_pool(&mut tape, "pool", x, max_pool::Window::square(2));
    tape.seed_gradient(y);
    let program = program(gpu, &tape);
    gpu.write(program.value(x), 0, &[0.5f32; 4]);
    gpu.write(program.gradient(y), 0, &[3.0f32]);
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let dx: Vec<f32> = gpu.read(&program.gradient(x)).unwrap();
    assert_eq!(dx, [3.0, 0.0, 0.0, 0.0]);
}

/// Bits, with all NaN mapped to one value.
fn comparable(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    values.into_iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

fn ties_and_nan_in_whole_planes(gpu: &Gpu) {
    let shape = [2, 3, 32, 32];
    let window = max_pool::Window::square(2);
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", shape, true);
    let y = max_pool::max_pool(&mut tape, "pool", x, window);
    tape.seed_gradient(y);
    assert_eq!(tape.records()[0].forward[0].kernel.entry, "forward_2x2");
    let program = program(gpu, &tape);
    // Three values, so that most windows have several maxima; a seventh is NaN, so that some
    // windows have several NaN.
    let order = test_values(shape.iter().product(), 31).into_iter().zip(test_values(shape.iter().product(), 32));
    let values: Vec<f64> = order.map(|(v, n)| if n < -1.1 { f64::NAN } else { v.round() }).collect();
    let dy = test_values(values.len() / 4, 33);
    gpu.write(program.value(x), 0, &narrow(&values));
    gpu.write(program.gradient(y), 0, &narrow(&dy));
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let expected = max_pool::reference::forward(&values, 32, 32, window);
    assert!(expected.iter().filter(|v| v.is_nan()).count() > 100);
    assert_eq!(comparable(value(gpu, &program, y)), comparable(narrow(&expected)));
    let dx: Vec<f32> = gpu.read(&program.gradient(x)).unwrap();
    assert_eq!(comparable(dx), comparable(narrow(&max_pool::reference::backward(&values, &dy, 32, 32, window))));
}

/// Makes the running statistics equal to the batch statistics. A step from 0 keeps a tenth of them,
/// and the variance is unbiased.
fn batch_statistics(gpu: &Gpu, storage: &Storage, train: &Tape) {
    for (declared, span) in storage.states().iter().zip(storage.state_layout.spans()) {
        let (norm, which) = declared.name.rsplit_once('.').unwrap();
        let [n, _, h, w] = train.shape(train.named(norm).unwrap()).nchw(norm);
        let count = (n * h * w) as f32;
        let scale = if which == "running_var" { 10.0 * (count - 1.0) / count } else { 10.0 };
        let values: Vec<f32> = storage.state.read(gpu, span).unwrap().iter().map(|v| v * scale).collect();
        storage.state.write(gpu, span, &values);
    }
}

/// Images of 3x16x16 and ten classes, normalised by one mean and one standard deviation.
fn images_of(mean: f32, std: f32) -> Form {
    let mut form = ten_classes([3, 16, 16]);
    form.inputs[0].meaning = Meaning::Pixels { mean: vec![mean; 3], std: vec![std; 3] };
    form
}

fn evaluation_is_training_under_the_same_statistics(gpu: &Gpu) {
    const BATCH: usize = 6;
    let form = images_of(0.4, 0.3);
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    for (model, blur, target) in [
        ("cnn", false, Target::Gpu),
        ("cnn", true, Target::Processor),
        ("resnet8", true, Target::Gpu),
        ("resnet8", false, Target::Processor),
    ] {
        let record = |mode| {
            let tape = Tape::new(mode).with_target(target);
            let options = NetOptions { blur, ..NetOptions::default() };
            nn::record(&nn::named(model).unwrap(), &form, &*objective, BATCH, tape, options)
        };
        let (train, eval) = (record(Mode::Train), record(Mode::Eval));
        let storage = Storage::new(gpu, &train.tape).unwrap();
        nn::initialise(gpu, &storage, 3);
        for span in storage.state_layout.spans() {
            storage.state.write(gpu, span, &vec![0.0; span.count]);
        }
        let words = (0..(BATCH * 3 * 16 * 16 / 4) as u32).map(|i| i.wrapping_mul(2_654_435_761));
        let columns = vec![words.collect(), vec![Augmentation::IDENTITY; BATCH], (0..BATCH as u32).collect()];
        let batch = Batch { columns, count: BATCH, capacity: BATCH };
        let logits = |recorded: &Recorded| {
            let program = Program::new(gpu, recorded.tape.clone(), &storage).unwrap();
            prepare(gpu, &program, recorded, &batch, Controls { sigma: 0.7, ..Controls::default() });
            gpu.run(program.forward()).unwrap();
            value(gpu, &program, recorded.outputs[0])
        };
        let trained: Vec<f64> = logits(&train).into_iter().map(f64::from).collect();
        batch_statistics(gpu, &storage, &train.tape);
        assert_close(&format!("{model}, blur {blur}, {target:?}"), &logits(&eval), &trained, 1e-5);
    }
}

fn batch_norm_statistics(gpu: &Gpu) {
    // Channels that are not and that are a multiple of four; channels for two workgroups; one
    // element per channel.
    for shape in [[4, 3, 5, 2], [4, 3, 4, 2], [3, 70, 3, 1], [2, 130, 2, 2], [1, 5, 1, 1]] {
        Target::ALL.into_iter().for_each(|target| statistics_of(gpu, shape, target));
    }
}

fn statistics_of(gpu: &Gpu, shape: [usize; 4], target: Target) {
    let [n, c, h, w] = shape;
    let declared =
        |name: &str, init| Declared { name: name.into(), shape: [c].into(), init, layer: 0, group: Group::Norm };
    let record = |mode| {
        let mut tape = Tape::new(mode).with_target(target);
        let x = tape.leaf("x", shape, true);
        let norm = Norm {
            gamma: tape.parameter(declared("gamma", Init::Ones)),
            beta: tape.parameter(declared("beta", Init::Zeros)),
            running_mean: tape.state(declared("mean", Init::Zeros)),
            running_var: tape.state(declared("var", Init::Ones)),
            momentum: batch_norm::MOMENTUM,
            epsilon: batch_norm::EPSILON,
        };
        let y = batch_norm::batch_norm(&mut tape, "bn", x, norm, After::default());
        tape.seed_gradient(y);
        (tape, x, y)
    };
    let (train_tape, x, _) = record(Mode::Train);
    let (eval_tape, eval_x, eval_y) = record(Mode::Eval);
    let storage = Storage::new(gpu, &train_tape).unwrap();
    let train = Program::new(gpu, train_tape, &storage).unwrap();
    let eval = Program::new(gpu, eval_tape, &storage).unwrap();
    let (gamma, beta) = (narrow(&test_values(c, 7)), narrow(&test_values(c, 8)));
    let spans = storage.layout.spans();
    storage.params.write(gpu, &spans[0], &gamma);
    storage.params.write(gpu, &spans[1], &beta);
    let states = storage.state_layout.spans();
    storage.state.write(gpu, &states[0], &vec![0.0; c]);
    storage.state.write(gpu, &states[1], &vec![1.0; c]);

    // The mean is a thousand times the standard deviation: sums are taken about a pivot.
    let values: Vec<f64> = test_values(n * c * h * w, 9).iter().map(|v| f64::from((v * 0.5 + 500.0) as f32)).collect();
    gpu.write(train.value(x), 0, &narrow(&values));
    gpu.run(train.forward()).unwrap();
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let statistics = batch_norm::reference::forward(&values, &wide(&gamma), &wide(&beta), [n, c, h * w], 1e-5);
    let count = (n * h * w) as f64;
    let mean: Vec<_> = statistics.mean.iter().map(|m| 0.1 * m).collect();
    let var: Vec<_> = statistics.var.iter().map(|v| 0.9 + 0.1 * v * count / (count - 1.0).max(1.0)).collect();
    let read_mean = storage.state.read(gpu, &states[0]).unwrap();
    let read_var = storage.state.read(gpu, &states[1]).unwrap();
    assert_close(&format!("running mean of {shape:?}, {target:?}"), &read_mean, &mean, 1e-6);
    assert_close(&format!("running variance of {shape:?}, {target:?}"), &read_var, &var, 1e-5);

    let x_values = test_values(n * c * h * w, 10);
    gpu.write(eval.value(eval_x), 0, &narrow(&x_values));
    gpu.run(eval.forward()).unwrap();
    let (read_mean, read_var) = (wide(&read_mean), wide(&read_var));
    let expected = batch_norm::reference::normalise(
        &x_values,
        &wide(&gamma),
        &wide(&beta),
        &read_mean,
        &read_var,
        [n, c, h * w],
        1e-5,
    );
    assert_close(&format!("y of {shape:?} in evaluation, {target:?}"), &value(gpu, &eval, eval_y), &expected, 1e-5);
}

fn dropout_masks(gpu: &Gpu) {
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [10_000], true);
    let y = dropout::dropout(&mut tape, "dropout", x, 0.3, 1);
    tape.seed_gradient(y);
    let program = program(gpu, &tape);
    let controls = program.buffer_named(lerac::tape::CONTROLS).unwrap();
    gpu.write(program.value(x), 0, &[1.0f32; 10_000]);
    let mask = |seed, step| {
        gpu.write(&controls, 0, &[Controls { step, seed, ..Controls::default() }]);
        gpu.run(program.forward()).unwrap();
        value(gpu, &program, y)
    };
    let first = mask(1, 0);
    assert_eq!(first, mask(1, 0), "the same seed and step give the same mask");
    for other in [mask(2, 0), mask(1, 1)] {
        let same = first.iter().zip(&other).filter(|(a, b)| a == b).count();
        // Independent masks agree in .7 * .7 + .3 * .3 = .58 of the elements; 5 standard deviations
        // are .025.
        assert!((0.555..0.605).contains(&(same as f64 / 1e4)), "{same} places agree");
    }
    let kept = first.iter().filter(|&&v| v != 0.0).count();
    assert!((6771..7229).contains(&kept), "{kept} of 10,000 were kept with probability .7");

    let model = OfNumbers(|net: &mut Net, x: Var, classes: usize| {
        let [first, second] = ["first", "second"].map(|name| net.dropout(name, x, 0.5));
        let both = net.add("both", first, second);
        net.linear("linear", both, classes)
    });
    let form = of_numbers(&[100], 2);
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    let recorded = nn::record(&model, &form, &*objective, 1, Tape::new(Mode::Train), NetOptions::default());
    let program = self::program(gpu, &recorded.tape);
    let batch = Batch { columns: vec![vec![1.0f32.to_bits(); 100], vec![0]], count: 1, capacity: 1 };
    prepare(gpu, &program, &recorded, &batch, Controls::default());
    gpu.run(program.forward()).unwrap();
    let [first, second] = ["first", "second"].map(|name| value(gpu, &program, recorded.tape.named(name).unwrap()));
    assert_ne!(first, second, "two dropouts of a net share a mask");
    assert!([&first, &second].iter().all(|mask| mask.contains(&0.0) && mask.contains(&2.0)));

    let mut tape = Tape::new(Mode::Eval);
    let x = tape.leaf("x", [4], false);
    assert_eq!(dropout::dropout(&mut tape, "dropout", x, 0.3, 1), x, "evaluation drops nothing");
}

pub fn tests() -> Vec<Test> {
    let tests = [
        in_two_dialects("operations: quads pass bit for bit", quads_pass_bit_for_bit),
        in_two_dialects("operations pixels", pixels_are_loaded),
        in_two_dialects("operations cross_entropy", cross_entropy_rows),
        in_two_dialects("operations: cross_entropy of mixed labels", cross_entropy_of_mixed_labels),
        in_two_dialects("operations: cross_entropy of weighted classes", cross_entropy_of_weighted_classes),
        in_two_dialects("operations cross_entropy at its extremes", cross_entropy_extremes),
        in_two_dialects("operations regression", regression_rows),
        in_two_dialects("operations regression at its extremes", regression_at_its_extremes),
        in_two_dialects("operations NaN passes", nan_passes),
        in_two_dialects("operations max_pool: the first of equals wins", the_first_of_equals_wins),
        in_two_dialects("operations max_pool: ties and NaN in whole planes", ties_and_nan_in_whole_planes),
        in_two_dialects(
            "operations: evaluation is training under the same statistics",
            evaluation_is_training_under_the_same_statistics,
        ),
        in_two_dialects("operations batch_norm statistics and evaluation", batch_norm_statistics),
        in_two_dialects("operations dropout masks", dropout_masks),
    ];
    let llvmpipe = test("operations: llvmpipe supports its dialect", llvmpipe_supports_its_dialect);
    tests.into_iter().flatten().chain([llvmpipe]).collect()
}
