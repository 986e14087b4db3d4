//! The fused update: against its f64 reference, against a dispatch per tensor, and in windows.

use crate::common::{Test, in_two_dialects};
use lerac::checks::{assert_close, narrow, test_values};
use lerac::gpu::{Buffer, Gpu};
use lerac::ops::sums::Totals;
use lerac::optim::{LayerNorms, Optimizer, RateRow, Rule, Settings, Update, reference};
use lerac::tape::{Declared, Group, Init, Mode, Storage, Tape};
use lerac::tensor::Shape;

/// Gradients so large that a missing element is noticed. The largest tensor, the only one with
/// several workgroups, has the largest.
const RATES: [f64; 3] = [0.01, 1e-3, 0.05];
const STEPS: i32 = 5;

/// (shape, layer, group) of each tensor: odd sizes, one element, several blocks, several workgroups
/// of the norm. In the second layer the order of the tensors differs from that of the rows.
fn tensors() -> Vec<(Shape, usize, Group)> {
    vec![
        ([7, 3, 3, 3].into(), 0, Group::Weight),
        ([7].into(), 0, Group::Bias),
        ([1].into(), 1, Group::Norm),
        ([256].into(), 1, Group::Weight),
        ([133, 141].into(), 2, Group::Weight),
        ([5].into(), 2, Group::Bias),
    ]
}

fn tape_of(tensors: &[(Shape, usize, Group)]) -> Tape {
    let mut tape = Tape::new(Mode::Train);
    for (i, (shape, layer, group)) in tensors.iter().cloned().enumerate() {
        tape.parameter(Declared { name: format!("p{i}"), shape, init: Init::Zeros, layer, group });
    }
    tape
}

/// The rate of a row if all rows of a layer have one rate.
fn rate_of_layer(row: &RateRow) -> f64 {
    RATES[row.layer]
}

fn scale_of_group(group: Group) -> f64 {
    match group {
        Group::Weight => 1.0,
        Group::Bias => 0.3,
        Group::Norm | Group::NormBias => 0.1,
    }
}

/// A rate for each row: less for biases and norms.
fn rate_of_row(row: &RateRow) -> f64 {
    scale_of_group(row.group) * rate_of_layer(row)
}

fn gradient(tensor: usize, step: i32, count: usize) -> Vec<f64> {
    test_values(count, 1000 * tensor as u64 + step as u64)
}

/// An optimiser of `storage`, and the sums that it reads.
fn optimizer(gpu: &Gpu, storage: &Storage, settings: Settings) -> (Optimizer, Buffer) {
    let sums = gpu.buffer("sums", 16).unwrap();
    gpu.write(&sums, 0, &Totals::zero(1).words());
    let update = Update::new(storage.parameters(), &storage.layout, RATES.len(), settings);
    (Optimizer::new(gpu, storage, &sums.whole(), update).unwrap(), sums)
}

/// The parameters after five steps of `optimizer` on `storage`, which contains the tensors `which`.
/// `before` is called at the start of each step, counted from 1.
fn steps(
    gpu: &Gpu,
    storage: &Storage,
    which: &[usize],
    optimizer: &mut Optimizer,
    rate: impl Fn(&RateRow) -> f64,
    mut before: impl FnMut(&mut Optimizer, i32),
) -> Vec<Vec<f32>> {
    for (span, &tensor) in storage.layout.spans().iter().zip(which) {
        storage.params.write(gpu, span, &narrow(&test_values(span.count, tensor as u64)));
    }
    for step in 1..=STEPS {
        before(optimizer, step);
        for (span, &tensor) in storage.layout.spans().iter().zip(which) {
            storage.grads.write(gpu, span, &narrow(&gradient(tensor, step, span.count)));
        }
        optimizer.prepare(gpu, &rate);
        gpu.run(optimizer.calls()).unwrap();
    }
    storage.params.read_all(gpu, &storage.layout).unwrap()
}

