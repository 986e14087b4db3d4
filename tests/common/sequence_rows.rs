//! Rows of the op table for text and attention.

use lerac::checks::{CONTROLS, Row};
use lerac::ops;
use lerac::ops::activation::{self, Nonlinearity, activation};
use lerac::ops::attention::{self, Extent, reference::Drop};
use lerac::ops::{dropout, embedding, layer_norm, lstm, position, prepend, slice, softmax, transpose};
use lerac::tape::{Operand, ParamId, Tape};
use lerac::tensor::Shape;

/// A buffer of u32 for the operation `name`; `None` if `words` is empty.
fn words(tape: &mut Tape, name: &str, which: &str, words: &[u32]) -> Option<Operand> {
    (!words.is_empty()).then(|| tape.buffer(&format!("{name}.{which}"), 4 * words.len() as u64).into())
}

/// Values between -1.53 and 1.47 times `gain`.
fn function(function: Nonlinearity, shape: Shape, gain: f64) -> Row {
    // The only value of a single element is negative.
    let activates = shape.count() > 1;
    let name = format!("{} {shape} up to {}", function.name(), 1.5 * gain);
    let row =
        Row::new(name, [shape], []).record(move |tape, name, x, _| activation(tape, name, x[0], function)).reference(
            move |v| activation::reference::forward(&v[0], function),
            move |v, dy| vec![activation::reference::backward(&v[0], dy, function)],
        );
    Row { activates, gain, ..row }
}

fn layer_norm(shape: Shape, epsilon: f32) -> Row {
    let [_, c] = shape.last_axis();
    let of = f64::from(epsilon);
    Row::new(format!("layer_norm {shape} {epsilon:e}"), [shape], [[c].into(), [c].into()])
        .record(move |tape, name, x, p| layer_norm::layer_norm(tape, name, x[0], p[0], p[1], epsilon))
        .reference(
            move |v| layer_norm::reference::forward(&v[0], &v[1], &v[2], of),
            move |v, dy| {
                let (dx, dweight, dbias) = layer_norm::reference::backward(&v[0], &v[1], dy, of);
                vec![dx, dweight, dbias]
            },
        )
}

/// Rows whose mean is thousands of deviations.
fn layer_norm_far_from_0(shape: Shape) -> Row {
    let row = layer_norm(shape, 1e-5);
    Row { name: format!("{} far from 0", row.name), offset: 5000.0, ..row }
}

/// `lengths` may be empty: then all keys count.
fn softmax(shape: Shape, scale: f64, lengths: &'static [u32], gain: f64) -> Row {
    let [_, s] = shape.last_axis();
    let row = Row::new(format!("softmax {shape} {scale}, lengths {lengths:?}, up to {}", 1.5 * gain), [shape], [])
        .record(move |tape, name, x, _| {
            let lengths = words(tape, name, "lengths", lengths);
            softmax::softmax(tape, name, x[0], scale, lengths)
        })
        .buffer("op.lengths", lengths.to_vec())
        .reference(
            move |v| softmax::reference::forward(&v[0], s, scale, lengths),
            move |v, dy| vec![softmax::reference::backward(&v[0], dy, s, scale, lengths)],
        );
    Row { activates: true, gain, ..row }
}

/// Numbers of rows, the first ones frequent: of `n` numbers below `v`, half are 0 and a sixth 1.
fn numbers(n: usize, v: usize) -> Vec<u32> {
    let number = |i: usize| match i % 6 {
        0 | 2 | 3 => 0,
        4 => 1 % v,
        _ => i * 7 % v,
    };
    (0..n).map(|i| number(i) as u32).collect()
}

fn embedding(shape: Shape, [v, d]: [usize; 2], padding: Option<usize>) -> Row {
    let ids = numbers(shape.count(), v);
    let name = format!("embedding {shape} of [{v},{d}], padding {padding:?}");
    let (forward, backward) = (ids.clone(), ids.clone());
    Row::new(name, [], [[v, d].into()])
        .buffer("op.ids", ids.clone())
        .record(move |tape, name, _, p| {
            let ids = words(tape, name, "ids", &ids).expect("there are numbers");
            embedding::embedding(tape, name, (ids, &shape), p[0], padding)
        })
        .reference(
            move |v| embedding::reference::forward(&forward, &v[0], d),
            move |_, dy| vec![embedding::reference::backward(&backward, dy, [v, d], padding)],
        )
}

