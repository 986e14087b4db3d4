//! Curricula and schedules: closed forms, boundary values, the published ladder, and errors.

use crate::common::errors::{Fault, assert_error};
use approx::assert_relative_eq;
use lerac::curriculum::{
    Blurred, Cbs, Control, Conventional, Curriculum, DuringCurriculum, Granularity, Growth, Ladder, Layer,
    MomentumRise, Pace, Paper, Plateau, Range, Reference, ReferenceOptions, Schedule, ScheduleShape, Time, Warmup,
    depths, rates,
};
use proptest::prelude::*;

fn time(step: u64, steps_per_epoch: u64) -> Time {
    Time { step, steps_per_epoch }
}

#[test]
fn paper_has_its_closed_forms() {
    let range = Range { first: 1e-1, last: 1e-8 };
    let depths = [1, 2, 3, 4, 5, 6, 7, 8];
    let paper = Paper::new(0.1, range, 4.0, &depths, Pace::Step).unwrap();
    for (layer, depth) in depths.iter().enumerate() {
        let start = 10f64.powi(-(*depth as i32));
        assert_relative_eq!(0.1 * paper.factor(time(0, 10), layer), start, max_relative = 1e-12);
        // Halfway: the geometric mean of the first and the last rate.
        assert_relative_eq!(0.1 * paper.factor(time(20, 10), layer), (start * 0.1).sqrt(), max_relative = 1e-12);
        assert_relative_eq!(
            0.1 * paper.factor(time(10, 10), layer),
            start.powf(0.75) * 0.1f64.powf(0.25),
            max_relative = 1e-12
        );
        assert_eq!(paper.factor(time(40, 10), layer), 1.0);
    }
}

#[test]
fn paper_can_hold_its_rates_for_an_epoch() {
    let range = Range { first: 0.1, last: 1e-4 };
    let paper = |pace| Paper::new(0.1, range, 3.0, &[1, 2], pace).unwrap();
    let (epoch, step) = (paper(Pace::Epoch), paper(Pace::Step));
    assert_eq!(epoch.factor(time(19, 10), 1), epoch.factor(time(10, 10), 1));
    assert_eq!(epoch.factor(time(10, 10), 1), step.factor(time(10, 10), 1));
    assert!(step.factor(time(19, 10), 1) > step.factor(time(10, 10), 1));
}

proptest! {
    #[test]
    fn paper_grows_with_time_and_falls_with_depth(
        n in 1usize..60, k in 1u64..20, per_epoch in 1u64..50, decades in 0.0f64..12.0, eta in 1e-4f64..1.0,
    ) {
        let range = Range { first: eta, last: eta * 10f64.powf(-decades) };
        let depths: Vec<usize> = (1..=n).collect();
        let paper = Paper::new(eta, range, k as f64, &depths, Pace::Step).unwrap();
        for layer in 0..n {
            for step in 0..k * per_epoch {
                let now = paper.factor(time(step, per_epoch), layer);
                prop_assert!(now <= paper.factor(time(step + 1, per_epoch), layer) * (1.0 + 1e-12));
                prop_assert!(layer == 0 || now <= paper.factor(time(step, per_epoch), layer - 1) * (1.0 + 1e-12));
            }
            for step in [k * per_epoch, k * per_epoch + 1, 1000 * k * per_epoch] {
                prop_assert_eq!(paper.factor(time(step, per_epoch), layer), 1.0);
            }
        }
    }
}

const CONTROLS: [Control; 5] =
    [Control::Reversed, Control::Shuffled(3), Control::Uniform, Control::Linear, Control::Logarithmic];

