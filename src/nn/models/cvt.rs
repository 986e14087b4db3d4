//! CvT-13 (Wu et al. 2021, "CvT: Introducing Convolutions to Vision Transformers") with the names
//! of the original code (microsoft/CvT).

use super::ImageModel;
use crate::nn::{Attention, Conv, Net};
use crate::ops::activation::Nonlinearity;
use crate::ops::conv2d::Conv2dOptions;
use crate::ops::prepend::Token;
use crate::tape::{Group, Init, Var};
use serde::{Deserialize, Serialize};

/// The activation between the two linear layers of a block of CvT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum CvtActivation {
    /// x Phi(x), exact: Hugging Face, and the first version of the LeRaC code.
    #[default]
    Gelu,
    /// x sigma(1.702 x): the original code and its weights.
    QuickGelu,
}

/// A stage: its patch embedding and its blocks.
struct Stage {
    /// Kernel, stride and padding of the convolution that embeds patches.
    patch: [usize; 3],
    /// Elements of a token.
    width: usize,
    blocks: usize,
    /// Drop probability of stochastic depth in the last block. It grows evenly from 0 in the first.
    last_drop: f64,
}

/// The heads of all stages have this many elements.
const HEAD: usize = 64;

/// The stages. The last one has a class token.
const STAGES: [Stage; 3] = [
    Stage { patch: [7, 4, 2], width: 64, blocks: 1, last_drop: 0.0 },
    Stage { patch: [3, 2, 1], width: 192, blocks: 2, last_drop: 0.0 },
    Stage { patch: [3, 2, 1], width: 384, blocks: 10, last_drop: 0.1 },
];

/// Standard deviation of the initial weights of linear layers and of the class token. The original
/// cuts the distribution at ±2, a hundred deviations.
const DEVIATION: f64 = 0.02;

/// Epsilon of the layer normalisations.
const EPSILON: f32 = 1e-5;

/// Tokens of a stage, and the height and width of their grid. The class token is not part of it.
struct Tokens {
    x: Var,
    grid: [usize; 2],
    has_class: bool,
}

/// CvT-13. A patch embedding and the first block of its stage are one layer, as in the published
/// LeRaC code; so is each other block, and the classifier with the last normalisation.
pub(super) fn cvt13(activation: CvtActivation) -> ImageModel {
    Box::new(move |net, x, classes| {
        let last = STAGES.len() - 1;
        let mut x = x;
        for (index, stage) in STAGES[..last].iter().enumerate() {
            let tokens = net.scope(&format!("stage{index}"), |net| record_stage(net, x, stage, activation, false));
            x = net.grid_of(&format!("stage{index}.grid"), tokens.x, tokens.grid);
        }
        let tokens = net.scope(&format!("stage{last}"), |net| record_stage(net, x, &STAGES[last], activation, true));
        let class = net.slice("class", tokens.x, 0..1);
        let class = net.flatten(class);
        net.layer("head", |net| {
            let x = net.layer_norm("norm", class, EPSILON);
            let bias = Init::Uniform(1.0 / (STAGES[last].width as f64).sqrt());
            net.dense_of("head", x, classes, [Init::Normal(DEVIATION), bias])
        })
    })
}

fn record_stage(net: &mut Net, x: Var, stage: &Stage, activation: CvtActivation, has_class: bool) -> Tokens {
    let mut tokens = net.layer("blocks.0", |net| {
        let tokens = patch_embedding(net, x, stage, has_class);
        Tokens { x: block(net, "blocks.0", &tokens, 0.0, activation), ..tokens }
    });
    for index in 1..stage.blocks {
        let name = format!("blocks.{index}");
        let drop = stage.last_drop * index as f64 / (stage.blocks - 1) as f64;
        tokens.x = net.layer(&name, |net| block(net, &name, &tokens, drop, activation));
    }
    tokens
}

