//! Update rules and their hyperparameters.

use crate::error::{Error, Result};
use crate::tape::Group;
use serde::{Deserialize, Serialize};

/// An update rule, with PyTorch's definitions and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "name", deny_unknown_fields)]
pub enum Rule {
    /// Stochastic gradient descent with momentum; weight decay is added to the gradient.
    Sgd {
        /// Momentum factor; 0 for none.
        momentum: f64,
        /// Whether momentum is Nesterov's.
        nesterov: bool,
    },
    /// Kingma & Ba 2015; weight decay is added to the gradient.
    Adam {
        /// Decay of the mean of the gradient.
        beta1: f64,
        /// Decay of the mean of its square.
        beta2: f64,
        /// Added to the denominator.
        epsilon: f64,
    },
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    AdamW {
        /// Decay of the mean of the gradient.
        beta1: f64,
        /// Decay of the mean of its square.
        beta2: f64,
        /// Added to the denominator.
        epsilon: f64,
    },
    /// Adam under the infinity norm (Kingma & Ba 2015, section 7.1); weight decay is added to the
    /// gradient.
    Adamax {
        /// Decay of the mean of the gradient.
        beta1: f64,
        /// Decay of the largest gradient.
        beta2: f64,
        /// Added to the absolute gradient.
        epsilon: f64,
    },
}

/// PyTorch's beta1, beta2 and epsilon.
const BETAS: (f64, f64, f64) = (0.9, 0.999, 1e-8);

impl Rule {
    /// The names that [`Rule::named`] accepts.
    pub const NAMES: [&'static str; 4] = ["sgd", "adam", "adamw", "adamax"];

    /// SGD with momentum 0.9.
    pub fn sgd() -> Self {
        Self::Sgd { momentum: 0.9, nesterov: false }
    }

    /// Adam with betas 0.9 and 0.999 and epsilon 1e-8.
    pub fn adam() -> Self {
        let (beta1, beta2, epsilon) = BETAS;
        Self::Adam { beta1, beta2, epsilon }
    }

    /// AdamW with betas 0.9 and 0.999 and epsilon 1e-8.
    pub fn adamw() -> Self {
        let (beta1, beta2, epsilon) = BETAS;
        Self::AdamW { beta1, beta2, epsilon }
    }

    /// Adamax with betas 0.9 and 0.999 and epsilon 1e-8.
    pub fn adamax() -> Self {
        let (beta1, beta2, epsilon) = BETAS;
        Self::Adamax { beta1, beta2, epsilon }
    }

    /// A rule with its defaults: momentum 0.9; betas 0.9 and 0.999, epsilon 1e-8.
    ///
    /// # Errors
    /// [`Error::Setting`] with all names, if the name is unknown.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "sgd" => Self::sgd(),
            "adam" => Self::adam(),
            "adamw" => Self::adamw(),
            "adamax" => Self::adamax(),
            _ => {
                let known = Self::NAMES.join(", ");
                return Err(Error::setting(
                    "optimizer",
                    format!("unknown optimizer {name:?}; expected one of {known}"),
                ));
            }
        })
    }

    /// The name for [`Rule::named`], which is also the entry point of the kernel.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
            Self::Adamax { .. } => "adamax",
        }
    }

    /// Number of moments of each parameter.
    pub fn moments(&self) -> usize {
        match self {
            Self::Sgd { .. } => 1,
            Self::Adam { .. } | Self::AdamW { .. } | Self::Adamax { .. } => 2,
        }
    }

    /// The decays: (momentum, 0) or (beta1, beta2).
    pub(super) fn betas(&self) -> (f64, f64) {
        match *self {
            Self::Sgd { momentum, .. } => (momentum, 0.0),
            Self::Adam { beta1, beta2, .. } | Self::AdamW { beta1, beta2, .. } | Self::Adamax { beta1, beta2, .. } => {
                (beta1, beta2)
            }
        }
    }

    pub(super) fn epsilon(&self) -> f64 {
        match *self {
            Self::Sgd { .. } => 0.0,
            Self::Adam { epsilon, .. } | Self::AdamW { epsilon, .. } | Self::Adamax { epsilon, .. } => epsilon,
        }
    }
}

/// The settings of an optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Update rule.
    pub rule: Rule,
    /// Weight decay of every layer.
    pub weight_decay: f64,
    /// Whether weight decay is 0 for biases and for the parameters of norms.
    pub spare_norm_and_bias: bool,
    /// Gradients with a larger global L2 norm are scaled down to this norm.
    pub clip_norm: Option<f64>,
    /// Whether each step also computes [`super::LayerNorms`].
    pub layer_norms: bool,
}

impl Settings {
    /// Weight decay of the parameters of a group.
    pub fn decay_of(&self, group: Group) -> f64 {
        if self.spare_norm_and_bias && group != Group::Weight { 0.0 } else { self.weight_decay }
    }
}

/// The rules in f64, on one layer's parameters.
pub mod reference {
    use super::Rule;

    /// Parameters with their moments.
    #[derive(Clone, Debug)]
    pub struct State {
        /// Parameters.
        pub p: Vec<f64>,
        /// First moment.
        pub m: Vec<f64>,
        /// Second moment.
        pub v: Vec<f64>,
    }

    impl State {
        /// The state before the first step.
        pub fn new(p: Vec<f64>) -> Self {
            let zeros = vec![0.0; p.len()];
            Self { p, m: zeros.clone(), v: zeros }
        }

        /// Step `t` (from 1) with gradient `g`, learning rate `lr` and weight decay `wd`.
        pub fn step(&mut self, rule: &Rule, g: &[f64], lr: f64, wd: f64, t: i32) {
            let (b1, b2) = rule.betas();
            let (c1, c2) = (1.0 - b1.powi(t), 1.0 - b2.powi(t));
            for ((p, (m, v)), &g) in self.p.iter_mut().zip(self.m.iter_mut().zip(&mut self.v)).zip(g) {
                let decayed = g + wd * *p;
                match *rule {
                    Rule::Sgd { nesterov, .. } => {
                        *m = b1 * *m + decayed;
                        *p -= lr * if nesterov { decayed + b1 * *m } else { *m };
                    }
                    Rule::Adam { epsilon, .. } | Rule::AdamW { epsilon, .. } => {
                        let coupled = matches!(rule, Rule::Adam { .. });
                        let g = if coupled { decayed } else { g };
                        if !coupled {
                            *p -= lr * wd * *p;
                        }
                        *m = b1 * *m + (1.0 - b1) * g;
                        *v = b2 * *v + (1.0 - b2) * g * g;
                        *p -= lr * (*m / c1) / ((*v / c2).sqrt() + epsilon);
                    }
                    Rule::Adamax { epsilon, .. } => {
                        *m = b1 * *m + (1.0 - b1) * decayed;
                        *v = (b2 * *v).max(decayed.abs() + epsilon);
                        *p -= lr * (*m / c1) / *v;
                    }
                }
            }
        }
    }
}
