//! Updates, recorded without a device: the rows of the layer table, the launches, and the
//! description.

use crate::common::errors::assert_panics;
use lerac::optim::{RateRow, Rule, Settings, Update, UpdateOperand};
use lerac::tape::{Declared, Group, Init};
use lerac::tensor::Layout;

/// A norm that precedes its weight, as in pre-activation blocks, and a weight of 20 blocks with a
/// bias.
fn parameters() -> Vec<Declared> {
    let tensors = [
        (vec![3], 0, Group::Norm),
        (vec![3], 0, Group::Norm),
        (vec![3, 5], 0, Group::Weight),
        (vec![20, 256], 2, Group::Weight),
        (vec![20], 2, Group::Bias),
    ];
    let declared = |(i, (shape, layer, group)): (usize, (Vec<usize>, usize, Group))| Declared {
        name: format!("p{i}"),
        shape: shape.into(),
        init: Init::Zeros,
        layer,
        group,
    };
    tensors.into_iter().enumerate().map(declared).collect()
}

fn update(settings: Settings, window_blocks: u64) -> Update {
    let parameters = parameters();
    let layout = Layout::new(parameters.iter().map(|p| &p.shape), window_blocks << 10);
    Update::new(&parameters, &layout, 4, settings)
}

fn adam() -> Settings {
    let rule = Rule::named("adam").unwrap();
    Settings { rule, weight_decay: 0.1, spare_norm_and_bias: true, clip_norm: None, layer_norms: false }
}

#[test]
fn rows_are_the_layers_and_groups_that_occur() {
    let row = |layer, group| RateRow { layer, group };
    let expected = [row(0, Group::Weight), row(0, Group::Norm), row(2, Group::Weight), row(2, Group::Bias)];
    assert_eq!(update(adam(), 1 << 10).rows(), expected);
}

#[test]
fn only_weights_decay_if_norm_and_bias_are_spared() {
    let groups = [Group::Weight, Group::Bias, Group::Norm, Group::NormBias];
    assert_eq!(groups.map(|group| adam().decay_of(group)), [0.1, 0.0, 0.0, 0.0]);
    let none_is_spared = Settings { spare_norm_and_bias: false, ..adam() };
    assert_eq!(groups.map(|group| none_is_spared.decay_of(group)), [0.1; 4]);
}

#[test]
fn a_step_is_a_launch_per_window() {
    let plain = update(adam(), 1 << 10);
    assert_eq!((plain.step().len(), plain.norms().is_some()), (1, false));
    let all = update(Settings { clip_norm: Some(1.0), layer_norms: true, ..adam() }, 20);
    let entries: Vec<_> = all.launches().map(|launch| launch.kernel.entry).collect();
    // Three windows. The largest tensor has its own.
    assert_eq!(entries, ["squares", "squares", "squares", "finish", "adam", "adam", "adam", "layer_norms"]);
}

#[test]
fn a_description_names_kernels_bytes_and_operands() {
    let text = update(Settings { clip_norm: Some(1.0), ..adam() }, 1 << 10).describe();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 3, "{text}");
    assert!(lines[1].contains("squares") && lines[1].ends_with("gradients 0, clip sums, trained blocks 0"), "{text}");
    // 24 blocks in 6 runs of 12 bytes, 4 rows of 12 bytes; a parameter, a gradient and two moments
    // per weight.
    let bytes = 32 + 4 * 24 * 1024 + 6 * 12 + 4 * 12 + 16 + 16;
    assert!(lines[3].contains("adam") && lines[3].contains(&format!(" {bytes} ")), "{bytes} bytes: {text}");
    let operands =
        "step, parameters 0, gradients 0, runs 0, layer table, losses, update sums, first moment 0, second moment 0";
    assert!(lines[3].ends_with(operands), "{text}");
}

#[test]
fn operands_of_layer_norms_grow_with_the_runs() {
    let all = update(Settings { layer_norms: true, ..adam() }, 1 << 10);
    assert_eq!(all.bytes(UpdateOperand::Sums), 16 * (1 + 6 * 64));
    assert_eq!([UpdateOperand::RunLayers, UpdateOperand::LayerSums].map(|operand| all.bytes(operand)), [4 * 6, 16 * 4]);
}

#[test]
fn a_missing_layer_panics() {
    let parameters = parameters();
    let layout = Layout::new(parameters.iter().map(|p| &p.shape), 1 << 20);
    assert_panics(|| Update::new(&parameters, &layout, 2, adam()), "p3", &["layer 2", "2 layers"]);
}