#[test]
fn controls_start_from_the_paper_and_end_at_eta() {
    let depths = [1, 2, 3, 4, 5];
    let paper = || Paper::new(0.1, Range { first: 0.1, last: 1e-5 }, 2.0, &depths, Pace::Step).unwrap();
    let at = |curriculum: &Paper, step| depths.map(|depth| curriculum.factor(time(step, 10), depth - 1));
    let start = at(&paper(), 0);
    for control in CONTROLS {
        let changed = paper().control(control);
        for step in [20, 21, 1000] {
            assert_eq!(at(&changed, step), [1.0; 5], "{control:?} at step {step}");
        }
        for step in 0..20 {
            let (now, next) = (at(&changed, step), at(&changed, step + 1));
            assert!(now.iter().zip(next).all(|(now, next)| *now <= next), "{control:?} falls after step {step}");
        }
    }
    let starts = |control| at(&paper().control(control), 0);
    let mut reversed = start;
    reversed.reverse();
    assert_eq!(starts(Control::Reversed), reversed);
    let mut sorted = starts(Control::Shuffled(3));
    assert_ne!(sorted, start, "this seed moves something");
    assert_ne!(sorted, starts(Control::Shuffled(4)));
    sorted.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(sorted, start, "shuffled has the same rates");
    // The logarithmic middle of 1, 1e-1, .., 1e-4.
    starts(Control::Uniform).iter().for_each(|factor| assert_relative_eq!(*factor, 1e-2, max_relative = 1e-12));
    assert_eq!((starts(Control::Linear), starts(Control::Logarithmic)), (start, start));
}

#[test]
fn controls_are_halfway_where_they_should_be() {
    let depths = [1, 2, 3, 4, 5];
    let paper = || Paper::new(0.1, Range { first: 0.1, last: 1e-5 }, 2.0, &depths, Pace::Step).unwrap();
    let start = [1.0, 1e-1, 1e-2, 1e-3, 1e-4f64];
    let shuffled = paper().control(Control::Shuffled(3));
    let shuffled = depths.map(|depth| shuffled.factor(time(0, 10), depth - 1));
    let logarithmic = |s: f64| s + (1.0 - s) * (1.0 - ((1.0 + s) / 2.0).log(s));
    let [a, b, c, d, e] = start.map(f64::sqrt);
    for (control, expected) in [
        (Control::Reversed, [e, d, c, b, a]),
        (Control::Shuffled(3), shuffled.map(f64::sqrt)),
        (Control::Uniform, [0.1; 5]),
        (Control::Linear, start.map(|s| (s + 1.0) / 2.0)),
        // A layer that starts at eta has logarithm 0, which cannot divide.
        (Control::Logarithmic, start.map(|s| if s == 1.0 { 1.0 } else { logarithmic(s) })),
    ] {
        let changed = paper().control(control);
        for (depth, expected) in depths.into_iter().zip(expected) {
            let found = changed.factor(time(10, 10), depth - 1);
            assert!((found / expected - 1.0).abs() <= 1e-12, "{control:?} depth {depth}: {found}, expected {expected}");
        }
    }
}

#[test]
fn growths_have_their_closed_forms() {
    for s in [1e-8, 1e-3, 0.5, 1.0, 4.0] {
        let halfway = |growth: Growth| growth.between(s, 0.5);
        assert_relative_eq!(halfway(Growth::Exponential), s.sqrt(), max_relative = 1e-12);
        assert_relative_eq!(halfway(Growth::Linear), (s + 1.0) / 2.0, max_relative = 1e-12);
        for growth in [Growth::Exponential, Growth::Linear, Growth::Logarithmic] {
            assert_relative_eq!(growth.between(s, 0.0), s, max_relative = 1e-9);
            assert_relative_eq!(growth.between(s, 1.0), 1.0, max_relative = 1e-12);
        }
        // The two curves are inverse to each other on the unit square.
        let within = |growth: Growth, u: f64| (growth.between(s, u) - s) / (1.0 - s);
        for u in [0.1, 0.5, 0.9] {
            if s != 1.0 {
                let there = within(Growth::Exponential, u);
                assert_relative_eq!(within(Growth::Logarithmic, there), u, max_relative = 1e-6);
            }
        }
    }
}

#[test]
fn lerac_and_cbs_go_together() {
    let paper = Paper::new(0.1, Range { first: 0.1, last: 1e-3 }, 2.0, &[1, 2], Pace::Step).unwrap();
    let both = Blurred { rates: Box::new(paper.clone()), blur: Cbs::new(1.0, 0.9, 5).unwrap() };
    assert_eq!(both.factor(time(7, 10), 1), paper.factor(time(7, 10), 1));
    assert_relative_eq!(both.sigma(time(55, 10)).unwrap(), 0.9, max_relative = 1e-12);
}

