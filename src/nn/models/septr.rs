//! SepTr (Ristea, Ionescu & Khan 2022, "SepTr: Separable Transformer for Audio Spectrogram
//! Processing") with the names of the original code (ristea/septr), for patches of 1x1.

use super::ImageModel;
use crate::nn::{Attention, Net};
use crate::ops::prepend::Token;
use crate::tape::{Group, Init, Var};
use crate::tensor::Shape;

/// The size of a SepTr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeptrOptions {
    /// Number of blocks. Each attends over the bands of a frame, then over the frames of a band.
    pub(super) depth: usize,
    /// Elements of a token.
    pub(super) width: usize,
    /// Attention heads.
    pub(super) heads: usize,
    /// Elements of a head.
    pub(super) head: usize,
    /// Width between the two linear layers of a transformer layer.
    pub(super) inner: usize,
}

impl SeptrOptions {
    /// The size of the original code.
    pub(super) const PUBLISHED: Self = Self { depth: 3, width: 256, heads: 5, head: 256, inner: 256 };

    /// A size that two processor cores can train on small inputs.
    pub(super) const TINY: Self = Self { depth: 3, width: 32, heads: 2, head: 16, inner: 64 };
}

/// Epsilon of the layer normalisations.
const EPSILON: f32 = 1e-5;

/// SepTr. A block attends over the bands of each frame, then over the frames of each band. The
/// class token of the second half is the mean of the first's over the frames, and that of the next
/// block the mean of the second's over the bands.
///
/// Each half of a block is a layer; the first one includes the embedding of the cells. The paper
/// does not say how it divides the model into layers.
pub(super) fn septr(options: SeptrOptions) -> ImageModel {
    Box::new(move |net, spectrogram, classes| {
        let [n, _, bands, frames] = net.shape(spectrogram).nchw("SepTr");
        let d = options.width;
        let mut of_block: Option<(Var, Var)> = None;
        for block in 0..options.depth {
            let name = format!("transformer.{block}");
            let (x, class) = net.layer(&format!("{name}.transformer_h"), |net| {
                let class = match of_block {
                    Some((_, class)) => Token::Computed(class),
                    None => Token::Trained(net.parameter("cls_token", [1, 1, 1, d], Init::Normal(1.0), Group::Weight)),
                };
                net.scope(&name, |net| {
                    let x = of_block.map_or_else(|| embedding(net, spectrogram, d), |(x, _)| x);
                    sequences(net, "h", x, class, [n, frames, bands], options)
                })
            });
            of_block = Some(net.layer(&format!("{name}.transformer_w"), |net| {
                net.scope(&name, |net| {
                    let x = net.transpose("cells_w", x, [n, frames, bands, d]);
                    let (x, class) = sequences(net, "w", x, Token::Computed(class), [n, bands, frames], options);
                    (net.transpose("cells_h", x, [n, bands, frames, d]), class)
                })
            }));
        }
        let (_, class) = of_block.expect("a SepTr has a block or more");
        net.layer("fc", |net| linear(net, "fc", class, classes))
    })
}

/// A linear layer of the current layer with PyTorch's initial values.
fn linear(net: &mut Net, name: &str, x: Var, outputs: usize) -> Var {
    let [_, c] = net.shape(x).last_axis();
    let init = Init::Uniform(1.0 / (c as f64).sqrt());
    net.dense_of(name, x, outputs, [init, init])
}

/// The first tokens `[N,W,H,D]`: a linear function of each cell.
fn embedding(net: &mut Net, spectrogram: Var, width: usize) -> Var {
    let [n, c, bands, frames] = net.shape(spectrogram).nchw("SepTr");
    let x = net.tokens_of("channels", spectrogram);
    let x = net.transpose("cells", x, [n, bands, frames, c]);
    linear(net, "projection", x, width)
}

/// A transformer layer over R sequences of T tokens in each of N examples, with class tokens: the
/// tokens `[N*R,T,D]`, and the means of the class tokens `[N,D]`.
fn sequences(
    net: &mut Net,
    axis: &str,
    x: Var,
    class: Token,
    [n, r, t]: [usize; 3],
    options: SeptrOptions,
) -> (Var, Var) {
    let d = options.width;
    let x = net.tape().view(x, [n * r, t, d]);
    let x = net.prepend(&format!("with_class_{axis}"), x, class);
    let x = net.position_embedding_of(&format!("pos_embedding_{axis}"), x, [1, 1, t + 1, d], Init::Normal(1.0));
    let x = net.scope(&format!("transformer_{axis}.layers.0"), |net| transformer(net, x, options));
    let class = net.slice(&format!("class_{axis}"), x, 0..1);
    let class = net.transpose(&format!("classes_{axis}"), class, [n, r, d, 1]);
    let class = net.tape().view(class, [n, d, r, 1]);
    let class = net.global_mean_pool(&format!("mean_class_{axis}"), class);
    (net.slice(&format!("tokens_{axis}"), x, 1..t + 1), class)
}

/// x + attention(norm(x)), then x + mlp(norm(x)).
fn transformer(net: &mut Net, x: Var, options: SeptrOptions) -> Var {
    let x = net.blur_tokens("blur", x);
    let y = net.layer_norm("0.norm", x, EPSILON);
    let y = attention(net, y, options);
    let x = net.add("0.sum", x, y);
    let y = net.layer_norm("1.norm", x, EPSILON);
    let y = linear(net, "1.fn.net.0", y, options.inner);
    let y = net.gelu("1.fn.net.1", y);
    let y = linear(net, "1.fn.net.3", y, options.width);
    net.add("1.sum", x, y)
}

/// Attention whose queries, keys and values are the thirds of one linear layer without bias.
fn attention(net: &mut Net, x: Var, options: SeptrOptions) -> Var {
    let ([rows, width], [n, _]) = (net.shape(x).last_axis(), net.shape(x).flat());
    let inner = options.heads * options.head;
    let init = Init::Uniform(1.0 / (width as f64).sqrt());
    let qkv = net.dense_without_bias("0.fn.to_qkv", x, 3 * inner, init);
    let thirds = net.tape().view(qkv, Shape::from([rows, 3, inner]));
    let qkv = [0, 1, 2].map(|third| {
        let x = net.slice(&format!("0.fn.{}", ["q", "k", "v"][third]), thirds, third..third + 1);
        net.tape().view(x, [n, rows / n, inner])
    });
    let y = net.attention("0.fn.attention", qkv, Attention { heads: options.heads, scale: None, dropout: 0.0 }, None);
    linear(net, "0.fn.to_out.0", y, width)
}