/// Five steps at one rate per layer. After `halt_after` steps a loss is not finite.
fn train(gpu: &Gpu, storage: &Storage, which: &[usize], settings: Settings, halt_after: Option<i32>) -> Vec<Vec<f32>> {
    let (mut optimizer, sums) = optimizer(gpu, storage, settings);
    steps(gpu, storage, which, &mut optimizer, rate_of_layer, |_, step| {
        if halt_after == Some(step - 1) {
            gpu.write(&sums, 0, &Totals { halted: 1, ..Totals::zero(1) }.words());
        }
    })
}

fn settings(rule: Rule) -> Settings {
    Settings { rule, weight_decay: 0.01, spare_norm_and_bias: false, clip_norm: None, layer_norms: false }
}

fn rules() -> Vec<Rule> {
    let mut rules: Vec<_> = Rule::NAMES.iter().map(|name| Rule::named(name).unwrap()).collect();
    rules.push(Rule::Sgd { momentum: 0.9, nesterov: true });
    rules.push(Rule::Sgd { momentum: 0.0, nesterov: false });
    rules
}

/// The parameters after five steps of the reference. `rate` gives the rate of a row in a step, or
/// none where it is frozen.
fn expected(settings: &Settings, rate: impl Fn(&RateRow, i32) -> Option<f64>) -> Vec<Vec<f64>> {
    let tensors = tensors();
    let mut states: Vec<_> = tensors
        .iter()
        .enumerate()
        .map(|(i, (shape, ..))| reference::State::new(test_values(shape.count(), i as u64)))
        .collect();
    for step in 1..=STEPS {
        let trained: Vec<_> = tensors
            .iter()
            .enumerate()
            .filter_map(|(i, (shape, layer, group))| {
                let rate = rate(&RateRow { layer: *layer, group: *group }, step)?;
                Some((i, rate, gradient(i, step, shape.count())))
            })
            .collect();
        let norm = trained.iter().flat_map(|(_, _, gradient)| gradient).map(|g| g * g).sum::<f64>().sqrt();
        let scale = settings.clip_norm.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
        for (i, rate, gradient) in trained {
            let spared = settings.spare_norm_and_bias && tensors[i].2 != Group::Weight;
            let decay = if spared { 0.0 } else { settings.weight_decay };
            let scaled: Vec<_> = gradient.iter().map(|g| g * scale).collect();
            states[i].step(&settings.rule, &scaled, rate, decay, step);
        }
    }
    states.into_iter().map(|state| state.p).collect()
}

fn assert_all_close(rule: Rule, found: &[Vec<f32>], expected: &[Vec<f64>]) {
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_close(&format!("{rule:?} p{i}"), found, expected, 1e-6);
    }
}

fn check(gpu: &Gpu, settings: Settings) {
    let tensors = tensors();
    let storage = Storage::new(gpu, &tape_of(&tensors)).unwrap();
    let all: Vec<_> = (0..tensors.len()).collect();
    let found = train(gpu, &storage, &all, settings, None);
    assert_all_close(settings.rule, &found, &expected(&settings, |row, _| Some(rate_of_layer(row))));
}

fn matches_reference(gpu: &Gpu) {
    for rule in rules() {
        check(gpu, settings(rule));
        check(gpu, Settings { spare_norm_and_bias: true, ..settings(rule) });
        check(gpu, Settings { clip_norm: Some(0.5), ..settings(rule) });
        check(gpu, Settings { clip_norm: Some(1e9), ..settings(rule) });
    }
}

fn bits(values: &[Vec<f32>]) -> Vec<u32> {
    values.iter().flatten().map(|v| v.to_bits()).collect()
}