fn reference(eta: f64, min_lr: f64, clf: f64, updates_per_epoch: u64, stop_update_epoch: u64) -> Reference {
    let ladder = Ladder::Resnet;
    let options =
        ReferenceOptions { ladder, eta, min_lr, clf, stop_lr: 1.1 * eta, updates_per_epoch, stop_update_epoch };
    // ResNet-18: a stem, eight blocks, a classifier.
    Reference::new(options, &(1..=10).collect::<Vec<_>>()).unwrap()
}

#[test]
fn reference_starts_on_the_published_ladder() {
    let reference = reference(0.1, 1e-5, 1e-3, 1, 200);
    let start: Vec<f64> = (0..10).map(|layer| 0.1 * reference.factor(time(0, 100), layer)).collect();
    let ladder = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-6, 1e-6, 1e-6, 1e-4];
    for (found, expected) in start.iter().zip(ladder) {
        assert_relative_eq!(*found, expected, max_relative = 1e-12);
    }
}

#[test]
fn other_architectures_start_on_their_own_ladders() {
    let start = |ladder| {
        let options = ReferenceOptions {
            ladder,
            eta: 0.1,
            min_lr: 1e-3,
            clf: 1e-5,
            stop_lr: 0.11,
            updates_per_epoch: 1,
            stop_update_epoch: 20,
        };
        let reference = Reference::new(options, &[1, 2, 3, 4, 5, 6, 7]).unwrap();
        (0..7).map(|layer| 0.1 * reference.factor(time(0, 10), layer)).collect::<Vec<_>>()
    };
    // 0.1 * 0.1 * 0.1 rounds to slightly more than 1e-3, so there is one step below min_lr.
    let ladders = [
        (Ladder::Resnet, [0.1, 1e-2, 1e-3, 1e-4, 1e-4, 1e-4, 1e-6]),
        (Ladder::WideResnet, [0.1, 0.1, 1e-2, 1e-3, 1e-4, 1e-4, 1e-6]),
        (Ladder::Bert, [0.1, 0.1, 0.1, 0.1, 0.1, 1e-6, 1e-6]),
    ];
    for (ladder, expected) in ladders {
        for (found, expected) in start(ladder).iter().zip(expected) {
            assert_relative_eq!(*found, expected, max_relative = 1e-9);
        }
    }
}

#[test]
fn reference_groups_arrive_one_after_another() {
    let reference = reference(0.1, 1e-5, 1e-3, 1, 200);
    let rate = |epoch: u64, layer| 0.1 * reference.factor(time(100 * epoch, 100), layer);
    // Layer 4 starts at 1e-5 and takes four epochs; layer 5 starts at 1e-6 and takes five. None
    // exceeds eta.
    for (epoch, expected) in [(0, 1e-5), (1, 1e-4), (2, 1e-3), (3, 1e-2), (4, 1e-1), (5, 1e-1), (150, 1e-1)] {
        assert_relative_eq!(rate(epoch, 4), expected, max_relative = 1e-9);
    }
    assert_relative_eq!(rate(4, 5), 1e-2, max_relative = 1e-9);
    assert_relative_eq!(rate(5, 5), 1e-1, max_relative = 1e-9);
    // Within an epoch nothing changes.
    assert_eq!(reference.factor(time(199, 100), 4), reference.factor(time(100, 100), 4));
}

#[test]
fn reference_updates_several_times_an_epoch_and_stops() {
    let four = reference(0.1, 1e-5, 1e-3, 4, 2);
    let rate = |step, layer| 0.1 * four.factor(time(step, 100), layer);
    for (step, expected) in [(0, 1e-6), (24, 1e-6), (25, 1e-5), (50, 1e-4), (75, 1e-3), (100, 1e-2), (500, 1e-2)] {
        assert_relative_eq!(rate(step, 6), expected, max_relative = 1e-9);
    }
}