fn position([n, t, d]: [usize; 3], positions: usize) -> Row {
    Row::new(format!("position [{n},{t},{d}] of {positions}"), [[n, t, d].into()], [[positions, d].into()])
        .record(|tape, name, x, p| position::position(tape, name, x[0], p[0]))
        .reference(
            move |v| position::reference::forward(&v[0], &v[1], t * d),
            move |_, dy| vec![dy.to_vec(), position::reference::backward_weight(dy, t * d, positions * d)],
        )
}

/// Tokens of x `[n,t,c]`.
fn slice([n, t, c]: [usize; 3], tokens: std::ops::Range<usize>) -> Row {
    let (part, name) = (tokens.start * c..tokens.end * c, format!("slice [{n},{t},{c}] {tokens:?}"));
    let again = part.clone();
    let row = Row::new(name, [[n, t, c].into()], [])
        .record(move |tape, name, x, _| slice::slice(tape, name, x[0], tokens.clone()))
        .reference(
            move |v| slice::reference::forward(&v[0], t * c, part.clone()),
            move |_, dy| vec![slice::reference::backward(dy, t * c, again.clone())],
        );
    Row { linear: true, ..row }
}

fn transpose(extent: [usize; 4]) -> Row {
    let [a, b, c, d] = extent;
    let row = Row::new(format!("transpose {extent:?}"), [extent.into()], [])
        .record(move |tape, name, x, _| transpose::transpose(tape, name, x[0], extent))
        .reference(
            move |v| transpose::reference::forward(&v[0], extent),
            move |_, dy| vec![transpose::reference::forward(dy, [a, c, b, d])],
        );
    Row { linear: true, ..row }
}

/// x `[n,t,c]`; the tokens are a parameter, or an input of `groups` rows.
fn prepend([n, t, c]: [usize; 3], groups: Option<usize>) -> Row {
    let (extent, x, name) = ([n, t, c], [n, t, c].into(), format!("prepend [{n},{t},{c}], tokens {groups:?}"));
    let row = match groups {
        Some(groups) => Row::new(name, [x, [groups, c].into()], [])
            .record(|tape, name, x, _| prepend::prepend(tape, name, x[0], prepend::Token::Computed(x[1]))),
        None => Row::new(name, [x], [[1, 1, c].into()])
            .record(|tape, name, x, p| prepend::prepend(tape, name, x[0], prepend::Token::Trained(p[0]))),
    };
    row.reference(
        move |v| prepend::reference::forward(&v[0], &v[1], extent),
        move |_, dy| {
            let (dx, dtokens) = prepend::reference::backward(dy, groups.unwrap_or(1), extent);
            vec![dx, dtokens]
        },
    )
}

fn stochastic_depth(shape: Shape, p: f64) -> Row {
    const SALT: u32 = 6;
    let [_, count] = shape.flat();
    let apply = move |x: &[f64]| dropout::reference::stochastic_depth(x, count, p, CONTROLS.seed, CONTROLS.step, SALT);
    let row = Row::new(format!("stochastic_depth {shape} {p}"), [shape], [])
        .record(move |tape, name, x, _| dropout::stochastic_depth(tape, name, x[0], p, SALT))
        .reference(move |v| apply(&v[0]), move |_, dy| vec![apply(dy)]);
    Row { linear: true, ..row }
}

/// Attention, fused or composed.
fn attention(fused: bool, of: Extent, lengths: &'static [u32], p: f64) -> Row {
    const SALT: u32 = 5;
    let Extent { n, t, s, h, d } = of;
    let drop = Drop { p, seed: CONTROLS.seed, step: CONTROLS.step, salt: SALT };
    let scale = 1.0 / (d as f64).sqrt();
    let way = if fused { "fused" } else { "composed" };
    let of_k = Shape::from([n, s, h * d]);
    let row = Row::new(
        format!("attention {way} [{n},{t}] over {s}, {h} heads of {d}, lengths {lengths:?}, dropout {p}"),
        [[n, t, h * d].into(), of_k.clone(), of_k],
        [],
    )
    .buffer("op.lengths", lengths.to_vec())
    .record(move |tape, name, x, _| {
        let lengths = words(tape, name, "lengths", lengths);
        let options = attention::AttentionOptions { heads: h, scale, lengths, dropout: p, salt: SALT };
        let qkv = [x[0], x[1], x[2]];
        match fused {
            true => attention::fused(tape, name, qkv, options),
            false => attention::composed(tape, name, qkv, options),
        }
    })
    .reference(
        move |v| attention::reference::forward([&v[0], &v[1], &v[2]], of, scale, lengths, drop),
        move |v, dy| attention::reference::backward([&v[0], &v[1], &v[2]], dy, of, scale, lengths, drop).to_vec(),
    );
    let activates = lengths.is_empty() && p == 0.0 && t == s;
    Row { activates, multiply_adds: (2 * n * h * t * s * d) as u64, ..row }
}