fn equals_a_dispatch_per_tensor(gpu: &Gpu) {
    let tensors = tensors();
    let all: Vec<_> = (0..tensors.len()).collect();
    for rule in rules() {
        let storage = Storage::new(gpu, &tape_of(&tensors)).unwrap();
        let fused = train(gpu, &storage, &all, settings(rule), None);
        let alone = |tensor: usize| {
            let storage = Storage::new(gpu, &tape_of(&tensors[tensor..=tensor])).unwrap();
            train(gpu, &storage, &[tensor], settings(rule), None).remove(0)
        };
        let one_by_one: Vec<_> = all.iter().map(|&tensor| alone(tensor)).collect();
        assert_eq!(bits(&fused), bits(&one_by_one), "{rule:?}");
    }
}

fn equals_windows(gpu: &Gpu) {
    let all: Vec<_> = (0..tensors().len()).collect();
    for clip_norm in [None, Some(0.5)] {
        let settings = Settings { clip_norm, ..settings(Rule::named("adam").unwrap()) };
        let [whole, cut] = in_one_and_three_windows(gpu).map(|storage| train(gpu, &storage, &all, settings, None));
        if clip_norm.is_none() {
            assert_eq!(bits(&whole), bits(&cut));
        }
        // The norm's sums are grouped by window, so rounding may differ.
        for (whole, cut) in whole.iter().zip(&cut) {
            assert_close("windows", cut, &whole.iter().map(|&v| f64::from(v)).collect::<Vec<_>>(), 1e-6);
        }
    }
}

/// The layers' norms after one step from known weights, with the rows' rates scaled by `scale`; and
/// the weights and gradients.
fn norms_of_a_step(
    gpu: &Gpu,
    storage: &Storage,
    settings: Settings,
    scale: impl Fn(usize) -> f64,
) -> (Vec<LayerNorms>, [Vec<Vec<f64>>; 2]) {
    let (mut optimizer, _sums) = optimizer(gpu, storage, settings);
    (0..optimizer.rows().len()).for_each(|row| optimizer.set_scale(gpu, row, scale(row)));
    let spans = || storage.layout.spans().iter().enumerate();
    let before: Vec<_> = spans().map(|(i, span)| test_values(span.count, i as u64)).collect();
    let gradients: Vec<_> = spans().map(|(i, span)| gradient(i, 1, span.count)).collect();
    for (i, span) in spans() {
        storage.params.write(gpu, span, &narrow(&before[i]));
        storage.grads.write(gpu, span, &narrow(&gradients[i]));
    }
    optimizer.prepare(gpu, rate_of_layer);
    gpu.run(optimizer.calls()).unwrap();
    (optimizer.layer_norms(gpu).unwrap(), [before, gradients])
}

/// Arenas in one window, and in three. The largest tensor fills its own: 18,753 floats take 74
/// blocks.
fn in_one_and_three_windows(gpu: &Gpu) -> [Storage; 2] {
    let tape = tape_of(&tensors());
    let storages = [Storage::new(gpu, &tape).unwrap(), Storage::with_windows(gpu, &tape, 74 * 1024).unwrap()];
    assert_eq!([1, 3], [0, 1].map(|i| storages[i].layout.windows().len()));
    storages
}

