//! CvT-13, recorded without a device: parameters, sizes, layers, initial values, stochastic depth and
//! the published start rates.

use lerac::curriculum::{self, Granularity, Ladder, Reference, ReferenceOptions, Time};
use lerac::data::{Meaning, plain_form};
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, CvtActivation, Named, NetOptions, Recorded};
use lerac::tape::{Init, Mode, Tape};

fn record(model: &Named, [h, w]: [usize; 2], classes: usize, mode: Mode, blur: bool) -> Recorded {
    let form = plain_form([3, h, w], &Meaning::Classes((0..classes).map(|i| format!("class {i}")).collect()));
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    let options = NetOptions { blur, ..NetOptions::default() };
    nn::record(model, &form, &*objective, 2, Tape::new(mode), options)
}

fn cvt(side: usize, classes: usize) -> Recorded {
    record(&nn::named("cvt-13").unwrap(), [side; 2], classes, Mode::Train, false)
}

fn records_of(recorded: &Recorded, op: &str) -> Vec<String> {
    recorded.tape.records().iter().filter(|record| record.op == op).map(|record| record.name.clone()).collect()
}

/// A block of width C has 12 C^2 + 46 C parameters.
#[test]
fn cvt_has_the_published_parameters_at_every_size() {
    for (side, classes, expected) in [
        (32, 10, 19_616_330),
        (64, 100, 19_650_980),
        (128, 101, 19_651_365),
        (64, 200, 19_689_480),
        (224, 1000, 19_997_480),
    ] {
        let tape = cvt(side, classes).tape;
        let count: usize = tape.parameters().iter().map(|declared| declared.shape.count()).sum();
        assert_eq!((count, tape.parameters().len()), (expected, 342), "{side}");
        assert_eq!(count, 19_612_480 + 385 * classes);
        // With the batches that PyTorch counts in each of 39 norms, 459 entries of a state dict.
        assert_eq!(tape.parameters().len() + tape.states().len() + tape.states().len() / 2, 459);
        let grid = side / 16;
        let last = tape.named("stage2.blocks.9.mlp.sum").unwrap();
        assert_eq!(tape.shape(last).dims(), [2, 1 + grid * grid, 384]);
        let keys = tape.named("stage2.blocks.9.attn.conv_proj_k.with_class").unwrap();
        assert_eq!(tape.shape(keys).dims(), [2, 1 + grid.div_ceil(2) * grid.div_ceil(2), 384]);
    }
    let rectangular = record(&nn::named("cvt-13").unwrap(), [48, 80], 10, Mode::Eval, false).tape;
    let last = rectangular.named("stage2.blocks.9.mlp.sum").unwrap();
    assert_eq!(rectangular.shape(last).dims(), [2, 1 + 3 * 5, 384]);
}

#[test]
fn cvt_has_a_layer_for_each_block_and_one_for_the_classifier() {
    let recorded = cvt(32, 10);
    let names: Vec<&str> = recorded.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names[..4], ["stage0.blocks.0", "stage1.blocks.0", "stage1.blocks.1", "stage2.blocks.0"]);
    assert_eq!((names.len(), names[12], names[13]), (14, "stage2.blocks.9", "head"));
    for granularity in [Granularity::Module, Granularity::Block] {
        assert_eq!(curriculum::depths(&recorded.layers, granularity), (1..=14).collect::<Vec<_>>());
    }
    let layer_of = |name: &str| {
        let declared = recorded.tape.parameters().iter().find(|declared| declared.name == name).unwrap();
        names[declared.layer]
    };
    for (name, layer) in [
        ("stage1.patch_embed.proj.weight", "stage1.blocks.0"),
        ("stage2.patch_embed.norm.bias", "stage2.blocks.0"),
        ("stage2.cls_token", "stage2.blocks.0"),
        ("stage2.blocks.3.mlp.fc2.bias", "stage2.blocks.3"),
        ("norm.weight", "head"),
    ] {
        assert_eq!(layer_of(name), layer, "{name}");
    }
}

#[test]
fn initial_values_of_cvt_are_those_of_the_original() {
    let tape = cvt(32, 10).tape;
    let of = |name: &str| tape.parameters().iter().find(|declared| declared.name == name).unwrap().init;
    for (name, init) in [
        ("stage2.blocks.9.attn.proj_q.weight", Init::Normal(0.02)),
        ("stage2.blocks.9.attn.proj_q.bias", Init::Zeros),
        ("stage2.cls_token", Init::Normal(0.02)),
        ("stage0.blocks.0.norm1.weight", Init::Ones),
        ("stage0.blocks.0.attn.conv_proj_v.conv.weight", Init::Uniform(1.0 / 3.0)),
        ("stage0.patch_embed.proj.bias", Init::Uniform(1.0 / 147f64.sqrt())),
        ("stage1.patch_embed.proj.weight", Init::Uniform(1.0 / 24.0)),
        ("head.weight", Init::Normal(0.02)),
        ("head.bias", Init::Uniform(1.0 / 384f64.sqrt())),
    ] {
        assert_eq!(of(name), init, "{name}");
    }
}

