//! Tests of the operations of text and attention that the op table does not cover.

use crate::common::rows::sequence_rows;
use crate::common::{Test, in_two_dialects, test};
use lerac::checks::{CONTROLS, Row, assert_close, declare, narrow, test_values};
use lerac::gpu::{BufferRange, Gpu};
use lerac::ops::attention::{self, AttentionOptions};
use lerac::ops::embedding::embedding;
use lerac::tape::{Controls, Mode, Program, Storage, Tape, Target, Var};

fn read(gpu: &Gpu, range: BufferRange, count: usize) -> Vec<f32> {
    gpu.read(&range.part(0, 4 * count as u64)).unwrap()
}

/// Five tokens of a table of four rows: the padding row gets no gradient, and a number that is not
/// a row gives NaN and no gradient.
fn padding_is_not_trained_and_no_row_is_nan(gpu: &Gpu) {
    for d in [3, 8] {
        let mut tape = Tape::new(Mode::Train);
        let weight = declare(&mut tape, &[[4, d].into()])[0];
        let ids = tape.buffer("ids", 20);
        let y = embedding(&mut tape, "embedding", (ids.into(), &[5].into()), weight, Some(3));
        tape.seed_gradient(y);
        let storage = Storage::new(gpu, &tape).unwrap();
        let program = Program::new(gpu, tape, &storage).unwrap();
        let (table, dy) = (narrow(&test_values(4 * d, 1)), narrow(&test_values(5 * d, 2)));
        storage.params.write(gpu, &storage.layout.spans()[0], &table);
        gpu.write(program.buffer(ids), 0, &[1u32, 3, 0, 1, 4]);
        gpu.write(program.gradient(y), 0, &dy);
        gpu.run(program.forward().iter().chain(program.backward())).unwrap();
        let y = read(gpu, program.value(y), 5 * d);
        assert_eq!(y[..4 * d], [1, 3, 0, 1].map(|row: usize| &table[row * d..][..d]).concat());
        assert!(y[4 * d..].iter().all(|v| v.is_nan()), "{y:?}");
        let row = |n: usize| &dy[n * d..][..d];
        let twice: Vec<f32> = row(0).iter().zip(row(3)).map(|(a, b)| a + b).collect();
        let expected = [row(2), &twice, &vec![0.0; 2 * d]].concat();
        assert_eq!(storage.grads.read(gpu, &storage.layout.spans()[0]).unwrap(), expected);
    }
}

/// y, and the gradients of q, k and v.
fn attend(gpu: &Gpu, target: Target, pass: u32, fused: bool) -> Vec<Vec<f32>> {
    let mut tape = Tape::new(Mode::Train).with_target(target);
    let qkv = ["q", "k", "v"].map(|name| tape.leaf(name, [3, 65, 32], true));
    let lengths = tape.buffer("lengths", 12);
    let options = AttentionOptions { heads: 2, scale: 0.25, lengths: Some(lengths.into()), dropout: 0.2, salt: 9 };
    let y = match fused {
        true => attention::fused(&mut tape, "attention", qkv, options),
        false => attention::composed(&mut tape, "attention", qkv, options),
    };
    tape.seed_gradient(y);
    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    let values = |seed| narrow(&test_values(3 * 65 * 32, seed));
    qkv.iter().zip(1..).for_each(|(&var, seed)| gpu.write(program.value(var), 0, &values(seed)));
    gpu.write(program.buffer(lengths), 0, &[65u32, 40, 1]);
    gpu.write(program.buffer_named(lerac::tape::CONTROLS).unwrap(), 0, &[Controls { pass, ..CONTROLS }]);
    gpu.write(program.gradient(y), 0, &values(4));
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let ranges = [program.value(y)].into_iter().chain(qkv.map(|var: Var| program.gradient(var)));
    ranges.map(|range| read(gpu, range, 3 * 65 * 32)).collect()
}

