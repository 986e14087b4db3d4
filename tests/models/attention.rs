//! CvT-13 and SepTr, recorded without a device: parameters, sizes, layers, initial values,
//! stochastic depth and the published start rates.

use crate::common::errors::{Fault, assert_error};
use lerac::curriculum::{self, Granularity, Ladder, Reference, ReferenceOptions, Time};
use lerac::data::{Meaning, plain_form};
use lerac::gpu::Limits;
use lerac::nn::objective::{ObjectiveOptions, objective_for};
use lerac::nn::{self, CvtActivation, Named, NetOptions, Recorded};
use lerac::tape::{Init, Mode, Tape};

fn record(model: &Named, image: [usize; 3], classes: usize, mode: Mode, blur: bool) -> Recorded {
    let form = plain_form(image, &Meaning::Classes((0..classes).map(|i| format!("class {i}")).collect()));
    let objective = objective_for(&form, ObjectiveOptions::default()).unwrap();
    let options = NetOptions { blur, ..NetOptions::default() };
    nn::record(model, &form, &*objective, 2, Tape::new(mode), options)
}

fn cvt(side: usize, classes: usize) -> Recorded {
    record(&nn::named("cvt-13").unwrap(), [3, side, side], classes, Mode::Train, false)
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
    let rectangular = record(&nn::named("cvt-13").unwrap(), [3, 48, 80], 10, Mode::Eval, false).tape;
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
    let tested = record(&model, [3, 32, 32], 10, Mode::Eval, false);
    assert_eq!(records_of(&tested, "stochastic_depth"), [""; 0]);
    let of_activation = |recorded: &Recorded| ["gelu", "quick_gelu"].map(|op| records_of(recorded, op).len());
    assert_eq!((of_activation(&tested), of_activation(&cvt(32, 10))), ([0, 13], [13, 0]));
}

#[test]
fn tokens_are_blurred_before_each_block() {
    let blurred = record(&nn::named("cvt-13").unwrap(), [3, 32, 32], 10, Mode::Train, true);
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

#[test]
fn septr_has_the_published_parameters_at_every_size() {
    for (bands, frames, classes, expected) in
        [(128, 128, 35, 8_869_411), (128, 1001, 6, 9_532_422), (128, 1723, 50, 10_098_226), (512, 512, 35, 9_459_235)]
    {
        let model = nn::named("septr").unwrap();
        let tape = record(&model, [1, bands, frames], classes, Mode::Train, false).tape;
        let count: usize = tape.parameters().iter().map(|declared| declared.shape.count()).sum();
        assert_eq!((count, tape.parameters().len(), tape.states().len()), (expected, 77, 0), "{bands}x{frames}");
        assert_eq!(count, 8_661_504 + 768 * (bands + frames + 2) + 768 + 257 * classes);
    }
}

#[test]
fn septr_has_a_layer_for_each_half_of_a_block() {
    let recorded = record(&nn::named("septr").unwrap(), [1, 5, 7], 3, Mode::Train, false);
    let names: Vec<&str> = recorded.layers.iter().map(|layer| layer.name.as_str()).collect();
    let halves = (0..3).flat_map(|block| ["h", "w"].map(|axis| format!("transformer.{block}.transformer_{axis}")));
    assert_eq!(names, halves.chain(["fc".to_owned()]).collect::<Vec<_>>());
    let of = |name: &str| recorded.tape.parameters().iter().find(|declared| declared.name == name).unwrap();
    for (name, shape, init, layer) in [
        ("cls_token", vec![1, 1, 1, 256], Init::Normal(1.0), 0),
        ("transformer.0.projection.weight", vec![256, 1], Init::Uniform(1.0), 0),
        ("transformer.0.pos_embedding_h", vec![1, 1, 6, 256], Init::Normal(1.0), 0),
        ("transformer.2.pos_embedding_w", vec![1, 1, 8, 256], Init::Normal(1.0), 5),
        ("transformer.2.transformer_w.layers.0.0.fn.to_qkv.weight", vec![3840, 256], Init::Uniform(0.0625), 5),
        ("transformer.1.transformer_h.layers.0.0.fn.to_out.0.bias", vec![256], Init::Uniform(1.0 / 1280f64.sqrt()), 2),
        ("transformer.1.transformer_h.layers.0.1.fn.net.3.weight", vec![256, 256], Init::Uniform(0.0625), 2),
        ("fc.weight", vec![3, 256], Init::Uniform(0.0625), 6),
    ] {
        let found = of(name);
        assert_eq!((found.shape.dims(), found.init, found.layer), (shape.as_slice(), init, layer), "{name}");
    }
}

/// Attention over all frames of a band at once: 2.4 GiB of probabilities for an example.
#[test]
fn a_spectrogram_of_the_papers_size_is_refused_with_a_batch_that_fits() {
    let model = nn::named("septr").unwrap();
    let recorded = record(&model, [1, 128, 1001], 6, Mode::Train, false);
    let check = |gib: u64| {
        let limits = Limits { binding_bytes: gib << 30, buffer_bytes: 64 << 30, grid: 65_535 };
        recorded.tape.check(&limits, 2)
    };
    assert_error(
        check(4),
        Fault::Capacity,
        &["transformer_w.layers.0.0.fn.attention.probabilities", "4902.4 MiB", "`batch_size` 1"],
    );
    check(5).unwrap();
}
