//! Plans of a tape, without a device: buffer sharing against a plain search, and the effect of
//! views.

use lerac::gpu::Kernel;
use lerac::ops::{add::add, relu::relu};
use lerac::tape::{Binding, Dispatch, Keep, Mode, Operand, Record, Tape, Var};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A launch of a dummy kernel.
fn launch(bindings: Vec<Binding>) -> Dispatch {
    let kernel = Kernel { shader: &lerac::ops::relu::SHADER, entry: "forward", constants: vec![] };
    Dispatch { kernel, bindings, grid: [1, 1, 1], multiply_adds: 0, tunable: None }
}

/// A tape, and the bytes of all its operands: values, gradients, buffers.
struct Drawn {
    tape: Tape,
    operands: Vec<(Operand, u64)>,
}

/// Appends random records that read one to three of the latest tensors, some through views, and
/// some scratch memory for both passes.
fn draw(records: usize, rng: &mut impl Rng) -> Drawn {
    let mut tape = Tape::new(Mode::Train);
    let (mut vars, mut buffers) = (vec![tape.leaf("x", [64], true)], vec![]);
    // The possible inputs of a record: tensors, and views of them.
    let mut readable = vars.clone();
    for i in 0..records {
        let name = format!("record{i}");
        let first = readable.len().saturating_sub(12);
        let inputs: Vec<Var> =
            (0..rng.random_range(1..4)).map(|_| readable[rng.random_range(first..readable.len())]).collect();
        let count = rng.random_range(1..2000);
        let y = tape.result(&name, [count], &inputs, false);
        let (to, from) = (|x: &Var| Operand::from(*x).read(), |x: &Var| Operand::Gradient(*x).write());
        let mut forward: Vec<Binding> = inputs.iter().map(to).collect();
        forward.push(Operand::from(y).write());
        let mut backward: Vec<_> = inputs.iter().map(|x| launch(vec![Operand::Gradient(y).read(), from(x)])).collect();
        if rng.random_range(0..3) == 0 {
            let bytes = 16 * rng.random_range(1..500);
            let buffer = tape.buffer(&name, bytes);
            buffers.push((Operand::from(buffer), bytes));
            forward.push(Operand::from(buffer).write());
            backward[0].bindings.push(Operand::from(buffer).read());
        }
        tape.record(Record { name, op: "any", result: Some(y), forward: vec![launch(forward)], backward });
        vars.push(y);
        readable.push(y);
        if rng.random_range(0..3) == 0 {
            let of = readable[rng.random_range(first..readable.len())];
            let count = tape.shape(of).count();
            readable.push(tape.view(of, [1, count, 1]));
        }
    }
    let last = *vars.last().unwrap();
    let seeded = tape.view(last, vec![tape.shape(last).count(), 1]);
    tape.seed_gradient(seeded);
    let bytes = |var: Var| tape.shape(var).bytes().next_multiple_of(16);
    let values = vars.iter().map(|&var| (Operand::Value(var), bytes(var)));
    let gradients = vars.iter().map(|&var| (Operand::Gradient(var), bytes(var)));
    let operands = values.chain(gradients).chain(buffers).collect();
    Drawn { tape, operands }
}

/// A buffer of the plain search.
struct Slot {
    bytes: u64,
    kept: bool,
    given: bool,
    last: Option<usize>,
}

/// The buffers other than the `given` ones, and whether each may be shared. A search through all
/// launches and all buffers for each operand, in the order of first launches, larger operands
/// first. It takes the smallest free buffer that fits, or else the largest that can grow.
fn placed(drawn: &Drawn, kept: Option<&[Operand]>, given: &[u64]) -> Vec<(u64, bool)> {
    let launches: Vec<Dispatch> =
        drawn.tape.forward().into_iter().chain(drawn.tape.backward()).map(|(_, dispatch)| dispatch).collect();
    let mut lives = vec![];
    for &(operand, bytes) in &drawn.operands {
        let uses = |launch: &Dispatch| launch.bindings.iter().any(|binding| binding.operand == operand);
        let first = launches.iter().position(uses);
        lives.push((first.unwrap_or(0), bytes, launches.iter().rposition(uses), operand));
    }
    lives.sort_by_key(|&(first, bytes, ..)| (first, std::cmp::Reverse(bytes)));
    let mut slots: Vec<Slot> =
        given.iter().map(|&bytes| Slot { bytes, kept: false, given: true, last: None }).collect();
    for (first, bytes, last, operand) in lives {
        let kept = kept.is_none_or(|kept| kept.contains(&operand));
        if kept {
            slots.push(Slot { bytes, kept, given: false, last });
        } else if last.is_some() {
            let mut found: Option<usize> = None;
            for (i, slot) in slots.iter().enumerate().filter(|(_, slot)| !slot.kept && slot.last < Some(first)) {
                let better = found.is_none_or(|j| match (slot.bytes >= bytes, slots[j].bytes >= bytes) {
                    (true, true) => slot.bytes < slots[j].bytes,
                    (false, false) => slot.bytes >= slots[j].bytes,
                    (fits, _) => fits,
                });
                if better && (slot.bytes >= bytes || !slot.given) {
                    found = Some(i);
                }
            }
            let i = found.unwrap_or(slots.len());
            if found.is_none() {
                slots.push(Slot { bytes, kept, given: false, last });
            }
            slots[i].bytes = slots[i].bytes.max(bytes);
            slots[i].last = last;
        }
    }
    slots[given.len()..].iter().map(|slot| (slot.bytes, !slot.kept)).collect()
}