/// A replay of the published trainer. Epochs count from 1. With two updates per epoch, rates grow
/// after step length/2; with four, after length/4, length/2 and 3*length/4, rounded down; and after
/// each epoch. All of it only before the stop epoch.
fn replayed_updates(length: u64, updates: u64, stop: u64, epochs: u64) -> Vec<u64> {
    let points: &[u64] = match updates {
        2 => &[length / 2],
        4 => &[length / 4, length / 2, 3 * length / 4],
        _ => &[],
    };
    let (mut done, mut before_step) = (0, vec![]);
    for epoch in 1..=epochs {
        for steps in 1..=length {
            before_step.push(done);
            done += u64::from(epoch < stop && points.contains(&steps));
        }
        done += u64::from(epoch < stop);
    }
    before_step
}

#[test]
fn reference_updates_when_the_published_trainer_does() {
    for updates in [1, 2, 4] {
        for length in [2, 3, 5, 7, 10, 13, 391].into_iter().filter(|&length| length >= updates) {
            for stop in [0, 1, 2, 3, 9] {
                // Far below eta, so that the classifier's rate shows the number of tenfold growths.
                let reference = reference(0.1, 1e-9, 1e-30, updates, stop);
                for (step, grown) in replayed_updates(length, updates, stop, 4).into_iter().enumerate() {
                    let factor = reference.factor(time(step as u64, length), 9);
                    let context = format!("{updates} updates in {length} steps until {stop}, step {step}");
                    assert_eq!((factor / 1e-30).log10().round() as u64, grown, "{context}");
                }
            }
        }
    }
    let endless = reference(0.1, 1e-5, 1e-3, u64::MAX, u64::MAX);
    assert_relative_eq!(endless.factor(time(u64::MAX - 1, u64::MAX), 9), 1.0, max_relative = 1e-9);
}

#[test]
fn cbs_fades_every_five_epochs() {
    let cbs = Cbs::new(1.0, 0.9, 5).unwrap();
    for (step, sigma) in [(0, 1.0), (49, 1.0), (50, 0.9), (99, 0.9), (100, 0.81)] {
        assert_relative_eq!(cbs.sigma(time(step, 10)).unwrap(), sigma, max_relative = 1e-12);
        assert_eq!(cbs.factor(time(step, 10), 3), 1.0);
    }
    assert!(cbs.sigma(time(u64::MAX / 2, 1)).unwrap() > 0.0, "a faded blur still divides by its sigma");
    assert_eq!(Conventional.sigma(time(0, 1)), None);
}

fn schedule(shape: ScheduleShape, warmup_epochs: f64, during_curriculum: DuringCurriculum) -> Schedule {
    let warmup = Warmup { epochs: warmup_epochs, ..Warmup::default() };
    Schedule { eta: 0.1, shape, warmup, during_curriculum }
}

#[test]
fn schedules_have_their_corner_values() {
    let schedule = |shape, warmup_epochs| schedule(shape, warmup_epochs, DuringCurriculum::Multiply);
    let constant = schedule(ScheduleShape::Constant, 0.0);
    assert_eq!((constant.rate(time(0, 10), 0.0), constant.rate(time(999, 10), 0.0)), (0.1, 0.1));

    let step = schedule(ScheduleShape::Step { milestones: vec![2.0, 3.5], gamma: 0.1 }, 0.0);
    for (at, expected) in [(0, 0.1), (19, 0.1), (20, 0.01), (34, 0.01), (35, 0.001)] {
        assert_relative_eq!(step.rate(time(at, 10), 0.0), expected, max_relative = 1e-12);
    }

    let cosine = schedule(ScheduleShape::Cosine { epochs: 4.0, floor: 0.01 }, 0.0);
    for (at, expected) in [(0, 0.1), (20, 0.0505), (40, 0.001), (80, 0.001)] {
        assert_relative_eq!(cosine.rate(time(at, 10), 0.0), expected, max_relative = 1e-12);
    }

    let linear = schedule(ScheduleShape::Linear { epochs: 4.0, floor: 0.01 }, 0.0);
    for (at, expected) in [(0, 0.1), (10, 0.07525), (20, 0.0505), (40, 0.001), (80, 0.001)] {
        assert_relative_eq!(linear.rate(time(at, 10), 0.0), expected, max_relative = 1e-12);
    }

    let warm = schedule(ScheduleShape::Constant, 2.0);
    for (at, expected) in [(0, 0.005), (9, 0.05), (19, 0.1), (20, 0.1)] {
        assert_relative_eq!(warm.rate(time(at, 10), 0.0), expected, max_relative = 1e-12);
    }
}