/// A convolution, layer normalisation of each token, and the class token in front of them.
fn patch_embedding(net: &mut Net, x: Var, stage: &Stage, has_class: bool) -> Tokens {
    let [kernel, stride, padding] = stage.patch;
    let options = Conv2dOptions::square(stride, padding);
    let conv = Conv { channels: stage.width, kernel: [kernel; 2], options, bias: true };
    let x = net.convolve("patch_embed.proj", x, conv);
    let [_, _, h, w] = net.shape(x).nchw("patch embedding");
    let x = net.tokens_of("patch_embed.tokens", x);
    let mut x = net.layer_norm("patch_embed.norm", x, EPSILON);
    if has_class {
        let token = net.parameter("cls_token", [1, 1, stage.width], Init::Normal(DEVIATION), Group::Weight);
        x = net.prepend("with_class", x, Token::Trained(token));
    }
    Tokens { x, grid: [h, w], has_class }
}

/// x + attention(norm1(x)), then x + mlp(norm2(x)), each sum with stochastic depth.
fn block(net: &mut Net, name: &str, tokens: &Tokens, drop: f64, activation: CvtActivation) -> Var {
    net.scope(name, |net| {
        let x = net.blur_tokens("blur", tokens.x);
        let y = net.layer_norm("norm1", x, EPSILON);
        let y = net.scope("attn", |net| attention(net, &Tokens { x: y, ..*tokens }));
        let y = net.stochastic_depth("attn.drop_path", y, drop);
        let x = net.add("attn.sum", x, y);
        let y = net.layer_norm("norm2", x, EPSILON);
        let y = net.scope("mlp", |net| mlp(net, y, activation));
        let y = net.stochastic_depth("mlp.drop_path", y, drop);
        net.add("mlp.sum", x, y)
    })
}

fn mlp(net: &mut Net, x: Var, activation: CvtActivation) -> Var {
    let [_, width] = net.shape(x).last_axis();
    let x = net.dense("fc1", x, 4 * width, DEVIATION);
    let x = match activation {
        CvtActivation::Gelu => net.gelu("act", x),
        CvtActivation::QuickGelu => net.activation("act", x, Nonlinearity::QuickGelu),
    };
    net.dense("fc2", x, width, DEVIATION)
}

/// Attention whose queries, keys and values come from depth-wise convolutions of the grid. Keys and
/// values have stride 2. The class token is not convolved.
///
/// The scale is that of the published code: 1 / sqrt(C) of the whole token, not of a head.
fn attention(net: &mut Net, tokens: &Tokens) -> Var {
    let (&Tokens { x, grid, has_class }, [_, width]) = (tokens, net.shape(tokens.x).last_axis());
    let (class, cells) = match has_class {
        true => {
            let all = 1 + grid[0] * grid[1];
            (Some(net.slice("class", x, 0..1)), net.slice("cells", x, 1..all))
        }
        false => (None, x),
    };
    let cells = net.grid_of("grid", cells, grid);
    let qkv = [("q", 1), ("k", 2), ("v", 2)].map(|(which, stride)| {
        let x = projection(net, &format!("conv_proj_{which}"), cells, stride);
        let x = match class {
            Some(class) => net.prepend(&format!("conv_proj_{which}.with_class"), x, Token::Computed(class)),
            None => x,
        };
        net.dense(&format!("proj_{which}"), x, width, DEVIATION)
    });
    let scale = Some(1.0 / (width as f64).sqrt());
    let x = net.attention("attention", qkv, Attention { heads: width / HEAD, scale, dropout: 0.0 }, None);
    net.dense("proj", x, width, DEVIATION)
}

/// The tokens of a depth-wise 3x3 convolution of the grid x with batch normalisation.
fn projection(net: &mut Net, name: &str, x: Var, stride: usize) -> Var {
    let [_, channels, _, _] = net.shape(x).nchw(name);
    let mut conv = Conv::same3x3(channels, stride);
    conv.options.groups = channels;
    net.scope(name, |net| {
        let x = net.convolve("conv", x, conv);
        let x = net.batch_norm("bn", x);
        net.tokens_of("tokens", x)
    })
}
