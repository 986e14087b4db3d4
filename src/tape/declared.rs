//! Trained and kept tensors as a model declares them.

use crate::tensor::Shape;

/// How a tensor is filled before the first step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Independent normal draws with mean 0 and this standard deviation.
    Normal(f64),
    /// Independent uniform draws between minus and plus this bound.
    Uniform(f64),
}

/// What a tensor is to its layer. The parameters of one layer and group share a learning rate and a
/// weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// A weight that multiplies activations.
    Weight,
    /// A bias. It can be spared weight decay.
    Bias,
    /// Scale, shift or running statistics of a normalisation. They can be spared weight decay.
    Norm,
}

/// A trained or kept tensor as the model declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Full name, as in a state dict: `layer1.0.conv1.weight`.
    pub name: String,
    /// Extents.
    pub shape: Shape,
    /// How it is filled.
    pub init: Init,
    /// Position of its layer in the model's list of layers.
    pub layer: usize,
    /// What it is to its layer.
    pub group: Group,
}
