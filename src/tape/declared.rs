//! Parameters and states (PyTorch's buffers) as a model declares them.

use crate::tensor::Shape;

/// How a tensor is initialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Normal distribution with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform distribution between minus and plus this bound.
    Uniform(f64),
    /// The bias of a detector's last layer: uniform, plus logarithms of the expected frequencies of
    /// objects and of each class (Lin et al. 2017, section 4.1).
    DetectorBias {
        /// Bound of the uniform distribution.
        bound: f64,
        /// Values of a prediction: four of the box, objectness, classes.
        fields: usize,
        /// Added to the objectness.
        object: f64,
        /// Added to each class.
        class: f64,
    },
}

/// The role of a tensor in its layer. Parameters of the same layer and group share a learning rate
/// and a weight decay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// A weight that multiplies activations.
    Weight,
    /// A bias. It can be excluded from weight decay.
    Bias,
    /// Scale or running statistics of a normalisation. It can be excluded from weight decay.
    Norm,
    /// Shift of a normalisation: a bias that can be excluded from weight decay.
    NormBias,
}

impl Group {
    /// Whether the tensor is added to activations, in a normalisation or elsewhere.
    pub fn is_bias(self) -> bool {
        matches!(self, Self::Bias | Self::NormBias)
    }
}

/// The declaration of a parameter or state.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Full name, as in a state dict: `layer1.0.conv1.weight`.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Initialisation.
    pub init: Init,
    /// Index of its layer in the model's list of layers.
    pub layer: usize,
    /// Role in its layer.
    pub group: Group,
}