/// Fused and composed attention drop the same probabilities in every pass, and repeat their bits.
fn both_ways_of_attention_agree(gpu: &Gpu) {
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    for (target, pass) in [(Target::Gpu, 0), (Target::Gpu, 2), (Target::Processor, 3)] {
        let [composed, fused] = [false, true].map(|fused| attend(gpu, target, pass, fused));
        for ((name, composed), fused) in ["y", "dq", "dk", "dv"].iter().zip(&composed).zip(&fused) {
            assert_close(&format!("{name}, {target:?}, pass {pass}"), fused, &wide(composed), 4e-6);
        }
        assert!(attend(gpu, target, pass, true) == fused, "other bits");
    }
    assert!(attend(gpu, Target::Gpu, 0, true)[0] != attend(gpu, Target::Gpu, 1, true)[0], "one mask in two passes");
}

/// <y, dy> = the sum of <v, dv> over the operands in which a row is linear together: `inputs`, and
/// `params` where these are.
fn adjoint(gpu: &Gpu, row: &Row, tape: &Tape, inputs: &[usize], params: bool) {
    let (tape, vars, y) = row.on(tape.clone());
    let count = tape.shape(y).count();
    let storage = Storage::new(gpu, &tape).unwrap();
    let program = Program::new(gpu, tape, &storage).unwrap();
    let (values, dy) = (row.values(), narrow(&row.weights(count)));
    for (&var, value) in vars.iter().zip(&values) {
        gpu.write(program.value(var), 0, &narrow(value));
    }
    for (span, value) in storage.layout.spans().iter().zip(&values[vars.len()..]) {
        storage.params.write(gpu, span, &narrow(value));
    }
    for (name, words) in &row.buffers {
        program.buffer_named(name).into_iter().for_each(|range| gpu.write(range, 0, words));
    }
    if let Some(controls) = program.buffer_named(lerac::tape::CONTROLS) {
        gpu.write(controls, 0, &[CONTROLS]);
    }
    gpu.write(program.gradient(y), 0, &dy);
    gpu.run(program.forward().iter().chain(program.backward())).unwrap();
    let y = read(gpu, program.value(y), count);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
    let of_input = |&i: &usize| dot(&narrow(&values[i]), &read(gpu, program.gradient(vars[i]), values[i].len()));
    let spans = storage.layout.spans().iter().filter(|_| params);
    let of_param = |(span, value): (_, &Vec<f64>)| dot(&narrow(value), &storage.grads.read(gpu, span).unwrap());
    let found: f64 = inputs.iter().map(of_input).chain(spans.zip(&values[vars.len()..]).map(of_param)).sum();
    let (expected, scale) = (dot(&y, &dy), (dot(&y, &y) * dot(&dy, &dy)).sqrt());
    assert!((found - expected).abs() <= 1e-6 * scale, "{}: {found} for {expected} at a scale of {scale}", row.name);
}

/// An embedding is linear in its table, positions in x and table together, attention in v.
fn linear_parts_have_their_adjoints(gpu: &Gpu) {
    let mut checked = 0;
    for row in sequence_rows::rows() {
        let (inputs, params): (&[usize], _) = match row.name.split(' ').next() {
            Some("embedding") => (&[], true),
            Some("position") => (&[0], true),
            Some("attention") => (&[2], false),
            _ => continue,
        };
        checked += 1;
        row.tapes().iter().for_each(|(tape, _)| adjoint(gpu, &row, tape, inputs, params));
    }
    assert!(checked > 15, "{checked} rows");
}

pub fn tests() -> Vec<Test> {
    let padding =
        in_two_dialects("sequences: padding is not trained, no row is NaN", padding_is_not_trained_and_no_row_is_nan);
    let adjoints = test("sequences: adjoints of what is linear", linear_parts_have_their_adjoints);
    let agree = in_two_dialects("sequences: both ways of attention agree", both_ways_of_attention_agree);
    padding.into_iter().chain(agree).chain([adjoints]).collect()
}