/// Twenty steps of warm-up. Biases fall from 0.5, all else rises from 0, and the momentum rises.
#[test]
fn a_warmup_has_its_corner_values() {
    let momentum = Some(MomentumRise { from: 0.8, to: 0.937 });
    let warmup = Warmup { epochs: 2.0, steps: 19, bias_rate: Some(0.5), momentum };
    let of = |during| Schedule { warmup, ..schedule(ScheduleShape::Linear { epochs: 4.0, floor: 0.2 }, 0.0, during) };
    let (off, multiply) = (of(DuringCurriculum::Off), of(DuringCurriculum::Multiply));
    for (at, shape, warmed) in [(0, 1.0, 0.05), (9, 0.82, 0.5), (18, 0.64, 0.95), (19, 0.62, 1.0), (39, 0.22, 1.0)] {
        for schedule in [&multiply, &off] {
            let of = time(at, 10);
            assert_relative_eq!(schedule.rate(of, 0.0), 0.1 * shape * warmed, max_relative = 1e-12);
            let bias = 0.1 * shape * warmed + 0.5 * (1.0 - warmed);
            assert_relative_eq!(schedule.bias_rate(of, 0.0), bias, max_relative = 1e-12);
            let momentum = 0.8 + 0.137 * warmed;
            assert_relative_eq!(schedule.momentum(of, 0.0).unwrap(), momentum, max_relative = 1e-12);
        }
        // A curriculum of two epochs replaces the warm-up.
        let of = time(at, 10);
        assert_eq!(off.bias_rate(of, 2.0), off.rate(of, 2.0));
        assert_eq!(off.momentum(of, 2.0), Some(0.937));
    }
    // The longer length counts.
    let longer = Schedule { warmup: Warmup { steps: 40, ..warmup }, ..multiply.clone() };
    assert_relative_eq!(longer.rate(time(9, 10), 0.0), 0.1 * 0.82 * 0.25, max_relative = 1e-12);
    // After the warm-up nothing is left of it, to the bit.
    let plain = Schedule { warmup: Warmup::default(), ..multiply.clone() };
    assert_eq!(multiply.bias_rate(time(25, 10), 0.0), plain.rate(time(25, 10), 0.0));
    assert_eq!((multiply.momentum(time(25, 10), 0.0), plain.momentum(time(0, 10), 0.0)), (Some(0.937), None));
    assert_eq!(plain.bias_rate(time(0, 10), 0.0), plain.rate(time(0, 10), 0.0));
}

/// Epochs of ten steps under a curriculum of two epochs.
#[test]
fn a_schedule_waits_for_the_curriculum() {
    let steps = ScheduleShape::Step { milestones: vec![1.0, 3.5], gamma: 0.1 };
    let cosine = ScheduleShape::Cosine { epochs: 4.0, floor: 0.01 };
    let linear = ScheduleShape::Linear { epochs: 4.0, floor: 0.01 };
    for (shape, warmup, expected) in [
        // The milestone at 1 takes effect at 2.
        (steps, 0.0, &[(0, 0.1), (10, 0.1), (19, 0.1), (20, 0.01), (34, 0.01), (35, 0.001)][..]),
        (cosine, 0.0, &[(0, 0.1), (19, 0.1), (20, 0.1), (30, 0.0505), (40, 0.001), (80, 0.001)]),
        (linear, 0.0, &[(0, 0.1), (19, 0.1), (20, 0.1), (30, 0.0505), (40, 0.001), (80, 0.001)]),
        // There is no warm-up, even if it would be longer than the curriculum.
        (ScheduleShape::Constant, 3.0, &[(0, 0.1), (19, 0.1), (20, 0.1), (21, 0.1), (80, 0.1)]),
    ] {
        let off = schedule(shape.clone(), warmup, DuringCurriculum::Off);
        let multiply = schedule(shape, warmup, DuringCurriculum::Multiply);
        for &(at, expected) in expected {
            assert_relative_eq!(off.rate(time(at, 10), 2.0), expected, max_relative = 1e-12);
        }
        for at in 0..60 {
            let rate = off.rate(time(at, 10), 2.0);
            assert!(at >= 20 || rate == 0.1, "step {at}: {rate} before the curriculum ends");
            // Without growth the schedule starts at once.
            assert_eq!(off.rate(time(at, 10), 0.0), multiply.rate(time(at, 10), 0.0));
            assert_eq!(multiply.rate(time(at, 10), 2.0), multiply.rate(time(at, 10), 0.0));
        }
    }
    // If the curriculum takes all epochs, there are none for the cosine.
    let whole = schedule(ScheduleShape::Cosine { epochs: 4.0, floor: 0.5 }, 0.0, DuringCurriculum::Off);
    assert_eq!((whole.rate(time(39, 10), 4.0), whole.rate(time(40, 10), 4.0)), (0.1, 0.05));
}