#[test]
fn stochastic_depth_is_in_training_and_grows_from_the_second_block_of_the_last_stage() {
    let drops = records_of(&cvt(32, 10), "stochastic_depth");
    let expected: Vec<String> = (1..10)
        .flat_map(|block| ["attn", "mlp"].map(|part| format!("stage2.blocks.{block}.{part}.drop_path")))
        .collect();
    assert_eq!(drops, expected);
    let model = nn::cvt13(CvtActivation::QuickGelu);
    let tested = record(&model, [32; 2], 10, Mode::Eval, false);
    assert_eq!(records_of(&tested, "stochastic_depth"), [""; 0]);
    let of_activation = |recorded: &Recorded| ["gelu", "quick_gelu"].map(|op| records_of(recorded, op).len());
    assert_eq!((of_activation(&tested), of_activation(&cvt(32, 10))), ([0, 13], [13, 0]));
}

#[test]
fn tokens_are_blurred_before_each_block() {
    let blurred = record(&nn::named("cvt-13").unwrap(), [32; 2], 10, Mode::Train, true);
    let blurs = records_of(&blurred, "blur_tokens");
    assert_eq!(blurs.len(), 13, "{blurs:?}");
    assert!(blurs.iter().all(|name| name.ends_with(".blur")), "{blurs:?}");
    assert!(records_of(&blurred, "blur").is_empty());
}

/// The table of start rates that was computed from the published code: eta, min_lr, clf, the rates
/// of the first seven blocks (later ones are as the last) and of the classifier.
#[test]
fn start_rates_of_cvt_are_those_of_the_published_code() {
    let layers = cvt(32, 10).layers;
    let depths = curriculum::depths(&layers, Granularity::Module);
    for (run, eta, min_lr, clf, blocks, head, epochs) in [
        ("CIFAR-10", 2e-3, 2e-6, 1e-3, [2e-3, 2e-4, 2e-5, 2e-6, 2e-7, 2e-7, 2e-7], 2e-6, 2.0),
        ("CIFAR-100", 2e-3, 2e-5, 1e-2, [2e-3, 2e-4, 2e-5, 2e-5, 2e-5, 2e-5, 2e-5], 2e-5, 1.0),
        ("Tiny ImageNet", 2e-3, 2e-7, 1e-4, [2e-3, 2e-4, 2e-5, 2e-6, 2e-7, 2e-8, 2e-8], 2e-7, 1.25),
        ("ImageNet-200", 2e-3, 2e-5, 1.0, [2e-3, 2e-4, 2e-5, 2e-5, 2e-5, 2e-5, 2e-5], 2e-3, 1.0),
        ("Food-101", 2e-3, 2e-6, 1e-2, [2e-3, 2e-4, 2e-5, 2e-6, 2e-7, 2e-7, 2e-7], 2e-5, 2.0),
        // The code compares with >= there: a bound just below gives the same rates.
        ("pre-trained", 5e-4, 4.9e-5, 1.0, [5e-4, 5e-5, 5e-6, 5e-6, 5e-6, 5e-6, 5e-6], 5e-4, 0.5),
        ("pre-trained, Tiny", 5e-4, 4.9e-9, 1.0, [5e-4, 5e-5, 5e-6, 5e-7, 5e-8, 5e-9, 5e-10], 5e-4, 1.5),
    ] {
        let updates_per_epoch = if run.contains("Tiny") || run.contains("pre") { 4 } else { 2 };
        let stop_lr = 1.1 * eta;
        let options = ReferenceOptions {
            ladder: Ladder::Resnet,
            eta,
            min_lr,
            clf,
            stop_lr,
            updates_per_epoch,
            stop_update_epoch: 6,
        };
        let curriculum = Reference::new(options, &depths).unwrap();
        let start = Time { step: 0, steps_per_epoch: 782 };
        let rate = |layer| eta * curriculum::Curriculum::factor(&curriculum, start, layer);
        for layer in 0..13 {
            approx::assert_relative_eq!(rate(layer), blocks[layer.min(6)], max_relative = 1e-12);
        }
        approx::assert_relative_eq!(rate(13), head, max_relative = 1e-12);
        assert_eq!(curriculum::Curriculum::grows_until(&curriculum), epochs, "{run}");
    }
}
