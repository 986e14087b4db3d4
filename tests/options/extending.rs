//! Options of a run that is trained longer: allowed if the rates of earlier steps stay.

use crate::common::errors::{Fault, assert_error};
use lerac::curriculum::{Layer, Time};
use lerac::train::{Config, Method, Preset, ScheduleKind};

const STEPS: u64 = 7;

/// All factors and blurs of the first `epochs` epochs.
fn rates(config: &Config, epochs: u64) -> Vec<f64> {
    let layer = |depth| Layer { name: format!("conv{depth}"), depth, block: depth };
    let layers: Vec<Layer> = (1..5).map(layer).collect();
    let (common, curriculum) = (config.common_rate().unwrap(), config.curriculum(&layers).unwrap());
    let at = |step| {
        let time = Time { step, steps_per_epoch: STEPS };
        let factors = (0..layers.len()).map(|layer| curriculum.factor(time, layer)).collect::<Vec<_>>();
        let common = common.rate(time, curriculum.grows_until());
        [factors, vec![common], curriculum.sigma(time).into_iter().collect()].concat()
    };
    (0..epochs * STEPS).flat_map(at).collect()
}

const METHODS: [Method; 10] = [
    Method::Conventional,
    Method::Lerac,
    Method::LeracReference,
    Method::Cbs,
    Method::LeracCbs,
    Method::Reversed,
    Method::Shuffled,
    Method::Uniform,
    Method::Linear,
    Method::Logarithmic,
];

#[test]
fn a_run_is_extended_if_its_rates_stay() {
    use ScheduleKind::{Constant, Cosine, Linear, Plateau, Step};
    for schedule in [Constant, Step, Cosine, Linear, Plateau] {
        for (method, preset) in METHODS.iter().flat_map(|method| [(method, Preset::Paper), (method, Preset::Reference)])
        {
            for k in [None, Some(3.0)] {
                let had = Config::default().with(|c| {
                    (c.training.epochs, c.curriculum.method, c.curriculum.preset, c.curriculum.k) =
                        (5, *method, preset, k);
                    (c.optimizer.schedule, c.optimizer.milestones) = (schedule, vec![2.0, 7.0]);
                    c.optimizer.warmup_epochs = 1.5;
                });
                let longer = had.clone().with(|c| {
                    c.training.epochs = 8;
                    c.curriculum.k = Some(had.k());
                });
                match had.extended(8) {
                    Ok(extended) => {
                        assert_eq!(rates(&extended, 5), rates(&had, 5), "{method} {schedule:?}");
                        assert_eq!(rates(&extended, 8), rates(&longer, 8), "{method} {schedule:?}");
                        assert!(extended.training.epochs == 8 && ![Cosine, Linear].contains(&schedule));
                    }
                    fault => {
                        assert!([Cosine, Linear].contains(&schedule), "{method} {schedule:?}");
                        assert_error(
                            fault,
                            Fault::Setting("epochs"),
                            &[&format!("{schedule:?}").to_lowercase(), "`init`"],
                        );
                    }
                }
            }
        }
    }
    assert_error(Config::default().extended(4), Fault::Setting("epochs"), &["5", "4"]);
}