#[test]
fn a_plateau_ignores_epochs_of_growth() {
    let shape = ScheduleShape::Plateau(Plateau::new(0.5, 0, 0.0));
    // Epochs 1 and 2 train below eta, epoch 3 begins at it and is the first that counts.
    let rates_of = |during, grows_until| {
        let mut schedule = schedule(shape.clone(), 0.0, during);
        let after = |epoch: u64| {
            let time = time(10 * epoch, 10);
            schedule.observe_epoch(time, grows_until, 0.3);
            schedule.rate(time, grows_until)
        };
        (1..=5).map(after).collect::<Vec<_>>()
    };
    let from_the_start = vec![0.1, 0.05, 0.025, 0.0125, 0.00625];
    assert_eq!(rates_of(DuringCurriculum::Off, 2.0), [0.1, 0.1, 0.1, 0.05, 0.025]);
    // Epochs that begin below eta do not count.
    assert_eq!(rates_of(DuringCurriculum::Off, 1.5), [0.1, 0.1, 0.1, 0.05, 0.025]);
    assert_eq!(rates_of(DuringCurriculum::Off, 0.0), from_the_start);
    assert_eq!(rates_of(DuringCurriculum::Multiply, 2.0), from_the_start);
}

/// "The first 5 epochs" of k = 4 are l = 0..4, the last of which has eta from its first step on.
#[test]
fn a_paced_curriculum_reaches_eta_with_epoch_k() {
    let range = Range { first: 0.1, last: 1e-5 };
    let paper = Paper::new(0.1, range, 4.0, &[1, 2], Pace::Epoch).unwrap();
    let last_layer = |epoch: u64, step: u64| paper.factor(time(10 * epoch + step, 10), 1);
    for (epoch, expected) in [(0, 1e-4), (1, 1e-3), (2, 1e-2), (3, 1e-1), (4, 1.0), (5, 1.0)] {
        for step in [0, 9] {
            assert_relative_eq!(last_layer(epoch, step), expected, max_relative = 1e-12);
        }
    }
    assert_eq!((last_layer(4, 0), paper.grows_until()), (1.0, 4.0));
    let between = Paper::new(0.1, range, 3.5, &[1, 2], Pace::Epoch).unwrap();
    assert!(between.factor(time(39, 10), 1) < 1.0 && between.factor(time(40, 10), 1) == 1.0);
    assert_eq!(between.grows_until(), 4.0);
}