#[test]
fn buffers_are_shared_as_by_a_plain_search() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for records in [1, 2, 3, 10, 40, 400] {
        for _ in 0..(400 / records).min(40) {
            let drawn = draw(records, &mut rng);
            let some: Vec<Operand> =
                drawn.operands.iter().map(|(operand, _)| *operand).filter(|_| rng.random_range(0..8) == 0).collect();
            let given: Vec<u64> = (0..rng.random_range(0..9)).map(|_| 16 * rng.random_range(1..600)).collect();
            for (keep, kept) in
                [(Keep::Only(&some), Some(&some[..])), (Keep::Only(&[]), Some(&[][..])), (Keep::Everything, None)]
            {
                for given in [&[][..], &given] {
                    let expected = placed(&drawn, kept, given);
                    let bytes: u64 = expected.iter().map(|(bytes, _)| bytes).sum();
                    assert_eq!(drawn.tape.plan(keep, given).working, bytes, "{records} records, given {given:?}");
                }
                let shared: Vec<u64> = placed(&drawn, kept, &[])
                    .into_iter()
                    .filter(|(_, shared)| *shared)
                    .map(|(bytes, _)| bytes)
                    .collect();
                assert_eq!(drawn.tape.shared_sizes(keep), shared, "{records} records");
            }
        }
    }
}

/// y = relu(x) + relu(x), of which each relu reads x directly or through a view, or a view of a
/// view.
fn diamond(views: bool) -> (Tape, [Var; 3]) {
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [2, 6], true);
    let x = relu(&mut tape, "before", x);
    let viewed = match views {
        true => {
            let view = tape.view(x, [3, 4]);
            tape.view(view, [2, 6])
        }
        false => x,
    };
    let (a, b) = (relu(&mut tape, "a", x), relu(&mut tape, "b", viewed));
    let y = add(&mut tape, "sum", a, b);
    tape.seed_gradient(y);
    (tape, [x, viewed, y])
}

/// The bindings of each launch, and whether it adds to an existing gradient.
fn launches(tape: &Tape) -> Vec<String> {
    let launches = tape.forward().into_iter().chain(tape.backward());
    launches.map(|(i, dispatch)| format!("{i} {:?} {:?}", dispatch.bindings, dispatch.kernel.constants)).collect()
}

#[test]
fn a_view_is_its_base_to_launches_gradients_and_buffers() {
    let ((plain, [..]), (viewed, [x, view, _])) = (diamond(false), diamond(true));
    let named = |tape: &Tape, var: Var| (tape.name(var).to_owned(), tape.shape(var).to_string());
    assert_eq!(named(&viewed, view), ("before".into(), "[2,6]".into()));
    assert_eq!(viewed.named("before"), Some(x));
    // Two vars of the tape with views are views, so the numbers in the launches differ. Their
    // number and pattern are equal.
    let renumbered = |lines: Vec<String>| {
        let replaced =
            |line: String| line.replace("Var(4)", "Var(2)").replace("Var(5)", "Var(3)").replace("Var(6)", "Var(4)");
        lines.into_iter().map(replaced).collect::<Vec<_>>()
    };
    assert_eq!(renumbered(launches(&viewed)), launches(&plain));
    for keep in [Keep::Everything, Keep::Only(&[])] {
        assert_eq!(viewed.plan(keep, &[]), plain.plan(keep, &[]));
        assert_eq!(viewed.shared_sizes(keep), plain.shared_sizes(keep));
    }
    let kept = |var: Var| viewed.shared_sizes(Keep::Only(&[var.into(), Operand::Gradient(var)]));
    assert_eq!(kept(view), kept(x));
    assert_ne!(kept(view), viewed.shared_sizes(Keep::Only(&[])));
}

#[test]
fn a_base_lives_until_the_last_use_of_its_views() {
    // In evaluation: a from x, b from a, c from b and a view of a. If a's buffer were free after b,
    // c would overwrite its input.
    let mut tape = Tape::new(Mode::Eval);
    let x = tape.leaf("x", [8], false);
    let a = relu(&mut tape, "a", x);
    let view = tape.view(a, [2, 4]);
    let b = relu(&mut tape, "b", a);
    let b = tape.view(b, [2, 4]);
    let c = relu(&mut tape, "c", b);
    add(&mut tape, "sum", c, view);
    // Buffers: x, then b, then the sum; a to the end; c.
    assert_eq!(tape.plan(Keep::Only(&[]), &[]).working, 3 * 32);
}

#[test]
#[should_panic(expected = "x: a view [5,2] has 10 elements, but [3,4] has 12")]
fn a_view_of_another_number_of_elements_is_refused() {
    let mut tape = Tape::new(Mode::Train);
    let x = tape.leaf("x", [3, 4], true);
    tape.view(x, [5, 2]);
}
