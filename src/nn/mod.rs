//! Floor 6: models. A [`Model`] is a function that records itself on a [`Net`]; the net names its parameters, declares its
//! layers with their depth, and initialises them.

mod init;
mod models;
mod net;

pub use init::initialise;
pub use models::{NAMES, named, named_for, usual_side};
pub use net::{Conv, Net, NetOptions};

use crate::curriculum::Layer;
use crate::ops::cross_entropy::{Targets, cross_entropy};
use crate::ops::regression::{Regression, regression};
use crate::ops::{load_batch, mixup::mixup};
use crate::tape::{BufferId, Mode, Tape, Var};

/// Something that maps images `[N,C,H,W]` to logits `[N,K]`, recorded on a net.
pub type Model = Box<dyn Fn(&mut Net, Var, usize) -> Var + Send + Sync>;

/// What a model predicts, and how it is held against labels.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Goal {
    /// A class, under the cross-entropy.
    Class {
        /// K.
        classes: usize,
        /// Label smoothing of the loss.
        label_smoothing: f64,
    },
    /// A number.
    Number(Regression),
}

impl Goal {
    /// Outputs of the model: K, or 1.
    pub fn outputs(self) -> usize {
        match self {
            Self::Class { classes, .. } => classes,
            Self::Number(_) => 1,
        }
    }
}

/// What a model reads and predicts.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// C, H, W.
    pub image: [usize; 3],
    /// What it predicts.
    pub goal: Goal,
    /// Mean of each channel, on the scale `[0, 1]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub std: Vec<f32>,
}

impl Task {
    /// One of K classes, of images that are normalised by 0.5 and 0.5, as in LeRaC's published code, under a loss that is not smoothed.
    pub fn new(image: [usize; 3], classes: usize) -> Self {
        let half = vec![0.5; image[0]];
        Self { image, goal: Goal::Class { classes, label_smoothing: 0.0 }, mean: half.clone(), std: half }
    }
}

/// A model from packed bytes to its loss, recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The whole computation.
    pub tape: Tape,
    /// The model's layers; the layer of a parameter is an index into this.
    pub layers: Vec<Layer>,
    /// Host-written: labels, draws, bytes.
    pub batch: BufferId,
    /// `[N,K]`, or of a number `[N,1]`.
    pub logits: Var,
}

/// Records `model` on `task` with its loader and loss, on an empty tape.
///
/// # Panics
/// With the tensors' names, where the model's shapes do not fit each other; where numbers are to be mixed.
pub fn record(model: &Model, task: &Task, batch_size: usize, mut tape: Tape, options: NetOptions) -> Recorded {
    let [c, h, w] = task.image;
    let images = [batch_size, c, h, w];
    let batch = tape.buffer("batch", 4 * load_batch::batch_words(images) as u64);
    let x = load_batch::load_batch(&mut tape, "images", batch, images, &task.mean, &task.std);
    let mixed = options.mixup && tape.mode() == Mode::Train;
    let x = if mixed { mixup(&mut tape, "mixup", x) } else { x };
    let mut net = Net::new(&mut tape, options);
    let outputs = task.goal.outputs();
    let logits = model(&mut net, x, outputs);
    let layers = net.into_layers();
    let [n, k] = tape.shape(logits).flat();
    assert!((n, k) == (batch_size, outputs), "the model's result is [{n},{k}], not [{batch_size},{outputs}]");
    match task.goal {
        Goal::Class { label_smoothing, .. } => {
            cross_entropy(&mut tape, "loss", logits, batch, Targets { smoothing: label_smoothing, mixed });
        }
        Goal::Number(_) if mixed => panic!("mixup mixes classes, not numbers"),
        Goal::Number(wanted) => regression(&mut tape, "loss", logits, batch, wanted),
    }
    Recorded { tape, layers, batch, logits }
}