/// Attention in both ways.
fn attentions() -> Vec<Row> {
    let of = |[n, t, s, h, d]: [usize; 5]| Extent { n, t, s, h, d };
    let both = |of, lengths, p| [false, true].map(|fused| attention(fused, of, lengths, p));
    [
        both(of([1, 1, 1, 1, 4]), &[], 0.0),
        both(of([2, 5, 5, 3, 12]), &[], 0.0),
        both(of([2, 7, 3, 2, 8]), &[], 0.3),
        both(of([3, 9, 9, 2, 32]), &[9, 1, 20], 0.0),
        both(of([2, 11, 70, 1, 64]), &[69, 0], 0.2),
        both(of([1, 70, 13, 2, 36]), &[5], 0.0),
        both(of([1, 3, 9, 1, 128]), &[], 0.0),
    ]
    .into_iter()
    .flatten()
    .chain([attention(false, of([2, 3, 4, 3, 5]), &[2, 4], 0.25)])
    .collect()
}

/// The sequence of one or two directions, or h after their last steps.
fn lstm([n, t, c, h]: [usize; 4], directions: usize, lengths: &'static [u32], is_last: bool) -> Row {
    let extent = [n, t, c, h];
    let of = move |direction: usize| lstm::reference::Of { extent, lengths, reverse: direction == 1 };
    let weights: [Shape; 4] = [[4 * h, c].into(), [4 * h, h].into(), [4 * h].into(), [4 * h].into()];
    let (inputs, params) = ([[n, t, c].into()], vec![weights; directions].concat());
    // The operands of a direction; and the elements of a sequence that are its, side by side.
    let operands =
        |v: &'_ [Vec<f64>], direction: usize| -> Vec<Vec<f64>> { [&v[..1], &v[1 + 4 * direction..][..4]].concat() };
    let forward = move |v: &[Vec<f64>]| {
        let of_direction = |i| {
            let operands = operands(v, i);
            lstm::reference::forward(&operands.iter().map(Vec::as_slice).collect::<Vec<_>>(), &of(i))
        };
        let sequence = match directions {
            1 => of_direction(0),
            _ => ops::concat::reference::forward(&of_direction(0), &of_direction(1), [h, h]),
        };
        let last = || lstm::reference::last(&of(0), directions).into_iter().map(|at| at.map_or(0.0, |at| sequence[at]));
        if is_last { last().collect() } else { sequence }
    };
    let backward = move |v: &[Vec<f64>], dy: &[f64]| {
        let mut dsequence = dy.to_vec();
        if is_last {
            dsequence = vec![0.0; n * t * h * directions];
            for (at, g) in lstm::reference::last(&of(0), directions).into_iter().zip(dy) {
                at.into_iter().for_each(|at| dsequence[at] += g);
            }
        }
        let (first, second) = match directions {
            1 => (dsequence, vec![]),
            _ => ops::concat::reference::backward(&dsequence, [h, h]),
        };
        let mut gradients = vec![vec![0.0; n * t * c]];
        for (i, dy) in [first, second].iter().take(directions).enumerate() {
            let operands = operands(v, i);
            let operands: Vec<_> = operands.iter().map(Vec::as_slice).collect();
            let mut of_direction = lstm::reference::backward(&operands, dy, &of(i));
            gradients[0].iter_mut().zip(of_direction.remove(0)).for_each(|(sum, g)| *sum += g);
            gradients.extend(of_direction);
        }
        gradients
    };
    let which = if is_last { ", last" } else { "" };
    let row = Row::new(
        format!("lstm [{n},{t},{c}] -> {h} in {directions} directions, lengths {lengths:?}{which}"),
        inputs,
        params,
    )
    .buffer("op.lengths", lengths.to_vec())
    .record(move |tape, name, x, p| {
        let lengths = words(tape, name, "lengths", lengths);
        let weights =
            |p: &[ParamId]| lstm::LstmWeights { input: p[0], hidden: p[1], input_bias: p[2], hidden_bias: p[3] };
        let directions: Vec<_> = p.chunks(4).map(weights).collect();
        let outputs = lstm::lstm(tape, name, x[0], &directions, lengths);
        if is_last { outputs.last } else { outputs.sequence }
    })
    .reference(forward, backward);
    Row { multiply_adds: (n * t * 4 * h * (c + h) * directions) as u64, ..row }
}