fn norms_cost_no_bit_and_match(gpu: &Gpu) {
    let tensors = tensors();
    let all: Vec<_> = (0..tensors.len()).collect();
    for rule in rules() {
        for clip_norm in [None, Some(0.5)] {
            let plain = Settings { clip_norm, ..settings(rule) };
            let with_norms = Settings { layer_norms: true, ..plain };
            for (without, with) in in_one_and_three_windows(gpu).iter().zip(&in_one_and_three_windows(gpu)) {
                let expected = train(gpu, without, &all, plain, None);
                assert_eq!(bits(&train(gpu, with, &all, with_norms, None)), bits(&expected), "{rule:?}");
            }

            let storage = Storage::new(gpu, &tape_of(&tensors)).unwrap();
            let (found, [before, gradients]) = norms_of_a_step(gpu, &storage, with_norms, |_| 1.0);
            let norm = gradients.iter().flatten().map(|g| g * g).sum::<f64>().sqrt();
            let scale = clip_norm.map_or(1.0, |most| (most / (norm + 1e-6)).min(1.0));
            assert_eq!(found.len(), RATES.len());
            for (layer, found) in found.iter().enumerate() {
                let of_layer = || (0..tensors.len()).filter(|&i| tensors[i].1 == layer);
                let norm =
                    |values: &dyn Fn(usize) -> Vec<f64>| of_layer().flat_map(values).map(|v| v * v).sum::<f64>().sqrt();
                let gradient = norm(&|i| gradients[i].iter().map(|g| g * scale).collect());
                let weight = norm(&|i| before[i].clone());
                let change = norm(&|i| {
                    let declared = &tensors[i];
                    let mut state = reference::State::new(before[i].clone());
                    let scaled: Vec<f64> = gradients[i].iter().map(|g| g * scale).collect();
                    state.step(&rule, &scaled, RATES[declared.1], with_norms.weight_decay, 1);
                    state.p.iter().zip(&before[i]).map(|(after, before)| after - before).collect()
                });
                for (what, found, expected) in [
                    ("gradient", found.gradient, gradient),
                    ("weight", found.weight, weight),
                    ("update", found.update, change),
                ] {
                    let close = (found - expected).abs() <= 1e-4 * expected;
                    assert!(close, "{rule:?} layer {layer}: {what} {found}, expected {expected}");
                }
                approx::assert_relative_eq!(found.effective_rate(), change / weight, max_relative = 1e-4);
            }
        }
    }
}

fn norms_are_the_same_over_windows(gpu: &Gpu) {
    for rule in rules() {
        let with_norms = Settings { layer_norms: true, ..settings(rule) };
        let [whole, cut] =
            in_one_and_three_windows(gpu).map(|storage| norms_of_a_step(gpu, &storage, with_norms, |_| 1.0).0);
        assert_eq!(whole, cut, "{rule:?}");
    }
}

fn parameters_do_not_change_after_a_halt(gpu: &Gpu) {
    let tensors = tensors();
    let all: Vec<_> = (0..tensors.len()).collect();
    for rule in rules() {
        let run = |halt_after| {
            let storage = Storage::new(gpu, &tape_of(&tensors)).unwrap();
            train(gpu, &storage, &all, settings(rule), halt_after)
        };
        let start: Vec<Vec<f32>> =
            tensors.iter().enumerate().map(|(i, (shape, ..))| narrow(&test_values(shape.count(), i as u64))).collect();
        assert_eq!(bits(&run(Some(0))), bits(&start), "{rule:?}");
        assert_ne!(bits(&run(Some(1))), bits(&start), "{rule:?}");
        assert_ne!(bits(&run(Some(1))), bits(&run(None)), "{rule:?}");
    }
}

fn rows_have_rates_of_their_own(gpu: &Gpu) {
    let all: Vec<_> = (0..tensors().len()).collect();
    for rule in rules() {
        for settings in [settings(rule), Settings { clip_norm: Some(0.5), ..settings(rule) }] {
            let storage = Storage::new(gpu, &tape_of(&tensors())).unwrap();
            let mut own = optimizer(gpu, &storage, settings).0;
            let found = steps(gpu, &storage, &all, &mut own, rate_of_row, |_, _| ());
            assert_all_close(rule, &found, &expected(&settings, |row, _| Some(rate_of_row(row))));

            let mut scaled = optimizer(gpu, &storage, settings).0;
            for (i, row) in scaled.rows().to_vec().iter().enumerate() {
                scaled.set_scale(gpu, i, scale_of_group(row.group));
            }
            let by_scales = steps(gpu, &storage, &all, &mut scaled, rate_of_layer, |_, _| ());
            assert_eq!(bits(&by_scales), bits(&found), "{rule:?}: rates that are scaled by the optimiser");
        }
    }
}

