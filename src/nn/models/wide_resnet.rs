//! Wide residual networks for small images (Zagoruyko & Komodakis 2016) in the pre-activation form
//! of the published LeRaC code: convolutions with bias, and dropout between the two of a block.

use super::ImageModel;
use crate::nn::{Conv, Net};
use crate::ops::batch_norm::{Activation, After, Norm};
use crate::tape::Var;

/// Momentum of the last batch norm in the published code (as in PyTorch, the weight of the batch in
/// the running statistics).
const LAST_MOMENTUM: f32 = 0.9;

/// A Wide ResNet of 6 n + 4 layers with `widen` times 16, 32 and 64 channels. The last norm belongs
/// to the layer of the last convolution.
///
/// # Panics
/// If `depth` is not 6 n + 4.
pub(super) fn wide_resnet(depth: usize, widen: usize, dropout: f64) -> ImageModel {
    assert!(depth > 4 && (depth - 4).is_multiple_of(6), "a wide residual network has 6 n + 4 layers, not {depth}");
    Box::new(move |net, x, classes| {
        let mut x = net.conv2d("conv1_initial", x, Conv { bias: true, ..Conv::same3x3(16, 1) });
        for (stage, channels) in [16, 32, 64].map(|channels| channels * widen).into_iter().enumerate() {
            for index in 0..(depth - 4) / 6 {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                let name = format!("layer{}.{index}", stage + 1);
                x = net.block(&name, |net| block(net, x, channels, stride, dropout));
            }
        }
        let norm = Norm { momentum: LAST_MOMENTUM, ..net.norm("bn1_final", 64 * widen) };
        let x = net.normalise("bn1_final", x, norm, After { residual: None, activation: Activation::Relu });
        let x = net.global_mean_pool("pool", x);
        net.linear("linear", x, classes)
    })
}

/// conv2(relu(bn2(dropout(conv1(relu(bn1(x))))))) + shortcut(x). conv2 has the stride.
fn block(net: &mut Net, x: Var, channels: usize, stride: usize, dropout: f64) -> Var {
    let [_, c, _, _] = net.shape(x).nchw("block");
    let y = net.norm_relu_conv("bn1", "conv1", x, Conv { bias: true, ..Conv::same3x3(channels, 1) });
    let y = net.dropout("dropout", y, dropout);
    let y = net.norm_relu_conv("bn2", "conv2", y, Conv { bias: true, ..Conv::same3x3(channels, stride) });
    let shortcut = match stride == 1 && c == channels {
        true => x,
        false => {
            net.shortcut("shortcut", |net| net.conv2d("0", x, Conv { bias: true, ..Conv::pointwise(channels, stride) }))
        }
    };
    net.add("add", y, shortcut)
}