/// All rows: small, odd and awkward.
pub fn rows() -> Vec<Row> {
    let functions = Nonlinearity::ALL.into_iter().flat_map(|f| {
        [([1].into(), 1.0), ([7].into(), 1.0), ([3, 5, 7, 2].into(), 4.0), ([4, 64, 33, 31].into(), 60.0)]
            .map(|(shape, gain)| function(f, shape, gain))
    });
    let others = [
        layer_norm([1, 1].into(), 1e-5),
        layer_norm([3, 7].into(), 1e-12),
        layer_norm([2, 5, 64].into(), 1e-5),
        layer_norm([5, 3, 130].into(), 1e-12),
        layer_norm([70, 3, 5].into(), 1e-5),
        // More than one row of a linear grid.
        layer_norm([33_000, 2].into(), 1e-2),
        layer_norm_far_from_0([3, 2, 16].into()),
        softmax([1, 1].into(), 1.0, &[], 1.0),
        softmax([3, 7].into(), 1.0, &[], 1.0),
        softmax([2, 3, 5, 9].into(), 0.25, &[], 60.0),
        softmax([4, 3, 70].into(), 1.5, &[70, 1, 65, 33], 1.0),
        softmax([3, 2, 2, 5].into(), 0.5, &[9, 0, 4], 8.0),
        softmax([33_000, 3].into(), 1.0, &[], 1.0),
        embedding([1].into(), [1, 1], None),
        embedding([2, 3].into(), [7, 5], None),
        embedding([5, 13].into(), [9, 3], None),
        embedding([400].into(), [70, 8], None),
        embedding([7, 64].into(), [2, 4], None),
        position([1, 1, 1], 1),
        position([3, 5, 7], 5),
        position([2, 3, 4], 6),
        slice([1, 1, 1], 0..1),
        slice([3, 5, 7], 0..1),
        slice([2, 6, 4], 2..6),
        transpose([1, 1, 1, 1]),
        transpose([2, 3, 5, 1]),
        transpose([3, 5, 2, 7]),
        // More than one row of a linear grid.
        transpose([3, 701, 1001, 1]),
        prepend([1, 1, 1], None),
        prepend([5, 4, 3], None),
        prepend([6, 5, 7], Some(2)),
        prepend([3, 2, 4], Some(3)),
        stochastic_depth([9, 7].into(), 0.4),
        stochastic_depth([33, 3, 5].into(), 0.1),
        lstm([1, 1, 1, 1], 1, &[], false),
        lstm([2, 4, 3, 5], 1, &[], false),
        lstm([3, 5, 7, 4], 2, &[5, 2, 0], false),
        lstm([3, 5, 2, 3], 2, &[4, 9, 1], true),
        lstm([2, 3, 4, 6], 1, &[], true),
        lstm([9, 3, 5, 17], 2, &[], false),
        // So many rows that the gradient of a bias is summed in two stages.
        lstm([206, 5, 2, 3], 1, &[], false),
    ];
    functions.chain(others).chain(attentions()).collect()
}

/// Shapes of small language models, for benches.
pub fn large_rows() -> Vec<Row> {
    vec![
        function(Nonlinearity::GeluTanh, [32, 128, 1024].into(), 1.0),
        function(Nonlinearity::Tanh, [32, 128, 1024].into(), 1.0),
        layer_norm([32, 128, 256].into(), 1e-12),
        layer_norm([32, 128, 768].into(), 1e-12),
        softmax([32, 4, 128, 128].into(), 0.125, &[], 1.0),
        softmax([8, 4, 512, 512].into(), 0.125, &[], 1.0),
        embedding([32, 128].into(), [30_522, 256], None),
        embedding([32, 512].into(), [30_522, 256], None),
        embedding([32, 128].into(), [2, 256], None),
        position([32, 128, 256], 512),
        transpose([64, 64, 192, 1]),
        prepend([64, 64, 384], None),
        stochastic_depth([64, 65, 384].into(), 0.1),
        lstm([64, 100, 128, 256], 1, &[], false),
        lstm([10, 200, 128, 256], 1, &[], true),
        attention(false, Extent { n: 32, t: 128, s: 128, h: 4, d: 64 }, &[], 0.0),
        attention(true, Extent { n: 32, t: 128, s: 128, h: 4, d: 64 }, &[], 0.0),
        attention(true, Extent { n: 32, t: 128, s: 128, h: 4, d: 64 }, &[], 0.1),
        attention(false, Extent { n: 4, t: 512, s: 512, h: 4, d: 64 }, &[], 0.0),
        attention(true, Extent { n: 4, t: 512, s: 512, h: 4, d: 64 }, &[], 0.0),
        attention(true, Extent { n: 32, t: 128, s: 128, h: 12, d: 32 }, &[], 0.0),
    ]
}