/// Parameters and moments of the tensors that are not in the row of `tensor`, as bits.
fn bits_of_others(gpu: &Gpu, storage: &Storage, optimizer: &Optimizer, tensor: usize) -> Vec<u32> {
    let arenas = std::iter::once(&storage.params).chain(optimizer.moments());
    let mut values: Vec<_> = arenas.map(|arena| arena.read_all(gpu, &storage.layout).unwrap()).collect();
    values.iter_mut().for_each(|values| drop(values.remove(tensor)));
    bits(&values.concat())
}

/// All rows but one are trained in the first two steps and the last, and frozen in between.
fn frozen_rows_do_not_change(gpu: &Gpu) {
    let tensors = tensors();
    let all: Vec<_> = (0..tensors.len()).collect();
    for rule in rules() {
        for (clip_norm, tensor) in [(None, 0), (Some(0.5), 2), (None, 4), (Some(0.5), 4), (None, 5)] {
            let settings = Settings { clip_norm, ..settings(rule) };
            let trained = RateRow { layer: tensors[tensor].1, group: tensors[tensor].2 };
            let frozen = |row: &RateRow, step| *row != trained && (3..STEPS).contains(&step);
            for storage in in_one_and_three_windows(gpu) {
                let mut at_steps = vec![];
                let mut optimizer = optimizer(gpu, &storage, settings).0;
                let found = steps(gpu, &storage, &all, &mut optimizer, rate_of_layer, |optimizer, step| {
                    for (i, row) in optimizer.rows().to_vec().iter().enumerate() {
                        optimizer.set_scale(gpu, i, if frozen(row, step) { 0.0 } else { 1.0 });
                    }
                    at_steps.push(bits_of_others(gpu, &storage, optimizer, tensor));
                });
                assert_eq!(at_steps[2], at_steps[4], "{rule:?}: frozen rows, all but that of p{tensor}");
                assert_ne!(at_steps[0], at_steps[2], "{rule:?}");
                assert_ne!(at_steps[4], bits_of_others(gpu, &storage, &optimizer, tensor), "{rule:?}");
                let rate = |row: &RateRow, step| (!frozen(row, step)).then(|| rate_of_layer(row));
                assert_all_close(rule, &found, &expected(&settings, rate));
            }
        }
    }
}

fn frozen_rows_count_in_no_norm(gpu: &Gpu) {
    let storage = Storage::new(gpu, &tape_of(&tensors())).unwrap();
    let with_norms = Settings { layer_norms: true, clip_norm: Some(0.5), ..settings(Rule::named("adam").unwrap()) };
    // The bias of the last layer is the last row.
    let (found, [before, gradients]) =
        norms_of_a_step(gpu, &storage, with_norms, |row| if row == 5 { 1.0 } else { 0.0 });
    assert_eq!(found[..2], [LayerNorms::default(); 2]);
    let norm = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>().sqrt();
    approx::assert_relative_eq!(found[2].weight, norm(&before[5]), max_relative = 1e-4);
    approx::assert_relative_eq!(found[2].gradient, norm(&gradients[5]).min(0.5), max_relative = 1e-4);
    assert!(found[2].update > 0.0);
}

pub fn tests() -> Vec<Test> {
    let tests = [
        in_two_dialects("optimisers match their references", matches_reference),
        in_two_dialects("optimisers equal a dispatch per tensor, bit for bit", equals_a_dispatch_per_tensor),
        in_two_dialects("optimisers update over windows", equals_windows),
        in_two_dialects("optimisers: norms cost no bit and match", norms_cost_no_bit_and_match),
        in_two_dialects("optimisers: norms are the same over windows", norms_are_the_same_over_windows),
        in_two_dialects("optimisers: rows have rates of their own", rows_have_rates_of_their_own),
        in_two_dialects("optimisers: frozen rows do not change", frozen_rows_do_not_change),
        in_two_dialects("optimisers: frozen rows count in no norm", frozen_rows_count_in_no_norm),
        in_two_dialects("optimisers stand still once a loss was not finite", parameters_do_not_change_after_a_halt),
    ];
    tests.into_iter().flatten().collect()
}
