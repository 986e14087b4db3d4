//! What a product refuses while it is recorded, and where its result lies. Without a device.

use lerac::ops::product::product;
use lerac::tape::{Mode, Tape, Target, Variant};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A tape with the product of operands of these shapes, and the shape of the result.
fn recorded(equation: &str, a: &[usize], b: &[usize]) -> (Tape, String) {
    let mut tape = Tape::new(Mode::Train).with_target(Target::Processor);
    let [a, b] = [("a", a), ("b", b)].map(|(name, dims)| tape.leaf(name, dims.to_vec(), true));
    let c = product(&mut tape, "scores", equation, a, b);
    tape.seed_gradient(c);
    let shape = tape.shape(c).to_string();
    (tape, shape)
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    for (equation, a, b, expected) in [
        ("bmk", &[1, 2][..], &[1, 2][..], "scores: expected an equation like bmk,bkn->bmn, found bmk"),
        ("m1,1n->mn", &[2, 2], &[2, 2], "scores: expected an equation like bmk,bkn->bmn, found m1,1n->mn"),
        ("mm,mn->mn", &[2, 2], &[2, 2], "scores: an operand of mm,mn->mn has axis m twice"),
        ("mk,kn->n", &[2, 3], &[3, 2], "scores: axis m of mk,kn->n is in one operand alone"),
        ("mk,kn->mnp", &[2, 3], &[3, 2], "scores: axis p of mk,kn->mnp is in one operand alone"),
        ("mk,kn->mn", &[2, 3, 4], &[3, 2], "scores: a of mk,kn->mn is [2,3,4]"),
        ("mk,kn->mn", &[2, 3], &[4, 2], "scores: k of mk,kn->mn is 3 in a [2,3] but 4 in b [4,2]"),
        (
            "abcmk,abckn->abcmn",
            &[1; 5],
            &[1; 5],
            "scores: abcmk,abckn->abcmn has 3 axes of the batch, and a product has 2 at most",
        ),
        ("mpk,kn->mpn", &[1; 3], &[1; 2], "scores: mpk,kn->mpn has 2 axes of the first operand and the result"),
        ("mk,kpn->mpn", &[1; 2], &[1; 3], "scores: mk,kpn->mpn has 2 axes of the second operand and the result"),
        ("mjk,jkn->mn", &[1; 3], &[1; 3], "scores: mjk,jkn->mn has 2 axes that are summed over"),
    ] {
        let refused = catch_unwind(AssertUnwindSafe(|| recorded(equation, a, b)));
        let message = *refused.expect_err(equation).downcast::<String>().unwrap();
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
fn heads_are_strides_that_processors_read_in_whole_vec4() {
    for (equation, a, b, shape) in [
        ("bthd,bshd->bhts", [2, 12, 3, 8], [2, 16, 3, 8], "[2,3,12,16]"),
        ("bhts,bshd->bthd", [2, 3, 12, 16], [2, 16, 3, 8], "[2,12,3,8]"),
    ] {
        let (tape, found) = recorded(equation, &a, &b);
        assert_eq!(found, shape);
        assert_eq!(tape.forward().len() + tape.backward().len(), 3, "no transposes");
        assert_eq!(tape.tunable_ops().count(), 3);
        assert!(
            tape.tunable_ops().all(|(_, task)| task.variants.contains(&Variant::Wide)),
            "{:?}",
            tape.tunable_ops().collect::<Vec<_>>()
        );
    }
    let (odd, _) = recorded("bthd,bshd->bhts", &[2, 12, 3, 6], &[2, 16, 3, 6]);
    assert!(odd.tunable_ops().all(|(_, op)| !op.variants.contains(&Variant::Wide)));
}