/// The rate after each epoch by PyTorch 2.15's `ReduceLROnPlateau(mode="max", factor=, patience=,
/// min_lr=)`. For errors it is mode "min", and their negatives are given here.
#[test]
fn a_plateau_is_pytorchs() {
    let accuracies = [0.3, 0.5, 0.50004, 0.5, 0.6, 0.6, 0.6, 0.6, 0.59, 0.61, 0.61, 0.61, 0.61, 0.61, 0.61].to_vec();
    let rates = vec![
        0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.0125, 0.00625, 0.00625, 0.003125, 0.003125,
    ];
    let zero = vec![0.0, 0.0, 0.0, 0.1, 0.1, 0.1];
    let errors =
        [14.0, 9.0, 8.9995, 8.9991, 8.99, 9.1, 8.9, 8.8995, 8.8995, 0.0, 0.0, 0.0].map(|error: f64| -error).to_vec();
    let rates_of_errors = vec![0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125];
    for (gamma, patience, floor, scores, expected) in [
        (0.5, 1, 0.0, errors, rates_of_errors),
        (0.5, 1, 0.0, accuracies, rates),
        (0.1, 0, 3e-3, zero, vec![0.1, 0.01, 0.003, 0.003, 0.003, 0.003]),
        // The last change would be below 1e-8.
        (0.1, 0, 0.0, vec![0.2; 9], vec![0.1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-8]),
    ] {
        let shape = ScheduleShape::Plateau(Plateau::new(gamma, patience, floor));
        let mut schedule = schedule(shape.clone(), 0.0, DuringCurriculum::Off);
        assert_eq!(schedule.rate(time(0, 10), 0.0), 0.1);
        for (score, expected) in scores.into_iter().zip(expected) {
            schedule.observe_epoch(time(10, 10), 0.0, score);
            assert_relative_eq!(schedule.rate(time(999, 10), 0.0), expected, max_relative = 1e-12);
            // A second plateau schedule continues from the state.
            let mut other = Schedule { shape: shape.clone(), ..schedule.clone() };
            other.set_plateau(schedule.plateau().unwrap());
            assert_eq!(other, schedule);
        }
    }
    let mut constant = schedule(ScheduleShape::Constant, 0.0, DuringCurriculum::Off);
    (0..20).for_each(|_| constant.observe_epoch(time(10, 10), 0.0, 0.1));
    assert_eq!((constant.rate(time(0, 10), 0.0), constant.plateau()), (0.1, None));
}

#[test]
fn depths_are_ranked_without_gaps() {
    let layer = |depth, block| Layer { name: String::new(), depth, block };
    let layers = [layer(1, 1), layer(2, 2), layer(3, 2), layer(2, 2), layer(9, 3)];
    assert_eq!(depths(&layers, Granularity::Module), [1, 2, 3, 2, 4]);
    assert_eq!(depths(&layers, Granularity::Block), [1, 2, 2, 2, 3]);
}

#[test]
fn rates_are_the_schedule_times_the_factor() {
    let paper = Paper::new(0.1, Range { first: 0.1, last: 1e-3 }, 2.0, &[1, 2], Pace::Step).unwrap();
    let shape = ScheduleShape::Step { milestones: vec![1.0], gamma: 0.5 };
    let found = |during: DuringCurriculum| -> Vec<f64> {
        rates(&paper, &schedule(shape.clone(), 0.0, during), time(10, 10), 2).collect()
    };
    let off = found(DuringCurriculum::Off);
    assert_relative_eq!(off[0], 0.1, max_relative = 1e-12);
    assert_relative_eq!(off[1], 0.01, max_relative = 1e-12);
    let found = found(DuringCurriculum::Multiply);
    assert_relative_eq!(found[0], 0.05, max_relative = 1e-12);
    assert_relative_eq!(found[1], 0.005, max_relative = 1e-12);
}

#[test]
fn invalid_values_are_errors_of_their_field() {
    for (range, name) in [
        // The message suggests the reversed range.
        ("1e-8..1e-1", "1e-1..1e-8"),
        ("-1..-2", "positive"),
        ("0..0", "positive"),
        ("nan..1", "positive"),
        ("0.1", "FIRST..LAST"),
        ("a..b", "\"a\""),
    ] {
        let message = range.parse::<Range>().unwrap_err();
        assert!(message.contains(name), "{message}");
    }
    let paper = |eta, [first, last]: [f64; 2], k| Paper::new(eta, Range { first, last }, k, &[1], Pace::Step);
    assert_error(paper(-0.1, [0.1, 0.01], 1.0), Fault::Setting("eta"), &[]);
    assert_error(paper(0.1, [0.1, 0.01], 0.0), Fault::Setting("k"), &[]);
    assert_error(paper(0.1, [0.1, 0.01], f64::NAN), Fault::Setting("k"), &[]);
    assert_error(paper(0.1, [0.01, 0.1], 1.0), Fault::Setting("range"), &[]);
    assert_error(Cbs::new(0.0, 0.9, 5), Fault::Setting("sigma"), &[]);
    assert_error(Cbs::new(1.0, 1.1, 5), Fault::Setting("sigma_decay"), &[]);
    assert_error(Cbs::new(1.0, 0.9, 0), Fault::Setting("sigma_every"), &[]);
}
