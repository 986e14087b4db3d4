//! Layers of [`Net`] for attention over images. A grid is `[N,C,H,W]`, its tokens are `[N,H*W,C]`.

use super::{Conv, Net};
use crate::ops::prepend::Token;
use crate::ops::{self, conv2d};
use crate::tape::{Group, Init, Var};

impl Net<'_> {
    /// A convolution that is part of the current layer, and is not blurred. [`Net::conv2d`] begins
    /// a layer instead.
    ///
    /// Initial weights and bias: uniform in ±1 / sqrt(C/GROUPS KH KW), as in PyTorch's `nn.Conv2d`.
    pub fn convolve(&mut self, name: &str, x: Var, conv: Conv) -> Var {
        self.convolve_of(name, x, conv, Init::Uniform)
    }

    /// [`Net::convolve`], with the initial bias that `bias_of` makes from the bound.
    pub fn convolve_of(&mut self, name: &str, x: Var, conv: Conv, bias_of: impl FnOnce(f64) -> Init) -> Var {
        let Conv { channels, kernel: [kh, kw], options, bias } = conv;
        let [_, c, _, _] = self.shape(x).nchw(name);
        let shape = [channels, c / options.groups, kh, kw];
        let bound = 1.0 / (shape[1..].iter().product::<usize>() as f64).sqrt();
        let w = self.parameter(&format!("{name}.weight"), shape, Init::Uniform(bound), Group::Weight);
        let bias = bias.then(|| self.parameter(&format!("{name}.bias"), [channels], bias_of(bound), Group::Bias));
        let full = self.full_name(name);
        conv2d::conv2d(self.tape(), &full, x, w, bias, options)
    }

    /// The blur of Curriculum by Smoothing of x `[N,C,H,W]`; x itself without
    /// [`super::NetOptions::blur`].
    pub fn blur(&mut self, name: &str, x: Var) -> Var {
        match self.options.blur {
            true => {
                let full = self.full_name(name);
                ops::blur::blur(self.tape(), &full, x)
            }
            false => x,
        }
    }

    /// Copies `part` `[N,K,H,W]`, upsampled to twice the height and width by repetition, to the
    /// channels of `whole` that start at `first`.
    pub fn write_upsampled(&mut self, name: &str, whole: Var, first: usize, part: Var) {
        let full = self.full_name(name);
        ops::upsample::write_upsampled(self.tape(), &full, whole, first, part);
    }

    /// x, read as `[A,B,C,D]`, with its middle axes exchanged: `[A,C,B,D]`.
    ///
    /// # Panics
    /// If x has another number of elements.
    pub fn transpose(&mut self, name: &str, x: Var, extent: [usize; 4]) -> Var {
        let full = self.full_name(name);
        ops::transpose::transpose(self.tape(), &full, x, extent)
    }

    /// The tokens of a grid: `[N,C,H,W]` becomes `[N,H*W,C]`.
    pub fn tokens_of(&mut self, name: &str, x: Var) -> Var {
        let [n, c, h, w] = self.shape(x).nchw(name);
        let y = self.transpose(name, x, [n, c, h * w, 1]);
        self.tape().view(y, [n, h * w, c])
    }

    /// The grid of tokens: `[N,H*W,C]` becomes `[N,C,H,W]`.
    ///
    /// # Panics
    /// If there are not H W tokens.
    pub fn grid_of(&mut self, name: &str, x: Var, [h, w]: [usize; 2]) -> Var {
        let ([_, c], [n, _]) = (self.shape(x).last_axis(), self.shape(x).flat());
        let y = self.transpose(name, x, [n, h * w, c, 1]);
        self.tape().view(y, [n, c, h, w])
    }

    /// x `[N,T,C]` with a token in front of each sequence: `[N,T+1,C]`.
    pub fn prepend(&mut self, name: &str, x: Var, token: Token) -> Var {
        let full = self.full_name(name);
        ops::prepend::prepend(self.tape(), &full, x, token)
    }

    /// Stochastic depth: in training each example of x is 0 with probability `p`, and else divided
    /// by 1 - p. Each of a net draws its own examples.
    pub fn stochastic_depth(&mut self, name: &str, x: Var, p: f64) -> Var {
        let (full, salt) = (self.full_name(name), self.next_salt());
        ops::dropout::stochastic_depth(self.tape(), &full, x, p, salt)
    }
}
