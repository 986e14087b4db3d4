//! Products: invalid equations, and the placement of the result. Without a device.

use crate::common::errors::assert_panics;
use lerac::ops::product::product;
use lerac::tape::{Mode, Tape, Target, Variant};

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
fn invalid_products_panic_with_their_name() {
    for (equation, a, b, names) in [
        // Invalid equations, then extents that do not fit.
        ("bmk", &[1, 2][..], &[1, 2][..], &["bmk,bkn->bmn", "found bmk"][..]),
        ("m1,1n->mn", &[2, 2], &[2, 2], &["bmk,bkn->bmn", "found m1,1n->mn"]),
        ("mm,mn->mn", &[2, 2], &[2, 2], &["mm,mn->mn", "axis m"]),
        ("mk,kn->n", &[2, 3], &[3, 2], &["mk,kn->n", "axis m"]),
        ("mk,kn->mnp", &[2, 3], &[3, 2], &["mk,kn->mnp", "axis p"]),
        ("mk,kn->mn", &[2, 3, 4], &[3, 2], &["mk,kn->mn", "[2,3,4]"]),
        ("mk,kn->mn", &[2, 3], &[4, 2], &["mk,kn->mn", "[2,3]", "[4,2]"]),
        ("abcmk,abckn->abcmn", &[1; 5], &[1; 5], &["abcmk,abckn->abcmn", "3 axes", "batch"]),
        ("mpk,kn->mpn", &[1; 3], &[1; 2], &["mpk,kn->mpn", "2 axes", "first"]),
        ("mk,kpn->mpn", &[1; 2], &[1; 3], &["mk,kpn->mpn", "2 axes", "second"]),
        ("mjk,jkn->mn", &[1; 3], &[1; 3], &["mjk,jkn->mn", "2 axes", "sum"]),
    ] {
        assert_panics(|| recorded(equation, a, b), "scores", names);
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
